//! The world outside as traits: disk and clock, real and simulated.

//! The procmail language: parse once, evaluate to a list of actions, explain.

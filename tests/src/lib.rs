//! End to end: the real daemon against real clients and peers.

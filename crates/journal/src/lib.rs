//! Group-committed write-ahead log: append, wait for durable, replay, release.

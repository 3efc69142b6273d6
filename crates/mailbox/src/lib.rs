//! What is in a mailbox: index, UIDs, modification sequences, search, change events.

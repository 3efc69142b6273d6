//! The Maildir on disk: names, flags, side files, delivery.

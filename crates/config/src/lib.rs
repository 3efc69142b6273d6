//! The one typed configuration: a section for each crate, documented keys, all errors in one pass.

//! One message: its MIME structure by offsets, decoded headers and text.

//! SMTP wire grammar and server session, without I/O.

//! The daemon: sockets, TLS, timers and the pipeline that joins the libraries.

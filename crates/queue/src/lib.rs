//! Accepted mail on its way: states, progress of each recipient, retry times.

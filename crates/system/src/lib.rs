//! The world outside as traits, so that tests can replace it: the disk, which may lose what was not synced or be
//! full, and the clock, which may jump. [`HostDisk`] is the real one,
//! [`SimDisk`] the one that forgets and fails.
//!
//! All durable writes of the storage crates go through [`Disk`]; [`replace`] is the one way to change a whole file.

mod clock;
mod disk;
mod host;
mod replace;
mod sim;

pub use clock::{Clock, FixedClock, SystemClock};
pub use disk::{Create, Disk, Entry, File, Kind, Stat};
pub use host::HostDisk;
pub use replace::replace;
pub use sim::{Random, SimDisk};

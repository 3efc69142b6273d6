//! Telling systemd what we do: `sd_notify(3)` with `Type=notify`.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Sends a state such as `READY=1`. Without `NOTIFY_SOCKET` nothing is done; nothing depends on its success.
pub(crate) fn tell(state: &str) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(&name, state) {
        tracing::debug!(%error, "systemd was not told");
    }
}

/// The configuration is read again; `READY=1` has to follow.
pub(crate) fn reloading() {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let micros = now.tv_sec.unsigned_abs() * 1_000_000 + now.tv_nsec.unsigned_abs() / 1_000;
    tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
}

fn send(name: &OsStr, state: &str) -> io::Result<()> {
    // A leading @ means the abstract name space.
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_sockets_are_reached() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let abstract_name = format!("pillarbox-test-{}", std::process::id());
        let sockets = [
            (path.as_os_str().to_owned(), UnixDatagram::bind(&path).unwrap()),
            (
                format!("@{abstract_name}").into(),
                UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&abstract_name).unwrap()).unwrap(),
            ),
        ];
        for (name, socket) in sockets {
            send(&name, "READY=1").unwrap();
            let mut state = [0; 16];
            let length = socket.recv(&mut state).unwrap();
            assert_eq!(&state[..length], b"READY=1");
        }
    }
}

//! Telling systemd what we do: `sd_notify(3)` with `Type=notify`, and sockets that systemd opened (`sd_listen_fds(3)`).

use std::os::unix::net::UnixDatagram;

/// Sends a state such as `READY=1`. Without `NOTIFY_SOCKET` nothing is done; nothing depends on its success.
pub(crate) fn tell(state: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let sent = UnixDatagram::unbound().and_then(|socket| socket.send_to(state.as_bytes(), &path));
    if let Err(error) = sent {
        tracing::debug!(%error, "systemd was not told");
    }
}

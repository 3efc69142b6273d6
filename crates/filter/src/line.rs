//! The line between this process and the supervisor of a program: a pair of sockets, of which the supervisor has the other one as
//! its standard input.
//!
//! Over it go the program's input, which the supervisor passes on; the order to end the program; and how the program ended. A
//! line that is closed is the order to end all at once: it closes also when this process dies.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown,
    SocketFlags, SocketType, recv, recvmsg, send, sendmsg, shutdown, socketpair,
};

/// One end of the line.
#[derive(Debug)]
pub(crate) struct Line(OwnedFd);

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// Its exit code; negative: the signal that ended it.
    pub(crate) status: i32,
    /// Something that it started runs on.
    pub(crate) left: bool,
}

/// What came over the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Nothing,
    /// To the supervisor: the program is to end, and all that it started.
    End,
    /// From the supervisor: the program has ended.
    Report(Report),
    /// Nobody is there any more.
    Gone,
}

impl Line {
    /// A line, and the supervisor's end of it.
    pub(crate) fn pair() -> io::Result<(Self, OwnedFd)> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Self(ours), theirs))
    }

    /// The end that is this process's standard input.
    pub(crate) fn of_standard_input() -> io::Result<Self> {
        Ok(Self(io::stdin().as_fd().try_clone_to_owned()?))
    }

    /// Passes a descriptor on.
    pub(crate) fn send_input(&self, input: BorrowedFd<'_>) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let inputs = [input];
        if !control.push(SendAncillaryMessage::ScmRights(&inputs)) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        sendmsg(&self.0, &[IoSlice::new(b"i")], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// The descriptor that was passed on before anything else.
    pub(crate) fn receive_input(&self) -> io::Result<OwnedFd> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut octet = [0];
        recvmsg(&self.0, &mut [IoSliceMut::new(&mut octet)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
        let input = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut inputs) => inputs.next(),
            _ => None,
        });
        input.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Orders the program's end.
    pub(crate) fn send_end(&self) {
        self.send(b"e");
    }

    /// Tells how the program ended.
    pub(crate) fn send_report(&self, report: Report) {
        let [a, b, c, d] = report.status.to_le_bytes();
        self.send(&[a, b, c, d, report.left.into()]);
    }

    fn send(&self, octets: &[u8]) {
        // Who has gone needs to hear nothing.
        let _ = send(&self.0, octets, SendFlags::NOSIGNAL);
    }

    /// Takes what has come, without waiting.
    pub(crate) fn listen(&self) -> Heard {
        let mut octets = [0; 5];
        match recv(&self.0, &mut octets, RecvFlags::empty()) {
            Ok((1, _)) => Heard::End,
            Ok((5, _)) => {
                let [a, b, c, d, left] = octets;
                Heard::Report(Report { status: i32::from_le_bytes([a, b, c, d]), left: left != 0 })
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Heard::Nothing,
            _ => Heard::Gone,
        }
    }

    /// Closes the line on both sides, whoever else holds it.
    pub(crate) fn close(&self) {
        // It may be closed already.
        let _ = shutdown(&self.0, Shutdown::Both);
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write, pipe};

    #[test]
    fn what_is_said_is_heard() {
        let (ours, theirs) = Line::pair().unwrap();
        let theirs = Line(theirs);
        let (mut reader, mut writer) = pipe().unwrap();
        ours.send_input(reader.as_fd()).unwrap();
        reader = theirs.receive_input().unwrap().into();
        writer.write_all(b"x").unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), theirs.listen()), ("x", Heard::Nothing));
        ours.send_end();
        assert_eq!(theirs.listen(), Heard::End);
        for report in [Report { status: -9, left: true }, Report { status: 255, left: false }] {
            theirs.send_report(report);
            assert_eq!(ours.listen(), Heard::Report(report));
        }
        ours.close();
        assert_eq!((ours.listen(), theirs.listen()), (Heard::Gone, Heard::Gone));
        theirs.send_end();
    }
}

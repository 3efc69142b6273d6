//! Serves accounts in memory over plain TCP, one thread for each connection: for trying the session with real clients and
//! load generators. Every name with the password `pass` has an account, which is gone when the program ends.
//!
//!     cargo run -p imap --example imap_memory -- 127.0.0.1:1143

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use imap::store::{Pending, Store};
use imap::{LoginRefused, Peer, Session, Settings, Step};

#[path = "../tests/memory/mod.rs"]
mod memory;

use memory::Account;

type Accounts = Arc<Mutex<HashMap<String, Account>>>;

enum Event {
    Octets(Vec<u8>),
    Notice,
    End,
}

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:1143".to_owned());
    let accounts = Accounts::default();
    for stream in TcpListener::bind(&address)?.incoming() {
        let (stream, accounts) = (stream?, accounts.clone());
        std::thread::spawn(move || serve(&stream, &accounts));
    }
    Ok(())
}

/// Passes on what the client sends.
fn read(mut stream: TcpStream, events: &Sender<Event>) {
    let mut buffer = vec![0; 65_536];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        if events.send(Event::Octets(buffer[..count].to_vec())).is_err() {
            return;
        }
    }
    let _ = events.send(Event::End);
}

fn serve(mut stream: &TcpStream, accounts: &Accounts) {
    let _ = stream.set_nodelay(true);
    let (events, inbox) = mpsc::channel();
    let (Ok(reading), Ok(peer)) = (stream.try_clone(), stream.peer_addr()) else { return };
    let sender = events.clone();
    std::thread::spawn(move || read(reading, &sender));
    let limits = config::Imap { max_errors: 1_000, ..config::Imap::default() };
    let settings = Arc::new(Settings { limits, tls: false });
    let notice = Arc::new(Mutex::new(events));
    let notice = Arc::new(move || drop(notice.lock().map(|events| events.send(Event::Notice))));
    let peer = Peer { ip: peer.ip(), tls: false, loopback: true };
    let mut session = Session::new(settings, peer, notice, Instant::now());
    loop {
        match session.advance(Instant::now()) {
            Step::Read if !wait(&mut session, &inbox) => break,
            Step::Read => {}
            Step::Write => match stream.write(session.output()) {
                Ok(count) => session.written(count),
                Err(_) => break,
            },
            Step::Authenticate(attempt) => {
                let good = attempt.secret.expose() == b"pass";
                let account = || accounts.lock().map(|mut all| all.entry(attempt.name).or_insert_with(Account::new).clone());
                let store = account().map(|account| Box::new(account) as Box<dyn Store>);
                session.authenticated(if good { store.map_err(|_| LoginRefused::Unavailable) } else { Err(LoginRefused::Credentials) });
            }
            Step::Await(pending) => session.resume(finish(pending)),
            Step::Remark(_) => {}
            Step::StartTls | Step::Close => break,
        }
    }
    let _ = stream.shutdown(std::net::Shutdown::Both);
}

/// Waits for whatever comes first; false when the client has gone.
fn wait(session: &mut Session, inbox: &Receiver<Event>) -> bool {
    match inbox.recv_timeout(session.deadline().saturating_duration_since(Instant::now())) {
        Ok(Event::Octets(octets)) => session.receive(&octets),
        Ok(Event::Notice) => session.notice(),
        Err(RecvTimeoutError::Timeout) => {}
        Ok(Event::End) | Err(RecvTimeoutError::Disconnected) => return false,
    }
    true
}

/// What is in memory is ready at once.
fn finish(mut pending: Pending) -> imap::store::Result<()> {
    match pending.0.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(imap::store::Refusal::Unavailable),
    }
}

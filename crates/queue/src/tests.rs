//! The queue on the real disk, step by step.

use std::sync::Arc;
use std::time::Duration;

use journal::Journal;
use mail::MessageId;
use system::{Disk, FixedClock, HostDisk};

use crate::envelope::tests::envelope;
use crate::{Error, Job, Progress, Queue, spool};

const HOUR: u64 = 3_600_000_000;

struct House {
    folder: tempfile::TempDir,
    clock: Arc<FixedClock>,
}

impl House {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap(), clock: Arc::new(FixedClock::at(1_000)) };
        std::fs::create_dir(place.folder.path().join("journal")).unwrap();
        std::fs::create_dir(place.folder.path().join("queue")).unwrap();
        place
    }

    /// How many files the queue has.
    fn files(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("queue")).unwrap().count()
    }

    fn open(&self) -> (Journal, Queue) {
        self.open_with(&config::Queue::default())
    }

    fn open_with(&self, settings: &config::Queue) -> (Journal, Queue) {
        let path = self.folder.path();
        let disk: Arc<dyn Disk> = Arc::new(HostDisk);
        let (journal, recovered, _) =
            Journal::open(&path.join("journal"), disk.clone(), &config::Journal::default(), Arc::new(|| Ok(()))).unwrap();
        let (queue, remarks) = Queue::open(&journal, (disk, self.clock.clone()), &path.join("queue"), settings, recovered).unwrap();
        assert!(remarks.is_empty(), "{remarks:?}");
        (journal, queue)
    }
}

/// Runs a future that only waits for the journal's threads.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Thread(std::thread::Thread);
    impl std::task::Wake for Thread {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Thread(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => return value,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

fn accept(queue: &Queue, id: u64, recipients: &[&str]) {
    let mut incoming = queue.begin().unwrap();
    wait(incoming.write(b"Subject: x\n\n")).unwrap();
    wait(incoming.write(b"text\n")).unwrap();
    wait(incoming.accept(envelope(id, recipients))).unwrap();
}

fn take(queue: &Queue) -> Option<Job> {
    queue.take(Duration::ZERO)
}

#[test]
fn a_message_is_handed_out_once_for_each_recipient_and_leaves() {
    let place = House::new();
    let (journal, queue) = place.open();
    accept(&queue, 1, &["joe@b.example", "ann@b.example"]);
    let (one, two) = (take(&queue).unwrap(), take(&queue).unwrap());
    assert!(take(&queue).is_none());
    assert_eq!(&one.content().unwrap()[..], b"Subject: x\n\ntext\n");
    assert_eq!((one.recipient().address.local(), two.recipient().address.local()), ("joe", "ann"));
    one.delivered().unwrap();
    drop(two);
    let two = take(&queue).expect("a job that was dropped is ready again");
    two.delivered().unwrap();
    assert_eq!(queue.count(), 0);
    assert_eq!(journal.status().entries, 0);
}

#[test]
fn after_a_restart_only_what_is_not_done_is_handed_out() {
    let place = House::new();
    let (journal, queue) = place.open();
    accept(&queue, 1, &["joe@b.example", "ann@b.example"]);
    take(&queue).unwrap().delivered().unwrap();
    drop(take(&queue).unwrap());
    drop(queue);
    journal.close();
    let (_journal, queue) = place.open();
    let job = take(&queue).unwrap();
    assert_eq!(job.recipient().address.local(), "ann");
    assert!(job.doubtful && queue.has_doubts());
    job.delivered().unwrap();
    assert!(!queue.has_doubts());
    assert!(take(&queue).is_none());
}

#[test]
fn what_is_put_off_moves_to_a_file_and_comes_back_in_time() {
    let place = House::new();
    let (journal, queue) = place.open();
    accept(&queue, 1, &["joe@b.example"]);
    take(&queue).unwrap().deferred("the disk is full").unwrap();
    assert_eq!(journal.status().entries, 0, "the journal's room is free");
    drop(queue);
    journal.close();
    let (_journal, queue) = place.open();
    assert!(take(&queue).is_none());
    place.clock.set(HOUR);
    let job = take(&queue).unwrap();
    assert_eq!((job.tries, &job.content().unwrap()[..]), (1, &b"Subject: x\n\ntext\n"[..]));
    place.clock.set(24 * 10 * HOUR);
    job.deferred("still full").unwrap();
    assert!(matches!(&queue.list()[0].progress[0], Progress::Held { reason } if reason.contains("still full")));
    queue.retry(MessageId::from_number(1)).unwrap();
    take(&queue).unwrap().delivered().unwrap();
    assert_eq!(place.files(), 2, "what was delivered may not be on disk yet");
    queue.close();
    assert_eq!(place.files(), 0);
}

#[test]
fn the_admin_holds_releases_and_deletes() {
    let place = House::new();
    let (_journal, queue) = place.open();
    let id = MessageId::from_number(1);
    accept(&queue, 1, &["joe@b.example"]);
    queue.hold(id).unwrap();
    assert!(take(&queue).is_none());
    queue.release(id).unwrap();
    assert!(take(&queue).is_some());
    queue.delete(id).unwrap();
    assert!(take(&queue).is_none());
    assert!(matches!(queue.delete(id), Err(Error::Missing(_))));
}

#[test]
fn a_damaged_file_is_named_and_left() {
    let place = House::new();
    let path = place.folder.path().join("queue/0000000000001.msg");
    std::fs::write(&path, b"PBQUEUE1\xff\xff\xff\xff\0\0\0\0").unwrap();
    let (messages, damaged) = spool::read_all(&HostDisk, path.parent().unwrap()).unwrap();
    assert!(messages.is_empty());
    assert_eq!(damaged, std::slice::from_ref(&path));
    assert!(path.exists());
}

#[test]
fn whose_sender_goes_away_while_the_disk_writes_is_delivered_all_the_same() {
    let place = House::new();
    let (journal, queue) = place.open();
    let incoming = queue.begin().unwrap();
    drop(incoming.accept(envelope(1, &["joe@b.example"])));
    // What comes later is on disk later.
    journal.entry(9, b"", b"").1.wait().unwrap();
    assert_eq!(take(&queue).unwrap().envelope().id, MessageId::from_number(1));
}

#[test]
fn what_stays_long_moves_to_a_file_under_the_hands_of_its_worker() {
    let place = House::new();
    let (journal, queue) = place.open_with(&config::Queue { spool_after: Duration::from_secs(1), ..Default::default() });
    accept(&queue, 1, &["joe@b.example", "ann@b.example"]);
    let job = take(&queue).unwrap();
    let content = job.open().unwrap();
    place.clock.set(2_000_000);
    let other = take(&queue).unwrap();
    assert_eq!(place.files(), 2);
    assert_eq!(journal.status().entries, 1, "a worker reads from the journal");
    let mut some = [0; 7];
    assert_eq!((content.len(), content.read_at(&mut some, 12).unwrap()), (17, 5));
    assert_eq!(&some[..5], b"text\n");
    job.delivered().unwrap();
    drop(other);
    assert_eq!(journal.status().entries, 0);
    let other = take(&queue).unwrap();
    let content = other.open().unwrap();
    assert_eq!((content.len(), content.read_at(&mut some, 12).unwrap()), (17, 5));
    assert_eq!(&content.whole().unwrap()[..], b"Subject: x\n\ntext\n");
}

#[test]
fn who_is_done_is_written_down_as_done_when_what_he_got_is_on_disk() {
    let place = House::new();
    let (journal, queue) = place.open();
    accept(&queue, 1, &["joe@b.example", "ann@b.example"]);
    take(&queue).unwrap().delivered().unwrap();
    take(&queue).unwrap().deferred("busy").unwrap();
    let written = || {
        let octets = std::fs::read(place.folder.path().join("queue/0000000000001.state")).unwrap();
        spool::parse_state(&octets, 2).unwrap().0
    };
    journal.covered().wait().unwrap();
    assert!(take(&queue).is_none());
    assert_eq!(written()[0], Progress::Done);
    assert!(matches!(&written()[1], Progress::Deferred { reason, .. } if reason == "busy"));
}

#[test]
fn a_message_whose_state_is_damaged_is_delivered_with_doubts() {
    let place = House::new();
    let (journal, queue) = place.open();
    accept(&queue, 1, &["joe@b.example"]);
    take(&queue).unwrap().failed("no").unwrap();
    drop((queue, journal));
    let path = place.folder.path().join("queue/0000000000001.state");
    let mut octets = std::fs::read(&path).unwrap();
    octets[5] ^= 1;
    std::fs::write(&path, octets).unwrap();
    let (messages, damaged) = spool::read_all(&HostDisk, path.parent().unwrap()).unwrap();
    assert_eq!(damaged, [path]);
    assert_eq!((messages[0].progress[0].clone(), messages[0].doubtful), (Progress::Ready, true));
}

#[test]
fn what_a_worker_noted_comes_back_first() {
    let place = House::new();
    let (journal, queue) = place.open();
    (1..4).for_each(|id| accept(&queue, id, &["joe@b.example", "ann@b.example"]));
    for _ in 0..4 {
        let job = take(&queue).unwrap();
        if (job.envelope().id, job.number()) == (MessageId::from_number(2), 1) {
            job.note(b"INBOX 7");
            job.note(b"shelf 8");
        }
    }
    assert!(queue.take_told().is_empty());
    drop((queue, journal));
    let (_journal, queue) = place.open();
    let told = queue.take_told();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].envelope().id, told[0].number(), told[0].doubtful), (MessageId::from_number(2), 1, true));
    assert_eq!(told[0].told, [b"INBOX 7".to_vec(), b"shelf 8".to_vec()]);
    assert!(queue.take_told().is_empty());
    told.into_iter().for_each(|job| job.delivered().unwrap());
    let rest: Vec<_> = std::iter::from_fn(|| take(&queue)).collect();
    assert_eq!((rest.len(), rest.iter().all(|job| job.told.is_empty())), (5, true));
}

#[test]
fn what_a_worker_had_before_is_in_doubt_and_keeps_its_notes() {
    let place = House::new();
    let (journal, queue) = place.open();
    accept(&queue, 1, &["joe@b.example", "ann@b.example"]);
    let first = take(&queue).unwrap();
    assert!(!first.doubtful && first.noted.is_empty());
    first.note(b"0 1 7 backup");
    first.note(b"0 1 7 backup");
    first.deferred("INBOX is locked").unwrap();
    let other = take(&queue).unwrap();
    assert!(!other.doubtful && other.noted.is_empty(), "nobody had this recipient");
    drop(other);
    assert!(take(&queue).unwrap().doubtful, "it was given back");
    place.clock.set(HOUR);
    let joe = std::iter::from_fn(|| take(&queue)).find(|job| job.number() == 0).unwrap();
    assert_eq!((joe.doubtful, &joe.noted[..]), (true, &[b"0 1 7 backup".to_vec()][..]));
    drop(joe);
    // The file was written, and its entry not yet released when the power failed: the notes are in the journal alone.
    drop((queue, journal));
    let entry = {
        let path = place.folder.path().join("journal");
        let (journal, ..) = Journal::open(&path, Arc::new(HostDisk), &config::Journal::default(), Arc::new(|| Ok(()))).unwrap();
        let header = crate::envelope::encode(&envelope(1, &["joe@b.example", "ann@b.example"]));
        let (entry, durable) = journal.entry(Queue::ENTRY, &header, b"text");
        durable.wait().unwrap();
        journal.mark(entry, b"\0\0\0\x001 1 8 shelf").wait().unwrap();
        journal.close();
        entry
    };
    let (journal, queue) = place.open();
    let jobs: Vec<_> = std::iter::from_fn(|| take(&queue)).collect();
    let told: Vec<_> = jobs.iter().flat_map(|job| job.told.clone()).collect();
    assert_eq!((told, journal.body(entry).is_err()), (vec![b"1 1 8 shelf".to_vec()], true));
}

#[test]
fn the_queue_takes_no_more_than_it_may() {
    let place = House::new();
    let (_journal, queue) = place.open_with(&config::Queue { max_messages: 1, ..Default::default() });
    accept(&queue, 1, &["joe@b.example"]);
    assert!(matches!(queue.begin(), Err(Error::Full(1))));
    take(&queue).unwrap().delivered().unwrap();
    assert!(queue.begin().is_ok());
}

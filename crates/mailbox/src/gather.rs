//! Messages delivered to one mailbox at the same time get their places together: whoever has the lock takes along those who
//! wait for it. One lock file, one look at the folders and one write to the UID list then do for all of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mail::{Uid, UidValidity};
use maildir::delivery::{Ready, path_of};
use maildir::scan::Place;

use crate::env::Env;
use crate::error::{Error, Result};
use crate::mailbox::Mailbox;
use crate::record::{Message, Row};
use crate::state::State;

/// The most messages that are given their places at once.
const MOST: usize = 256;

/// Messages that wait for the mailbox's lock, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Parcels(Mutex<VecDeque<Arc<Parcel>>>);

/// A message that waits for its place.
#[derive(Debug)]
pub(crate) struct Parcel(Mutex<Progress>);

/// What has become of it.
#[derive(Debug)]
enum Progress {
    Waiting(Box<Item>),
    Taken,
    Settled(Result<(UidValidity, Uid)>),
}

/// A message on its way into `new`.
#[derive(Debug)]
struct Item {
    row: Row,
    base: Box<[u8]>,
    ready: Option<Ready>,
}

impl Parcels {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Parcel>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<Arc<Parcel>> {
        let mut all = self.lock();
        let count = all.len().min(MOST);
        all.drain(..count).collect()
    }

    /// Puts back what was taken, in its order.
    fn put_back(&self, parcels: &[Arc<Parcel>]) {
        let mut all = self.lock();
        parcels.iter().rev().for_each(|parcel| all.push_front(Arc::clone(parcel)));
    }
}

impl Parcel {
    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> Option<Item> {
        match std::mem::replace(&mut *self.lock(), Progress::Taken) {
            Progress::Waiting(item) => Some(*item),
            _ => None,
        }
    }

    fn close(&self, item: Item) {
        *self.lock() = Progress::Waiting(Box::new(item));
    }

    fn settle(&self, result: Result<(UidValidity, Uid)>) {
        *self.lock() = Progress::Settled(result);
    }

    fn result(&self) -> Option<Result<(UidValidity, Uid)>> {
        match &*self.lock() {
            Progress::Settled(result) => Some(result.clone()),
            _ => None,
        }
    }
}

impl Mailbox {
    /// Puts a finished file into `new` under the next UID, together with those that wait for the same.
    pub(crate) fn settle_together(self: &Arc<Self>, ready: Ready, row: Row) -> Result<(UidValidity, Uid)> {
        let item = Item { row, base: ready.base.as_bytes().into(), ready: Some(ready) };
        let parcel = Arc::new(Parcel(Mutex::new(Progress::Waiting(Box::new(item)))));
        self.parcels.lock().push_back(Arc::clone(&parcel));
        let mut state = self.lock();
        if let Some(result) = parcel.result() {
            return result;
        }
        if let Err(error) = state.open(&self.env) {
            self.parcels.lock().retain(|other| !Arc::ptr_eq(other, &parcel));
            return Err(error);
        }
        loop {
            let batch = self.parcels.take();
            let settled = state.settle_all(&self.env, &batch);
            self.parcels.put_back(&batch[settled..]);
            let result = parcel.result();
            if let Some(result) = result {
                state.shorten_tail(&self.env);
                return result;
            }
            if batch.is_empty() {
                return Err(Error::Unavailable);
            }
        }
    }
}

impl State {
    /// Gives places to messages in their order, and tells each what became of it; gives how many were told. The others wait
    /// as before.
    fn settle_all(&mut self, env: &Env, parcels: &[Arc<Parcel>]) -> usize {
        let mut items: Vec<Item> = parcels.iter().map_while(|parcel| parcel.open()).collect();
        let names: Vec<Box<[u8]>> = items.iter().map(|item| item.base.clone()).collect();
        let names: Vec<&[u8]> = names.iter().map(|name| &**name).collect();
        let (mut placed, mut failure) = (0, None);
        let given = self.give_uids_with(env, &names, false, |state, _| {
            (placed, failure) = state.own(env, |_| place_all(&mut items));
            Ok(placed)
        });
        let first = match given {
            Ok(first) => first,
            Err(error) => {
                // Without their lines they would be found as a stranger's and be delivered twice.
                for item in &items[..placed] {
                    let _ = env.disk().remove(&path_of(&self.folder, Place::New, &item.base, b""));
                }
                parcels.iter().for_each(|parcel| parcel.settle(Err(error.clone())));
                return parcels.len();
            }
        };
        let mut items = items.into_iter();
        for ((item, parcel), uid) in items.by_ref().take(placed).zip(parcels).zip(first..) {
            self.arrive(env, Message { uid, row: item.row, name: item.base });
            parcel.settle(Ok((self.validity, uid)));
        }
        let Some(error) = failure else { return placed };
        parcels[placed].settle(Err(error));
        parcels[placed + 1..].iter().zip(items.skip(1)).for_each(|(parcel, item)| parcel.close(item));
        placed + 1
    }
}

/// Renames files into `new` until one cannot be; gives how many could, and what was wrong with the next.
fn place_all(items: &mut [Item]) -> (usize, Option<Error>) {
    for (placed, item) in items.iter_mut().enumerate() {
        if let Some(Err(error)) = item.ready.take().map(|ready| ready.place(Place::New, "")) {
            return (placed, Some(error.into()));
        }
    }
    (items.len(), None)
}

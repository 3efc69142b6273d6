//! A message that is coming in.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use journal::{Durable, EntryId, Writer};
use mail::Envelope;

use crate::envelope;
use crate::error::Result;
use crate::queue::Queue;

/// A message that is coming in. Dropped before it is accepted, nothing of it remains.
#[derive(Debug)]
pub struct Incoming {
    queue: Queue,
    writer: Writer,
}

impl Incoming {
    pub(crate) fn new(queue: Queue, writer: Writer) -> Self {
        Self { queue, writer }
    }

    /// More of the content.
    ///
    /// # Errors
    /// [`crate::Error::Journal`]; the message cannot be accepted any more.
    pub async fn write(&mut self, octets: &[u8]) -> Result<()> {
        Ok(self.writer.write(octets)?.await?)
    }

    /// Waits until the message is on disk; from then on it is the queue's. Who stops waiting has not taken it back: it is
    /// delivered if it reaches the disk.
    ///
    /// # Errors
    /// [`crate::Error::Journal`]: it was not accepted.
    pub fn accept(self, envelope: Envelope) -> impl Future<Output = Result<()>> + Send {
        let (entry, durable) = self.writer.commit(Queue::ENTRY, &envelope::encode(&envelope));
        Arrival { queue: self.queue, waiting: Some((entry, envelope, durable)) }
    }
}

/// Hands a message to the queue when it is on disk.
struct Arrival {
    queue: Queue,
    waiting: Option<(EntryId, Envelope, Durable)>,
}

impl Future for Arrival {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let Some((entry, envelope, mut durable)) = self.waiting.take() else { return Poll::Pending };
        match Pin::new(&mut durable).poll(context) {
            Poll::Pending => {
                self.waiting = Some((entry, envelope, durable));
                Poll::Pending
            }
            Poll::Ready(outcome) => Poll::Ready(outcome.map_err(Into::into).and_then(|()| self.queue.admit(entry, envelope))),
        }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            self.queue.expect(waiting);
        }
    }
}

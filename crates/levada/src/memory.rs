//! A pipe in memory: two ends of one transport, for tests and for streams inside one program.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::ReadBuf;

/// One end of a pipe in memory. Dropping it before its [shutdown](crate::Socket::shutdown) resets the
/// other end, as a lost connection would.
#[derive(Debug)]
pub struct Pipe {
    incoming: Lane,
    outgoing: Lane,
    finished: bool,
}

impl Pipe {
    /// Makes the two ends of a pipe that holds up to `capacity` bytes (at least one) each way.
    pub fn pair(capacity: usize) -> (Self, Self) {
        let (one, other) = (Lane::new(capacity), Lane::new(capacity));
        let near = Self { incoming: one.clone(), outgoing: other.clone(), finished: false };
        (near, Self { incoming: other, outgoing: one, finished: false })
    }

    /// Makes a pipe that gives back what is written into it, after up to `capacity` bytes.
    pub fn echo(capacity: usize) -> Self {
        let lane = Lane::new(capacity);
        Self { incoming: lane.clone(), outgoing: lane, finished: false }
    }

    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut lane = self.incoming.lock();
        if !lane.bytes.is_empty() {
            let (front, _) = lane.bytes.as_slices();
            let count = front.len().min(buf.remaining());
            buf.put_slice(&front[..count]);
            lane.bytes.drain(..count);
            wake(&mut lane.writer);
            return Poll::Ready(Ok(()));
        }
        match lane.end {
            Some(End::Finished) => Poll::Ready(Ok(())),
            Some(End::Reset) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            None => {
                lane.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut lane = self.outgoing.lock();
        match lane.end {
            Some(End::Finished) => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Some(End::Reset) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            None => {}
        }
        let count = (lane.capacity - lane.bytes.len()).min(buf.len());
        if count == 0 && !buf.is_empty() {
            lane.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        lane.bytes.extend(&buf[..count]);
        wake(&mut lane.reader);
        Poll::Ready(Ok(count))
    }

    /// Ends our direction: the other end reads what is there and then end of file.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
        self.outgoing.end(End::Finished);
    }

    /// Resets both directions: what is not read yet is lost at the other end's writes, and its reads
    /// fail once they have taken what is there.
    pub(crate) fn reset(&mut self) {
        self.finished = true;
        self.outgoing.end(End::Reset);
        self.incoming.end(End::Reset);
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        if self.finished {
            // Nobody reads what still comes: its writer must learn of it.
            self.incoming.end(End::Reset);
        } else {
            self.reset();
        }
    }
}

/// One direction.
#[derive(Clone, Debug)]
struct Lane(Arc<Mutex<Flow>>);

#[derive(Debug)]
struct Flow {
    bytes: VecDeque<u8>,
    capacity: usize,
    end: Option<End>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Finished,
    Reset,
}

impl Lane {
    fn new(capacity: usize) -> Self {
        Self(Arc::new(Mutex::new(Flow {
            bytes: VecDeque::new(),
            capacity: capacity.max(1),
            end: None,
            reader: None,
            writer: None,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Flow> {
        // Nothing in this file panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the lane; a reset overrides nothing that was finished before and is still unread.
    fn end(&self, end: End) {
        let mut lane = self.lock();
        lane.end.get_or_insert(end);
        wake(&mut lane.reader);
        wake(&mut lane.writer);
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

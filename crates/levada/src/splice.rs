//! Pipes through which bytes pass from one plain transport to another without leaving the kernel
//! (splice(2)): a third of what copying them takes.
//!
//! A pipe belongs to the thread, as a scratch buffer does. A relay has one only while bytes are in it.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// Bytes that a pipe holds at most: as many as wait in a relay that copies.
pub(crate) const ROOM: usize = 256 * 1024;

/// Pipes of one thread, those in use included: each takes two descriptors. Beyond them relays copy.
const MOST: usize = 16;

/// Neither waits, and pages are moved where they can be.
const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

/// A pipe, and how many bytes are in it.
#[derive(Debug)]
pub(crate) struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
    held: usize,
}

#[derive(Default)]
struct Pipes {
    spare: Vec<Pipe>,
    lent: usize,
}

thread_local! {
    static PIPES: RefCell<Pipes> = RefCell::default();
}

impl Pipe {
    /// An empty pipe; `None` where the thread has lent all, or the system has none for us.
    pub(crate) fn take() -> Option<Self> {
        PIPES.with_borrow_mut(|pipes| {
            if pipes.lent >= MOST {
                return None;
            }
            let pipe = match pipes.spare.pop() {
                Some(pipe) => pipe,
                None => Self::make().ok()?,
            };
            pipes.lent += 1;
            Some(pipe)
        })
    }

    fn make() -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // A smaller one serves, too.
        let _ = fcntl_setpipe_size(&writer, ROOM);
        Ok(Self { reader, writer, held: 0 })
    }

    /// Gives it back; one that is not empty is closed, and what was in it is lost.
    pub(crate) fn give_back(self) {
        PIPES.with_borrow_mut(|pipes| {
            // A task may have carried it here from another thread.
            pipes.lent = pipes.lent.saturating_sub(1);
            if self.held == 0 && pipes.spare.len() < MOST {
                pipes.spare.push(self);
            }
        });
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Takes in what `from` has, with one call; 0 is its end of file. The pipe has to be empty.
    pub(crate) fn fill(&mut self, from: impl AsFd) -> io::Result<usize> {
        let count = splice(from, None, &self.writer, None, ROOM, FLAGS)?;
        self.held += count;
        Ok(count)
    }

    /// Hands on to `to` what it takes, with one call.
    pub(crate) fn drain(&mut self, to: impl AsFd) -> io::Result<usize> {
        let count = splice(&self.reader, None, to, None, self.held, FLAGS)?;
        self.held -= count;
        Ok(count)
    }
}

//! What threads have for the script: a queue, and a descriptor that is readable while something waits.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use levada::Ended;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

use crate::accepting::ServerNews;
use crate::life::News;

/// One thing that happened to the object with this id.
pub(crate) enum Mail {
    Stream(u64, News),
    Server(u64, ServerNews),
}

pub(crate) struct Inbox {
    state: Mutex<State>,
    /// An eventfd that counts 1 while [`State::is_signalled`].
    signal: OwnedFd,
}

#[derive(Default)]
struct State {
    mail: VecDeque<Mail>,
    /// Whether the script's own thread has left work for the loop.
    is_nudged: bool,
    is_signalled: bool,
}

/// What waiting came to.
pub(crate) enum Waited {
    Ready,
    InVain,
    /// A signal came: the interpreter may have something to do about it.
    Interrupted,
}

impl Inbox {
    pub(crate) fn new() -> io::Result<Self> {
        let signal = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { state: Mutex::default(), signal })
    }

    pub(crate) fn descriptor(&self) -> RawFd {
        self.signal.as_raw_fd()
    }

    pub(crate) fn push(&self, mail: Mail) {
        let mut state = self.lock();
        state.mail.push_back(mail);
        self.settle(&mut state);
    }

    pub(crate) fn pop(&self) -> Option<Mail> {
        let mut state = self.lock();
        let mail = state.mail.pop_front();
        self.settle(&mut state);
        mail
    }

    /// The end of this connection, if it waits to be told.
    pub(crate) fn ended(&self, id: u64) -> Option<Ended> {
        self.lock().mail.iter().find_map(|mail| match mail {
            Mail::Stream(of, News::Ended(ended)) if *of == id => Some(ended.clone()),
            _ => None,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().mail.len()
    }

    /// Whether there is work beside the mail.
    pub(crate) fn nudge(&self, is_nudged: bool) {
        let mut state = self.lock();
        state.is_nudged = is_nudged;
        self.settle(&mut state);
    }

    /// Waits until something is there, for `timeout` at most.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> io::Result<Waited> {
        // No timeout that is meant reaches what the system cannot count.
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match poll(&mut [PollFd::new(&self.signal, PollFlags::IN)], timeout.as_ref()) {
            Ok(0) => Ok(Waited::InVain),
            Ok(_) => Ok(Waited::Ready),
            Err(Errno::INTR) => Ok(Waited::Interrupted),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the descriptor tell how it is. Neither call can fail: the count is 0 or 1.
    fn settle(&self, state: &mut State) {
        let is_signalled = state.is_nudged || !state.mail.is_empty();
        if is_signalled != state.is_signalled {
            let _ = if is_signalled {
                rustix::io::write(&self.signal, &1u64.to_ne_bytes())
            } else {
                rustix::io::read(&self.signal, &mut [0; 8])
            };
            state.is_signalled = is_signalled;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing here panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

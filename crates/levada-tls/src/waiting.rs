//! A session that waits for somebody: an answer to the ClientHello, a signature, a verdict.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll};

use levada_core::TlsFacts;

use crate::accepting::Accepting;
use crate::hello::{Answering, HelloAnswer};
use crate::offload::{Awaited, BlockingPool, Desk, Work};
use crate::running::{Processed, Running};
use crate::voice::Voice;

/// A server whose client has said all of its ClientHello: it waits until an answer is decided on.
pub(crate) struct Deciding {
    pub(crate) accepting: Box<Accepting>,
    pub(crate) answering: Answering,
}

impl Deciding {
    /// The answer; `None` where the hook panicked.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<HelloAnswer>> {
        let answering = &mut self.answering;
        match catch_unwind(AssertUnwindSafe(|| answering.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Some),
            Err(_) => Poll::Ready(None),
        }
    }
}

/// What has become of a step of a handshake.
pub(crate) enum Done {
    /// A record was taken in.
    Processed(Box<Running>, Processed),
    /// It never came to its end; the text says why.
    Lost(&'static str),
}

/// What is here of a session whose handshake is worked on by another thread.
pub(crate) struct Away {
    desk: Arc<Desk>,
    /// What is still to be brought there.
    work: Option<Work>,
    /// How to tell the peer that it comes to nothing.
    pub(crate) voice: Voice,
    /// Records from before that wait to be written.
    wire: Vec<u8>,
    facts: TlsFacts,
}

impl Away {
    pub(crate) fn new(
        voice: Voice,
        wire: Vec<u8>,
        facts: TlsFacts,
        step: impl FnOnce() -> Done + Send + 'static,
    ) -> Self {
        let (desk, work) = Desk::open(step);
        Self { desk, work: Some(work), voice, wire, facts }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, pool: &dyn BlockingPool) -> Poll<Done> {
        if let Some(work) = self.work.take() {
            pool.run(work);
        }
        self.desk.poll(cx)
    }

    pub(crate) fn awaited(&self) -> Awaited {
        self.desk.awaited()
    }

    /// Takes the records from before that were not written.
    pub(crate) fn take_wire(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.wire)
    }

    pub(crate) const fn wants_write(&self) -> bool {
        !self.wire.is_empty()
    }

    pub(crate) fn write(&mut self, transport: &mut dyn io::Write) -> io::Result<usize> {
        let written = transport.write(&self.wire)?;
        self.wire.drain(..written);
        Ok(written)
    }

    pub(crate) fn facts(&self) -> TlsFacts {
        self.facts.clone()
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        self.desk.abandon();
    }
}

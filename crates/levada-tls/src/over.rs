//! A session that takes nothing in any more: its ending, and the last bytes that it has to say.

use std::io;

use levada_core::{Ending, TlsFacts};

/// What is left of a session: no keys, no buffers but the last records.
pub(crate) struct Over {
    /// `None` where it was given up, by the peer's close_notify or ours, before it was established.
    ending: Option<Ending>,
    is_told: bool,
    wire: Vec<u8>,
    written: usize,
    facts: TlsFacts,
    was_handshaking: bool,
}

impl Over {
    pub(crate) const fn new(
        ending: Option<Ending>,
        wire: Vec<u8>,
        facts: TlsFacts,
        was_handshaking: bool,
    ) -> Self {
        Self { ending, is_told: false, wire, written: 0, facts, was_handshaking }
    }

    /// The ending, if there is one.
    pub(crate) fn tell(&mut self) -> Option<Ending> {
        self.is_told = true;
        self.ending.clone()
    }

    /// Whether the ending was not told yet.
    pub(crate) const fn has_news(&self) -> bool {
        self.ending.is_some() && !self.is_told
    }

    pub(crate) const fn wants_write(&self) -> bool {
        self.written < self.wire.len()
    }

    pub(crate) fn write(&mut self, transport: &mut dyn io::Write) -> io::Result<usize> {
        if !self.wants_write() {
            return Ok(0);
        }
        let written = transport.write(&self.wire[self.written..])?;
        self.written += written;
        Ok(written)
    }

    pub(crate) const fn was_handshaking(&self) -> bool {
        self.was_handshaking
    }

    pub(crate) fn facts(&self) -> TlsFacts {
        self.facts.clone()
    }
}

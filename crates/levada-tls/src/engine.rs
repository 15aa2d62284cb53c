//! The shape of a TLS session as the drivers see it: bytes in, bytes out.

use std::io;

use levada_core::{Ending, TlsFacts};

/// One TLS session, client or server, without a socket, a clock or a task.
///
/// The driver shows it what came from the transport ([`open`](Engine::open)), hands it what is to
/// be sent ([`seal`](Engine::seal)), and lets it write whenever it has something to write
/// ([`wants_write`](Engine::wants_write), [`write_wire`](Engine::write_wire)). After every call of
/// `open` the answers of all other methods may have changed.
pub trait Engine: Send {
    /// Takes records from the front of `wire` and puts the plaintext of those that carry data into
    /// `plain`, both as far as they go. Records are opened in place: of those that are taken, nothing
    /// of use is left.
    ///
    /// Only whole records are taken: show what is left again, with more behind it. No record is
    /// taken while plaintext of an earlier one waits for room, so at most one record's worth (16
    /// KiB) waits inside. Nothing is taken behind the peer's close_notify, nor after a failure.
    ///
    /// # Errors
    ///
    /// The ending that the session has come to, [`Ending::FatalAlert`] or [`Ending::FatalError`],
    /// once all plaintext from before it has been handed out; every later call gives it again. The
    /// alert that tells the peer is ready for [`write_wire`](Engine::write_wire) then.
    fn open(&mut self, wire: &mut [u8], plain: &mut [u8]) -> Result<Opened, Ending>;

    /// Whether [`open`](Engine::open) with an empty `wire` gives something: plaintext that waited
    /// inside for room, or the ending, where plaintext from before it was handed out first.
    fn has_plaintext(&self) -> bool;

    /// Seals all of `plain`, in records of up to 16 KiB or the limit that was set. The caller bounds
    /// what waits to be written by sealing only while little does.
    ///
    /// Legal once the handshake is complete and until [`close`](Engine::close) or the ending;
    /// otherwise nothing is sealed and the answer is `false`. An ending that sealing itself finds,
    /// because the keys are used up, is told by [`open`](Engine::open).
    fn seal(&mut self, plain: &[u8]) -> bool;

    /// Queues close_notify behind all that is sealed. A second call changes nothing.
    ///
    /// While the handshake runs, this gives it up: nothing of the peer is taken any more.
    fn close(&mut self);

    /// Whether records wait to be written.
    fn wants_write(&self) -> bool;

    /// Writes waiting records with one call of `transport`, and answers how many bytes it took.
    ///
    /// # Errors
    ///
    /// Those of `transport`; nothing is lost by them.
    fn write_wire(&mut self, transport: &mut dyn io::Write) -> io::Result<usize>;

    /// Whether the handshake still runs. Its last records may wait to be written when it does not.
    fn is_handshaking(&self) -> bool;

    /// Whether the peer's close_notify came: during the handshake, too, which then stays incomplete.
    fn peer_has_closed(&self) -> bool;

    /// What is agreed so far, and who has met.
    ///
    /// The peer's certificates are read for each call, and nothing of them is kept: that takes one to
    /// three microseconds a certificate (`benches/facts.rs`), so ask once, not for each record.
    fn facts(&self) -> TlsFacts;
}

/// What one call of [`Engine::open`] moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Opened {
    /// Bytes taken from the front of the wire bytes.
    pub taken: usize,
    /// Plain bytes put at the front of the room for them.
    pub plain: usize,
}

//! A session from the moment that rustls runs it: handshake, data, goodbyes.

use std::io::{self, Read, Write};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

use levada_core::{AlertDescription, Fault};
use rustls::{Connection, Error, IoState, SupportedCipherSuite};

use crate::fault::alert_for;
use crate::peer_hello::random_of;
use crate::record::{self, RecordSize};
use crate::voice::Voice;
use crate::witness::{Notes, Traffic};

/// Records that are sealed beside the data: Finished and the goodbye.
const OTHER_RECORDS: u64 = 2;

/// What rustls reads at once, and always has room for.
const READ: usize = 4096;

/// A transport from which nothing can be read for now.
struct NothingYet;

impl Read for NothingYet {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

/// A running connection of rustls, of either role.
pub(crate) struct Running {
    connection: Connection,
    record_size: RecordSize,
    /// Plain bytes that wait inside for room.
    waiting: usize,
    /// Records of data sealed so far.
    sealed: u64,
    /// The keys can seal nothing more: an ending, once all that came before is handed out.
    worn_out: bool,
    /// Plaintext of different records is not joined.
    records_apart: bool,
    /// Behind our close_notify: sealed bytes that waited before the last record was taken in.
    queued: usize,
    /// What was seen in the handshake.
    notes: Notes,
    /// Records that rustls has handed out and that are not written: they go before those that it has.
    first: Vec<u8>,
    /// Our ChangeCipherSpec was among those of the handshake.
    has_changed_cipher: bool,
    /// The random bytes of our ServerHello.
    server_random: Option<[u8; 32]>,
    /// Records that came behind the handshake.
    behind: u64,
    /// Records of ours behind the handshake that are no data: tickets.
    tickets: u64,
}

/// What a record has led to.
pub(crate) enum Processed {
    GoesOn {
        peer_has_closed: bool,
    },
    /// With how an alert was to be said before that record.
    Failed(Error, Voice),
}

impl Running {
    pub(crate) fn new(mut connection: Connection, notes: Notes, record_size: RecordSize) -> Self {
        // The caller bounds what it seals, before it does.
        connection.set_buffer_limit(None);
        Self {
            connection,
            record_size,
            waiting: 0,
            sealed: 0,
            worn_out: false,
            records_apart: false,
            queued: 0,
            notes,
            first: Vec::new(),
            has_changed_cipher: false,
            server_random: None,
            behind: 0,
            tickets: 0,
        }
    }

    pub(crate) const fn keep_records_apart(&mut self) {
        self.records_apart = true;
    }

    /// Whether plaintext of different records is not to be joined.
    pub(crate) const fn keeps_records_apart(&self) -> bool {
        self.records_apart
    }

    /// Takes in `record`, in which no byte is missing or too many.
    pub(crate) fn process(&mut self, record: &[u8], closed: bool) -> Processed {
        if self.is_handshaking()
            && record::plain_alert(record)
                .is_some_and(|alert| alert.description == AlertDescription::CLOSE_NOTIFY)
        {
            // An unencrypted goodbye ends the handshake. rustls does not tell of it in TLS 1.2, and
            // takes it for a fault in 1.3, whose alert would stand in the way of our own goodbye.
            return Processed::GoesOn { peer_has_closed: true };
        }
        // Asked before there is input, it does nothing but count.
        self.queued = if closed && self.wants_write() {
            let state = self.connection.process_new_packets();
            self.first.len() + state.map_or(0, |state| state.tls_bytes_to_write())
        } else {
            0
        };
        let handshaking = self.is_handshaking();
        if handshaking {
            // What rustls makes of a record that it then refuses may have to be dropped.
            self.collect();
        } else {
            self.behind += 1;
        }
        let voice = self.voice();
        let mut rest = record;
        while !rest.is_empty() {
            let Ok(1..) = self.connection.read_tls(&mut rest) else {
                // Only a handshake message that does not end fills the buffer.
                let error = rustls::InvalidMessage::HandshakePayloadTooLarge.into();
                return Processed::Failed(error, voice);
            };
        }
        match self.advance(closed) {
            Ok(state) => {
                if !self.connection.is_handshaking() {
                    self.notes.secret = None;
                    if handshaking && self.notes.traffic.is_some() {
                        let before = self.first.len();
                        self.collect();
                        self.tickets = record::whole(&self.first[before..]).count() as u64;
                    }
                }
                self.waiting = state.plaintext_bytes_to_read();
                if record.len() > READ {
                    // rustls gives back the room of a long record when it is to read the next one,
                    // which may be hours away.
                    let _ = self.connection.read_tls(&mut NothingYet);
                }
                Processed::GoesOn { peer_has_closed: state.peer_has_closed() }
            }
            Err(error) => Processed::Failed(error, voice),
        }
    }

    /// Lets rustls work on what it was given.
    fn advance(&mut self, closed: bool) -> Result<IoState, Error> {
        let connection = &mut self.connection;
        if closed && cfg!(debug_assertions) {
            surviving(|| connection.process_new_packets())
        } else if connection.is_handshaking() {
            self.notes.during(|| connection.process_new_packets())
        } else {
            connection.process_new_packets()
        }
    }

    /// Takes all that is to be sent, with the alert about `error` last, and answers which alert
    /// that is. Where rustls has none, it is said by `voice`, in place of what rustls has made of the
    /// record that failed. Afterwards the connection is of no more use.
    pub(crate) fn last_words(
        &mut self,
        error: &Error,
        voice: &Voice,
        closed: bool,
    ) -> (Vec<u8>, Option<AlertDescription>) {
        if matches!(error, Error::AlertReceived(_)) {
            // Who sent a fatal alert is gone: nothing is sent to it, also not what rustls may have
            // to say about the alert.
            return (Vec::new(), None);
        }
        let before = self.first.len();
        let mut wire = self.drain();
        if closed {
            // Nothing may follow our close_notify.
            wire.truncate(self.queued);
            return (wire, None);
        }
        // Does nothing when rustls has sent an alert.
        self.connection.send_close_notify();
        if self.drain().is_empty() {
            let visible = record::whole(&wire).last().and_then(record::plain_alert);
            let alert = visible.map_or_else(|| alert_for(error), |alert| alert.description);
            return (wire, Some(alert));
        }
        let alert = alert_for(error);
        let Some(said) = voice.alert(alert) else {
            // Only rustls has the keys: a goodbye would be a lie, so nothing is sent.
            return (wire, None);
        };
        wire.truncate(before);
        wire.extend(said);
        (wire, Some(alert))
    }

    /// All that is to be sent.
    pub(crate) fn drain(&mut self) -> Vec<u8> {
        self.collect();
        mem::take(&mut self.first)
    }

    /// Has rustls hand out all that it has to send.
    fn collect(&mut self) {
        let before = self.first.len();
        while self.connection.wants_write() {
            // Writing into memory cannot fail.
            if self.connection.write_tls(&mut self.first).is_err() {
                break;
            }
        }
        if self.is_handshaking() {
            for record in record::whole(&self.first[before..]) {
                self.has_changed_cipher |= record::is_change_cipher_spec(record);
                if self.notes.traffic.is_some() && self.server_random.is_none() {
                    self.server_random = record::handshake(record).and_then(random_of);
                }
            }
        }
    }

    /// Puts back what was drained and could not be written.
    pub(crate) fn put_back(&mut self, wire: Vec<u8>) {
        self.first = wire;
    }

    /// Has the secrets noted that are to be handed on.
    pub(crate) fn keep_traffic(&mut self) {
        self.notes.traffic = Some(Box::default());
    }

    /// The secrets that are to be handed on, where that was asked for.
    pub(crate) fn traffic(&self) -> Option<&Traffic> {
        self.notes.traffic.as_deref()
    }

    /// Wipes them.
    pub(crate) fn forget_traffic(&mut self) {
        self.notes.traffic = None;
    }

    /// Whether nothing was sealed or opened behind the handshake, but for our tickets, and nothing waits.
    pub(crate) fn is_at_start(&self) -> bool {
        self.behind == 0 && self.sealed == 0 && !self.wants_write()
    }

    /// Our tickets, in records.
    pub(crate) const fn tickets(&self) -> u64 {
        self.tickets
    }

    /// The random bytes of our ServerHello.
    pub(crate) fn server_random(&self) -> &[u8] {
        self.server_random.as_ref().map_or(&[], |random| random)
    }

    /// Whether taking in the next record may have to wait for somebody.
    pub(crate) fn may_block(&self) -> bool {
        self.notes.may_block && self.is_handshaking()
    }

    /// How an alert is to be said in place of what rustls makes of the next record.
    pub(crate) fn voice(&self) -> Voice {
        if !self.is_handshaking() {
            return Voice::Mute;
        }
        match (self.connection.negotiated_cipher_suite(), &self.notes.secret) {
            (Some(SupportedCipherSuite::Tls13(suite)), Some(secret)) => {
                Voice::Sealed(suite, secret.clone())
            }
            (Some(SupportedCipherSuite::Tls12(_)), _) if self.has_changed_cipher => Voice::Mute,
            _ => Voice::Plain,
        }
    }

    /// Why somebody who was asked gave no good answer, if one was asked and gave none.
    pub(crate) fn failed(&mut self) -> Option<Fault> {
        self.notes.failed.take()
    }

    /// Moves plain bytes into `plain`, as many as wait or have room.
    pub(crate) fn read(&mut self, plain: &mut [u8]) -> usize {
        let mut filled = 0;
        while self.waiting > 0 && filled < plain.len() {
            match self.connection.reader().read(&mut plain[filled..]) {
                Ok(count @ 1..) => {
                    filled += count;
                    self.waiting = self.waiting.saturating_sub(count);
                }
                Ok(0) | Err(_) => self.waiting = 0,
            }
        }
        filled
    }

    pub(crate) const fn has_plaintext(&self) -> bool {
        self.waiting > 0
    }

    /// Seals all of `plain`, unless that would use up the keys. TLS 1.3 renews them in time, TLS 1.2
    /// cannot (RFC 8446 section 5.5); rustls would drop the bytes and say nothing.
    pub(crate) fn seal(&mut self, plain: &[u8]) -> bool {
        self.sealed = self.sealed.saturating_add(plain.len().div_ceil(self.record_size.0) as u64);
        if let Some(SupportedCipherSuite::Tls12(suite)) = self.connection.negotiated_cipher_suite()
        {
            let limit = suite.common.confidentiality_limit;
            self.worn_out |= self.sealed.saturating_add(OTHER_RECORDS) > limit;
        }
        !self.worn_out && self.connection.writer().write_all(plain).is_ok()
    }

    pub(crate) const fn is_worn_out(&self) -> bool {
        self.worn_out
    }

    #[cfg(test)]
    pub(crate) const fn wear_out_keys(&mut self, sealed: u64) {
        self.sealed = sealed;
    }

    pub(crate) fn close(&mut self) {
        self.connection.send_close_notify();
    }

    pub(crate) fn wants_write(&self) -> bool {
        !self.first.is_empty() || self.connection.wants_write()
    }

    pub(crate) fn write(&mut self, transport: &mut dyn Write) -> io::Result<usize> {
        if !self.is_handshaking() && self.first.is_empty() {
            return self.connection.write_tls(transport);
        }
        self.collect();
        let written = transport.write(&self.first)?;
        self.first.drain(..written);
        if self.first.is_empty() {
            // An idle stream owns no buffer.
            self.first = Vec::new();
        }
        Ok(written)
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// The connection and what was seen in its handshake: all that facts are made of.
    pub(crate) const fn evidence(&self) -> (&Connection, &Notes) {
        (&self.connection, &self.notes)
    }
}

/// In debug builds rustls asserts that it sends no alert behind a close_notify, which an error of
/// the peer behind our own close_notify breaks (rustls issue 959). No peer may take the program
/// down, so the panic becomes an error; release builds, without the assertion, tell the true one.
fn surviving<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(Error::General("an error behind our close_notify; a release build tells which".into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debug_assertion_of_rustls_is_survived() {
        assert!(surviving(|| Ok(())).is_ok());
        let error = surviving::<()>(|| panic!("as rustls does")).unwrap_err();
        assert!(matches!(error, Error::General(_)));
    }
}

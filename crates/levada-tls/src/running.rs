//! A session from the moment that rustls runs it: handshake, data, goodbyes.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

use levada_core::{AlertDescription, Fault, Role};
use rustls::{CommonState, Error, InvalidMessage, SupportedCipherSuite};

use crate::connection::{Connection, Worked};
use crate::exporter::Exporter;
use crate::fault::alert_for;
use crate::outgoing::Outgoing;
use crate::peer_hello::random_of;
use crate::record::{self, RecordSize};
use crate::record_keys::Tls12Secrets;
use crate::voice::Voice;
use crate::witness::{Notes, Traffic};

/// Records that are sealed beside the data: Finished and the goodbye.
const OTHER_RECORDS: u64 = 2;

/// The most bytes that a record of data is longer than what it carries: header, explicit nonce, content
/// type and tag.
const OVERHEAD: usize = 5 + 8 + 1 + 16;

/// Room for what rustls sends beside data: two KeyUpdate at most, or close_notify.
const BESIDE: usize = 128;

/// The most bytes of a handshake message, with the records around it, that wait for its end.
const MOST_PARTIAL: usize = 64 * 1024 - 1;

/// A running connection of rustls, of either role.
pub(crate) struct Running {
    connection: Connection,
    record_size: RecordSize,
    /// The front of a handshake message, as rustls has left it: to be shown with the next record.
    partial: Vec<u8>,
    /// Plain bytes that wait for room.
    unread: VecDeque<u8>,
    /// Records that wait to be written.
    outgoing: Outgoing,
    /// How many bytes of them were there before the last record was taken in.
    before: usize,
    /// Records of data sealed so far.
    sealed: u64,
    /// The keys can seal nothing more: an ending, once all that came before is handed out.
    worn_out: bool,
    /// Plaintext of different records is not joined.
    records_apart: bool,
    /// What was seen in the handshake.
    notes: Notes,
    /// Our ChangeCipherSpec was among the records of the handshake.
    has_changed_cipher: bool,
    /// The random bytes of our hello.
    our_random: Option<[u8; 32]>,
    /// Records that came behind the handshake.
    behind: u64,
    /// Records of ours behind the handshake that are no data: tickets.
    tickets: u64,
}

/// What a record has led to.
pub(crate) enum Processed {
    GoesOn {
        peer_has_closed: bool,
        /// Bytes put at the front of the room for them.
        plain: usize,
    },
    /// With how an alert was to be said before that record.
    Failed(Error, Voice),
}

impl Running {
    pub(crate) fn new(connection: Connection, notes: Notes, record_size: RecordSize) -> Self {
        let mut running = Self {
            connection,
            record_size,
            partial: Vec::new(),
            unread: VecDeque::new(),
            outgoing: Outgoing::default(),
            before: 0,
            sealed: 0,
            worn_out: false,
            records_apart: false,
            notes,
            has_changed_cipher: false,
            our_random: None,
            behind: 0,
            tickets: 0,
        };
        // A client begins, though its transport may not be up yet.
        let _ = running.connection.work(&mut [], &mut running.outgoing, &mut |_| {});
        running.outgoing.settle();
        running.look_at_flight();
        running
    }

    /// Takes in the first records of a client, up to the end of its ClientHello.
    pub(crate) fn begin(&mut self, records: &mut [u8]) -> Processed {
        let mut processed = Processed::GoesOn { peer_has_closed: false, plain: 0 };
        let mut rest = records;
        while !rest.is_empty() {
            let length = match record::front(rest) {
                record::Front::Record(record) | record::Front::IllegalHeader(record) => {
                    record.len()
                }
                record::Front::Partial => break,
            };
            let (record, behind) = rest.split_at_mut(length);
            rest = behind;
            // Warnings before it are passed over.
            if record::plain_alert(record).is_none() {
                processed = self.process(record, false, &mut []);
            }
            if matches!(processed, Processed::Failed(..)) {
                break;
            }
        }
        processed
    }

    pub(crate) const fn keep_records_apart(&mut self) {
        self.records_apart = true;
    }

    /// Whether plaintext of different records is not to be joined.
    pub(crate) const fn keeps_records_apart(&self) -> bool {
        self.records_apart
    }

    /// Takes in `record`, in which no byte is missing or too many, and changes it: it is opened in place.
    /// Its data goes into `plain`, and what has no room there waits inside.
    pub(crate) fn process(
        &mut self,
        record: &mut [u8],
        closed: bool,
        plain: &mut [u8],
    ) -> Processed {
        self.before = self.outgoing.len();
        let handshaking = self.is_handshaking();
        if handshaking
            && record::plain_alert(record)
                .is_some_and(|alert| alert.description == AlertDescription::CLOSE_NOTIFY)
        {
            // An unencrypted goodbye ends the handshake. rustls does not tell of it in TLS 1.2, and
            // takes it for a fault in 1.3, whose alert would stand in the way of our own goodbye.
            return Processed::GoesOn { peer_has_closed: true, plain: 0 };
        }
        if !handshaking {
            self.behind += 1;
        }
        let voice = self.voice();
        let mut joined = mem::take(&mut self.partial);
        if !joined.is_empty() {
            if joined.len() + record.len() > MOST_PARTIAL {
                let error = InvalidMessage::HandshakePayloadTooLarge.into();
                return Processed::Failed(error, voice);
            }
            joined.extend_from_slice(record);
        }
        let wire = if joined.is_empty() { &mut *record } else { &mut joined };
        let mut filled = 0;
        let Worked { done, result } = self.advance(wire, closed, &mut |data, unread| {
            let count = data.len().min(plain.len() - filled);
            plain[filled..filled + count].copy_from_slice(&data[..count]);
            filled += count;
            unread.extend(&data[count..]);
        });
        if done < wire.len() {
            self.partial =
                if joined.is_empty() { record[done..].to_vec() } else { joined.split_off(done) };
        }
        match result {
            Ok(peer_has_closed) => {
                if handshaking {
                    self.look_at_flight();
                    if !self.is_handshaking() {
                        self.notes.secret = None;
                        let made = &self.outgoing.bytes()[self.before..];
                        self.tickets = record::whole(made).count() as u64;
                    }
                }
                Processed::GoesOn { peer_has_closed, plain: filled }
            }
            Err(error) => Processed::Failed(error, voice),
        }
    }

    /// Lets rustls work on `wire`.
    fn advance(
        &mut self,
        wire: &mut [u8],
        closed: bool,
        opened: &mut impl FnMut(&[u8], &mut VecDeque<u8>),
    ) -> Worked {
        let handshaking = self.is_handshaking();
        let Self { connection, outgoing, unread, notes, .. } = self;
        let mut work = || connection.work(wire, outgoing, &mut |data| opened(data, unread));
        if closed && cfg!(debug_assertions) {
            surviving(work)
        } else if handshaking {
            notes.during(work)
        } else {
            work()
        }
    }

    /// Notes what is to be known of our records that the last one of the handshake has led to.
    fn look_at_flight(&mut self) {
        for record in record::whole(&self.outgoing.bytes()[self.before..]) {
            self.has_changed_cipher |= record::is_change_cipher_spec(record);
            if self.our_random.is_none() {
                self.our_random = record::handshake(record).and_then(random_of);
            }
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
        let before = self.before;
        let mut wire = self.drain();
        if closed {
            // Nothing may follow our close_notify.
            wire.truncate(before);
            return (wire, None);
        }
        let last = record::whole(&wire[before..]).last();
        if let Some(last) = last.filter(|last| record::is_alert(last)) {
            let visible = record::plain_alert(last);
            let alert = visible.map_or_else(|| alert_for(error), |alert| alert.description);
            if self.our_random.is_none() {
                // Nothing answers a ClientHello that is refused but the alert.
                wire = record::alert_record(alert).to_vec();
            }
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
        self.outgoing.take()
    }

    /// Puts back what was drained and could not be written, before what was made since.
    pub(crate) fn put_back(&mut self, wire: Vec<u8>) {
        self.before += wire.len();
        self.outgoing.put_back(wire);
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

    /// The most plain bytes in a record of ours.
    pub(crate) const fn record_size(&self) -> RecordSize {
        self.record_size
    }

    /// Our tickets, in records.
    pub(crate) const fn tickets(&self) -> u64 {
        self.tickets
    }

    /// The random bytes of our hello; none before it is made.
    pub(crate) fn our_random(&self) -> &[u8] {
        self.our_random.as_ref().map_or(&[], |random| random)
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
        // Reading from memory cannot fail.
        let count = self.unread.read(plain).unwrap_or_default();
        if self.unread.is_empty() {
            self.unread = VecDeque::new();
        }
        count
    }

    pub(crate) fn has_plaintext(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Seals all of `plain`, unless that would use up the keys. TLS 1.3 renews them in time, TLS 1.2
    /// cannot (RFC 8446 section 5.5); rustls would drop the bytes and say nothing.
    pub(crate) fn seal(&mut self, plain: &[u8]) -> bool {
        let records = plain.len().div_ceil(self.record_size.0);
        self.sealed = self.sealed.saturating_add(records as u64);
        if let Some(SupportedCipherSuite::Tls12(suite)) = self.connection.negotiated_cipher_suite()
        {
            let limit = suite.common.confidentiality_limit;
            self.worn_out |= self.sealed.saturating_add(OTHER_RECORDS) > limit;
        }
        !self.worn_out && self.append(Some(plain), plain.len() + records * OVERHEAD)
    }

    /// Seals `plain`, or close_notify where there is none, in records of up to `most` bytes together.
    fn append(&mut self, plain: Option<&[u8]>, most: usize) -> bool {
        let Self { connection, partial, outgoing, .. } = self;
        outgoing.append(most + BESIDE, |room| connection.seal(partial, plain, room))
    }

    pub(crate) const fn is_worn_out(&self) -> bool {
        self.worn_out
    }

    #[cfg(test)]
    pub(crate) const fn wear_out_keys(&mut self, sealed: u64) {
        self.sealed = sealed;
    }

    /// Says goodbye to this peer, in a handshake, too.
    pub(crate) fn close(&mut self, peer_random: &[u8]) {
        // rustls says none before data could be sent.
        if self.append(None, 0) || !self.is_handshaking() {
            return;
        }
        let said = match self.voice() {
            Voice::Mute => self.tls12_goodbye(peer_random),
            voice => voice.alert(AlertDescription::CLOSE_NOTIFY),
        };
        if let Some(said) = said {
            self.outgoing.extend(&said);
        }
    }

    /// The goodbye in a handshake of TLS 1.2 behind our Finished.
    fn tls12_goodbye(&self, peer_random: &[u8]) -> Option<Vec<u8>> {
        let SupportedCipherSuite::Tls12(suite) = self.connection.negotiated_cipher_suite()? else {
            return None;
        };
        let role = self.connection.role();
        let (client_random, server_random) = self.randoms(peer_random);
        let secrets =
            Tls12Secrets { master: self.notes.exporter.as_deref()?, client_random, server_random };
        let (mut keys, _) = secrets.keys(suite, role, 1)?;
        let [content_type, _, _, _, _, content @ ..] =
            record::alert_record(AlertDescription::CLOSE_NOTIFY);
        keys.seal(content_type, &content)
    }

    /// Those of the client's hello and of the server's.
    fn randoms<'a>(&'a self, peer_random: &'a [u8]) -> (&'a [u8], &'a [u8]) {
        match self.connection.role() {
            Role::Client => (self.our_random(), peer_random),
            Role::Server => (peer_random, self.our_random()),
        }
    }

    pub(crate) const fn wants_write(&self) -> bool {
        !self.outgoing.is_empty()
    }

    pub(crate) fn write(&mut self, transport: &mut dyn Write) -> io::Result<usize> {
        if self.outgoing.is_empty() {
            return Ok(0);
        }
        self.outgoing.write(transport)
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// The connection and what was seen in its handshake: all that facts are made of.
    pub(crate) fn evidence(&self) -> (&CommonState, &Notes) {
        (&self.connection, &self.notes)
    }

    /// What keys for others are derived from, of a session with this peer; `None` before the handshake is
    /// over.
    pub(crate) fn exporter<'a>(&'a self, peer_random: &'a [u8]) -> Option<Exporter<'a>> {
        if self.is_handshaking() {
            return None;
        }
        let (client_random, server_random) = self.randoms(peer_random);
        Some(Exporter {
            suite: self.connection.negotiated_cipher_suite()?,
            secret: self.notes.exporter.as_deref()?,
            client_random,
            server_random,
        })
    }
}

/// In debug builds rustls asserts that it sends no alert behind a close_notify, which an error of
/// the peer behind our own close_notify breaks (rustls issue 959). No peer may take the program
/// down, so the panic becomes an error; release builds, without the assertion, tell the true one.
fn surviving(work: impl FnOnce() -> Worked) -> Worked {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let words = "an error behind our close_notify; a release build tells which".to_owned();
        Worked { done: 0, result: Err(Error::General(words)) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debug_assertion_of_rustls_is_survived() {
        assert!(surviving(|| Worked { done: 0, result: Ok(false) }).result.is_ok());
        let error = surviving(|| panic!("as rustls does")).result.unwrap_err();
        assert!(matches!(error, Error::General(_)));
    }
}

//! Every cell of the table, with nothing to write, a write that is queued, and one that drains.
//!
//! Proves T04, T05, T09 to T24, T25, T26, T28, T29, T31 and T32 where the table says so.

use std::fmt;
use std::io;
use std::time::Duration;

use levada::{AlertDescription, Ended, Event, Options, Party, Role, Session, State};

use crate::cell::{BEFORE, BIG, HELLO, QUEUED, contains};
use crate::ours::{Ours, Read, Writes, kind};
use crate::peer::{Peer, WireEnd};
use crate::proof::{Proof, prove_all};
use crate::table::{Ends, Row, TABLE, Trigger, WeSend, When, cause};
use crate::world::{Layer, Moved, STRANGER, client, patient, server, strict_server};

const GARBAGE: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\r\n";

type Cell = crate::cell::Cell<Row>;

/// Every cell that can be made over this carrier.
fn cells(moved: Moved, with_time: bool) -> Vec<Cell> {
    Cell::all(TABLE, moved, |cell| cell.needs_time() == with_time && cell.exists())
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setup, row: Row { ids, when, trigger, .. }, writes } = self;
        write!(f, "{setup:?}, {trigger:?} when {when:?}, writes {writes:?} ({ids})")
    }
}

impl Proof for Cell {
    fn needs_time(&self) -> bool {
        self.row.trigger.needs_time()
    }

    async fn prove(self) {
        let (socket, peer) = self.setup.start(self.options()).await;
        let mut peer = match (self.row.when, self.row.trigger) {
            (When::Handshake, Trigger::Alert) => peer.with_session(self.refuser()),
            _ => peer,
        };
        let ours = Ours::new(socket);
        let us = async {
            let told = self.our_side(&ours).await;
            ours.drop_stream();
            told
        };
        let (told, theirs) = tokio::join!(us, self.their_side(&ours, &mut peer));
        self.check(&told, &theirs, &peer);
    }
}

impl Cell {
    fn exists(self) -> bool {
        let Self { setup, row, writes } = self;
        let fits = match writes {
            Writes::None => true,
            Writes::Queued => row.when.is_before_established(),
            // The goodbye of a plain stream never waits: the kernel keeps it, as it does one of its own.
            Writes::Draining if row.when == When::Closing => row.tls && !setup.is_by_kernel(),
            Writes::Draining => !row.when.is_before_established(),
        };
        // A Unix socket's other end learns of a reset only by what is left unread.
        let resets = row.trigger != Trigger::Reset
            || setup.moved != Moved::Unix
            || writes == Writes::Draining
            || (row.when == When::First && setup.role == Role::Client);
        row.tls == setup.layer.is_tls() && fits && resets
    }

    /// What it leads to. The kernel takes what is no TLS for a record that is too long.
    fn ends(self) -> Ends {
        match self.row.ends {
            Ends::Malformed(Some(_))
                if self.setup.is_by_kernel() && !self.row.when.is_before_established() =>
            {
                Ends::Malformed(Some(AlertDescription::RECORD_OVERFLOW))
            }
            ends => ends,
        }
    }

    /// Whether a reset may overtake what we still have to say: what the kernel cannot open it never gives
    /// up, and bytes that nobody has read make a reset of our end.
    fn is_overtaken(self) -> bool {
        let unread =
            matches!(self.row.trigger, Trigger::Flip | Trigger::Garbage | Trigger::DataBehind);
        unread && self.writes == Writes::Draining && self.setup.is_by_kernel()
    }

    fn options(self) -> Options {
        if !self.row.trigger.needs_time() {
            return patient();
        }
        let mut options = Options::default();
        options.deadlines.idle = Some(Duration::from_secs(60));
        options
    }

    /// The session of a peer that refuses us while the handshake runs.
    fn refuser(self) -> Session {
        let layer = self.setup.layer;
        match (self.setup.role, layer) {
            (Role::Server, _) => client(layer, |builder| builder.anchors(STRANGER.anchors())),
            // In TLS 1.3 a client that shows no certificate is established before it is refused.
            (Role::Client, Layer::Tls13) => server(layer, |builder| builder.alpn(["other"])),
            (Role::Client, _) => strict_server(layer),
        }
    }

    // Our side.

    async fn our_side(self, ours: &Ours) -> Told {
        let (mut read, (pending, goes_on)) = tokio::join!(ours.read_all(), self.write(ours));
        if self.row.ends == Ends::GoesOn {
            assert!(read.error.is_none(), "{:?}", read.error);
            goes_on.unwrap();
            ours.shutdown().await.unwrap();
        }
        let ended = ours.closed().await;
        let again = ours.read_all().await;
        assert_eq!(kind(again.error.as_ref()), kind(read.error.as_ref()), "every read gives it");
        assert!(again.bytes.is_empty());
        read.error = read.error.or(again.error);
        let later = [ours.write(b"late").await, ours.write(b"later").await].map(Result::unwrap_err);
        Told { read, pending, later, ended, events: ours.told() }
    }

    /// Writes as the cell has it: the error of what waited, and how it went.
    async fn write(self, ours: &Ours) -> (Option<io::Error>, io::Result<()>) {
        let result = self.try_write(ours).await;
        match (self.writes, result) {
            (Writes::None, result) => (None, result),
            (_, Err(error)) => (Some(error), Ok(())),
            (_, Ok(())) => (None, Ok(())),
        }
    }

    async fn try_write(self, ours: &Ours) -> io::Result<()> {
        match (self.row.when, self.writes) {
            (When::First | When::Handshake, Writes::None) => Ok(()),
            (When::First | When::Handshake, _) => {
                assert_eq!(ours.write(QUEUED).await?, QUEUED.len());
                ours.arm();
                ours.flush().await
            }
            (When::Established | When::MidRecord, Writes::None) => ours.write_all(HELLO).await,
            (When::Established | When::MidRecord, _) => {
                ours.write_all(HELLO).await?;
                ours.may_go_on().await;
                ours.arm();
                ours.write_all(&vec![b'w'; BIG]).await
            }
            (When::Closing, Writes::None) => {
                ours.write_all(HELLO).await?;
                ours.may_go_on().await;
                ours.shutdown().await
            }
            (When::Closing, _) => {
                ours.write_all(HELLO).await?;
                ours.may_go_on().await;
                ours.fill(&vec![b'w'; BIG]).await;
                ours.arm();
                ours.shutdown().await
            }
        }
    }

    // The peer's side.

    async fn their_side(self, ours: &Ours, peer: &mut Peer) -> Theirs {
        let flight = self.reach(ours, peer).await;
        if self.writes != Writes::None {
            ours.waits().await;
        }
        let before = peer.raw.len();
        let sent = self.trigger(peer, flight.as_deref()).await;
        let reads_on = self.row.trigger != Trigger::Reset && !self.row.trigger.needs_time();
        if reads_on {
            peer.take_all().await;
        } else if self.row.trigger.needs_time() {
            // It reads what is there, but only when all is over.
            while ours.is_up() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            peer.take_all().await;
        }
        Theirs { sent, after: peer.raw.len() - before }
    }

    /// Comes to the moment; gives what the peer has made and holds back.
    async fn reach(self, ours: &Ours, peer: &mut Peer) -> Option<Vec<u8>> {
        let mut held = None;
        match self.row.when {
            When::First => {
                let leaves_unread =
                    self.setup.moved == Moved::Unix && self.row.trigger == Trigger::Reset;
                if self.setup.role == Role::Client && !leaves_unread {
                    peer.take_until(|peer| whole_record(&peer.raw)).await;
                }
                None
            }
            When::Handshake if self.row.trigger == Trigger::Alert => {
                peer.take_until_failed().await;
                None
            }
            When::Handshake => peer.last_flight().await,
            _ => {
                peer.handshake().await;
                if (self.row.when, self.row.trigger) == (When::Closing, Trigger::Alert) {
                    // Once it has our goodbye, nothing could make it send one.
                    held = Some([peer.seal(BEFORE), peer.fatal_alert().0].concat());
                } else {
                    peer.take_until(|peer| peer.plain.starts_with(HELLO)).await;
                }
                ours.go_on();
                if (self.row.when, self.writes) == (When::Closing, Writes::None) {
                    ours.said_goodbye().await;
                    let mut count = ours.facts().bytes.wire_written as usize;
                    if self.setup.is_by_kernel() {
                        // What is around the data, and the goodbye.
                        count += 2 * self.setup.layer.around_a_record() + 2;
                    }
                    peer.take_until(|peer| peer.raw.len() == count).await;
                }
                held
            }
        }
    }

    /// Does it; gives the alert that was sent.
    async fn trigger(self, peer: &mut Peer, flight: Option<&[u8]>) -> Option<AlertDescription> {
        let Row { when, trigger, .. } = *self.row;
        let mut alert = None;
        if (when, trigger) == (When::Closing, Trigger::Alert)
            && let Some(held) = flight
        {
            peer.send(held).await;
            return Some(AlertDescription::BAD_RECORD_MAC);
        }
        let mut bytes = if when.is_before_established() { Vec::new() } else { peer.seal(BEFORE) };
        let first_of_flight = flight.map(|flight| &flight[..record_end(flight)]);
        match trigger {
            Trigger::Fin | Trigger::Reset | Trigger::Silence => match (when, flight) {
                (When::Handshake, Some(flight)) => bytes.extend(&flight[..flight.len() / 2]),
                (When::MidRecord, _) => {
                    let record = peer.seal(b"half of this comes");
                    bytes.extend(&record[..record.len() / 2]);
                }
                _ => {}
            },
            Trigger::Alert if when == When::First => {
                alert = Some(AlertDescription::HANDSHAKE_FAILURE);
                bytes.extend([21, 3, 3, 0, 2, 2, 40]);
            }
            Trigger::Alert => {
                let (record, number) = peer.fatal_alert();
                alert = Some(number);
                bytes.extend(record);
            }
            Trigger::Flip => {
                let mut record = flight.map_or_else(|| peer.seal(b"altered"), <[u8]>::to_vec);
                *record.last_mut().unwrap() ^= 1;
                bytes.extend(record);
            }
            Trigger::CloseNotify if when.is_before_established() => {
                bytes.extend([21, 3, 3, 0, 2, 1, 0]);
            }
            Trigger::CloseNotify => bytes.extend(peer.close_notify()),
            Trigger::DataBehind => {
                bytes.extend(peer.close_notify());
                // Whether it could be opened does not matter: nothing behind a goodbye is.
                bytes.extend([&[23, 3, 3, 0, 64][..], &[0; 64]].concat());
            }
            Trigger::Garbage => {
                bytes.extend(first_of_flight.unwrap_or_default());
                bytes.extend(GARBAGE);
            }
            Trigger::OneByte => bytes.push(22),
        }
        peer.send(&bytes).await;
        match trigger {
            Trigger::Fin => peer.fin().await,
            Trigger::Reset => peer.reset(),
            _ => {}
        }
        alert
    }

    // What must have come of it.

    fn check(self, told: &Told, theirs: &Theirs, peer: &Peer) {
        let Row { when, trigger, .. } = *self.row;
        let (ends, ended) = (self.ends(), &told.ended);
        let queued = if self.writes == Writes::Queued { QUEUED.len() as u64 } else { 0 };
        assert!(ends.fits(cause(&ended.ending), theirs.sent, queued), "{:?}", ended.ending);
        assert_eq!(ended.ending.cause_code(), ends.code());
        let never = when.is_before_established();
        assert_eq!(ended.code() == "connectFailed", never);
        assert_eq!(ended.is_clean(), matches!(ends, Ends::GoesOn | Ends::Finished));
        let phase = match when {
            When::First | When::Handshake => State::Handshaking,
            When::Established | When::MidRecord if ends == Ends::GoesOn => State::Closing,
            When::Established | When::MidRecord => State::Established,
            When::Closing => State::Closing,
        };
        assert_eq!(ended.phase, phase);

        // What had come before is read, and then the ending.
        assert_eq!(told.read.bytes, if never { &[][..] } else { BEFORE });
        assert_eq!(kind(told.read.error.as_ref()), ends.read());
        let errors = told.read.error.iter().chain(&told.pending).chain(&told.later);
        for error in errors {
            assert_eq!(Ended::of(error), Some(ended), "it travels in band");
        }
        // A write that waited fails once, and later ones as those do.
        let waited = self.writes != Writes::None;
        assert_eq!(kind(told.pending.as_ref()), if waited { ends.pending() } else { None });
        for later in &told.later {
            assert_eq!(later.kind(), ends.later());
        }
        assert_eq!(events_of(told), self.expected_events(theirs.sent));

        // What the peer got.
        if trigger == Trigger::Reset || self.is_overtaken() {
            return;
        }
        let leaks = [QUEUED, b"wwwwwwww"].iter().any(|plain| contains(&peer.raw, plain));
        assert!(!leaks || !self.row.tls, "what is written leaves through the layer alone");
        let exact = self.writes != Writes::Draining;
        match ends.we_send() {
            WeSend::Nothing if exact => assert_eq!(theirs.after, 0, "we send nothing"),
            WeSend::Nothing => {}
            WeSend::Goodbye if trigger.needs_time() && self.writes == Writes::Draining => {}
            WeSend::Goodbye => assert!(peer.has_goodbye(), "we say goodbye"),
            WeSend::Alert(alert) => assert_eq!(peer.alert, Some(alert), "flushed before FIN"),
        }
        if !matches!(ends.we_send(), WeSend::Alert(_)) {
            assert_eq!(peer.alert, None);
        }
        if ends == Ends::GoesOn && self.writes == Writes::Draining {
            assert_eq!(peer.plain.len(), HELLO.len() + BIG, "all that was accepted");
        }
        if matches!(ends.we_send(), WeSend::Alert(_) | WeSend::Goodbye) && exact {
            assert_eq!(peer.end, Some(WireEnd::Fin), "no reset behind our last words");
        }
        if peer.end == Some(WireEnd::Fin) && !self.setup.is_by_kernel() {
            assert_eq!(ended.facts.bytes.wire_written, peer.raw.len() as u64);
        }
    }

    fn expected_events(self, sent: Option<AlertDescription>) -> Vec<String> {
        let Row { when, tls, .. } = *self.row;
        let ends = self.ends();
        let mut events = Vec::new();
        let mut tell = |event: Event| events.push(format!("{event:?}"));
        if tls && !when.is_before_established() {
            tell(Event::State(State::Established));
        }
        if when == When::Closing {
            tell(Event::State(State::Closing));
            if self.writes == Writes::None {
                tell(Event::Goodbye(Party::Local));
            }
        }
        match ends {
            Ends::GoesOn => {
                tell(Event::Goodbye(Party::Peer));
                tell(Event::State(State::Closing));
                tell(Event::Goodbye(Party::Local));
            }
            Ends::Finished => {
                tell(Event::Goodbye(Party::Peer));
                if self.writes == Writes::Draining {
                    tell(Event::Goodbye(Party::Local));
                }
            }
            Ends::FatalAlert => tell(Event::Alert(Party::Peer, sent.unwrap())),
            Ends::BadRecord(Some(alert)) | Ends::Malformed(Some(alert)) => {
                tell(Event::Alert(Party::Local, alert));
            }
            _ => {}
        }
        events
    }
}

/// What we were told.
struct Told {
    read: Read,
    pending: Option<io::Error>,
    later: [io::Error; 2],
    ended: Ended,
    events: Vec<Event>,
}

/// What the peer did and got.
struct Theirs {
    sent: Option<AlertDescription>,
    /// Bytes that came after it had done its thing.
    after: usize,
}

/// The events before the last, which is the ending, and the only one.
fn events_of(told: &Told) -> Vec<String> {
    let (last, before) = told.events.split_last().unwrap();
    assert_eq!(*last, Event::Ended(told.ended.clone()));
    assert!(!before.iter().any(|event| matches!(event, Event::Ended(_))));
    before.iter().map(|event| format!("{event:?}")).collect()
}

fn whole_record(raw: &[u8]) -> bool {
    raw.len() >= 5 && raw.len() >= record_end(raw)
}

fn record_end(raw: &[u8]) -> usize {
    5 + usize::from(u16::from_be_bytes([raw[3], raw[4]]))
}

#[tokio::test]
async fn t04_t05_t09_to_t32_every_cell_over_memory() {
    prove_all(cells(Moved::Memory, false)).await;
}

#[tokio::test]
async fn t04_t05_t09_to_t32_every_cell_over_tcp() {
    prove_all(cells(Moved::Tcp, false)).await;
}

#[tokio::test]
async fn t04_t05_t09_to_t32_every_cell_over_unix() {
    prove_all(cells(Moved::Unix, false)).await;
}

#[tokio::test(start_paused = true)]
async fn t05_every_cell_that_a_deadline_ends() {
    prove_all(cells(Moved::Memory, true)).await;
}

#[test]
fn the_table_has_no_row_twice_and_every_ending_is_in_it() {
    for row in TABLE {
        let same = TABLE.iter().filter(|other| {
            (other.tls, other.when, other.trigger) == (row.tls, row.when, row.trigger)
        });
        assert_eq!(same.count(), 1);
        assert!(Ends::ALL.contains(&row.ends));
    }
    for ends in Ends::ALL {
        assert!(TABLE.iter().any(|row| row.ends == ends), "{ends:?}");
    }
}

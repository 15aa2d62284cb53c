//! Every cell of the table, with nothing to write, a write that is queued, and one that drains.
//!
//! Proves C1 to C5, C7 to C10, C13, E1, E4, E10, X1 and X3 where the table says so, over every carrier,
//! plain and under TLS, for both roles.

use std::fmt;
use std::io;
use std::time::Duration;

use levada::ws::{ClientOptions, ServerOptions, SizeLimits, WsOptions};
use levada::{AlertDescription, Ended, Event, Party, Role, State, WsStream};

use super::peer::{BINARY, CLOSE, TEXT, WsPeer};
use super::table::{Ends, Row, TABLE, Trigger, When};
use crate::cell::{BEFORE, BIG, HELLO, QUEUED, contains};
use crate::ours::{Ours, Read, Writes, kind};
use crate::peer::{Peer, WireEnd};
use crate::proof::{Proof, prove_all};
use crate::table::cause;
use crate::world::{Moved, patient};

const HALF: &[u8] = b"half a frame";
const GARBAGE: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";
/// The longest frame that we take here.
const LIMIT: usize = 100;

type Cell = crate::cell::Cell<Row>;

/// Every cell that can be made over this carrier.
fn cells(moved: Moved, with_time: bool) -> Vec<Cell> {
    Cell::all(TABLE, moved, |cell| cell.needs_time() == with_time && cell.exists())
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setup, row: Row { ids, when, trigger, .. }, writes } = self;
        write!(f, "WebSocket, {setup:?}, {trigger:?} when {when:?}, writes {writes:?} ({ids})")
    }
}

impl Proof for Cell {
    fn needs_time(&self) -> bool {
        self.row.trigger.needs_time()
    }

    async fn prove(self) {
        let (socket, peer) = self.setup.start(patient()).await;
        let stream = match self.setup.role {
            Role::Client => {
                let mut options = ClientOptions::new("levada.example", "/").unwrap();
                options.stream = self.options();
                WsStream::client(socket, options)
            }
            Role::Server => {
                let mut options = ServerOptions::default();
                options.stream = self.options();
                WsStream::server(socket, options)
            }
        };
        let mut peer = WsPeer::new(peer, self.setup.role);
        let ours = Ours::new(stream);
        let us = async {
            let told = self.our_side(&ours).await;
            ours.drop_stream();
            told
        };
        let (told, ()) = tokio::join!(us, self.their_side(&ours, &mut peer));
        self.check(&told, &peer);
    }
}

impl Cell {
    fn exists(self) -> bool {
        let Self { setup, row, writes } = self;
        let fits = match writes {
            Writes::None => row.when != When::Crossing,
            Writes::Queued => row.when.is_before_established(),
            Writes::Draining => !row.when.is_before_established() && row.when != When::Closed,
        };
        // A Unix socket's other end learns of a reset only by what is left unread.
        let resets = row.trigger != Trigger::Reset
            || setup.moved != Moved::Unix
            || writes == Writes::Draining;
        // A server ends the carrier as soon as both Close frames have passed.
        let waits = row.when != When::Closed || setup.role == Role::Client;
        fits && resets && waits && (setup.layer.is_tls() || !row.trigger.needs_tls())
    }

    fn options(self) -> WsOptions {
        let mut options = WsOptions::default();
        options.limits = SizeLimits { frame: LIMIT as u64, ..SizeLimits::default() };
        options.deadlines = patient().deadlines;
        if self.row.trigger.needs_time() {
            options.deadlines = WsOptions::default().deadlines;
            options.deadlines.idle = Some(Duration::from_secs(60));
        }
        options
    }

    // Our side.

    async fn our_side(self, ours: &Ours<WsStream>) -> Told {
        let (mut read, pending) = tokio::join!(ours.read_all(), self.write(ours));
        let ended = ours.closed().await;
        let again = ours.read_all().await;
        assert_eq!(
            kind(again.error.as_ref()),
            kind(read.error.as_ref()),
            "every read gives it (X4)"
        );
        assert!(again.bytes.is_empty());
        read.error = read.error.or(again.error);
        let later = [ours.write(b"late").await, ours.write(b"later").await].map(Result::unwrap_err);
        Told { read, pending, later, ended, facts: ours.facts().bytes, events: ours.told() }
    }

    /// Writes as the cell has it: the error of what waited.
    async fn write(self, ours: &Ours<WsStream>) -> Option<io::Error> {
        match (self.row.when, self.writes) {
            (when, Writes::None) if when.is_before_established() => return None,
            (when, _) if when.is_before_established() => {
                assert_eq!(ours.write(QUEUED).await.unwrap(), QUEUED.len());
                ours.arm();
                return ours.flush().await.err();
            }
            _ => {}
        }
        ours.write_all(HELLO).await.unwrap();
        ours.may_go_on().await;
        match (self.row.when.is_closing(), self.writes) {
            (false, Writes::None) => None,
            (false, _) => {
                ours.arm();
                ours.write_all(&vec![b'w'; BIG]).await.err()
            }
            (true, Writes::None) => {
                ours.shutdown().await.unwrap();
                None
            }
            (true, _) => {
                ours.fill(&vec![b'w'; BIG]).await;
                ours.arm();
                ours.shutdown().await.err()
            }
        }
    }

    // The peer's side.

    async fn their_side(self, ours: &Ours<WsStream>, peer: &mut WsPeer) {
        let head = self.reach(ours, peer).await;
        if self.writes != Writes::None {
            ours.waits().await;
        }
        self.trigger(peer, &head).await;
        match self.row.trigger {
            Trigger::Reset => {}
            Trigger::Silence => {
                // It reads what is there, but only when all is over.
                while ours.is_up() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                peer.below.take_all().await;
            }
            _ => self.finish(peer).await,
        }
    }

    /// Comes to the moment; gives the head that the peer has made and holds back.
    async fn reach(self, ours: &Ours<WsStream>, peer: &mut WsPeer) -> Vec<u8> {
        if self.row.when.is_before_established() {
            return peer.opening().await;
        }
        peer.open().await;
        peer.take_data().await;
        ours.go_on();
        if self.row.when.is_closing() && self.writes == Writes::None {
            ours.said_goodbye().await;
            peer.take_close().await;
        }
        Vec::new()
    }

    async fn trigger(self, peer: &mut WsPeer, head: &[u8]) {
        let Row { when, trigger, .. } = *self.row;
        let mut plain = match when {
            When::Opening => Vec::new(),
            When::MidHead => head[..head.len() / 2].to_vec(),
            _ => peer.frame(BINARY, BEFORE),
        };
        match when {
            When::MidFrame => {
                let frame = peer.frame(BINARY, &[HALF, HALF].concat());
                plain.extend(&frame[..frame.len() - HALF.len()]);
            }
            When::Crossing | When::Closed => plain.extend(peer.close_frame(Some(1000), "")),
            _ => {}
        }
        if let Some((code, reason)) = trigger.close() {
            plain.extend(peer.close_frame(code, reason));
        }
        match trigger {
            Trigger::DataBehind => plain.extend(peer.frame(BINARY, b"too late")),
            Trigger::Text => plain.extend(peer.frame(TEXT, b"text")),
            Trigger::ReservedBit => plain.extend(peer.frame(BINARY | 0x40, b"")),
            Trigger::BadReason => plain.extend(peer.frame(CLOSE, &[3, 0xe8, 0xff])),
            Trigger::TooBig => plain.extend(peer.frame(BINARY, &[b'x'; LIMIT + 1])),
            Trigger::Garbage => plain.extend(GARBAGE),
            _ => {}
        }
        let below = &mut peer.below;
        let mut wire = if plain.is_empty() { Vec::new() } else { below.seal(&plain) };
        match trigger {
            Trigger::CloseNotify => wire.extend(below.close_notify()),
            Trigger::Alert => wire.extend(below.fatal_alert().0),
            Trigger::Flip => {
                let mut record = below.seal(b"altered");
                *record.last_mut().unwrap() ^= 1;
                wire.extend(record);
            }
            _ => {}
        }
        below.send(&wire).await;
        match trigger {
            Trigger::Fin => below.fin().await,
            Trigger::Reset => below.reset(),
            _ => {}
        }
    }

    /// Goes on as a well-behaved peer would: it answers a Close frame, and a server ends the carrier.
    async fn finish(self, peer: &mut WsPeer) {
        let Row { trigger, ends, .. } = *self.row;
        let is_text = trigger == Trigger::Text;
        if is_text || trigger.close().is_some() || matches!(ends, Ends::Violation(_)) {
            peer.take_close().await;
            if is_text {
                let answer = peer.close_frame(Some(1003), "");
                peer.below.send_plain(&answer).await;
            }
        } else if ends != Ends::NotOpened {
            return peer.below.take_all().await;
        }
        if self.setup.role == Role::Server {
            peer.below.take_until(Peer::has_goodbye).await;
        }
        peer.below.end_wire().await;
        peer.below.take_all().await;
    }

    // What must have come of it.

    fn check(self, told: &Told, peer: &WsPeer) {
        let Row { when, ends, trigger, .. } = *self.row;
        let ended = &told.ended;
        assert!(ends.fits(cause(&ended.ending), trigger), "{:?}", ended.ending);
        assert_eq!(ended.ending.cause_code(), ends.code());
        let never = when.is_before_established();
        assert_eq!(ended.code() == "connectFailed", never);
        let is_closed = matches!(ends, Ends::Closed(_));
        let is_clean = is_closed && (ends, trigger) != CODE_OF_ITS_OWN;
        assert_eq!(ended.is_clean(), is_clean);
        let says_goodbye = is_closed || matches!(ends, Ends::TextRefused | Ends::Violation(_));
        assert_eq!(
            ended.phase,
            match when {
                When::Opening | When::MidHead => State::Handshaking,
                When::Established | When::MidFrame if !says_goodbye => State::Established,
                _ => State::Closing,
            }
        );

        // What had come before is read, and then the ending.
        let came = match when {
            When::Opening | When::MidHead => Vec::new(),
            When::MidFrame => [BEFORE, HALF].concat(),
            _ => BEFORE.to_vec(),
        };
        assert_eq!(told.read.bytes, came);
        assert_eq!(kind(told.read.error.as_ref()), ends.read());
        for error in told.read.error.iter().chain(&told.later) {
            assert_eq!(Ended::of(error), Some(ended), "it travels in band");
        }
        // A write that waited fails once, and later ones as those do. Our own Close frame, once it has
        // gone out, has not failed, whatever follows.
        let goes_out = when == When::Closing && says_goodbye;
        let fails = self.writes != Writes::None && !goes_out;
        assert_eq!(kind(told.pending.as_ref()), fails.then(|| ends.pending()));
        for later in &told.later {
            assert_eq!(later.kind(), ends.later());
        }
        assert_eq!(events_of(told), self.expected_events());
        if trigger != Trigger::Reset {
            self.check_wire(told, peer);
        }
    }

    /// What the peer got.
    fn check_wire(self, told: &Told, peer: &WsPeer) {
        let Row { when, ends, trigger, .. } = *self.row;
        if when.is_before_established() {
            let leaks = [QUEUED, HELLO].iter().any(|plain| contains(&peer.below.plain, plain));
            assert!(!leaks, "what is written leaves behind the opening handshake alone");
        }
        if (ends, self.setup.role) == (Ends::NotOpened, Role::Server) {
            assert!(peer.below.plain.starts_with(b"HTTP/1.1 400 "), "the client is told");
        }
        let wanted = (trigger == Trigger::Flip).then_some(AlertDescription::BAD_RECORD_MAC);
        if self.writes != Writes::Draining {
            assert_eq!(peer.below.alert, wanted);
        }
        if when.is_before_established() {
            return;
        }
        let frames = peer.frames();
        let closes = frames.iter().filter(|frame| frame.0 == CLOSE);
        let says_goodbye = matches!(ends, Ends::Closed(_) | Ends::TextRefused | Ends::Violation(_));
        if says_goodbye {
            assert_eq!(peer.data().len() as u64, told.facts.written, "all that was accepted");
            assert_eq!(frames.last().unwrap().0, CLOSE, "C9: nothing follows");
            // In memory a reset takes nothing away that was sent before it.
            if self.setup.moved != Moved::Memory {
                assert_ne!(peer.below.end, Some(WireEnd::Reset), "C13: no reset takes it away");
            }
        }
        if says_goodbye || self.writes != Writes::Draining {
            let ours = if when.is_closing() {
                Ends::Closed(Party::Local).close(Trigger::Close)
            } else {
                ends.close(trigger)
            };
            let sent: Vec<_> = closes.map(|(_, body)| body[..body.len().min(2)].to_vec()).collect();
            assert_eq!(sent, Vec::from_iter(ours), "C8");
        }
    }

    fn expected_events(self) -> Vec<String> {
        let Row { when, ends, trigger, .. } = *self.row;
        let drains = self.writes == Writes::Draining;
        let mut events = Vec::new();
        let mut tell = |event: Event| events.push(format!("{event:?}"));
        if !when.is_before_established() {
            tell(Event::State(State::Established));
        }
        if when.is_closing() {
            tell(Event::State(State::Closing));
            if !drains {
                tell(Event::Goodbye(Party::Local));
            }
        }
        let closes = match (when, trigger) {
            (When::Crossing | When::Closed, _) => Some((Some(1000), "")),
            (_, Trigger::Text) => Some((Some(1003), "")),
            _ => trigger.close(),
        };
        let answers = [Event::State(State::Closing), Event::Goodbye(Party::Local)];
        match trigger {
            Trigger::Text => tell(Event::TextRefused),
            Trigger::Silence if !when.is_before_established() && !when.is_closing() && !drains => {
                tell(Event::Goodbye(Party::Local));
            }
            Trigger::ReservedBit | Trigger::BadReason | Trigger::TooBig => {
                let Ends::Violation(code) = ends else { unreachable!("the table says so") };
                tell(Event::WsViolation { code, cause: String::new() });
            }
            _ => {}
        }
        let is_ours = trigger == Trigger::Text || matches!(ends, Ends::Violation(_));
        if is_ours && !when.is_closing() {
            answers.clone().into_iter().for_each(&mut tell);
        } else if is_ours && drains {
            tell(Event::Goodbye(Party::Local));
        }
        if let Some((code, reason)) = closes {
            tell(Event::CloseFrame { code, reason: reason.to_owned() });
            tell(Event::Goodbye(Party::Peer));
            match when {
                When::Established if !is_ours => answers.into_iter().for_each(&mut tell),
                When::Closing if !is_ours && drains => tell(Event::Goodbye(Party::Local)),
                _ => {}
            }
        }
        let is_lost = when == When::Closed
            && match trigger {
                Trigger::Reset | Trigger::Alert | Trigger::Flip => true,
                // Of TLS it is a truncation.
                Trigger::Fin => self.setup.layer.is_tls(),
                _ => false,
            };
        if is_lost {
            events.push("TransportFailed".to_owned());
        }
        events
    }
}

/// The one way in which both Close frames have passed and the end is not clean.
const CODE_OF_ITS_OWN: (Ends, Trigger) = (Ends::Closed(Party::Peer), Trigger::CloseWithCode);

/// What we were told.
struct Told {
    read: Read,
    pending: Option<io::Error>,
    later: [io::Error; 2],
    ended: Ended,
    facts: levada::Bytes,
    events: Vec<Event>,
}

/// The events from the establishment on and before the last, which is the ending, and the only one.
fn events_of(told: &Told) -> Vec<String> {
    let (last, before) = told.events.split_last().unwrap();
    assert_eq!(*last, Event::Ended(told.ended.clone()));
    assert!(!before.iter().any(|event| matches!(event, Event::Ended(_))), "E5: once");
    let up = |event: &Event| *event == Event::State(State::Established);
    let start = before.iter().position(up).unwrap_or(before.len());
    let word = |event: &Event| match event {
        Event::TransportFailed(_) => "TransportFailed".to_owned(),
        Event::WsViolation { code, .. } => {
            format!("{:?}", Event::WsViolation { code: *code, cause: String::new() })
        }
        event => format!("{event:?}"),
    };
    before[start..].iter().map(word).collect()
}

#[tokio::test]
async fn c1_to_c13_every_cell_over_memory() {
    prove_all(cells(Moved::Memory, false)).await;
}

#[tokio::test]
async fn c1_to_c13_every_cell_over_tcp() {
    prove_all(cells(Moved::Tcp, false)).await;
}

#[tokio::test]
async fn c1_to_c13_every_cell_over_unix() {
    prove_all(cells(Moved::Unix, false)).await;
}

#[tokio::test(start_paused = true)]
async fn c5_every_cell_that_a_deadline_ends() {
    prove_all(cells(Moved::Memory, true)).await;
}

#[test]
fn the_table_has_no_row_twice_and_every_ending_is_in_it() {
    for row in TABLE {
        let same = |other: &&Row| (other.when, other.trigger) == (row.when, row.trigger);
        assert_eq!(TABLE.iter().filter(same).count(), 1);
        assert!(Ends::ALL.contains(&row.ends));
    }
    for ends in Ends::ALL {
        assert!(TABLE.iter().any(|row| row.ends == ends), "{ends:?}");
    }
}

//! Random lives of both ends over the whole stack, against a small model: a WebSocket over TLS over a
//! carrier that is Pending at every step, whole or in halves, with plain and with vectored writes.

use std::future::Future;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use levada::ws::{ClientOptions, DeflateParams, ServerOptions};
use levada::{
    ConnectFailure, Deadlines, Ended, Ending, Event, Events, OsErrorKind, Party, Socket, WsStream,
};
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, ReadHalf, WriteHalf,
};

use crate::support::{Trickle, tls};

#[derive(Clone, Debug)]
enum Act {
    /// One write, of pieces of these sizes.
    Write(Vec<usize>),
    Read(usize),
    Flush,
    Shutdown,
    Drop,
    /// What is on the way is lost, and the transport ends: the fault of the network.
    Cut,
}

/// A carrier that can be cut: nothing more comes then, and nothing more is taken.
struct Line {
    inner: Trickle<DuplexStream>,
    is_cut: Arc<AtomicBool>,
}

impl Line {
    fn cut(&self) -> bool {
        self.is_cut.load(Ordering::SeqCst)
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.cut() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.cut() {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.cut() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// How an end is used.
enum Hold {
    Whole(Box<WsStream>),
    Halves(ReadHalf<WsStream>, WriteHalf<WsStream>),
    Gone,
}

/// One end, and what the model needs to know of it.
struct End {
    hold: Hold,
    events: Events,
    ended: Option<Ended>,
    accepted: Vec<u8>,
    read: Vec<u8>,
    at_eof: bool,
    asked: bool,
    gone: bool,
}

impl End {
    fn new(mut stream: WsStream, in_halves: bool) -> Self {
        let events = stream.events();
        let hold = if in_halves {
            let (reader, writer) = tokio::io::split(stream);
            Hold::Halves(reader, writer)
        } else {
            Hold::Whole(Box::new(stream))
        };
        let (accepted, read) = Default::default();
        let (at_eof, asked, gone) = Default::default();
        Self { hold, events, ended: None, accepted, read, at_eof, asked, gone }
    }

    fn reader(&mut self) -> Option<&mut (dyn AsyncRead + Unpin)> {
        match &mut self.hold {
            Hold::Whole(stream) => Some(&mut **stream),
            Hold::Halves(reader, _) => Some(reader),
            Hold::Gone => None,
        }
    }

    fn writer(&mut self) -> Option<&mut (dyn AsyncWrite + Unpin)> {
        match &mut self.hold {
            Hold::Whole(stream) => Some(&mut **stream),
            Hold::Halves(_, writer) => Some(writer),
            Hold::Gone => None,
        }
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Write(sizes) => self.write(sizes),
            Act::Read(size) => self.take(*size),
            Act::Flush => {
                let flushed = self.writer().and_then(|writer| once(writer.flush()));
                self.note();
                if let Some(Err(error)) = flushed {
                    self.check(&error);
                }
            }
            Act::Shutdown => {
                self.asked |= self.ended.is_none() && !self.is_gone();
                let _ = self.writer().and_then(|writer| once(writer.shutdown()));
                self.note();
            }
            Act::Drop => {
                self.gone |= self.ended.is_none();
                self.hold = Hold::Gone;
                self.note();
            }
            Act::Cut => {}
        }
    }

    fn write(&mut self, sizes: &[usize]) {
        let has_ended = self.ended.is_some();
        let from = self.accepted.len();
        let bytes: Vec<u8> = (from..from + sizes.iter().sum::<usize>()).map(pattern).collect();
        let mut rest = &bytes[..];
        let pieces: Vec<_> =
            sizes.iter().map(|&size| IoSlice::new(rest.split_off(..size).unwrap())).collect();
        let written = self.writer().and_then(|writer| match &pieces[..] {
            [piece] => once(writer.write(piece)),
            pieces => once(writer.write_vectored(pieces)),
        });
        self.note();
        match written {
            Some(Ok(count)) => {
                assert!(!has_ended, "reported as done after the ending");
                self.accepted.extend(&bytes[..count]);
            }
            Some(Err(error)) => self.check(&error),
            None => assert!(!has_ended || self.is_gone(), "a write that waits for nothing"),
        }
    }

    fn take(&mut self, size: usize) {
        let mut room = vec![0; size];
        let read = self.reader().and_then(|reader| once(reader.read(&mut room)));
        self.note();
        match read {
            Some(Ok(count)) => {
                assert!(count == 0 || !self.at_eof, "nothing comes behind the end");
                self.at_eof |= count == 0;
                self.read.extend(&room[..count]);
            }
            Some(Err(error)) => {
                assert_eq!(Ended::of(&error), self.ended.as_ref());
                self.at_eof = true;
            }
            None => assert!(!self.at_eof || self.is_gone(), "an end that is not told again"),
        }
    }

    /// The error of a write: of the stream's end, or because somebody closes.
    fn check(&self, error: &io::Error) {
        match Ended::of(error) {
            Some(ended) if self.ended.is_some() => assert_eq!(Some(ended), self.ended.as_ref()),
            // It is certain, and what came before it is still to be read.
            Some(ended) => assert!(!ended.is_clean()),
            None => assert_eq!(error.kind(), ErrorKind::NotConnected),
        }
    }

    /// Hears what was told: the ending comes once, and nothing behind it.
    fn note(&mut self) {
        while let Some(event) = self.events.try_next() {
            assert!(self.ended.is_none(), "{event:?} behind the ending");
            if let Event::Ended(ended) = event {
                self.ended = Some(ended);
            }
        }
    }

    fn is_gone(&self) -> bool {
        matches!(self.hold, Hold::Gone)
    }

    /// Whether it wanted to end, with nothing written, before it knew that it was established.
    fn gave_up(&self) -> bool {
        self.ended.as_ref().is_some_and(|ended| ended.ending == Ending::ConnectFinalized)
    }

    fn is_over(&self) -> bool {
        self.ended.is_some() && (self.at_eof || self.is_gone())
    }
}

fn pattern(index: usize) -> u8 {
    (index % 251) as u8
}

fn once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// A client and a server, whose handshakes are before them.
fn stack(
    step: usize,
    room: usize,
    is_cut: &Arc<AtomicBool>,
    deflate: Option<DeflateParams>,
) -> [WsStream; 2] {
    let (near, far) = tokio::io::duplex(room);
    let line = |io| Line { inner: Trickle::new(io, step), is_cut: Arc::clone(is_cut) };
    let [near, far]: [Socket; 2] = tls(line(near), line(far));
    let deadlines =
        Deadlines { lookup: None, connect: None, handshake: None, close: None, idle: None };
    let mut client = ClientOptions::new("ws.example", "/").unwrap();
    client.stream.deadlines = deadlines;
    let mut server = ServerOptions::default();
    if let Some(wanted) = deflate {
        client.offer = client.offer.with_deflate(wanted);
        server.rules.deflate = Some(wanted);
    }
    server.stream.deadlines = deadlines;
    [WsStream::client(near, client), WsStream::server(far, server)]
}

fn act() -> impl Strategy<Value = (bool, Act)> {
    // A carrier of one byte takes rounds for each.
    let size = || prop_oneof![3 => 0..4_usize, 3 => 120..130_usize, 1 => 500..1500_usize];
    let act = prop_oneof![
        8 => size().prop_map(|size| Act::Write(vec![size])),
        4 => vec(size(), 2..4).prop_map(Act::Write),
        // From 4 KiB on the caller's buffer is read into straight.
        10 => prop_oneof![1..9_usize, 1000..6000_usize].prop_map(Act::Read),
        3 => Just(Act::Flush),
        1 => Just(Act::Shutdown),
    ];
    (any::<bool>(), act)
}

/// At most one violent end, anywhere.
fn violence() -> impl Strategy<Value = Option<(usize, bool, Act)>> {
    prop::option::of((0..100_usize, any::<bool>(), prop_oneof![Just(Act::Drop), Just(Act::Cut)]))
}

/// Whether the model allows how `me` ended, given what the other did.
fn allows(me: &End, other: &End, is_cut: bool) -> bool {
    let ended = me.ended.as_ref().unwrap();
    let cause = match &ended.ending {
        Ending::ConnectFailed(failure) => match &**failure {
            ConnectFailure::Ended(ending) => ending,
            ConnectFailure::Lookup { .. } => return false,
        },
        ending => ending,
    };
    let breaks = is_cut || other.gone || other.gave_up();
    match cause {
        Ending::WsClose { code: Some(1000), by, .. } => match by {
            Party::Local => me.asked,
            Party::Peer => other.asked,
        },
        Ending::WsClose { code: Some(1001), by: Party::Peer, .. } => other.gone,
        Ending::Aborted => me.gone,
        Ending::ConnectFinalized => me.asked && me.accepted.is_empty(),
        Ending::SocketClose | Ending::CloseNotify { .. } => breaks,
        Ending::SocketError(error) => {
            breaks && matches!(error.kind, OsErrorKind::ConnectionReset | OsErrorKind::BrokenPipe)
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// B1, B7, B8, B10, K1, C4, C8, E5, X4: what is read is what was written; all of it where the end
    /// is clean; there is one ending, and nothing behind it.
    #[test]
    fn b1_k1_every_life_agrees_with_the_model(
        step in prop_oneof![Just(1_usize), 2..40_usize],
        room in 1..3000_usize,
        in_halves in any::<[bool; 2]>(),
        acts in vec(act(), 0..100),
        // Many polls for one byte: these come between the acts.
        polls in 0..40_usize,
        violence in violence(),
        compresses: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _guard = runtime.enter();
        let is_cut = Arc::new(AtomicBool::new(false));
        let deflate = compresses.then(DeflateParams::default);
        let [client, server] = stack(step, room, &is_cut, deflate);
        let mut ends = [End::new(client, in_halves[0]), End::new(server, in_halves[1])];
        for (index, (which, act)) in acts.iter().enumerate() {
            if let Some((when, whose, act)) = &violence
                && *when == index
            {
                is_cut.store(matches!(act, Act::Cut), Ordering::SeqCst);
                ends[usize::from(*whose)].act(act);
            }
            ends[usize::from(*which)].act(act);
            for _ in 0..polls {
                for end in &mut ends {
                    end.act(&Act::Flush);
                }
            }
        }
        // Both want to end now, and read what there is.
        for round in 0.. {
            prop_assert!(round < 500_000, "it does not come to an end");
            for end in &mut ends {
                end.act(&Act::Shutdown);
                end.act(&Act::Read(5000));
                if end.is_over() {
                    // Its carrier ends with it.
                    end.act(&Act::Write(vec![1]));
                    end.act(&Act::Drop);
                }
            }
            if ends.iter().all(End::is_over) {
                break;
            }
        }
        let [client, server] = &ends;
        let is_cut = is_cut.load(Ordering::SeqCst);
        for (me, other) in [(client, server), (server, client)] {
            let ended = me.ended.as_ref().unwrap();
            prop_assert!(allows(me, other, is_cut), "{ended:?}, asked {} gone {}; the other {:?}", me.asked, me.gone, other.ended);
            prop_assert!(other.accepted.starts_with(&me.read), "nothing is invented or moved");
            if matches!(ended.ending, Ending::WsClose { .. }) {
                prop_assert_eq!(me.read.len(), other.accepted.len(), "all of it came");
            }
            if violence.is_none() && !ended.is_clean() {
                prop_assert!(other.gave_up(), "nothing else can go wrong");
            }
        }
    }
}

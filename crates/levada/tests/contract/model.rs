//! Random lives of both ends against a small model of the contract.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use levada::{Ended, Ending, Event, Events, OsErrorKind, Pipe, Role, Socket};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{Layer, patient, session};

#[derive(Clone, Copy, Debug)]
enum Act {
    Write(usize),
    Read(usize),
    Flush,
    Shutdown,
    Abort,
    Drop,
    /// What is on the way is lost, and the transport ends: the fault of the network.
    Cut,
}

/// What an end knows of itself, and what the model needs to know of it.
struct End {
    socket: Option<Socket>,
    events: Events,
    accepted: Vec<u8>,
    read: Vec<u8>,
    asked: bool,
    gone: bool,
}

impl End {
    fn new(pipe: Pipe, layer: Layer, role: Role) -> Self {
        let mut socket = Socket::adopt(pipe, session(layer, role), patient());
        let events = socket.events();
        let (accepted, read) = Default::default();
        Self { socket: Some(socket), events, accepted, read, asked: false, gone: false }
    }

    fn act(&mut self, act: Act) {
        let Some(socket) = &mut self.socket else { return };
        let ended_before = socket.ended().cloned();
        match act {
            Act::Write(size) => {
                let from = self.accepted.len();
                let bytes: Vec<u8> = (from..from + size).map(|n| (n % 251) as u8).collect();
                match once(socket.write(&bytes)) {
                    Some(Ok(count)) => {
                        assert!(ended_before.is_none(), "reported as done after the ending");
                        self.accepted.extend(&bytes[..count]);
                    }
                    Some(Err(error)) if !self.asked => {
                        assert_eq!(Ended::of(&error), socket.ended(), "{error}");
                    }
                    _ => {}
                }
            }
            Act::Read(size) => {
                let mut room = vec![0; size];
                match once(socket.read(&mut room)) {
                    Some(Ok(count)) => self.read.extend(&room[..count]),
                    Some(Err(error)) => assert_eq!(Ended::of(&error), socket.ended()),
                    None => {}
                }
            }
            Act::Flush => drop(once(socket.flush())),
            Act::Shutdown => {
                self.asked = true;
                drop(once(socket.shutdown()));
            }
            Act::Abort => {
                self.gone |= ended_before.is_none();
                socket.abort();
            }
            Act::Drop => {
                self.gone |= ended_before.is_none();
                self.socket = None;
            }
            Act::Cut => {}
        }
        if let (Some(before), Some(socket)) = (ended_before, &self.socket) {
            assert_eq!(Some(&before), socket.ended(), "there is one ending");
        }
    }

    /// The one ending, which is the last event.
    fn ending(&mut self) -> Ended {
        let told: Vec<_> = std::iter::from_fn(|| self.events.try_next()).collect();
        let ends = told.iter().filter(|event| matches!(event, Event::Ended(_))).count();
        assert_eq!(ends, 1, "{told:?}");
        match told.into_iter().next_back() {
            Some(Event::Ended(ended)) => ended,
            last => panic!("the last event is {last:?}"),
        }
    }
}

fn once<F: Future>(future: F) -> Option<F::Output> {
    let future: Pin<&mut F> = pin!(future);
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Carries bytes between two pipes, until it is cut.
struct Network {
    ends: Option<[Socket; 2]>,
    waiting: [Vec<u8>; 2],
    done: [bool; 2],
}

impl Network {
    fn new(one: Pipe, other: Pipe) -> Self {
        let ends = [one, other].map(|pipe| Socket::adopt(pipe, None, patient()));
        Self { ends: Some(ends), waiting: Default::default(), done: [false; 2] }
    }

    fn carry(&mut self) {
        let Some(ends) = &mut self.ends else { return };
        let mut reset = false;
        for (from, to) in [(0, 1), (1, 0)] {
            let mut room = [0; 500];
            while self.waiting[from].is_empty() && !self.done[from] {
                match once(ends[from].read(&mut room)) {
                    Some(Ok(0)) => {
                        self.done[from] = true;
                        let _ = once(ends[to].shutdown());
                    }
                    Some(Ok(count)) => self.waiting[from].extend(&room[..count]),
                    Some(Err(_)) => {
                        reset = true;
                        break;
                    }
                    None => break,
                }
                let waiting = std::mem::take(&mut self.waiting[from]);
                let taken = once(ends[to].write(&waiting)).map_or(0, |count| count.unwrap_or(0));
                self.waiting[from] = waiting[taken..].to_vec();
            }
            if !self.waiting[from].is_empty() {
                let waiting = std::mem::take(&mut self.waiting[from]);
                let taken = once(ends[to].write(&waiting)).map_or(0, |count| count.unwrap_or(0));
                self.waiting[from] = waiting[taken..].to_vec();
            }
        }
        if reset {
            self.ends = None;
        }
    }

    /// A FIN to both ends, in the midst of whatever it was; where that would be a goodbye, a reset.
    fn cut(&mut self, layer: Layer) {
        if let Some(mut ends) = self.ends.take()
            && layer.is_tls()
        {
            for end in &mut ends {
                let _ = once(end.shutdown());
            }
        }
    }
}

fn act() -> impl Strategy<Value = (bool, Act)> {
    let act = prop_oneof![
        10 => (1..3000_usize).prop_map(Act::Write),
        10 => (1..3000_usize).prop_map(Act::Read),
        2 => Just(Act::Flush),
        1 => Just(Act::Shutdown),
    ];
    (any::<bool>(), act)
}

/// At most one violent end, anywhere.
fn violence() -> impl Strategy<Value = Option<(usize, bool, Act)>> {
    let act = prop_oneof![Just(Act::Abort), Just(Act::Drop), Just(Act::Cut)];
    prop::option::of((0..150_usize, any::<bool>(), act))
}

/// Whether the model allows `ended` for `me`, given what the other did.
fn allows(ended: &Ended, me: &End, other: &End, is_cut: bool) -> bool {
    if me.gone {
        return ended.ending == Ending::Aborted;
    }
    let violent = is_cut || other.gone;
    let cause = crate::table::cause(&ended.ending);
    match cause {
        // Both goodbyes were said, so both were asked for.
        Ending::Finished => me.asked && other.asked,
        Ending::ConnectFinalized => me.asked && me.accepted.is_empty(),
        // The other end gave up before it was established.
        Ending::CloseNotify { .. } => other.asked && ended.code() == "connectFailed",
        Ending::SocketClose => violent || other.asked,
        Ending::SocketError(error) => {
            violent && matches!(error.kind, OsErrorKind::ConnectionReset | OsErrorKind::BrokenPipe)
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_life_agrees_with_the_model(
        layer in prop::sample::select(&Layer::ALL[..]),
        capacity in 1..5000_usize,
        acts in prop::collection::vec(act(), 0..150),
        violence in violence(),
    ) {
        let ((near, there), (back, far)) = (Pipe::pair(capacity), Pipe::pair(capacity));
        let mut network = Network::new(there, back);
        let mut ends = [End::new(near, layer, Role::Client), End::new(far, layer, Role::Server)];
        let mut is_cut = false;
        for (index, (which, act)) in acts.iter().enumerate() {
            if let Some((when, whose, act)) = violence
                && when == index
            {
                if matches!(act, Act::Cut) {
                    is_cut = true;
                    network.cut(layer);
                } else {
                    ends[usize::from(whose)].act(act);
                }
            }
            ends[usize::from(*which)].act(*act);
            network.carry();
        }
        // Both want to end now, and read what there is.
        for round in 0.. {
            // A pipe of one byte takes a round for each byte of a handshake and of all that was written.
            prop_assert!(round < 100_000, "it does not come to an end");
            for end in &mut ends {
                end.act(Act::Shutdown);
                end.act(Act::Read(5000));
            }
            network.carry();
            let over = |end: &End| end.socket.as_ref().is_none_or(|socket| socket.ended().is_some());
            if ends.iter().all(over) {
                break;
            }
        }
        for end in &mut ends {
            for _ in 0..200 {
                end.act(Act::Read(5000));
            }
        }
        let [mut near, mut far] = ends;
        let endings = [near.ending(), far.ending()];
        prop_assert!(allows(&endings[0], &near, &far, is_cut), "client: {:?}", endings[0].ending);
        prop_assert!(allows(&endings[1], &far, &near, is_cut), "server: {:?}", endings[1].ending);
        for (writer, reader, ended) in [(&near, &far, &endings[1]), (&far, &near, &endings[0])] {
            prop_assert!(writer.accepted.starts_with(&reader.read), "nothing is invented or moved");
            if ended.ending == Ending::Finished {
                prop_assert_eq!(writer.accepted.len(), reader.read.len(), "all of it came");
            }
        }
        // Without violence nothing goes wrong, but for giving up before it was established.
        if violence.is_none() && endings.iter().all(|ended| ended.code() != "connectFinalized") {
            let codes = [endings[0].code(), endings[1].code()];
            prop_assert!(codes == ["finished"; 2] || codes.contains(&"connectFailed"), "{codes:?}");
        }
    }
}

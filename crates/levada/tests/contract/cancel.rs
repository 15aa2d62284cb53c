//! Cancel safety: every call may be dropped wherever it waits, and nothing is lost by it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Waker};

use levada::{Ended, Ending, Pipe, Role, Socket};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{Layer, patient, session};

/// A call that is begun, polled this often at most, and then dropped.
#[derive(Clone, Copy, Debug)]
enum Call {
    Write(usize),
    Read(usize),
    Flush,
    Established,
    Closed,
}

/// One end, with what it has still to write and what it has read.
struct End {
    socket: Socket,
    unwritten: Vec<u8>,
    read: Vec<u8>,
    at_eof: bool,
    said: bool,
}

impl End {
    fn new(pipe: Pipe, layer: Layer, role: Role, size: usize) -> Self {
        let socket = Socket::adopt(pipe, session(layer, role), patient());
        let unwritten = (0..size).map(|n| (n % 251) as u8).collect();
        Self { socket, unwritten, read: Vec::new(), at_eof: false, said: false }
    }

    /// Makes a call and drops it after `polls` polls, unless it is answered before.
    fn call(&mut self, call: Call, polls: usize) {
        match call {
            Call::Write(_) if self.unwritten.is_empty() => {}
            Call::Write(size) => {
                let size = size.min(self.unwritten.len());
                let count = try_polls(self.socket.write(&self.unwritten[..size]), polls);
                if let Some(count) = count {
                    self.unwritten.drain(..count.unwrap());
                }
            }
            Call::Read(size) => {
                let mut room = vec![0; size];
                if let Some(count) = try_polls(self.socket.read(&mut room), polls) {
                    let count = count.unwrap();
                    self.at_eof |= count == 0;
                    self.read.extend(&room[..count]);
                }
            }
            Call::Flush => {
                let _ = try_polls(self.socket.flush(), polls).transpose().unwrap();
            }
            Call::Established => {
                let _ = try_polls(self.socket.established(), polls).transpose().unwrap();
            }
            // It would throw away what is not read yet.
            Call::Closed if !self.at_eof => {}
            Call::Closed => {
                let _: Option<Ended> = try_polls(self.socket.closed(), polls);
            }
        }
        if self.unwritten.is_empty() && !self.said {
            self.said = try_polls(self.socket.shutdown(), polls).transpose().unwrap().is_some();
        }
    }

    fn is_done(&self) -> bool {
        self.at_eof && self.said
    }
}

fn try_polls<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future: Pin<&mut F> = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    (0..polls).find_map(|_| match future.as_mut().poll(&mut cx) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    })
}

fn call() -> impl Strategy<Value = (bool, Call, usize)> {
    let call = prop_oneof![
        4 => (1..5000_usize).prop_map(Call::Write),
        4 => (1..5000_usize).prop_map(Call::Read),
        1 => Just(Call::Flush),
        1 => Just(Call::Established),
        1 => Just(Call::Closed),
    ];
    (any::<bool>(), call, 1..3_usize)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn dropping_any_call_at_any_time_loses_nothing(
        layer in prop::sample::select(&Layer::ALL[..]),
        capacity in 1..3000_usize,
        // With nothing to write, a shutdown in the handshake would be a cancel.
        sizes in [1..20_000_usize, 1..20_000_usize],
        calls in prop::collection::vec(call(), 1..200),
    ) {
        let (near, far) = Pipe::pair(capacity);
        let mut ends = [
            End::new(near, layer, Role::Client, sizes[0]),
            End::new(far, layer, Role::Server, sizes[1]),
        ];
        for round in 0.. {
            // A pipe of one byte takes a round for each byte, at worst.
            prop_assert!(round < 100_000, "it does not come to an end");
            for (which, call, polls) in &calls {
                ends[usize::from(*which)].call(*call, *polls);
            }
            // Whatever the calls were, each end gets what it needs.
            for end in &mut ends {
                end.call(Call::Read(3000), 1);
                end.call(Call::Write(3000), 1);
            }
            if ends.iter().all(End::is_done) {
                break;
            }
        }
        for (end, size) in ends.iter_mut().zip([sizes[1], sizes[0]]) {
            prop_assert!(end.read.iter().enumerate().all(|(n, byte)| usize::from(*byte) == n % 251));
            prop_assert_eq!(end.read.len(), size);
            let ended = try_polls(end.socket.closed(), 1).expect("it has ended");
            prop_assert_eq!(ended.ending, Ending::Finished);
        }
    }
}

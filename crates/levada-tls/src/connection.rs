//! rustls' connections without buffers of their own: an idle one keeps its keys and no room for bytes.

use std::ops::Deref;

use levada_core::Role;
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use rustls::{CommonState, Error};

use crate::outgoing::Outgoing;

/// A connection of rustls, of either role.
pub(crate) enum Connection {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// What a connection has made of the bytes that it was shown.
pub(crate) struct Worked {
    /// So many at their front are done with. The others are to be shown again, with more behind them.
    pub(crate) done: usize,
    /// Whether the peer's close_notify was among them.
    pub(crate) result: Result<bool, Error>,
}

/// What one call of rustls has come to.
enum Step {
    /// There is more to do.
    On,
    PeerClosed,
    /// It waits for bytes of the peer, or for ours.
    Waits,
}

impl Connection {
    pub(crate) const fn role(&self) -> Role {
        match self {
            Self::Client(_) => Role::Client,
            Self::Server(_) => Role::Server,
        }
    }

    /// Works on the records in `wire`, in place. What is to be sent goes to `outgoing`, and the data of
    /// each record to `opened`.
    pub(crate) fn work(
        &mut self,
        wire: &mut [u8],
        outgoing: &mut Outgoing,
        opened: &mut impl FnMut(&[u8]),
    ) -> Worked {
        let (mut done, mut peer_has_closed) = (0, false);
        let result = loop {
            let (discard, step) = self.step(&mut wire[done..], outgoing, opened);
            done += discard;
            match step {
                Ok(Step::On) => {}
                Ok(Step::PeerClosed) => peer_has_closed = true,
                Ok(Step::Waits) => break Ok(peer_has_closed),
                Err(error) => break Err(error),
            }
        };
        // Behind an error there may be an alert, which comes before any look at the input.
        while self.wants_write() {
            let _ = self.step(&mut [], outgoing, opened);
        }
        Worked { done, result }
    }

    fn step(
        &mut self,
        wire: &mut [u8],
        outgoing: &mut Outgoing,
        opened: &mut impl FnMut(&[u8]),
    ) -> (usize, Result<Step, Error>) {
        match self {
            Self::Client(client) => step(client.process_tls_records(wire), outgoing, opened),
            Self::Server(server) => step(server.process_tls_records(wire), outgoing, opened),
        }
    }

    /// Seals `plain`, or close_notify where there is none, into `room`: how many bytes that took, or
    /// nothing where it cannot be. `wire` is what has to be shown again of the peer's.
    pub(crate) fn seal(
        &mut self,
        wire: &mut [u8],
        plain: Option<&[u8]>,
        room: &mut [u8],
    ) -> Option<usize> {
        match self {
            Self::Client(client) => seal(client.process_tls_records(wire), plain, room),
            Self::Server(server) => seal(server.process_tls_records(wire), plain, room),
        }
    }
}

impl Deref for Connection {
    type Target = CommonState;

    fn deref(&self) -> &CommonState {
        match self {
            Self::Client(client) => client,
            Self::Server(server) => server,
        }
    }
}

fn step<D>(
    status: UnbufferedStatus<'_, '_, D>,
    outgoing: &mut Outgoing,
    opened: &mut impl FnMut(&[u8]),
) -> (usize, Result<Step, Error>) {
    let step = status.state.map(|state| match state {
        ConnectionState::ReadTraffic(mut traffic) => {
            while let Some(Ok(record)) = traffic.next_record() {
                opened(record.payload);
            }
            Step::On
        }
        ConnectionState::EncodeTlsData(mut data) => {
            if let Err(EncodeError::InsufficientSize(needed)) = data.encode(&mut []) {
                outgoing.append(needed.required_size, |room| data.encode(room).ok());
            }
            Step::On
        }
        ConnectionState::TransmitTlsData(data) => {
            data.done();
            Step::On
        }
        ConnectionState::PeerClosed => Step::PeerClosed,
        // Nobody takes early data.
        _ => Step::Waits,
    });
    (status.discard, step)
}

fn seal<D>(
    status: UnbufferedStatus<'_, '_, D>,
    plain: Option<&[u8]>,
    room: &mut [u8],
) -> Option<usize> {
    let Ok(ConnectionState::WriteTraffic(mut traffic)) = status.state else { return None };
    match plain {
        Some(plain) => traffic.encrypt(plain, room),
        None => traffic.queue_close_notify(room),
    }
    .ok()
}

//! A stream of plaintext, whichever way it goes.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "who waits here waits for real, outside any runtime"
)]

#[cfg(feature = "kernel-tls")]
mod kernel;
mod relayed;

use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use levada_core::{
    Ended, Ending, Endpoint, Facts, Goodbyes, KernelTls, NoKernelTls, Ours, State as Phase,
};
use levada_pool_wire::{ControlKey, Identity, Report};
use rustix::event::PollFlags;
use rustix::net::{SocketAddrAny, getpeername, getsockname};

use self::relayed::Relayed;
use super::Client;
use crate::client::error::PoolError;
use crate::client::request::{self, LocalIdQuestion, Protected, TlsRequest};
use crate::client::waiting::wait;

/// A connection that a pool protects, as a stream of plaintext that blocks.
///
/// Where the kernel has TLS the connection comes back once the handshake is done, and the pool is no longer on
/// the way of its data; elsewhere the pool relays. [`facts`](Self::facts) tells which
/// ([`Facts::kernel_tls`]), and nothing else differs: a read ends with `Ok(0)` behind the peer's close_notify
/// alone, and every other ending is an error with an [`Ended`] inside ([`Ended::of`]), as of the streams of
/// `levada`.
///
/// One thread may read while another writes, by `&Stream`, as with [`std::net::TcpStream`]. Whoever writes to
/// a peer that writes, too, has to do so: neither way is taken in by the other.
///
/// [`finish`](Self::finish) says our goodbye, and reading to the end tells that the peer has had all. Dropped
/// before that, the stream is cut: the peer sees no goodbye, and cannot take that for the end. The drop of a
/// relayed stream waits until the pool has heard of it.
///
/// ```no_run
/// use std::io::{BufRead, BufReader, Write};
/// use std::net::TcpListener;
///
/// use levada_pool::{TlsRequest, blocking};
///
/// let pool = blocking::Client::connect("/run/levada/pool.sock")?;
/// for tcp in TcpListener::bind("127.0.0.1:8443")?.incoming() {
///     let (tcp, pool) = (tcp?, pool.clone());
///     std::thread::spawn(move || -> std::io::Result<()> {
///         let stream = pool.stream(tcp, &TlsRequest::server())?;
///         for line in BufReader::new(&stream).lines() {
///             writeln!(&stream, "{}", line?.to_uppercase())?;
///         }
///         stream.finish()
///     });
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Stream {
    /// Of the plaintext: a Unix socket, or the connection itself.
    socket: OwnedFd,
    session: Session,
    facts: Arc<Facts>,
    /// Held for no wait but for the pool's answer at the end.
    state: Mutex<State>,
}

/// What stands for the session at the pool.
#[derive(Clone, Debug)]
struct Session {
    client: Client,
    control_key: ControlKey,
}

struct State {
    way: Box<dyn Way>,
    goodbyes: Goodbyes,
    /// How it has ended.
    ending: Option<Ending>,
    nonblocking: bool,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

/// How plaintext comes and goes.
trait Way: Send {
    /// Reads data; none is the peer's goodbye.
    fn read(&mut self, socket: BorrowedFd<'_>, room: &mut [u8]) -> Result<usize, Stop>;

    /// Writes data.
    fn write(&mut self, socket: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> Result<usize, Stop>;

    /// Says our goodbye, and returns when it has left, with all before it.
    fn finish(&mut self, socket: BorrowedFd<'_>) -> Result<(), Stop>;

    /// Whether a reader has something to send, too.
    fn has_outgoing(&self) -> bool;

    /// The stream has ended by a failure: tells the peer, if there is something to tell. Where it `may_wait`
    /// it does so for a moment. Gives the ending that it came to be.
    fn fail(&mut self, socket: BorrowedFd<'_>, ending: Ending, may_wait: bool) -> Ending;

    /// The stream is dropped: `report` is what is known here of its end. Where our goodbye is not said, it
    /// `cuts`: the peer must not take our silence for one.
    fn let_go(&mut self, report: &Report, cuts: bool);
}

/// Why a call did not come to its end.
enum Stop {
    /// It has to wait.
    Wait(Lack),
    /// The stream has ended so.
    Ended(Ending),
}

/// What a call has to wait for: the socket to be ready, or where nothing tells, so long.
type Lack = Option<Duration>;

/// The same, for the caller.
enum Unfinished {
    Waits(Lack),
    Fails(io::Error),
}

impl Stream {
    pub(super) fn open(
        client: Client,
        socket: OwnedFd,
        request: &TlsRequest,
        local_id: impl FnMut(&LocalIdQuestion) -> Option<Identity>,
    ) -> Result<Self, PoolError> {
        let endpoint = |address: Option<SocketAddrAny>| {
            address.and_then(|address| address.try_into().ok()).map(Endpoint::Ip)
        };
        let local = endpoint(getsockname(&socket).ok());
        let peer = endpoint(getpeername(&socket).ok().flatten());
        let wanted = cfg!(feature = "kernel-tls") && request.hand_back != Some(false);
        let can = wanted && levada_sys::kernel_tls::is_supported();
        let request = request.clone().hand_back(can);
        let protected = client.start_tls_with(socket, &request, local_id)?;
        let Protected { plain, hand_back, control_key, remote_id, .. } = protected;
        let report = client.report(control_key.clone());
        let tls = Some(Box::new(request::tls_facts(report, &remote_id)?));
        let session = Session { client, control_key };
        let (way, kernel_tls): (Box<dyn Way>, _) = match hand_back {
            #[cfg(feature = "kernel-tls")]
            Some(Ok(state)) => {
                let kernel = kernel::Kernel::new(&state, session.clone())?;
                let rekeys = kernel.rekeys();
                (Box::new(kernel), KernelTls::Armed { rekeys })
            }
            declined => {
                // No kernel here to ask for it, or a pool that does not know it.
                let unsupported = NoKernelTls::Unsupported;
                let why = declined.and_then(Result::err).unwrap_or(unsupported);
                (Box::new(Relayed::new(session.clone())), KernelTls::Declined(why))
            }
        };
        let kernel_tls = wanted.then_some(kernel_tls);
        let state = State {
            way,
            goodbyes: Goodbyes::default(),
            ending: None,
            nonblocking: false,
            read_timeout: None,
            write_timeout: None,
        };
        Ok(Self {
            socket: plain,
            session,
            facts: Arc::new(Facts { local, peer, tls, kernel_tls, ..Facts::default() }),
            state: Mutex::new(state),
        })
    }

    /// What is known about it since the handshake: both addresses of a TCP connection, what TLS agreed on, and
    /// whether the kernel does its records, or why not. Nothing is counted.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The key to the session, for what else a [`Client`] can ask and do.
    pub fn control_key(&self) -> &ControlKey {
        &self.session.control_key
    }

    /// How it has ended, once it has: [`Ending::Finished`] when both goodbyes are said.
    pub fn ended(&self) -> Option<Ended> {
        let ending = self.lock().ending.clone();
        ending.map(|ending| self.ended_by(ending))
    }

    /// Says our goodbye behind all that was written, and returns when it has left. Nothing can be written from
    /// then on, and the peer's data still comes.
    ///
    /// # Errors
    ///
    /// With an [`Ended`] inside, and as a write.
    pub fn finish(&self) -> io::Result<()> {
        self.complete(PollFlags::OUT, |state| {
            if let Some(ending) = &state.ending {
                return self.ended_by(ending.clone()).read_result().map_err(Unfinished::Fails);
            }
            state.goodbyes.ask();
            match state.way.finish(self.as_fd()) {
                Ok(()) => state.ending = state.goodbyes.sent(),
                Err(stop) => return Err(self.stopped(state, stop, Ended::pending_write_error)),
            }
            Ok(())
        })
    }

    /// Has reads, writes and `finish` give `WouldBlock` where they would wait: to be called again when the
    /// [descriptor](AsFd) is ready, `finish` a moment later. What has to be asked of the pool, at the end
    /// of a relayed stream, is still waited for.
    pub fn set_nonblocking(&self, nonblocking: bool) {
        self.lock().nonblocking = nonblocking;
    }

    /// How long a read may wait before it fails with `TimedOut`; `None`, as at first, is for ever. The stream
    /// goes on behind it.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) {
        self.lock().read_timeout = timeout;
    }

    /// The same for a write, and for [`finish`](Self::finish).
    pub fn set_write_timeout(&self, timeout: Option<Duration>) {
        self.lock().write_timeout = timeout;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What ends a session that panics is its drop, whatever it finds.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended_by(&self, ending: Ending) -> Ended {
        Ended { ending, phase: Phase::Established, facts: Arc::clone(&self.facts) }
    }

    fn read_some(&self, room: &mut [u8]) -> io::Result<usize> {
        if room.is_empty() {
            return Ok(0);
        }
        self.complete(PollFlags::IN, |state| {
            if state.goodbyes.theirs() {
                return Ok(0);
            }
            // What came before a failure to write is read first.
            let read = state.way.read(self.as_fd(), room);
            let count =
                read.map_err(|stop| self.stopped(state, stop, |ended| ended.clone().into()))?;
            if count == 0 {
                let ending = state.goodbyes.received(0);
                state.ending = state.ending.take().or(ending);
            }
            Ok(count)
        })
    }

    fn write_some(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.complete(PollFlags::OUT, |state| {
            if let Some(ending) = &state.ending {
                return Err(Unfinished::Fails(self.ended_by(ending.clone()).later_write_error()));
            }
            if state.goodbyes.ours() != Ours::Open {
                return Err(Unfinished::Fails(io::ErrorKind::BrokenPipe.into()));
            }
            let written = state.way.write(self.as_fd(), bufs);
            written.map_err(|stop| self.stopped(state, stop, Ended::pending_write_error))
        })
    }

    /// What became of a call that did not come to its end; `error` tells an ending as such a call does.
    fn stopped(
        &self,
        state: &mut State,
        stop: Stop,
        error: impl FnOnce(&Ended) -> io::Error,
    ) -> Unfinished {
        let ending = match (&state.ending, stop) {
            // The other direction has found the end of both.
            (Some(ending), _) => ending.clone(),
            (None, Stop::Ended(ending)) => {
                let ending = state.way.fail(self.as_fd(), ending, !state.nonblocking);
                state.ending = Some(ending.clone());
                ending
            }
            (None, Stop::Wait(lack)) => return Unfinished::Waits(lack),
        };
        Unfinished::Fails(error(&self.ended_by(ending)))
    }

    /// Makes a call until it comes to its end, and waits in between for what it lacks, without the lock.
    fn complete<T>(
        &self,
        event: PollFlags,
        mut call: impl FnMut(&mut State) -> Result<T, Unfinished>,
    ) -> io::Result<T> {
        let begun = Instant::now();
        loop {
            let mut state = self.lock();
            let lack = match call(&mut state) {
                Ok(done) => return Ok(done),
                Err(Unfinished::Fails(error)) => return Err(error),
                Err(Unfinished::Waits(_)) if state.nonblocking => {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Err(Unfinished::Waits(lack)) => lack,
            };
            let reads = event == PollFlags::IN;
            let timeout = if reads { state.read_timeout } else { state.write_timeout };
            let mut flags = event;
            flags.set(PollFlags::OUT, !reads || state.way.has_outgoing());
            drop(state);
            let left = timeout.map(|timeout| timeout.saturating_sub(begun.elapsed()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            match lack {
                Some(time) => thread::sleep(left.map_or(time, |left| left.min(time))),
                None => drop(wait(&self.socket, flags, left)?),
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let cuts = state.ending.is_none() && state.goodbyes.ours() != Ours::Sent;
        let ending = state.ending.take().or(Some(Ending::Aborted));
        let peer_goodbye = state.goodbyes.theirs();
        state.way.let_go(&Report { peer_goodbye, ending, ..Report::default() }, cuts);
    }
}

impl Read for &Stream {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.read_some(room)
    }
}

impl Write for &Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_some(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_some(bufs)
    }

    /// Does nothing: what was written is the system's already.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.read_some(room)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_some(bufs)
    }

    /// Does nothing: what was written is the system's already.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Stream {
    /// To be watched. Whoever reads or writes it takes bytes, and perhaps records that carry no data, from
    /// under the stream.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("socket", &self.socket)
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}

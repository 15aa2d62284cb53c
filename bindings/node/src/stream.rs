//! One stream, as JavaScript holds it.

use std::sync::Arc;
use std::time::Duration;

use levada::{Address, ClosePolicy, Dialer, Mode, Options, Pipe, Socket};
use napi::bindgen_prelude::{Buffer, ClassInstance};
use napi_derive::napi;
use socket2::{SockRef, TcpKeepalive};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::door::Door;
use crate::pump::{Batch, Life, Order, Pump, Shared, Tls};
use crate::report;
use crate::runtime;
use crate::setup::{Refusal, internal, of_setup, refuse};
use crate::tls::{TlsClient, TlsServer};

/// Bytes that a transport made of JavaScript holds each way.
const PIPE: usize = 256 * 1024;

/// How a stream is to behave, beside what its address says.
#[napi(object, object_to_js = false)]
pub struct StreamOptions {
    /// Whether the peer's goodbye ends both directions.
    pub closes_both: bool,
    /// Milliseconds that a signer of JavaScript's may take.
    pub signer_deadline: Option<f64>,
}

impl StreamOptions {
    fn read(&self) -> Result<Options, Refusal> {
        let mut options = Options::default();
        if self.closes_both {
            options.close = ClosePolicy::Both;
        }
        if let Some(milliseconds) = self.signer_deadline {
            options.signer_deadline = Duration::try_from_secs_f64(milliseconds / 1000.0)
                .map_err(|error| refuse("ERR_LEVADA_OPTION")(&error))?;
        }
        Ok(options)
    }
}

/// A stream. Dropped by JavaScript, or with the thread of Node that had it, it is aborted.
#[napi]
pub struct Stream {
    door: Door,
    shared: Arc<Shared>,
    /// Orders that JavaScript has not let go yet: those of one turn go together.
    staged: Vec<Order>,
    /// Held until JavaScript has taken an accepted stream up.
    unseen: Option<OwnedSemaphorePermit>,
}

impl Stream {
    pub(crate) fn new(door: &Door, stream: impl Into<levada::Stream>) -> Self {
        Self {
            door: door.clone(),
            shared: Shared::new(stream.into()),
            staged: Vec::new(),
            unseen: None,
        }
    }

    pub(crate) fn accepted(
        door: &Door,
        stream: levada::Stream,
        unseen: OwnedSemaphorePermit,
    ) -> Self {
        let mut stream = Self::new(door, stream);
        stream.unseen = Some(unseen);
        stream
    }
}

#[napi]
impl Stream {
    /// A stream to an address, with whatever layers that names.
    ///
    /// # Errors
    ///
    /// What is wrong with the address, or with a file that it names.
    #[napi(factory)]
    pub fn connect(door: &Door, address: String, options: StreamOptions) -> Result<Self, Refusal> {
        let _at_hand = runtime::enter().map_err(internal)?;
        let address = parse(&address)?;
        let dialer = Dialer::new(&address).map_err(|error| of_setup(&error))?;
        let stream = dialer.close_policy(options.read()?.close).dial();
        Ok(Self::new(door, stream.map_err(|error| of_setup(&error))?))
    }

    /// A stream to an address in plain, by the TLS given if there is any.
    ///
    /// # Errors
    ///
    /// What is wrong with the address.
    #[napi(factory)]
    pub fn dial(
        door: &Door,
        address: String,
        tls: Option<ClassInstance<'_, TlsClient>>,
        options: StreamOptions,
    ) -> Result<Self, Refusal> {
        let _at_hand = runtime::enter().map_err(internal)?;
        let to = parse(&address)?
            .for_connecting()
            .map_err(|error| refuse("ERR_LEVADA_ADDRESS")(&error))?;
        let mut options = options.read()?;
        options.deadlines = to.deadlines;
        let socket = match tls {
            Some(tls) => Socket::dial(to.endpoint, session(&tls)?, options),
            None => Socket::dial(to.endpoint, None, options),
        };
        Ok(Self::new(door, socket))
    }

    /// A stream of TLS whose transport is JavaScript's: the second of the two is its far end.
    ///
    /// # Errors
    ///
    /// When the system gives no random bytes.
    #[napi]
    pub fn over(
        door: &Door,
        tls: &TlsClient,
        options: StreamOptions,
    ) -> Result<Vec<Self>, Refusal> {
        let _at_hand = runtime::enter().map_err(internal)?;
        let (near, far) = Pipe::pair(PIPE);
        let near = Socket::adopt(near, session(tls)?, options.read()?);
        let far = Socket::adopt(far, None, Options::default());
        Ok(vec![Self::new(door, near), Self::new(door, far)])
    }

    /// Begins to drive it. `id` is what its notices are marked with; it is told of its life's events
    /// only if it `watches`.
    ///
    /// # Errors
    ///
    /// When there are no threads for it.
    #[napi]
    pub fn begin(&mut self, id: u32, watches: bool) -> Result<(), Refusal> {
        self.unseen = None;
        let events = match &mut *self.shared.life() {
            Life::Live(live) if watches => Some(live.stream.events()),
            _ => None,
        };
        let pump = Pump::new(self.shared.clone(), id, self.door.clone(), events);
        runtime::spawn(pump.run()).map_err(internal)
    }

    /// Has it read so many more chunks.
    #[napi]
    pub fn read(&self, chunks: u32) {
        self.shared.make_room(chunks as usize);
    }

    /// Writes these bytes: at once, as far as the transport takes them, and what is left as an order,
    /// which waits for [`go`](Self::go). `true` where all has left; else a notice tells when it has.
    /// `together` with other orders, nothing is written before those go.
    ///
    /// # Errors
    ///
    /// When there are no threads for streams.
    #[napi]
    pub fn write(&mut self, chunks: Vec<&[u8]>, together: bool) -> Result<bool, Refusal> {
        let _at_hand = runtime::enter().map_err(internal)?;
        let waits = together || !self.staged.is_empty();
        let (written, left) = if waits { (0, false) } else { self.shared.write_now(&chunks) };
        if !left {
            self.staged.push(Order::Write(Batch::behind(written, &chunks)));
        }
        Ok(left)
    }

    /// Orders it to say goodbye.
    #[napi]
    pub fn shutdown(&mut self) {
        self.staged.push(Order::Shutdown);
    }

    /// Orders it to put TLS on, as the client.
    #[napi]
    pub fn start_client_tls(&mut self, tls: &TlsClient) {
        let tls = Tls::Client(tls.tls.clone(), tls.name.clone());
        self.staged.push(Order::StartTls(tls));
    }

    /// Orders it to put TLS on, as the server. JavaScript is asked about a client that speaks none.
    #[napi]
    pub fn start_server_tls(&mut self, tls: &TlsServer) {
        self.staged.push(Order::StartTls(Tls::Server(tls.tls.clone())));
    }

    /// Orders it to take TLS off.
    #[napi]
    pub fn end_tls(&mut self) {
        self.staged.push(Order::EndTls);
    }

    /// Lets the orders go, all at once: nothing is read between them.
    #[napi]
    pub fn go(&mut self) {
        self.shared.order(self.staged.drain(..));
    }

    /// From now on drops what comes.
    #[napi]
    pub fn discard(&self) {
        self.shared.discard();
    }

    /// Ends it at once, if it has not ended: how it ended. There are no more notices of it but those
    /// under way.
    #[napi]
    pub fn abort(&self) -> String {
        self.shared.abort()
    }

    /// What is known about it; nothing once it has ended, since the ending tells.
    #[napi]
    pub fn facts(&self) -> Option<String> {
        self.live(|stream| report::of_facts(&stream.facts()))
    }

    /// Where in its life it is, by name; nothing once it has ended.
    #[napi]
    pub fn state(&self) -> Option<String> {
        self.live(|stream| format!("{:?}", stream.state()))
    }

    /// Whether it is a plain transport, which TLS can be put on.
    #[napi]
    pub fn is_plain(&self) -> bool {
        let is_plain = self.live(|stream| match stream {
            levada::Stream::Socket(socket) => socket.mode() == Mode::Plain,
            levada::Stream::WebSocket(_) => false,
        });
        is_plain == Some(true)
    }

    /// Whether small writes leave at once, on a TCP transport that is up.
    #[napi]
    pub fn set_no_delay(&self, at_once: bool) {
        // As in Node, where the transport knows no such thing nothing happens.
        self.socket(|socket| drop(socket.set_tcp_nodelay(at_once)));
    }

    /// Whether the system asks, on a TCP transport that is up, if the peer is still there: after so many
    /// seconds of silence, or after as many as before.
    #[napi]
    pub fn set_keep_alive(&self, asks: bool, seconds: Option<u32>) {
        self.socket(|socket| {
            let _ = socket.set_keepalive(asks);
            if let Some(seconds) = seconds.filter(|_| asks) {
                let idle = Duration::from_secs(seconds.into());
                let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(idle));
            }
        });
    }

    fn socket(&self, change: impl FnOnce(SockRef<'_>)) {
        self.live(|stream| {
            let socket = match stream {
                levada::Stream::Socket(socket) => socket,
                levada::Stream::WebSocket(stream) => stream.get_ref(),
            };
            if let Some(descriptor) = socket.descriptor() {
                change(SockRef::from(&descriptor));
            }
        });
    }

    fn live<R>(&self, look: impl FnOnce(&levada::Stream) -> R) -> Option<R> {
        match &*self.shared.life() {
            Life::Live(live) => Some(look(&live.stream)),
            Life::Over(_) => None,
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.shared.abort();
    }
}

/// A client that speaks no TLS where TLS is expected: is it let through, in plaintext?
#[napi]
pub struct PlaintextQuestion {
    first: Vec<u8>,
    answer: Option<oneshot::Sender<bool>>,
}

impl PlaintextQuestion {
    pub(crate) fn new(first: Vec<u8>, answer: oneshot::Sender<bool>) -> Self {
        Self { first, answer: Some(answer) }
    }
}

#[napi]
impl PlaintextQuestion {
    /// All that has come of the client; it is given once.
    #[napi]
    pub fn first(&mut self) -> Buffer {
        std::mem::take(&mut self.first).into()
    }

    /// The answer; the first one counts.
    #[napi]
    pub fn answer(&mut self, lets_through: bool) {
        if let Some(answer) = self.answer.take() {
            // The client may have gone meanwhile.
            let _ = answer.send(lets_through);
        }
    }
}

fn parse(address: &str) -> Result<Address, Refusal> {
    address.parse().map_err(|error| refuse("ERR_LEVADA_ADDRESS")(&error))
}

fn session(tls: &TlsClient) -> Result<levada::Session, Refusal> {
    tls.tls.session(&tls.name).map_err(|error| refuse("ERR_LEVADA_TLS")(&error))
}

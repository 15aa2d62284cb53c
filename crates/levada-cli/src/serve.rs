//! `levada serve`: listeners, each with a target, until a signal comes and the streams have ended.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use levada::{Dialer, Endpoint, Listener, SetupError, Socket};
use levada_address::Address;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::exit::{Exit, Stop, fail};
use crate::limits;
use crate::log::{EndedPair, Log, Record};
use crate::pair::{self, Outcome};
use crate::plan::{Bridge, ServePlan, Service};
use crate::signals::Signals;
use crate::welcome::Welcome;

/// A listener whose queue gives nothing for this long has none left: the runtime asks the system for
/// news before a timer fires.
const QUEUE_IS_EMPTY: Duration = Duration::from_millis(10);

/// The most that is taken in from one listener's queue after the signal, for clients that never stop
/// to come.
const LAST_CLIENTS: usize = 4096;

/// How long streams that are cut may take to notice.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// Serves until a signal comes, or every listener has ended.
///
/// # Errors
///
/// When it cannot start.
pub(crate) async fn run(plan: ServePlan) -> Result<Exit, Stop> {
    let open_files = limits::raise_open_files();
    let signals = Signals::listen().map_err(|error| fail(format!("signals: {error}")))?;
    let (bridges, welcome) = match plan.service {
        Service::Bridges(bridges) => (bridges, None),
        Service::Development(bridge) => {
            let (bridge, welcome) = Welcome::prepare(bridge)?;
            (vec![bridge], Some(welcome))
        }
    };
    let mut doors = Vec::new();
    for bridge in &bridges {
        let door = Door::open(bridge, plan.max_handshakes).await;
        doors.push(door.map_err(|error| match &welcome {
            Some(welcome) => welcome.cannot_listen(&error),
            None => error.stop(),
        })?);
    }
    let (log, writer) = Log::start(plan.format).map_err(|error| fail(format!("log: {error}")))?;
    let connections = plan.max_connections;
    let connections = connections.unwrap_or_else(|| limits::default_connections(open_files));
    let house = House::new(log, connections);
    for door in &doors {
        house.log.tell(&Record::Listening { on: &door.way.on, to: &door.way.to });
    }
    if let Some(welcome) = welcome {
        welcome.print();
    }
    let exit = serve(&house, doors, signals, plan.drain.duration()).await;
    drop(house);
    writer.finish();
    Ok(exit)
}

async fn serve(
    house: &Arc<House>,
    doors: Vec<Door>,
    mut signals: Signals,
    drain: Option<Duration>,
) -> Exit {
    let (closing, closed) = watch::channel(false);
    let mut accepting = JoinSet::new();
    for door in doors {
        accepting.spawn(accept(Arc::clone(house), door, closed.clone()));
    }
    let mut broken = false;
    let signal = loop {
        let is_open = !accepting.is_empty();
        tokio::select! {
            signal = signals.next() => break Some(signal),
            Some(result) = accepting.join_next(), if is_open => {
                broken |= !matches!(result, Ok(true));
            }
            // Nobody can come any more, and everybody has gone.
            () = house.empty(), if !is_open => break None,
        }
    };
    if let Some(signal) = signal {
        // Each loop has its own receiver: it lives as long as the loop.
        let _ = closing.send(true);
        let deadline_ms = drain.map(|time| time.as_millis() as u64);
        house.log.tell(&Record::Draining { signal, streams: house.streams(), deadline_ms });
    }

    let mut drained = Box::pin(async {
        while accepting.join_next().await.is_some() {}
        house.empty().await;
    });
    let in_time = tokio::select! {
        () = &mut drained => true,
        () = deadline(drain) => false,
        _ = signals.next() => false,
    };
    if !in_time {
        house.cut();
        let _ = timeout(LAST_MOMENT, drained).await;
    }
    let cut = house.was_cut.load(Ordering::Relaxed);
    house.log.tell(&Record::Stopped { cut });
    if broken || cut > 0 { Exit::EndedBadly } else { Exit::Clean }
}

async fn deadline(time: Option<Duration>) {
    match time {
        Some(time) => sleep(time).await,
        None => std::future::pending().await,
    }
}

/// What all streams share.
#[derive(Debug)]
struct House {
    log: Log,
    connections: Arc<Semaphore>,
    limit: u32,
    full_is_told: AtomicBool,
    streams_so_far: AtomicU64,
    streams_ended: AtomicU64,
    cutting: watch::Sender<bool>,
    was_cut: AtomicU64,
}

impl House {
    fn new(log: Log, connections: usize) -> Arc<Self> {
        let limit = u32::try_from(connections).unwrap_or(u32::MAX);
        Arc::new(Self {
            log,
            connections: Arc::new(Semaphore::new(limit as usize)),
            limit,
            full_is_told: AtomicBool::new(false),
            streams_so_far: AtomicU64::new(0),
            streams_ended: AtomicU64::new(0),
            cutting: watch::channel(false).0,
            was_cut: AtomicU64::new(0),
        })
    }

    /// Waits until there is room for one more stream, and tells if there is none.
    async fn has_room(&self) {
        if self.connections.available_permits() > 0 {
            self.full_is_told.store(false, Ordering::Relaxed);
            return;
        }
        if !self.full_is_told.swap(true, Ordering::Relaxed) {
            self.log.tell(&Record::Full { connections: self.limit as usize });
        }
        drop(self.connections.acquire().await);
    }

    /// Takes room for one stream; `None` once the streams are cut.
    async fn room(&self) -> Option<OwnedSemaphorePermit> {
        let room = Arc::clone(&self.connections).acquire_owned();
        tokio::select! {
            // It fails on a closed semaphore, which this one never is.
            room = room => room.ok(),
            () = self.is_cut() => None,
        }
    }

    /// How many streams there are now.
    fn streams(&self) -> u64 {
        let ended = self.streams_ended.load(Ordering::Relaxed);
        self.streams_so_far.load(Ordering::Relaxed).saturating_sub(ended)
    }

    /// Waits until there is no stream.
    async fn empty(&self) {
        // It fails on a closed semaphore, which this one never is.
        let _ = self.connections.acquire_many(self.limit).await;
    }

    fn cut(&self) {
        self.cutting.send_replace(true);
    }

    /// Resolves once the streams are cut.
    async fn is_cut(&self) {
        // It fails only once the sender is gone, which is ours.
        let _ = self.cutting.subscribe().wait_for(|cut| *cut).await;
    }
}

/// A listener, and the way from there. Nobody else holds the listener: with its loop it is closed,
/// though streams are still on their way.
#[derive(Debug)]
struct Door {
    listener: Listener,
    way: Arc<Way>,
}

/// What a stream needs to know once it is accepted.
#[derive(Debug)]
struct Way {
    dialer: Dialer,
    /// Where it begins, and where it leads, as the log shows them.
    on: String,
    to: String,
}

impl Door {
    async fn open(bridge: &Bridge, max_handshakes: usize) -> Result<Self, CannotOpen> {
        let dialer = Dialer::new(&bridge.to).map_err(|error| CannotOpen { flag: "--to", error })?;
        let listener = levada::listen(&bridge.listen).await;
        let listener = listener.map_err(|error| CannotOpen { flag: "--listen", error })?;
        let on = shown(&bridge.listen, listener.local().as_ref());
        let to = shown(&bridge.to, None);
        let listener = listener.limit_handshakes(max_handshakes);
        Ok(Self { listener, way: Arc::new(Way { dialer, on, to }) })
    }

    /// Standard input and output come once.
    fn opens_once(&self) -> bool {
        self.listener.local() == Some(Endpoint::Stdio)
    }
}

/// An address without its options, with the port that the system chose.
fn shown(address: &Address, local: Option<&Endpoint>) -> String {
    if let Some(Endpoint::Ip(local)) = local {
        return format!("{}://{local}", address.scheme());
    }
    let mut text = address.to_string();
    text.truncate(text.find('?').unwrap_or(text.len()));
    text
}

/// Why a bridge cannot be opened.
#[derive(Debug)]
pub(crate) struct CannotOpen {
    flag: &'static str,
    pub(crate) error: SetupError,
}

impl CannotOpen {
    pub(crate) fn stop(&self) -> Stop {
        let Self { flag, error } = self;
        let hint = match error {
            SetupError::Listen { error, .. } => match error.kind() {
                io::ErrorKind::AddrInUse => {
                    "\n    something else listens there: stop it (`ss -ltnp` shows it), or choose \
                     another address"
                }
                io::ErrorKind::AddrNotAvailable => "\n    that is no address of this machine",
                io::ErrorKind::PermissionDenied => {
                    "\n    this user may not listen there: ports below 1024 are root's, or take \
                     CAP_NET_BIND_SERVICE"
                }
                _ => "",
            },
            _ => "",
        };
        fail(format!("{flag}: {error}{hint}"))
    }
}

/// Accepts until it is told to close, and then what has already come; whether the listener is sound.
async fn accept(house: Arc<House>, door: Door, mut closing: watch::Receiver<bool>) -> bool {
    loop {
        // No room is taken before somebody comes: other listeners may need it first.
        let next = async {
            house.has_room().await;
            door.listener.accept().await
        };
        let accepted = tokio::select! {
            accepted = next => accepted,
            // An error says that nobody can close it any more: the process ends.
            _ = closing.wait_for(|closing| *closing) => break,
        };
        match accepted {
            Ok(client) => admit(&house, &door.way, client).await,
            Err(error) => {
                let error = error.to_string();
                house.log.tell(&Record::ListenerBroken { on: &door.way.on, error: &error });
                return false;
            }
        }
        if door.opens_once() {
            return true;
        }
    }
    // Who has come before the signal is served, though nobody had opened yet.
    for _ in 0..LAST_CLIENTS {
        match timeout(QUEUE_IS_EMPTY, door.listener.accept()).await {
            Ok(Ok(client)) => admit(&house, &door.way, client).await,
            _ => break,
        }
    }
    true
}

/// Gives a client a task of its own once there is room, which it holds until both its streams have
/// ended.
async fn admit(house: &Arc<House>, way: &Arc<Way>, client: Socket) {
    let stream = house.streams_so_far.fetch_add(1, Ordering::Relaxed) + 1;
    let Some(room) = house.room().await else {
        return serve_one(house, way, client, stream).await;
    };
    let (house, way) = (Arc::clone(house), Arc::clone(way));
    tokio::spawn(async move {
        serve_one(&house, &way, client, stream).await;
        // The house before the room: who waits for an empty house goes on to finish its log.
        drop((house, way));
        drop(room);
    });
}

/// Serves one client to both endings, and tells them.
async fn serve_one(house: &House, way: &Way, client: Socket, stream: u64) {
    let Outcome { cut, client, target } = pair::bridge(client, &way.dialer, house.is_cut()).await;
    if cut {
        house.was_cut.fetch_add(1, Ordering::Relaxed);
    }
    house.streams_ended.fetch_add(1, Ordering::Relaxed);
    house.log.tell(&Record::Ended(EndedPair {
        stream,
        on: &way.on,
        to: &way.to,
        cut,
        client: &client,
        target: target.as_ref(),
    }));
}

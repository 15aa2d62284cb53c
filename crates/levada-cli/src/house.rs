//! What all streams of `levada serve` share: the log, the room there is for them, and their numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use levada::Stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::log::{EndedPair, Log, Record};
use crate::pair::{self, Outcome};
use crate::routes::{Choice, Routes};

/// What all streams share.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) log: Log,
    connections: Arc<Semaphore>,
    limit: u32,
    full_is_told: AtomicBool,
    streams_so_far: AtomicU64,
    streams_ended: AtomicU64,
    cutting: watch::Sender<bool>,
    was_cut: AtomicU64,
}

impl House {
    pub(crate) fn new(log: Log, connections: usize) -> Arc<Self> {
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
    pub(crate) async fn has_room(&self) {
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
    pub(crate) fn streams(&self) -> u64 {
        let ended = self.streams_ended.load(Ordering::Relaxed);
        self.streams_so_far.load(Ordering::Relaxed).saturating_sub(ended)
    }

    /// Waits until there is no stream.
    pub(crate) async fn empty(&self) {
        // It fails on a closed semaphore, which this one never is.
        let _ = self.connections.acquire_many(self.limit).await;
    }

    /// Aborts all streams there are, and all that come.
    pub(crate) fn cut(&self) {
        self.cutting.send_replace(true);
    }

    /// How many streams were cut.
    pub(crate) fn was_cut(&self) -> u64 {
        self.was_cut.load(Ordering::Relaxed)
    }

    /// Resolves once the streams are cut.
    async fn is_cut(&self) {
        // It fails only once the sender is gone, which is ours.
        let _ = self.cutting.subscribe().wait_for(|cut| *cut).await;
    }

    /// Gives a client a task of its own once there is room, which it holds until both its streams have
    /// ended.
    pub(crate) async fn admit(self: &Arc<Self>, routes: &Arc<Routes>, mut client: Box<Stream>) {
        let stream = self.streams_so_far.fetch_add(1, Ordering::Relaxed) + 1;
        let choice = Choice::of(routes, &mut client);
        let Some(room) = self.room().await else {
            return self.serve(&choice, client, stream).await;
        };
        let house = Arc::clone(self);
        tokio::spawn(async move {
            house.serve(&choice, client, stream).await;
            // The house before the room: who waits for an empty house goes on to finish its log.
            drop((house, choice));
            drop(room);
        });
    }

    /// Serves one client to both endings, and tells them.
    async fn serve(&self, choice: &Choice, client: Box<Stream>, stream: u64) {
        let Outcome { cut, client, page, target } =
            pair::bridge(client, choice, || self.is_cut()).await;
        if cut {
            self.was_cut.fetch_add(1, Ordering::Relaxed);
        }
        self.streams_ended.fetch_add(1, Ordering::Relaxed);
        if let Some(path) = page {
            let (on, peer) = (choice.on(), client.facts.peer.as_ref());
            return self.log.tell(&Record::Page { stream, path: &path, on, peer });
        }
        self.log.tell(&Record::Ended(EndedPair {
            stream,
            on: choice.on(),
            to: choice.way().map(|way| &*way.to),
            cut,
            client: &client,
            target: target.as_ref(),
        }));
    }
}

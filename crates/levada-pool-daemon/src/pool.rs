//! The pool: accepts clients, reloads its policy, stops in order.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::choices::Choices;
use crate::control::Control;
use crate::notice::{Log, Notice};
use crate::ownership::ClientId;
use crate::policy::{InForce, Policy, PolicyError, PolicySource};
use crate::registry::Registry;
use crate::service::Service;
use crate::starttls::HANDSHAKE;

/// How long to wait when the system gives no descriptor for another client.
const BREATH: Duration = Duration::from_millis(100);

/// Descriptors that are nobody's session and nobody's connection: standard streams, the socket, the
/// runtime's own, files of the policy that are read.
const RESERVE: usize = 64;

/// Descriptors of a control connection: its own, and the one that came with half a packet.
const PER_CLIENT: usize = 2;

/// Descriptors of a session: the network's and the plain side's.
const PER_SESSION: usize = 2;

/// How much a pool takes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolLimits {
    /// Control connections at once; more are turned away. 1024 by default.
    pub clients: usize,
    /// Exchanges at once on one control connection, those that wait for its answer among them; more
    /// are refused. 64 by default.
    pub exchanges: usize,
    /// Sessions at once, handshakes among them; more are refused. 16384 by default, each of which
    /// takes two descriptors.
    pub sessions: usize,
    /// How long a handshake may take that states no time, the application's answers included. 40 s by
    /// default.
    pub handshake: Duration,
    /// How long an application may take to answer one question. 30 s by default.
    pub answer: Duration,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self {
            clients: 1024,
            exchanges: 64,
            sessions: 16384,
            handshake: HANDSHAKE,
            answer: Duration::from_secs(30),
        }
    }
}

impl PoolLimits {
    /// The default, or what `open_files` descriptors are good for where that is less. A quarter of
    /// them is for control connections, so that whoever comes can be told that there is no room.
    #[must_use]
    pub fn within(open_files: u64) -> Self {
        let all = Self::default();
        let room = usize::try_from(open_files).unwrap_or(usize::MAX).saturating_sub(RESERVE);
        let clients = (room / 4 / PER_CLIENT).clamp(1, all.clients);
        let sessions = room.saturating_sub(clients * PER_CLIENT) / PER_SESSION;
        Self { clients, sessions: sessions.clamp(1, all.sessions), ..all }
    }
}

/// A TLS pool. Cheap to clone; clones are the same pool.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

/// What all tasks of a pool have in common.
pub(crate) struct Shared {
    pub(crate) limits: PoolLimits,
    pub(crate) policy: InForce,
    pub(crate) registry: Arc<Registry>,
    /// The user that the pool runs as.
    pub(crate) uid: u32,
    /// Who enters PINs.
    pub(crate) pins: Service,
    /// Who chooses local identities, and which choices are to be remembered.
    pub(crate) chooser: Service,
    pub(crate) choices: Choices,
    sessions: Arc<Semaphore>,
    draining: AtomicBool,
    clients: AtomicU64,
    log: Log,
}

impl Shared {
    pub(crate) fn tell(&self, notice: &Notice) {
        (self.log)(notice);
    }

    pub(crate) fn session_permit(&self) -> Option<OwnedSemaphorePermit> {
        self.sessions.clone().try_acquire_owned().ok()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

impl Pool {
    /// A pool with this policy, which tells `log` what happens. What is chosen to be remembered goes to
    /// `choices`: those that the policy [names](Policy::choices).
    pub fn new(policy: Policy, choices: Choices, limits: PoolLimits, log: Log) -> Self {
        let sessions = limits.sessions.min(Semaphore::MAX_PERMITS);
        let pins = Service::default();
        policy.pins().connect(&pins);
        Self {
            shared: Arc::new(Shared {
                limits: PoolLimits { sessions, ..limits },
                policy: InForce::new(policy),
                registry: Arc::default(),
                uid: rustix::process::geteuid().as_raw(),
                pins,
                chooser: Service::default(),
                choices,
                sessions: Arc::new(Semaphore::new(sessions)),
                draining: AtomicBool::new(false),
                clients: AtomicU64::new(0),
                log,
            }),
        }
    }

    /// Puts another policy in force. Sessions and handshakes go on with the one that they began with.
    pub fn reload(&self, policy: Policy) {
        let identities = policy.identities();
        policy.pins().connect(&self.shared.pins);
        let (named, kept) = (policy.choices(), self.shared.choices.path());
        if let Some(path) = named.or(kept).filter(|_| named != kept) {
            let what = "the file of the choices changes when the pool begins anew".to_owned();
            self.shared.tell(&Notice::Choices { path: path.to_path_buf(), what });
        }
        self.shared.policy.replace(policy);
        self.shared.tell(&Notice::Reloaded { identities });
    }

    /// Reads the policy again, and puts it in force if its content has changed. A policy that cannot
    /// be read changes nothing, and is told to the log.
    pub async fn reload_from(&self, source: &PolicySource) {
        if let Err(why) = self.look_at(source).await {
            self.shared.tell(&Notice::ReloadFailed { why });
        }
    }

    /// Reads the policy again every `period`, and puts it in force whenever its content has changed.
    /// What cannot be read is told once, and changes nothing.
    pub async fn watch(&self, source: &PolicySource, period: Duration) {
        let mut told = None;
        loop {
            sleep(period).await;
            let wrong = self.look_at(source).await.err();
            if let Some(why) = wrong.clone().filter(|_| wrong != told) {
                self.shared.tell(&Notice::ReloadFailed { why });
            }
            told = wrong;
        }
    }

    /// Reads the policy, and puts it in force if its content has changed; why it could not, in words.
    async fn look_at(&self, source: &PolicySource) -> Result<(), String> {
        let source = source.clone();
        let known = self.shared.policy.now().digest();
        let load = move || {
            let policy = source.read()?;
            if policy.digest() == known { Ok(None) } else { source.try_out(policy).map(Some) }
        };
        // Files may lie on a disk that is slow, or gone, and tokens may hang: sessions do not wait.
        let loaded = tokio::task::spawn_blocking(load).await.map_err(|error| error.to_string())?;
        if let Some(policy) = loaded.map_err(|error: PolicyError| error.to_string())? {
            self.reload(policy);
        }
        Ok(())
    }

    /// How many sessions there are, handshakes among them.
    pub fn sessions(&self) -> usize {
        self.shared.limits.sessions - self.shared.sessions.available_permits()
    }

    /// Serves the clients of `listener` until `stop` is ready. Then it accepts no client and begins
    /// no session any more, waits up to `drain` for those that there are, and cuts the rest.
    ///
    /// Dropping the future ends the control connections with all that has no flag to outlive them.
    pub async fn serve(
        &self,
        listener: UnixListener,
        stop: impl Future<Output = ()>,
        drain: Option<Duration>,
    ) {
        self.shared.choices.notices().iter().for_each(|notice| self.shared.tell(notice));
        let mut clients = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.accept(stream, &mut clients),
                    Err(error) => {
                        self.shared.tell(&Notice::AcceptFailed { error: error.to_string() });
                        sleep(BREATH).await;
                    }
                },
                Some(_) = clients.join_next() => {}
            }
        }
        drop(listener);
        self.shared.draining.store(true, Ordering::Relaxed);
        self.shared.tell(&Notice::Draining);
        let limit = async {
            match drain {
                Some(drain) => sleep(drain).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.ended() => {}
            () = limit => {}
        }
        let cut = self.sessions();
        // Handshakes end with their control connections.
        clients.shutdown().await;
        self.shared.registry.cut_all();
        self.ended().await;
        self.shared.tell(&Notice::Stopped { cut });
    }

    fn accept(&self, stream: UnixStream, clients: &mut JoinSet<()>) {
        if clients.len() >= self.shared.limits.clients {
            self.shared.tell(&Notice::Full { clients: self.shared.limits.clients });
            return;
        }
        let client = ClientId(self.shared.clients.fetch_add(1, Ordering::Relaxed) + 1);
        let shared = self.shared.clone();
        clients.spawn(async move {
            if let Err(error) = Control::serve(shared.clone(), stream, client).await {
                shared.tell(&Notice::AcceptFailed { error: error.to_string() });
            }
        });
    }

    /// Waits until there is no session.
    async fn ended(&self) {
        let all = u32::try_from(self.shared.limits.sessions).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        let _ = self.shared.sessions.acquire_many(all).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_fit_into_the_descriptors_that_there_are() {
        assert_eq!(PoolLimits::within(u64::MAX), PoolLimits::default());
        let least = PoolLimits::within(0);
        assert_eq!((least.clients, least.sessions), (1, 1));
        for open_files in [256, 1024, 4096, 65_536] {
            let limits = PoolLimits::within(open_files);
            let used = limits.clients * PER_CLIENT + limits.sessions * PER_SESSION + RESERVE;
            assert!(used as u64 <= open_files, "{open_files}: {limits:?}");
        }
    }
}

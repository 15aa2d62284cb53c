//! A pool that runs in a thread of its own, with a runtime of its own.

use std::cell::Cell;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use levada_pool_daemon::{Choices, Log, Notice, PolicySource, Pool, PoolLimits};
use tokio::sync::oneshot;

use super::{Client, Folder, PATIENCE, Pki, Spec};

thread_local! {
    /// How long the next pool of this test waits for its sessions when it stops.
    static DRAIN: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// A running pool. It stops when this is dropped.
pub(crate) struct Daemon {
    pub(crate) pool: Pool,
    pub(crate) folder: Folder,
    pub(crate) pki: Pki,
    pub(crate) notices: Arc<Notices>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the pool has told its log.
#[derive(Default)]
pub(crate) struct Notices {
    told: Mutex<Vec<Notice>>,
    more: Condvar,
}

impl Notices {
    /// Waits for a notice that `wanted` takes.
    #[track_caller]
    pub(crate) fn wait<T>(&self, wanted: impl Fn(&Notice) -> Option<T>) -> T {
        let told = self.told.lock().unwrap();
        let found = |told: &Vec<Notice>| told.iter().find_map(&wanted);
        let (told, _) =
            self.more.wait_timeout_while(told, PATIENCE, |told| found(told).is_none()).unwrap();
        let lines: Vec<_> = told.iter().map(ToString::to_string).collect();
        found(&told).unwrap_or_else(|| panic!("no such notice among {lines:#?}"))
    }

    /// What was told of the connection that was the last not to be protected: it is told before the client
    /// is.
    pub(crate) fn last_failure(&self) -> String {
        let told = self.told.lock().unwrap();
        let failed = |notice: &&Notice| matches!(notice, Notice::Failed { .. });
        told.iter().rev().find(failed).map(ToString::to_string).unwrap_or_default()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.told.lock().unwrap().iter().map(ToString::to_string).collect()
    }
}

impl Daemon {
    /// A pool with the identity `pool.example`, whose authority is trusted for servers and clients.
    pub(crate) fn start() -> Self {
        Self::with("", PoolLimits::default())
    }

    /// The same, with `more` behind its policy.
    pub(crate) fn with(more: &str, limits: PoolLimits) -> Self {
        Self::with_keys("", more, limits)
    }

    /// The same, with `keys` of the whole policy in front of it.
    pub(crate) fn with_keys(keys: &str, more: &str, limits: PoolLimits) -> Self {
        let (folder, pki) = (Folder::new(), Pki::new());
        folder.write("ca.pem", &pki.ca);
        folder.write("pool.pem", &pki.host("pool.example"));
        let spec = Spec { mailboxes: &["user@pool.example"], ..Spec::default() };
        folder.write("user.pem", &pki.identity(spec));
        let policy = folder.write(
            "pool.toml",
            &format!(
                "{keys}anchors = \"ca.pem\"\nclient-anchors = \"ca.pem\"\n\
                 [[identity]]\nname = \"pool.example\"\ncert = \"pool.pem\"\n\
                 [[identity]]\nname = \"user@pool.example\"\ncert = \"user.pem\"\n{more}"
            ),
        );
        Self::run(folder, pki, &PolicySource::new(policy), limits)
    }

    pub(crate) fn run(folder: Folder, pki: Pki, source: &PolicySource, limits: PoolLimits) -> Self {
        let policy = source.load().unwrap_or_else(|error| panic!("{error}"));
        let notices = Arc::new(Notices::default());
        let heard = notices.clone();
        let log: Log = Arc::new(move |notice| {
            heard.told.lock().unwrap().push(notice.clone());
            heard.more.notify_all();
        });
        let choices = policy.choices().map(|path| Choices::open(path).unwrap());
        let pool = Pool::new(policy, choices.unwrap_or_default(), limits, log);
        let drain = DRAIN.get();
        let (stop, stopped) = oneshot::channel();
        let (served, path) = (pool.clone(), folder.path().join("socket"));
        let listener = std::os::unix::net::UnixListener::bind(path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::UnixListener::from_std(listener).unwrap();
                let stop = async { drop(stopped.await) };
                served.serve(listener, stop, Some(drain)).await;
            });
        });
        Self { pool, folder, pki, notices, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(UnixStream::connect(self.socket()).unwrap())
    }

    /// The same as [`Daemon::start`], and patient with its sessions when it stops.
    pub(crate) fn draining(drain: Duration) -> Self {
        DRAIN.set(drain);
        let daemon = Self::start();
        DRAIN.set(Duration::ZERO);
        daemon
    }

    /// Has it read its policy again.
    pub(crate) fn reload(&self, source: &PolicySource) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.pool.reload_from(source));
    }

    /// Has it stop, without waiting for it.
    pub(crate) fn begin_stop(&mut self) {
        drop(self.stop.take());
    }

    /// Has it stop, and waits until it has.
    pub(crate) fn stop(&mut self) {
        self.begin_stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the pool's thread has panicked");
        }
    }
}

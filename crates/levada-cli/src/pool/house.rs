//! `levada pool` itself: opened, hardened, served, until a signal comes or its command ends.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use levada_pool_daemon::{Pool, PoolLimits};
use levada_sys::harden::hide_memory;
use levada_sys::service::{Tidings, notify};
use tokio::sync::oneshot;

use crate::dev_ca::Localhost;
use crate::exit::{Exit, Stop, fail, say};
use crate::limits;
use crate::log::{Log, Record};
use crate::pool::PoolArgs;
use crate::pool::place::{Estate, Place};
use crate::pool::sandbox;
use crate::quote::quote;
use crate::signals::{Reloads, Signals};

/// How often the policy's files are looked at. A certificate is renewed days before it expires.
const LOOK: Duration = Duration::from_secs(10);

/// Is a pool, until a signal comes or `command` ends.
///
/// # Errors
///
/// When it cannot start.
pub(crate) fn run(args: &PoolArgs, command: Option<Vec<OsString>>) -> Result<Exit, Stop> {
    let open_files = limits::raise_open_files();
    let Estate { source, policy, choices, development } = Estate::read(args.config.as_deref())?;
    let place = match (&command, &args.socket) {
        (Some(_), None) => Place::open(Some(&own_socket()))?,
        (_, socket) => Place::open(socket.as_deref())?,
    };
    // Begun before rights go: a hardened process begins no other. It waits at the socket.
    let child = command.map(|words| begin(&words, &place)).transpose()?;
    hide_memory().map_err(|error| fail(format!("cannot hide the memory: {error}")))?;
    let got = sandbox::enter(&place, source.path(), args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| fail(format!("the system gives no threads: {error}")))?;
    let (log, writer) = Log::start(args.format).map_err(|error| fail(format!("log: {error}")))?;
    let told = log.clone();
    let pool = Pool::new(
        policy,
        choices,
        PoolLimits::within(open_files),
        Arc::new(move |notice| {
            let message = notice.to_string();
            told.tell(&Record::Pool { message: &message, warning: notice.is_warning() });
        }),
    );
    let with_command = child.is_some();
    let status = runtime.block_on(async {
        let mut signals = Signals::listen().map_err(|error| fail(format!("signals: {error}")))?;
        let mut reloads = Reloads::listen().map_err(|error| fail(format!("signals: {error}")))?;
        // Whoever reads this may send a signal.
        log.tell(&Record::PoolListening { at: &place.path.to_string_lossy() });
        for (right, state) in &got {
            log.tell(&Record::Hardened { right, state });
        }
        let listening = place.listener.set_nonblocking(true).and_then(|()| {
            let listener = place.listener.try_clone()?;
            tokio::net::UnixListener::from_std(listener)
        });
        let listener = listening.map_err(|error| fail(format!("the socket: {error}")))?;
        if !with_command {
            greet(&place.path, development.as_ref());
        }
        if let Err(error) = notify(Tidings::Ready) {
            say(&format!("levada: the service manager cannot be told: {error}"));
        }
        let (ended, end) = oneshot::channel();
        if let Some(child) = child {
            std::thread::spawn(move || ended.send(wait(child)));
        }
        let mut status = None;
        let stop = async {
            let mut watched = std::pin::pin!(pool.watch(&source, LOOK));
            let mut end = std::pin::pin!(end);
            loop {
                tokio::select! {
                    _ = signals.next() => break,
                    // Without a command nobody ever says so.
                    Ok(ended) = &mut end, if with_command => {
                        status = Some(ended);
                        break;
                    }
                    () = reloads.next() => pool.reload_from(&source).await,
                    // It goes on for ever.
                    () = &mut watched => {}
                }
            }
            // Nobody to tell where there is none.
            let _ = notify(Tidings::Stopping);
        };
        let drain = if with_command { Some(Duration::ZERO) } else { args.drain.duration() };
        pool.serve(listener, stop, drain).await;
        Ok::<_, Stop>(status)
    });
    if place.ours {
        // Somebody may have removed it already.
        let _ = fs::remove_file(&place.path);
    }
    if with_command {
        let _ = fs::remove_file(config_beside(&place.path));
    }
    runtime.shutdown_background();
    drop((pool, log));
    writer.finish();
    match status? {
        Some(status) if !status.success() => Ok(Exit::Command(code_of(status))),
        _ => Ok(Exit::Clean),
    }
}

/// A socket that no other pool has.
fn own_socket() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let folder = runtime.filter(|path| path.is_absolute()).unwrap_or_else(std::env::temp_dir);
    folder.join(format!("levada-pool-{}.sock", std::process::id()))
}

/// Begins the command, with what tells it and the clients of the original where the pool is.
fn begin(words: &[OsString], place: &Place) -> Result<Child, Stop> {
    let Some((program, words)) = words.split_first() else { return Err(fail("no command")) };
    let config = config_beside(&place.path);
    let line = format!("socket_name {}\n", place.path.display());
    // What lies there already is somebody else's.
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&config);
    written
        .and_then(|mut file| file.write_all(line.as_bytes()))
        .map_err(|error| fail(format!("cannot write {}: {error}", config.display())))?;
    std::process::Command::new(program)
        .args(words)
        .env(levada_pool::VARIABLE, &place.path)
        .env("TLSPOOL_CONFIG_FILE", &config)
        .spawn()
        .map_err(|error| fail(format!("cannot run {}: {error}", program.to_string_lossy())))
}

/// Where the clients of the original read where the socket is.
fn config_beside(socket: &Path) -> PathBuf {
    socket.with_extension("conf")
}

fn wait(mut child: Child) -> ExitStatus {
    // It is our child, and waited for once.
    child.wait().unwrap_or_else(|_| ExitStatus::from_raw(1 << 8))
}

/// The code of the command, as a shell tells it.
fn code_of(status: ExitStatus) -> u8 {
    let signal = || status.signal().map(|signal| 128 + signal);
    let code = status.code().or_else(signal).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

/// Says where it is and how to try it, on standard output.
fn greet(socket: &Path, development: Option<&Localhost>) {
    let socket = quote(&socket.to_string_lossy()).into_owned();
    let mut text = format!("The TLS pool listens at {socket}\n");
    if let Some(files) = development {
        let ca = quote(&files.ca.to_string_lossy()).into_owned();
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "
It owns an identity for localhost that was made for trying it. A server whose
keys are in the pool, and a client to talk to it, each in a terminal:

  levada serve --listen 'pool+tls://127.0.0.1:8443' --pool {socket} --to echo:

  levada connect tls://localhost:8443 --ca {ca}

Ctrl-C ends it. With identities of your own: levada pool --config FILE
"
        );
    }
    // Whoever closed our standard output does not want to read it.
    let _ = io::stdout().write_all(text.as_bytes());
}

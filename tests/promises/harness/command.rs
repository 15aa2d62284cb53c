//! Processes that are watched: their output comes as it is written, and they end with their test.

use std::ffi::OsStr;
use std::io::{Read, Write as _};
use std::process::{Child, ChildStdin, Command as StdCommand, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use super::PATIENCE;

/// The command under test: `LEVADA_BIN`, or the one that was built with the tests.
fn binary() -> std::ffi::OsString {
    std::env::var_os("LEVADA_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_levada").into())
}

/// `levada` with these arguments.
pub(crate) fn levada<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    Command::new(binary()).args(args)
}

/// `levada connect` to this address, with its ending as JSON.
pub(crate) fn connect<S: AsRef<OsStr>>(
    address: &str,
    args: impl IntoIterator<Item = S>,
) -> Command {
    levada(["connect", address, "--log", "json"]).args(args)
}

/// A command that is going to be run.
pub(crate) struct Command(StdCommand);

impl Command {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = StdCommand::new(program);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command)
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.0.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    /// Without this environment variable.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.0.env_remove(name);
        self
    }

    pub(crate) fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.0.stdin(stdin);
        self
    }

    pub(crate) fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.0.stdout(stdout);
        self
    }

    pub(crate) fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
        self.0.stderr(stderr);
        self
    }

    /// Its own words, for another command that is to run it.
    pub(crate) fn words(&self) -> Vec<std::ffi::OsString> {
        let program = self.0.get_program();
        std::iter::once(program).chain(self.0.get_args()).map(ToOwned::to_owned).collect()
    }

    /// The same, begun by another command, whose last words it is.
    pub(crate) fn by(self, other: &[&str]) -> Self {
        let mut command = Self::new(other[0]).args(&other[1..]).args(self.words());
        for (name, value) in self.0.get_envs() {
            match value {
                Some(value) => command.0.env(name, value),
                None => command.0.env_remove(name),
            };
        }
        command
    }

    pub(crate) fn start(mut self) -> Running {
        let mut child = self.0.spawn().unwrap_or_else(|error| panic!("{:?}: {error}", self.0));
        Running {
            stdin: child.stdin.take(),
            stdout: Output::of(child.stdout.take()),
            stderr: Output::of(child.stderr.take()),
            child,
        }
    }

    /// Runs it with this input to its end.
    pub(crate) fn run(self, input: &[u8]) -> Finished {
        let mut running = self.start();
        running.write(input);
        running.finish()
    }
}

/// A process that runs. It is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
}

/// How a process ended, and all that it wrote and that nobody had read before.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = i32::try_from(self.child.id()).unwrap();
        let id = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Writes to its standard input from a thread of its own, so that two full pipes cannot wait for
    /// each other, and leaves it open.
    pub(crate) fn feed(&mut self, input: Vec<u8>) -> std::thread::JoinHandle<ChildStdin> {
        let mut stdin = self.stdin.take().expect("standard input is open");
        std::thread::spawn(move || {
            // A process that ended does not want the rest.
            let _ = stdin.write_all(&input);
            stdin
        })
    }

    /// Writes a little to its standard input.
    pub(crate) fn write(&mut self, input: &[u8]) {
        // A process that ended does not want it.
        let _ = self.stdin.as_mut().expect("standard input is open").write_all(input);
    }

    /// Ends its standard input, and waits for its end.
    pub(crate) fn finish(mut self) -> Finished {
        drop(self.stdin.take());
        self.wait()
    }

    /// Waits for its end, whatever it still writes.
    pub(crate) fn join(&mut self) {
        let _ = self.child.wait();
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Finished {
        let stdout = self.stdout.rest();
        let stderr = String::from_utf8(self.stderr.rest()).expect("it writes UTF-8");
        let status = self.child.wait().unwrap();
        Finished { status, stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Finished {
    /// The exit code.
    #[track_caller]
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("{}: {}", self.status, self.stderr))
    }

    /// The ending, from the last line of standard error.
    #[track_caller]
    pub(crate) fn ended(&self) -> serde_json::Value {
        let line = self.stderr.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {}", self.stderr))
    }

    /// The code of the ending.
    #[track_caller]
    pub(crate) fn ending(&self) -> String {
        self.ended()["code"].as_str().expect("an ending has a code").to_owned()
    }
}

/// What a process writes, as it comes.
#[derive(Debug)]
pub(crate) struct Output {
    chunks: Receiver<Vec<u8>>,
    held: Vec<u8>,
}

impl Output {
    /// Reads `stream` from a thread of its own, so that no writer ever waits for a test.
    pub(crate) fn of(stream: Option<impl Read + Send + 'static>) -> Self {
        let (sender, chunks) = channel();
        if let Some(mut stream) = stream {
            std::thread::spawn(move || {
                let mut room = vec![0; 64 * 1024];
                // An error ends a stream, too: that of a terminal whose other side is closed.
                while let Ok(count @ 1..) = stream.read(&mut room) {
                    if sender.send(room[..count].to_vec()).is_err() {
                        break;
                    }
                }
            });
        }
        Self { chunks, held: Vec::new() }
    }

    /// Waits for more; whether there was any.
    #[track_caller]
    fn more(&mut self) -> bool {
        match self.chunks.recv_timeout(PATIENCE) {
            Ok(chunk) => {
                self.held.extend(chunk);
                true
            }
            Err(RecvTimeoutError::Disconnected) => false,
            Err(RecvTimeoutError::Timeout) => {
                let held = String::from_utf8_lossy(&self.held[..self.held.len().min(2000)]);
                panic!("nothing more came; held back: {held}")
            }
        }
    }

    /// The next line, without its end; `None` at the end of file.
    #[track_caller]
    pub(crate) fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.held.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.held.drain(..=end).collect();
                return Some(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if !self.more() {
                return None;
            }
        }
    }

    /// Waits until `count` bytes have come, and takes them.
    #[track_caller]
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        while self.held.len() < count {
            assert!(self.more(), "only {} of {count} bytes came", self.held.len());
        }
        self.held.drain(..count).collect()
    }

    /// Waits until this has come, and takes all up to its end.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str) -> String {
        let what = what.as_bytes();
        loop {
            if let Some(at) = self.held.windows(what.len()).position(|part| part == what) {
                let taken: Vec<u8> = self.held.drain(..at + what.len()).collect();
                return String::from_utf8_lossy(&taken).into_owned();
            }
            assert!(self.more(), "it ended with {}", String::from_utf8_lossy(&self.held));
        }
    }

    /// All that comes until the end of file.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.more() {}
        std::mem::take(&mut self.held)
    }
}

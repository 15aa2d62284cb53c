//! OpenSSL's command, as a peer.

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};

use levada_testkit::peers::listening_port;

/// OpenSSL at the other end.
pub(crate) struct OpenSsl {
    child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) stdout: Option<BufReader<ChildStdout>>,
    stderr: BufReader<ChildStderr>,
}

impl OpenSsl {
    pub(crate) fn start(words: &[&str]) -> Self {
        let mut command = Command::new("openssl");
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().unwrap());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stdin, stdout: Some(BufReader::new(stdout)), stderr }
    }

    pub(crate) fn say(&mut self, text: &str) {
        self.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// The port that a server listens at, once it does.
    pub(crate) fn port(&self) -> u16 {
        loop {
            match listening_port(self.child.id()) {
                Some(port) => break port,
                None => std::thread::yield_now(),
            }
        }
    }

    /// Reads on until a line that begins so.
    #[track_caller]
    pub(crate) fn line(&mut self, begin: &str) -> String {
        find(self.stdout.as_mut().unwrap(), begin)
    }

    /// As [`line`](Self::line), of what it warns of.
    #[track_caller]
    pub(crate) fn warning(&mut self, begin: &str) -> String {
        find(&mut self.stderr, begin)
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Reads on until a line that begins so, and gives the rest of it.
#[track_caller]
fn find(said: &mut impl BufRead, begin: &str) -> String {
    let mut line = String::new();
    loop {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "OpenSSL says {begin:?}");
        if let Some(rest) = line.trim_end().strip_prefix(begin) {
            return rest.to_owned();
        }
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

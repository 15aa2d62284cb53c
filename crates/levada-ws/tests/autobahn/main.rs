//! The Autobahn|Testsuite, every case, in both roles: our example `echo` gives back what the suite sends
//! to it.
//!
//! `server.txt` and `client.txt` hold what the suite says of each case: its behavior, and that of
//! its closing; `…-compression.txt` the same of those of compression, which take minutes.
//! `LEVADA_BLESS=1` writes them anew.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[expect(dead_code, reason = "its `main` and what only that needs")]
#[path = "../../examples/echo.rs"]
mod echo;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Lines};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::{env, fs, thread};

use echo::Peer;
use levada_testkit::{peers, skip};
use levada_ws::message::Message;

/// How many cases there are: those of compression apart.
const CASES: usize = 301;
const COMPRESSION: usize = 216;

/// The suite as a process that goes with the test.
struct Suite {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Suite {
    /// `None` where it is not installed, which is noted as a skip.
    fn start(test: &str, words: &[&str]) -> Option<Self> {
        let (Some(python), Some(package)) = (peers::python(), peers::autobahn()) else {
            skip::cannot_run(test, peers::MISSING);
            return None;
        };
        let mut child = Command::new(python)
            .args(["-W", "ignore", "tests/autobahn/suite.py"])
            .args(words)
            .env("PYTHONPATH", package)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Some(Self { child, lines })
    }

    /// The line of the first word wanted, without it.
    fn line(&mut self, wanted: &str) -> Option<String> {
        let line = self.lines.next()?.unwrap();
        let (word, rest) = line.split_once(' ').unwrap();
        assert_eq!(word, wanted, "{line}");
        Some(rest.to_owned())
    }

    /// Everything that it says of cases, to its end, is what the file says.
    fn results(mut self, file: &str, count: usize) {
        let mut cases = BTreeMap::new();
        while let Some(line) = self.line("case") {
            let id = line.split(' ').next().unwrap();
            let key: Vec<u32> = id.split('.').map(|part| part.parse().unwrap()).collect();
            cases.insert(key, line);
        }
        assert!(self.child.wait().unwrap().success());
        let said = cases.into_values().map(|line| line + "\n").collect::<String>();
        let file = Path::new("tests/autobahn").join(file);
        if env::var_os("LEVADA_BLESS").is_some() {
            fs::write(&file, &said).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap();
        let pairs = said.lines().zip(expected.lines());
        let differing: Vec<_> = pairs.filter(|(said, expected)| said != expected).collect();
        assert!(differing.is_empty(), "as it is, and as it is expected: {differing:#?}");
        assert_eq!(said.lines().count(), count, "the suite has not come to its end");
    }
}

impl Drop for Suite {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(test: &str, cases: &str, file: &str, count: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    thread::spawn(move || echo::serve(&listener));
    if let Some(suite) = Suite::start(test, &[cases, "client", &url]) {
        suite.results(file, count);
    }
}

fn connect(test: &str, cases: &str, file: &str, count: usize) {
    let Some(mut suite) = Suite::start(test, &[cases, "server"]) else { return };
    let port = suite.line("port").unwrap();
    let host = format!("127.0.0.1:{port}");
    let connect = |target: &str| Peer::connect(TcpStream::connect(&host)?, &host, target);
    let count_of = connect("/getCaseCount").unwrap().next().unwrap();
    let Some(Message::Text(total)) = count_of else { panic!("{count_of:?}") };
    for case in 1..=total.parse().unwrap() {
        // It may cut the connection; whether that is well is for the suite to say.
        let _ = connect(&format!("/runCase?case={case}&agent=levada")).and_then(Peer::echo);
    }
    // It goes without an answer.
    let _ = connect("/updateReports?agent=levada&shutdownOnComplete=true");
    suite.results(file, count);
}

#[test]
fn our_server_passes() {
    serve("our_server_passes", "plain", "server.txt", CASES);
}

#[test]
fn our_client_passes() {
    connect("our_client_passes", "plain", "client.txt", CASES);
}

/// Both modes of context takeover, and windows of 9 to 15 bits.
#[test]
#[cfg(feature = "deflate")]
fn our_server_passes_with_compression() {
    let test = "our_server_passes_with_compression";
    if skip::slow_runs(test) {
        serve(test, "compression", "server-compression.txt", COMPRESSION);
    }
}

#[test]
#[cfg(feature = "deflate")]
fn our_client_passes_with_compression() {
    let test = "our_client_passes_with_compression";
    if skip::slow_runs(test) {
        connect(test, "compression", "client-compression.txt", COMPRESSION);
    }
}

/// Nothing worse is ever written down as expected: no case that is only nearly right, none that the
/// suite cannot judge.
#[test]
fn every_case_is_expected_to_pass() {
    let parts = [("", CASES), ("-compression", COMPRESSION)];
    for (part, count) in parts {
        for file in ["server", "client"].map(|role| format!("{role}{part}.txt")) {
            let text = fs::read_to_string(Path::new("tests/autobahn").join(&file)).unwrap();
            assert_eq!(text.lines().count(), count, "{file}");
            for line in text.lines() {
                let [_, behavior, close] = line.split(' ').collect::<Vec<_>>()[..] else {
                    panic!("{file}: {line}")
                };
                for word in [behavior, close] {
                    assert!(matches!(word, "OK" | "INFORMATIONAL"), "{file}: {line}");
                }
            }
        }
    }
}

//! Python's websockets and npm's ws.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use levada::Party;
use levada_testkit::{peers, skip};
use tokio::net::TcpListener;

use crate::{PATIENCE, ask, closed, serve};

/// A script that runs, and goes with its test.
struct Script {
    child: Child,
    lines: Receiver<String>,
}

impl Script {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (say, lines) = channel();
        thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| say.send(line))
        });
        Self { child, lines }
    }

    /// The next line, which begins with this word.
    fn said(&mut self, word: &str) -> String {
        let line = self.lines.recv_timeout(PATIENCE).expect("it says something");
        line.strip_prefix(word).unwrap_or_else(|| panic!("it says {line}")).trim().to_owned()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn python(test: &str) -> Option<Command> {
    let Some(python) = peers::python() else {
        skip::cannot_run(test, peers::MISSING);
        return None;
    };
    let mut command = Command::new(python);
    command.arg("tests/ws_peers/websockets_peer.py");
    Some(command)
}

fn node(test: &str) -> Option<Command> {
    let Some(modules) = peers::node_modules() else {
        skip::cannot_run(test, peers::MISSING);
        return None;
    };
    let mut command = Command::new("node");
    command.arg("tests/ws_peers/ws_peer.js").env("NODE_PATH", modules);
    Some(command)
}

async fn as_client(mut command: Command) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let mut script = Script::start({
        command.args(["connect", &url]);
        command
    });
    serve(listener).await;
    assert_eq!(script.said("closed"), "4002 für heute genug");
    assert!(script.child.wait().unwrap().success());
}

async fn as_server(mut command: Command) {
    let mut script = Script::start({
        command.arg("serve");
        command
    });
    let address = format!("127.0.0.1:{}", script.said("port")).parse().unwrap();
    ask(address, closed(4003, "müde", Party::Peer)).await;
    assert_eq!(script.said("closed"), "4001 genug für heute");
}

/// B1, B5, C1, C2, C6, E2, E3: as for the others of this file.
#[tokio::test]
async fn websockets_is_understood_as_client() {
    let Some(command) = python("websockets_is_understood_as_client") else { return };
    as_client(command).await;
}

#[tokio::test]
async fn websockets_is_understood_as_server() {
    let Some(command) = python("websockets_is_understood_as_server") else { return };
    as_server(command).await;
}

#[tokio::test]
async fn ws_of_npm_is_understood_as_client() {
    let Some(command) = node("ws_of_npm_is_understood_as_client") else { return };
    as_client(command).await;
}

#[tokio::test]
async fn ws_of_npm_is_understood_as_server() {
    let Some(command) = node("ws_of_npm_is_understood_as_server") else { return };
    as_server(command).await;
}

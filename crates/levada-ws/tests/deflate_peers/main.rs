//! Compression against others: Chromium, and npm's ws as client and as server.
#![cfg(feature = "deflate")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[expect(dead_code, reason = "its `main` and what only that needs")]
#[path = "../../examples/echo.rs"]
mod echo;

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use echo::Peer;
use levada_testkit::browser::{Browser, File, Site};
use levada_testkit::{peers, skip};

const FILES: &[File] = &[("/", "text/html", include_str!("page.html"))];

/// Our example `echo`, as server.
fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    thread::spawn(move || echo::serve(&listener));
    url
}

fn node(modules: &Path) -> Command {
    let mut command = Command::new("node");
    command.arg("tests/deflate_peers/ws_peer.js").env("NODE_PATH", modules);
    command
}

#[test]
fn a_browser_compresses_and_understands() {
    let site = Site::new(FILES);
    let _browser = Browser::open(&format!("{}/?ws={}", site.origin(), server()), &[]);
    let said = site.said(Duration::from_secs(60)).expect("the page says something");
    assert_eq!(said, "permessage-deflate, 5 of 5");
}

#[test]
fn ws_of_npm_compresses_and_understands_as_client() {
    let Some(modules) = peers::node_modules() else {
        let test = "ws_of_npm_compresses_and_understands_as_client";
        return skip::cannot_run(test, peers::MISSING);
    };
    let done = node(&modules).args(["connect", &server()]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn ws_of_npm_compresses_and_understands_as_server() {
    let Some(modules) = peers::node_modules() else {
        let test = "ws_of_npm_compresses_and_understands_as_server";
        return skip::cannot_run(test, peers::MISSING);
    };
    let mut child = node(&modules).arg("serve").stdout(Stdio::piped()).spawn().unwrap();
    let mut port = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
    for case in 0..4 {
        let host = format!("127.0.0.1:{}", port.trim());
        let peer = TcpStream::connect(&host).and_then(|tcp| {
            // The server sends, and checks what comes back.
            Peer::connect(tcp, &host, &format!("/{case}"))
        });
        peer.and_then(Peer::echo).unwrap();
    }
    assert!(child.wait().unwrap().success());
}

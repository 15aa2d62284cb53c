//! A browser, whose page speaks WebSocket and tells what it has seen.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use levada::Party;
use levada::WsStream;
use levada::ws::{HandshakeError, OriginPattern, Origins, Refusal, ServerOptions};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::{PATIENCE, accept, bye, closed, echo};

/// A browser with a profile of its own; both go with the test.
struct Browser {
    child: Child,
    profile: PathBuf,
}

impl Browser {
    fn open(name: &str, url: &str) -> Self {
        let profile = std::env::temp_dir().join(format!("levada-{name}-{}", std::process::id()));
        fs::create_dir(&profile).unwrap();
        let child = Command::new("chromium-headless-shell")
            .args(["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ])
            // Without it the page is left as soon as it is loaded.
            .arg("--remote-debugging-port=0")
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg(url)
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, profile }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its processes are a group.
        if let Some(group) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.profile);
    }
}

/// Serves the page, and answers with what it says in the end.
async fn page(listener: TcpListener) -> String {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let mut socket = BufReader::new(socket);
        let (mut request, mut length) = (String::new(), 0);
        socket.read_line(&mut request).await.unwrap();
        loop {
            let mut field = String::new();
            socket.read_line(&mut field).await.unwrap();
            match field.trim().to_ascii_lowercase().split_once(": ") {
                Some(("content-length", value)) => length = value.parse().unwrap(),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        socket.read_exact(&mut body).await.unwrap();
        let page = include_str!("page.html");
        let is_page = request.starts_with("GET /?");
        let (status, page) = if is_page { ("200 OK", page) } else { ("404 Not Found", "") };
        let response = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{page}",
            page.len()
        );
        socket.write_all(response.as_bytes()).await.unwrap();
        if request.starts_with("POST /said") {
            return String::from_utf8(body).unwrap();
        }
    }
}

/// B1, C1, C2, C6: `WebSocket` with its events, and `WebSocketStream` with its streams.
#[tokio::test]
async fn a_browser_is_understood() {
    let site = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ws = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let [at, to] = [&site, &ws].map(|listener| listener.local_addr().unwrap());
    let _browser = Browser::open("browser", &format!("http://{at}/?ws=ws://{to}"));
    let serve = async {
        for _ in ["WebSocket", "WebSocketStream"] {
            let ended = echo(accept(&ws).await).await;
            assert_eq!(ended.ending, closed(4001, "genug für heute", Party::Peer));
        }
        let ended = bye(accept(&ws).await).await;
        assert_eq!(ended.ending, closed(4002, "für heute genug", Party::Local));
    };
    let both = async { tokio::join!(page(site), serve).0 };
    let said = timeout(PATIENCE, both).await.unwrap();
    let wanted = [
        "subprotocol binary",
        "echo true",
        // Our answer has the code and no reason: it was the browser's to give.
        "we closed 4001  true",
        "subprotocol binary",
        "echo true",
        "we closed 4001 ",
        "data true",
        "closed 4002 für heute genug true",
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), wanted);
}

/// A page of a site that is not on the list gets in nowhere.
#[tokio::test]
async fn a_browser_on_a_foreign_page_is_refused() {
    let site = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ws = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let [at, to] = [&site, &ws].map(|listener| listener.local_addr().unwrap());
    let _browser = Browser::open("foreign", &format!("http://{at}/?ws=ws://{to}"));
    let serve = async {
        let mut options = ServerOptions::default();
        let patterns = vec![OriginPattern::new("https://levada.example").unwrap()];
        options.rules.origins = Origins::Listed { patterns, allow_absent: false };
        let (socket, _) = ws.accept().await.unwrap();
        let refused = WsStream::accept(socket, options).await.unwrap_err();
        let HandshakeError::Refused(Refusal::OriginForbidden, _) = refused else {
            panic!("{refused:?}")
        };
    };
    let page = async {
        tokio::select! {
            said = page(site) => panic!("it got further than it may: {said}"),
            () = serve => {}
        }
    };
    timeout(PATIENCE, page).await.unwrap();
}

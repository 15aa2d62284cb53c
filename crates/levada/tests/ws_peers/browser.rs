//! A browser, whose page speaks WebSocket and tells what it has seen.

use levada::Party;
use levada::WsStream;
use levada::ws::{HandshakeError, OriginPattern, Origins, Refusal, ServerOptions};
use levada_testkit::browser::{Browser, File, Site};
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::{PATIENCE, accept, bye, closed, echo};

const FILES: &[File] = &[("/", "text/html", include_str!("page.html"))];

/// A browser with the page, which speaks to this server.
fn open(site: &Site, ws: &TcpListener) -> Browser {
    Browser::open(&format!("{}/?ws=ws://{}", site.origin(), ws.local_addr().unwrap()), &[])
}

/// B1, C1, C2, C6: `WebSocket` with its events, and `WebSocketStream` with its streams.
#[tokio::test]
async fn a_browser_is_understood() {
    let ws = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let site = Site::new(FILES);
    let _browser = open(&site, &ws);
    let serve = async {
        for _ in ["WebSocket", "WebSocketStream"] {
            let ended = echo(accept(&ws).await).await;
            assert_eq!(ended.ending, closed(4001, "genug für heute", Party::Peer));
        }
        let ended = bye(accept(&ws).await).await;
        assert_eq!(ended.ending, closed(4002, "für heute genug", Party::Local));
    };
    timeout(PATIENCE, serve).await.unwrap();
    let said = spawn_blocking(move || site.said(PATIENCE)).await.unwrap().unwrap();
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
    let ws = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let site = Site::new(FILES);
    let _browser = open(&site, &ws);
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
    timeout(PATIENCE, serve).await.unwrap();
    let said = spawn_blocking(move || site.said(PATIENCE)).await.unwrap().unwrap();
    assert_eq!(said, "failed: not opened");
}

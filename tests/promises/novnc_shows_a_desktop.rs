//! noVNC reaches the desktop of a VNC server, which knows nothing of WebSockets, and nothing else is needed
//! than one bridge.

use levada_testkit::browser::{Browser, File, Site};
use levada_testkit::{peers, skip};
use serde_json::Value;

use crate::harness::{Command, Folder, PATIENCE, Serve};

const FILES: &[File] = &[("/", "text/html", include_str!("novnc/page.html"))];

#[test]
fn in_a_browser() {
    let Some(novnc) = peers::node_package("@novnc/novnc") else {
        return skip::cannot_run("in_a_browser", peers::MISSING);
    };
    let folder = Folder::new();
    let socket = folder.path().join("vnc");
    let desktop = Command::new("Xtigervnc")
        // It takes a display that is free, and tells which once it listens.
        .args(["-displayfd", "1", "-rfbport", "-1", "-SecurityTypes", "None"])
        .args(["-geometry", "640x400", "-retro", "-rfbunixpath"])
        .args([&socket]);
    let mut desktop = desktop.start();
    desktop.stdout.line().expect("it starts");

    let site = Site::with_scripts(FILES, novnc);
    let to = format!("unix:{}", socket.display());
    let listen = ["--listen", "ws://127.0.0.1:0/vnc", "--origin", &site.origin(), "--to", &to];
    let mut serve = Serve::start(listen);
    let url = format!("{}/?ws=ws://{}/vnc", site.origin(), serve.address());
    let _browser = Browser::open(&url, &[]);
    let said = site.said(PATIENCE).expect("the page says something");
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["width"], &said["height"]), (&640.into(), &400.into()), "{said}");
    // A quarter of the pattern of an empty desktop, and perhaps a cursor.
    let light = said["light"].as_u64().unwrap();
    assert!((64_000..65_000).contains(&light), "{said}");
    assert_eq!(said["clean"], true);
    assert_eq!(serve.ended(), ("ws_close".into(), "finished".into()));
}

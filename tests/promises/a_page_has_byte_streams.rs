//! A web page has byte streams through `levada-web`, over WebSocketStream and over WebSocket: whole both
//! ways in bounded memory, with every ending by its name, and with the server held back where the browser
//! can do that.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use levada::ws::accept_of;
use levada_core::{ConnectFailure, Deadline, Ended, Ending, Facts, Fault, Party, State};
use levada_testkit::browser::{Browser, File, Site};
use levada_testkit::{peers, skip};
use serde_json::{Value, json};

use crate::harness::{Backend, Command, PATIENCE, Serve, digits, reset};

const MIB: usize = 1024 * 1024;

const CARRIERS: [&str; 2] = ["WebSocketStream", "WebSocket"];

const FILES: &[File] = &[
    ("/", "text/html", include_str!("../../bindings/web/test/page.html")),
    ("/page.js", "text/javascript", include_str!("../../bindings/web/test/page.js")),
    ("/levada-web.js", "text/javascript", include_str!("../../bindings/web/index.js")),
];

/// A page that does these tasks, in a browser of its own.
struct Page {
    site: Site,
    browser: Browser,
}

impl Page {
    fn open(site: Site, tasks: &Value) -> Self {
        let mut url = format!("{}/?tasks=", site.origin());
        for byte in tasks.to_string().bytes() {
            write!(url, "%{byte:02x}").unwrap();
        }
        let browser = Browser::open(&url, &[]);
        Self { site, browser }
    }

    #[track_caller]
    fn said(&self) -> Value {
        let said = self.site.said(PATIENCE).expect("the page says something");
        serde_json::from_str(&said).unwrap()
    }
}

/// A server for the pages of this site alone.
fn serve(site: &Site, to: &str) -> Serve {
    let listen = "ws://127.0.0.1:0/bytes";
    Serve::start(["--listen", listen, "--to", to, "--origin", &site.origin()])
}

fn url(serve: &Serve) -> String {
    format!("ws://{}/bytes", serve.address())
}

/// What levada-core says of this ending, but for the facts, which are each end's own.
fn words(ending: Ending, phase: State) -> Value {
    let ended = Ended { ending, phase, facts: Facts::default().into() };
    let mut ended = serde_json::to_value(ended).unwrap();
    ended.as_object_mut().unwrap().remove("facts");
    ended
}

#[track_caller]
fn assert_ended(said: &Value, ending: Ending, phase: State) {
    let mut ended = said["ended"].clone();
    ended.as_object_mut().unwrap_or_else(|| panic!("{said}")).remove("facts");
    assert_eq!(ended, words(ending, phase));
    assert_eq!(said["state"], "disconnected");
    let last = said["events"].as_array().unwrap().last().unwrap();
    assert_eq!(last["ended"], said["ended"]);
}

fn closed(code: u16, reason: &str, by: Party) -> Ending {
    Ending::WsClose { code: Some(code), reason: reason.to_owned(), by }
}

fn echo_of(count: usize, carrier: &str, patience: Duration) -> (Value, u64) {
    let site = Site::new(FILES);
    let mut serve = serve(&site, "echo:");
    let task = json!({
        "task": "echo", "url": url(&serve), "count": count, "close": [4000, "genug für heute"],
        "options": { "carrier": carrier },
    });
    let page = Page::open(site, &json!([task]));
    let (mut most, look) = (0, Duration::from_millis(20));
    let said = (0..patience.as_millis() / look.as_millis()).find_map(|_| {
        most = most.max(page.browser.memory_of_pages());
        page.site.said(look)
    });
    let said = said.expect("the page says something");
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["got"]["crc"], said["sent"], "{said}");
    assert_eq!(said["got"]["count"], count);
    let ended = serve.next("ended");
    assert_eq!(ended["client"]["code"], "ws_close");
    assert_eq!(ended["client"]["ending"]["ws_close"]["code"], 4000);
    (said, most)
}

#[test]
fn that_carry_every_byte_and_tell_their_life() {
    for carrier in CARRIERS {
        let (said, _) = echo_of(8 * MIB, carrier, PATIENCE);
        assert_ended(&said, closed(4000, "genug für heute", Party::Local), State::Closing);
        assert_eq!(said["after"]["end"], "end of file");
        let events = said["events"].as_array().unwrap();
        let wanted = json!([
            { "state": "connecting" },
            { "state": "connected" },
            { "state": "handshaking" },
            { "state": "established" },
            { "state": "closing" },
            { "goodbye": "local" },
            // Answered in kind, though for a bridge a code of its own is no clean end.
            { "close_frame": { "code": 4000, "reason": "" } },
            { "goodbye": "peer" },
        ]);
        assert_eq!(events[..events.len() - 1], *wanted.as_array().unwrap());
        let facts = &said["ended"]["facts"];
        assert_eq!((&facts["role"], &facts["host"]), (&"client".into(), &"127.0.0.1".into()));
        assert_eq!(
            (&facts["plain"], &facts["first_goodbye"]),
            (&"disabled".into(), &"local".into())
        );
        assert_eq!(facts["bytes"]["written"], 8 * MIB);
        assert_eq!(facts["bytes"]["read"], 8 * MIB);
    }
}

/// Half a GiB goes through the page's hands, and never much of it is there at once: what is waits for
/// the browser's collector of garbage.
#[test]
fn of_any_length_in_bounded_memory() {
    if !skip::slow_runs("of_any_length_in_bounded_memory") {
        return;
    }
    for carrier in CARRIERS {
        let little = echo_of(MIB, carrier, PATIENCE).1;
        let much = echo_of(256 * MIB, carrier, 10 * PATIENCE).1;
        println!("{carrier}: {} MiB, with 256 MiB both ways {} MiB", little >> 20, much >> 20);
        assert!(much < little + 128 * MIB as u64, "{carrier}: {little} {much}");
    }
}

#[test]
fn that_end_as_the_other_side_does() {
    let site = Site::new(FILES);
    let backend = Backend::new();
    let mut serve = serve(&site, &backend.url());
    let task = |carrier: &str| json!({ "task": "listen", "url": url(&serve), "options": { "carrier": carrier } });
    let tasks = CARRIERS.map(|carrier| [task(carrier), task(carrier)]).concat();
    let page = Page::open(site, &tasks.into());
    for _ in CARRIERS {
        let mut target = backend.accept();
        target.write_all(&digits(3 * MIB)).unwrap();
        drop(target);
        let said = page.said();
        assert_eq!(said["got"]["count"], 3 * MIB, "{said}");
        assert_eq!(said["got"]["end"], "end of file");
        assert_ended(&said, closed(1000, "", Party::Peer), State::Closing);
        assert_eq!(serve.ended(), ("ws_close".into(), "finished".into()));

        let mut target = backend.accept();
        target.write_all(b"half of it").unwrap();
        reset(target);
        let said = page.said();
        let ending = closed(1011, "", Party::Peer);
        assert!(!ending.is_clean());
        assert_ended(&said, ending, State::Closing);
        assert_ne!(serve.ended().1, "finished");
    }
}

#[test]
fn that_a_page_can_drop() {
    let site = Site::new(FILES);
    let backend = Backend::new();
    let mut serve = serve(&site, &backend.url());
    let task = |task: &str, carrier: &str, half: &str| json!({ "task": task, "url": url(&serve), "half": half, "options": { "carrier": carrier } });
    let of = |carrier| {
        let drop = |half| task("drop", carrier, half);
        [task("abort", carrier, ""), drop("readable"), drop("writable")]
    };
    let page = Page::open(site, &CARRIERS.map(of).concat().into());
    for _ in CARRIERS {
        let mut target = backend.accept();
        target.read_exact(&mut [0; 5]).unwrap();
        assert_eq!(page.said(), "open");
        page.site.next("go");
        let said = page.said();
        assert_eq!(said["got"]["end"], "aborted");
        assert_ended(&said, Ending::Aborted, State::Established);
        assert_eq!(serve.next("ended")["client"]["ending"]["ws_close"]["code"], 4001);

        for _ in ["readable", "writable"] {
            let _target = backend.accept();
            let said = page.said();
            assert_ended(&said, closed(4011, "", Party::Local), State::Closing);
            let late = said["late"].as_str().unwrap_or_else(|| panic!("{said}"));
            assert!(late.starts_with("Error: "), "{late}");
            assert_eq!(serve.next("ended")["client"]["ending"]["ws_close"]["code"], 4011);
        }
    }
}

#[test]
fn that_a_reload_ends() {
    for carrier in CARRIERS {
        let site = Site::new(FILES);
        let mut serve = serve(&site, "echo:");
        let options = json!({ "carrier": carrier });
        let task =
            json!({ "task": "reload", "url": url(&serve), "count": MIB, "options": options });
        let page = Page::open(site, &json!([task]));
        assert_eq!(page.said(), "open");
        page.site.next("go");
        // Its next life has a stream of its own.
        let said = page.said();
        assert_ended(&said, closed(1000, "", Party::Local), State::Closing);
        let ends = [serve.next("ended"), serve.next("ended")];
        // The first life is cut off in the middle: no good end with 1000.
        let [cut, good] = ends.map(|end| end["client"]["ending"]["ws_close"]["code"] == 1000);
        assert_eq!([cut, good], [false, true]);
    }
}

#[test]
fn for_welcome_origins_alone() {
    let (site, other) = (Site::new(FILES), Site::new(FILES));
    let serve = serve(&other, "echo:");
    let tasks = CARRIERS.map(
        |carrier| json!({ "task": "listen", "url": url(&serve), "options": { "carrier": carrier } }),
    );
    let page = Page::open(site, &tasks.to_vec().into());
    for _ in CARRIERS {
        let said = page.said();
        let cause = Fault::WsHandshake("a browser does not tell its pages why".to_owned());
        let ending = Ending::FatalError { alert: None, cause }.before_established();
        assert_ended(&said, ending, State::Connecting);
        assert_eq!(said["got"]["end"], "connectFailed");
    }
}

/// Where the page does not read, the target cannot go on writing; then all of it comes.
#[test]
fn whose_slow_reader_holds_the_server_back() {
    let site = Site::new(FILES);
    let backend = Backend::new();
    let serve = serve(&site, &backend.url());
    let options = json!({ "carrier": "WebSocketStream" });
    let page =
        Page::open(site, &json!([{ "task": "stall", "url": url(&serve), "options": options }]));
    assert_eq!(page.said(), "open");
    let mut target = backend.accept();
    let data = digits(64 * MIB);
    // Until nothing is taken for a while.
    target.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut written = 0;
    while let Ok(count) = target.write(&data[written..]) {
        written += count;
        assert!(written < data.len(), "nothing holds the server back");
    }
    println!("held back after {} KiB", written >> 10);
    target.set_write_timeout(Some(PATIENCE)).unwrap();
    page.site.next("go");
    target.write_all(&data[written..]).unwrap();
    drop(target);
    let said = page.said();
    assert_eq!(said["got"]["count"], data.len(), "{said}");
    assert_ended(&said, closed(1000, "", Party::Peer), State::Closing);
}

/// A WebSocket cannot hold the server back: what waits unread has a limit, and what came before is read.
#[test]
fn whose_slow_reader_meets_a_limit_over_a_websocket() {
    let site = Site::new(FILES);
    let backend = Backend::new();
    let mut serve = serve(&site, &backend.url());
    let options = json!({ "carrier": "WebSocket", "unread": MIB });
    let page =
        Page::open(site, &json!([{ "task": "stall", "url": url(&serve), "options": options }]));
    assert_eq!(page.said(), "open");
    let mut target = backend.accept();
    // It is cut off somewhere on the way.
    let _ = target.write_all(&digits(64 * MIB));
    let ended = serve.next("ended");
    assert_eq!(ended["client"]["ending"]["ws_close"]["code"], 4008, "{ended}");
    page.site.next("go");
    let said = page.said();
    assert_eq!(said["ended"]["code"], "refused_limit");
    assert_eq!(said["ended"]["ending"], json!({ "refused": "limit" }));
    assert_eq!(said["got"]["end"], "refused_limit");
    let count = said["got"]["count"].as_u64().unwrap();
    assert!(count > 0 && count <= MIB as u64, "{count}");
}

/// A server that opens a WebSocket and then speaks in frames by hand.
fn opened_by_hand(backend: &Backend) -> TcpStream {
    let mut client = backend.accept();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let accept = accept_of(key);
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    client.write_all(answer.as_bytes()).unwrap();
    client
}

/// The code of the Close frame that a client sends, which is its first.
fn close_code(client: &mut TcpStream) -> u16 {
    let mut head = [0; 8];
    client.read_exact(&mut head).unwrap();
    assert_eq!((head[0], head[1]), (0x88, 0x82), "a masked Close frame with a code alone");
    u16::from_be_bytes([head[6] ^ head[2], head[7] ^ head[3]])
}

#[test]
fn that_name_what_a_bad_server_does() {
    let site = Site::new(FILES);
    let backend = Backend::new();
    let task = |carrier: &str, deadline: u64| {
        let options = json!({ "carrier": carrier, "deadlineHandshake": deadline });
        json!({ "task": "listen", "url": format!("ws://{}/", backend.address), "options": options })
    };
    let of = |carrier| {
        let usual = task(carrier, 30_000);
        [usual.clone(), usual.clone(), usual, task(carrier, 300)]
    };
    let page = Page::open(site, &CARRIERS.map(of).concat().into());
    for carrier in CARRIERS {
        // Text is refused; what came before it is read.
        let mut client = opened_by_hand(&backend);
        client.write_all(b"\x82\x05bytes\x81\x04text").unwrap();
        assert_eq!(close_code(&mut client), 4003);
        client.write_all(b"\x88\x02\x0f\xa3").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let said = page.said();
        assert_eq!(said["got"]["count"], 5, "{carrier}: {said}");
        assert_eq!(said["got"]["end"], "end of file");
        assert_eq!(said["ended"]["code"], "ws_protocol");
        assert_eq!(said["ended"]["ending"], json!({ "ws_protocol": 4003 }));
        assert!(said["events"].as_array().unwrap().contains(&json!("text_refused")), "{said}");

        // A cut stream is no end of file.
        let mut client = opened_by_hand(&backend);
        client.write_all(b"\x82\x05bytes").unwrap();
        drop(client);
        let said = page.said();
        assert_eq!(said["got"]["end"], "ERR_TLS_SOCKET_CLOSE");
        assert_ended(&said, Ending::SocketClose, State::Established);

        // A Close frame need not have a code.
        let mut client = opened_by_hand(&backend);
        client.write_all(b"\x88\x00").unwrap();
        client.read_exact(&mut [0; 6]).unwrap();
        drop(client);
        let ending = Ending::WsClose { code: None, reason: String::new(), by: Party::Peer };
        assert_ended(&page.said(), ending, State::Closing);

        // Silence has an end.
        let _client = backend.accept();
        let ended = Ending::TimedOut(Deadline::Handshake);
        let failure = ConnectFailure::Ended(ended);
        assert_ended(&page.said(), Ending::ConnectFailed(Box::new(failure)), State::Connecting);
    }
}

#[test]
fn with_types() {
    let Some(modules) = peers::node_modules() else {
        skip::cannot_run("with_types", peers::MISSING);
        return;
    };
    let test = concat!(env!("CARGO_MANIFEST_DIR"), "/../../bindings/web/test/types.ts");
    let compiler = modules.join("typescript/bin/tsc");
    let options = ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext"];
    let compiler = Command::new("node").args([compiler]).args(options);
    let done = compiler.args(["--lib", "es2022,dom,dom.asynciterable", test]).run(b"");
    assert_eq!(done.code(), 0, "{}", String::from_utf8_lossy(&done.stdout));
}

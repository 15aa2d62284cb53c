//! However a stream on a pool ends, the log says the same of it whether its data went through the pool or
//! past it.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;

use serde_json::{Value, json};

use crate::harness::{Pki, Pool, assert_same, digits, transfer};
use crate::stream::{End, ROLES, Stream};
use crate::way::Way;

const TAIL: usize = 300_000;

#[test]
fn where_the_peer_says_goodbye_first() {
    alike("finished", None, Some("peer"), |Stream { near, far, .. }| half_close(far, near));
}

#[test]
fn where_we_say_goodbye_first() {
    alike("finished", None, Some("local"), |Stream { near, far, .. }| half_close(near, far));
}

#[test]
fn where_the_peer_is_killed() {
    alike("ERR_TLS_SOCKET_CLOSE", Some("peer"), None, |stream| {
        // Nothing is left unread, which would make a reset of its end.
        pass(&mut stream.near, &mut stream.far, b"a question");
        pass(&mut stream.far, &mut stream.near, b"an answer");
        stream.kill_peer();
    });
}

#[test]
fn where_our_reader_pauses() {
    alike("finished", None, Some("peer"), |Stream { near, far, .. }| paused(far, near));
}

#[test]
fn where_the_peers_reader_pauses() {
    alike("finished", None, Some("local"), |Stream { near, far, .. }| paused(near, far));
}

/// Lives each kind of stream, and holds what the log says of their ends to each other and to this.
fn alike(
    code: &str,
    blame: Option<&str>,
    first_goodbye: Option<&str>,
    mut live: impl FnMut(&mut Stream),
) {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    for role in ROLES {
        let [relay, kernel] = Way::EACH.map(|way| {
            let mut stream = Stream::start(&pki, &pool, way, role);
            live(&mut stream);
            let ended = stream.ended();
            way.assert_told(&ended["facts"]);
            words(ended)
        });
        assert_eq!(relay, kernel, "{role:?}");
        assert_eq!((&relay["code"], &relay["blame"]), (&json!(code), &json!(blame)), "{relay}");
        assert_eq!(relay["clean"], json!(blame.is_none()));
        assert_eq!(relay["facts"]["first_goodbye"], json!(first_goodbye), "{role:?}");
    }
}

/// What is told of an end, but for when and where that was, and which way the data went.
fn words(mut ended: Value) -> Value {
    let facts = ended["facts"].as_object_mut().unwrap();
    for other in ["times", "local", "peer", "kernel_tls"] {
        assert!(facts.remove(other).is_some(), "{other} is told");
    }
    ended
}

/// Who says goodbye first gets all that the other one still has to say.
fn half_close(first: &mut End, second: &mut End) {
    first.writer.write_all(b"a question").unwrap();
    first.writer.shutdown(Shutdown::Write).unwrap();
    let mut question = Vec::new();
    second.reader.read_to_end(&mut question).unwrap();
    assert_eq!(question, b"a question");
    let mut writer = second.writer.try_clone().unwrap();
    let answering = std::thread::spawn(move || {
        writer.write_all(&digits(TAIL)).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut answer = Vec::new();
    first.reader.read_to_end(&mut answer).unwrap();
    assert_same(&answer, &digits(TAIL));
    answering.join().unwrap();
}

fn pass(from: &mut End, to: &mut End, text: &[u8]) {
    from.writer.write_all(text).unwrap();
    let mut got = vec![0; text.len()];
    to.reader.read_exact(&mut got).unwrap();
    assert_eq!(got, text);
}

/// A reader who pauses stops who writes to it, and loses nothing.
fn paused(from: &mut End, to: &mut End) {
    let pair = (from.writer.try_clone().unwrap(), to.reader.try_clone().unwrap());
    let total = more_than_buffers_hold();
    let sent = transfer(vec![pair], total);
    assert!(sent < total, "the reader's pause has not stopped the writer");
    to.writer.shutdown(Shutdown::Write).unwrap();
}

/// As many bytes: the commands have buffers, and TCP has one for each sender (tcp(7)).
fn more_than_buffers_hold() -> u64 {
    let sizes = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_wmem").unwrap();
    let greatest: u64 = sizes.split_whitespace().last().unwrap().parse().unwrap();
    4 * greatest + (4 << 20)
}

//! Python's wsproto as an oracle: what it understands of a byte stream we understand too, and what
//! we send it understands. The streams are random, and the same in every run.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../shared/keys.rs"]
mod keys;
mod streams;

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::thread;

use keys::{NOW, keys};
use levada_testkit::{peers, skip};
use levada_ws::connection::{Config, Event};
use levada_ws::message::{Message, MessageConnection, MessageEvent};
use levada_ws::{CloseCode, CloseFrame, Role};
use streams::Random;

const STREAMS: u64 = 10_000;

/// The words of `oracle.py` for each stream; `None` where it cannot run, which is noted as a skip.
fn oracle(test: &str, streams: &[(Role, Vec<u8>)]) -> Option<Vec<String>> {
    let Some(python) = peers::python() else {
        skip::cannot_run(test, peers::MISSING);
        return None;
    };
    let mut child = Command::new(python)
        .arg("tests/wsproto/oracle.py")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let said = thread::scope(|scope| {
        scope.spawn(move || {
            for (sender, wire) in streams {
                let sender = format!("{sender:?}").to_lowercase();
                writeln!(input, "{sender} {}", hex(wire)).unwrap();
            }
        });
        output.lines().map(Result::unwrap).collect::<Vec<_>>()
    });
    assert!(child.wait().unwrap().success());
    assert_eq!(said.len(), streams.len());
    Some(said)
}

/// What we understand, in the same words. The stream comes in pieces of this size.
fn ours(sender: Role, wire: &[u8], piece: usize) -> String {
    let config = Config::default();
    let mut connection = MessageConnection::new(sender.peer(), config, u64::MAX, NOW);
    let mut words = Vec::new();
    let mut wire = wire.to_vec();
    'stream: for piece in wire.chunks_mut(piece) {
        let mut rest = piece;
        loop {
            let received = connection.handle_wire(NOW, rest);
            let Some(event) = received.event else { break };
            rest = &mut rest[received.consumed..];
            words.push(match event {
                MessageEvent::Message(Message::Text(text)) => {
                    format!("text:{}", hex(text.as_bytes()))
                }
                MessageEvent::Message(Message::Binary(bytes)) => format!("binary:{}", hex(&bytes)),
                MessageEvent::Connection(Event::Ping(payload)) => format!("ping:{}", hex(&payload)),
                MessageEvent::Connection(Event::Pong(payload)) => format!("pong:{}", hex(&payload)),
                MessageEvent::Connection(Event::CloseFrame(frame)) => {
                    words.push(close_word(frame.as_ref()));
                    break 'stream;
                }
                MessageEvent::Connection(Event::Violation(violation)) => {
                    words.push(format!("fail:{}", violation.close_code().number()));
                    break 'stream;
                }
                other => panic!("{other:?}"),
            });
        }
    }
    words.join(" ")
}

fn close_word(frame: Option<&CloseFrame>) -> String {
    frame.map_or("close::".to_owned(), |frame| {
        format!("close:{}:{}", frame.code().number(), hex(frame.reason().as_bytes()))
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// §1.6, C7: whatever comes, valid or damaged, in whatever pieces.
#[test]
fn what_comes_is_understood_alike() {
    let streams: Vec<_> = (0..STREAMS).map(streams::random).collect();
    let Some(said) = oracle("what_comes_is_understood_alike", &streams) else { return };
    let mut kinds = [0; 4];
    for (seed, ((sender, wire), said)) in streams.iter().zip(&said).enumerate() {
        let whole = ours(*sender, wire, usize::MAX);
        for piece in [1, 1 + seed % 7] {
            assert_eq!(ours(*sender, wire, piece), whole, "seed {seed}, pieces of {piece}");
        }
        // It waits for a header to be whole before it looks at the first byte; we do not.
        let is_early = whole.strip_prefix(&**said).is_some_and(|more| more.trim() == "fail:1002");
        assert!(
            whole == *said || is_early,
            "seed {seed}, from the {sender:?}: {whole}, not {said}: {}",
            hex(wire)
        );
        kinds[match said {
            _ if is_early => 0,
            said if said.contains("fail") => 1,
            said if said.contains("close") => 2,
            _ => 3,
        }] += 1;
    }
    let [early, kinds @ ..] = kinds;
    assert!(early < STREAMS / 100, "{early}");
    // Each way to end is met often, or the streams would prove little.
    assert!(kinds.iter().all(|&count| count > STREAMS / 20), "{kinds:?}");
}

/// B1, C6: what we send, in both roles.
#[test]
fn what_we_send_is_understood() {
    let mut wanted = Vec::new();
    let sent: Vec<_> = (0..STREAMS / 10)
        .map(|seed| {
            let (role, wire, words) = sent(seed);
            wanted.push(words);
            (role, wire)
        })
        .collect();
    let Some(said) = oracle("what_we_send_is_understood", &sent) else { return };
    for (seed, (said, wanted)) in said.iter().zip(&wanted).enumerate() {
        assert_eq!(said, wanted, "seed {seed}");
    }
}

/// Some messages, pings and perhaps a close: who sends it, the wire, and the words for it.
fn sent(seed: u64) -> (Role, Vec<u8>, String) {
    let mut random = Random::new(seed);
    let role = random.of(&[Role::Client, Role::Server]);
    let mut connection = MessageConnection::new(role, Config::default(), u64::MAX, NOW);
    let mut keys = keys();
    let (mut wire, mut words) = (Vec::new(), Vec::new());
    for _ in 0..random.below(6) {
        let len = random.of(&[0, 1, 125, 126, 127, 1000, 65_535, 65_536, 100_000]);
        match random.below(3) {
            0 => {
                let text = random.text(len / 4);
                connection.encode_text(&text, &mut wire, &mut keys).unwrap();
                words.push(format!("text:{}", hex(text.as_bytes())));
            }
            1 => {
                let bytes = random.bytes(len);
                connection.encode_binary(&bytes, &mut wire, &mut keys).unwrap();
                words.push(format!("binary:{}", hex(&bytes)));
            }
            _ => {
                let payload = random.bytes(len.min(125));
                connection.connection().ping(&payload).unwrap();
                transmit(&mut connection, &mut wire, &mut keys);
                words.push(format!("ping:{}", hex(&payload)));
            }
        }
    }
    if random.below(2) == 0 {
        let code = CloseCode::new(random.of(&[1000, 1001, 1011, 3000, 4999])).unwrap();
        let frame = CloseFrame::with_cut_reason(code, &random.text(60));
        words.push(close_word(Some(&frame)));
        connection.connection().close(NOW, frame);
        transmit(&mut connection, &mut wire, &mut keys);
    }
    (role, wire, words.join(" "))
}

fn transmit(
    connection: &mut MessageConnection,
    wire: &mut Vec<u8>,
    keys: &mut impl FnMut() -> [u8; 4],
) {
    let mut burst = [0; levada_ws::connection::MAX_CONTROL_BURST];
    let len = connection.connection().poll_transmit(&mut burst, keys);
    wire.extend_from_slice(&burst[..len]);
}

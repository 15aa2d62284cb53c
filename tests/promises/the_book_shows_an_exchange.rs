//! The exchange in the book is one that was heard, packet by packet, on the control connection of a
//! real pool, with a real client of TLS.

use std::fmt::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use levada_pool::wire::body::{Ping, StartTls};
use levada_pool::wire::{ControlKey, Facilities, Message, Packet, RequestId, StartTlsFlags, Text};
use levada_testkit::docs::assert_rendered;

use crate::harness::{Backend, Pki, Pool, connect};

/// A packet in one row of the book's table.
fn row(table: &mut String, from: &str, packet: &Packet, descriptor: bool) {
    let callback = packet.callback.map_or(0, |id| id.0.get());
    let body = match &packet.message {
        Message::Ping(body) => {
            format!(
                "`{}`, facilities {:#x}",
                body.producer.as_str().unwrap(),
                body.facilities.bits()
            )
        }
        Message::StartTls(body)
        | Message::StartTlsLocalId(body)
        | Message::PlaintextConnect(body) => {
            let (local, remote) =
                (body.local_id.as_str().unwrap(), body.remote_id.as_str().unwrap());
            format!("flags {:#x}, localid `{local}`, remoteid `{remote}`", body.flags.bits())
        }
        other => panic!("{other:?}"),
    };
    let (request, command) = (packet.request.0, packet.message.command());
    let mark = if descriptor { " +fd" } else { "" };
    let _ = writeln!(
        table,
        "| {from} | {request} | {callback} | {command}{mark} | {} |",
        body.replace("``", "(empty)")
    );
}

#[test]
fn as_it_was_heard() {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    let backend = Backend::new();
    let _client =
        connect(&format!("tls://localhost:{}", backend.address.port()), ["--ca", &pki.ca]).start();
    let network = backend.accept();
    let mut table =
        String::from("| from | request | callback | packet | body |\n|---|---|---|---|---|\n");
    let mut speaker = pool.speaker();
    let mut say = |speaker: &mut crate::harness::Speaker,
                   packet: &Packet,
                   fd: Option<std::os::fd::BorrowedFd<'_>>| {
        row(&mut table, "application", packet, fd.is_some());
        speaker.send(packet, fd);
        let answer = speaker.hear();
        row(&mut table, "pool", &answer, false);
        answer
    };

    let ping = Ping { producer: Text::new(Ping::V2).unwrap(), facilities: Facilities::ALL_CURRENT };
    let ping = Packet { request: RequestId(0), callback: None, message: Message::Ping(ping) };
    say(&mut speaker, &ping, None);

    let flags = StartTlsFlags::SERVER
        .with(StartTlsFlags::IGNORE_REMOTEID)
        .with(StartTlsFlags::LOCALID_CHECK);
    let control_key = ControlKey::new([1; 16]);
    let body = StartTls { flags, control_key, ..StartTls::default() };
    let request =
        Packet { request: RequestId(1), callback: None, message: Message::StartTls(body) };
    let question = say(&mut speaker, &request, Some(network.as_fd()));
    drop(network);
    let question = say(&mut speaker, &question, None);
    let (_plain, theirs) = UnixStream::pair().unwrap();
    let reply = say(&mut speaker, &question, Some(theirs.as_fd()));
    assert!(matches!(reply.message, Message::StartTls(_)));
    assert_rendered("docs/pool-use.md", "exchange", &table);
}

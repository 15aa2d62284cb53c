//! Private commands (D.4, D.5) that are used as nobody should: pages out of order and out of range, more texts
//! than are kept, sessions that end over a half-read text, offers that TLS cannot make.

use std::os::fd::AsFd as _;

use levada_pool_wire::body::StartTls;
use levada_pool_wire::{Chain, ControlKey, Document, LocalCommand, Message, Offer, Page, Secret};
use sha2::{Digest as _, Sha256};

use crate::endings::{report, wait_until};
use crate::support::{
    Client, Daemon, Peer, Plain, Spec, as_client, as_server, code_of, tcp_pair, wait,
};

/// Names enough for a certificate of several thousand bytes.
fn long_names() -> Vec<String> {
    (0..100).map(|number| format!("host-{number}.long.example")).collect()
}

/// A session as client under `key`, with a server that shows a chain of many pages.
fn session(daemon: &Daemon, client: &mut Client, key: &ControlKey) -> Plain {
    let (near, far) = tcp_pair();
    let names = long_names();
    let mut hosts: Vec<_> = names.iter().map(String::as_str).collect();
    hosts.push("peer.example");
    let identity = daemon.pki.identity(Spec { hosts: &hosts, ..Spec::default() });
    let _peer = Peer::server(far, &identity, None).echo();
    let request = StartTls { control_key: key.clone(), ..as_client("peer.example") };
    client.protect(request, &near).0
}

/// A page, or the code of the refusal.
#[track_caller]
fn page(
    client: &mut Client,
    document: Document,
    key: &ControlKey,
    offset: u32,
) -> Result<Page, u8> {
    let reply = client.call(Page::request(document, key.clone(), offset).into(), None);
    match Page::of(&reply) {
        Some(page) => Ok(page.unwrap()),
        None => Err(code_of(&reply)),
    }
}

/// The whole of a text in pages from these offsets on, which overlap as they like.
fn put_together(pages: &[Page]) -> Vec<u8> {
    let mut text = vec![0; pages[0].total as usize];
    for page in pages {
        assert_eq!(page.total, pages[0].total);
        text[page.offset as usize..][..page.bytes().len()].copy_from_slice(page.bytes());
    }
    text
}

#[test]
fn d5_pages_may_be_read_in_any_order_and_none_is_beyond_the_end() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    let key = ControlKey::new([7; 16]);
    let _plain = session(&daemon, &mut client, &key);
    for offset in [1, 350, u32::MAX] {
        let refused = page(&mut client, Document::PeerChain, &key, offset);
        assert_eq!(refused, Err(29), "no text was begun");
    }
    let first = page(&mut client, Document::PeerChain, &key, 0).unwrap();
    let total = first.total;
    assert!(total > 2000 && first.bytes().len() == Page::MAX_LEN, "{total}");
    // Backwards, and with bytes twice; another text meanwhile.
    let mut pages = vec![first];
    for offset in (0..total).step_by(99).rev().filter(|offset| *offset > 0) {
        pages.push(page(&mut client, Document::PeerChain, &key, offset).unwrap());
        assert!(page(&mut client, Document::Report, &key, 0).is_ok());
    }
    let chain = Chain::decode(&put_together(&pages)).unwrap();
    assert_eq!(chain.0.len(), 1);
    // Behind the end there is nothing, and the text is let go.
    for beyond in [total, total + 1, u32::MAX] {
        page(&mut client, Document::PeerChain, &key, 0).unwrap();
        let empty = page(&mut client, Document::PeerChain, &key, beyond).unwrap();
        assert_eq!((empty.bytes(), empty.total), (&[][..], total));
        assert_eq!(page(&mut client, Document::PeerChain, &key, 350), Err(29));
    }
    // Texts that go to the pool, and those that there are none of.
    for document in [Document::Ticket, Document::Farewell] {
        assert_eq!(page(&mut client, document, &key, 0), Err(9), "{document:?}: an empty page");
    }
    for document in [Document::Unknown(0), Document::Unknown(6), Document::Unknown(u32::MAX)] {
        for offset in [0, 350] {
            let refused = page(&mut client, document, &key, offset).unwrap_err();
            assert!([28, 29].contains(&refused), "{document:?}: {refused}");
        }
    }
}

#[test]
fn d5_texts_of_many_sessions_are_read_by_turns_and_the_oldest_go_first() {
    const SESSIONS: u8 = 20;
    let daemon = Daemon::start();
    let mut client = daemon.client();
    let keys: Vec<_> = (1..=SESSIONS).map(|number| ControlKey::new([number; 16])).collect();
    let _plain: Vec<_> = keys.iter().map(|key| session(&daemon, &mut client, key)).collect();
    let chain = Document::PeerChain;
    let begun: Vec<_> = keys.iter().map(|key| page(&mut client, chain, key, 0).unwrap()).collect();
    let (forgotten, kept) = keys.split_at(keys.len() - 16);
    for key in forgotten {
        assert_eq!(page(&mut client, chain, key, 350), Err(29), "it has to be begun anew");
    }
    for (key, first) in kept.iter().zip(&begun[forgotten.len()..]) {
        let mut pages = vec![first.clone()];
        while pages.last().unwrap().offset + (Page::MAX_LEN as u32) < first.total {
            let offset = pages.last().unwrap().offset + Page::MAX_LEN as u32;
            pages.push(page(&mut client, chain, key, offset).unwrap());
        }
        let whole = put_together(&pages);
        let digest: [u8; 32] = Sha256::digest(&whole).into();
        let told = report(&mut client, key).unwrap();
        assert_eq!(told.peer_chain_sha256, Some(digest), "each its own");
    }
}

#[test]
fn d6_the_list_of_sessions_is_one_text_under_whatever_key() {
    let daemon = Daemon::start();
    let (mut client, list) = (daemon.client(), Document::Sessions);
    let keys = [1, 2, 3].map(|number| ControlKey::new([number; 16]));
    let _plain: Vec<_> = keys.iter().map(|key| session(&daemon, &mut client, key)).collect();
    let first = page(&mut client, list, &keys[0], 0).unwrap();
    assert_eq!(first.bytes().len(), Page::MAX_LEN);
    let next = page(&mut client, list, &keys[2], Page::MAX_LEN as u32).unwrap();
    let whole = put_together(&[first, next]);
    assert_eq!(String::from_utf8(whole).unwrap().lines().count(), 3);
    // So it takes the room of one, and drives no other text out.
    page(&mut client, Document::PeerChain, &keys[0], 0).unwrap();
    for number in 0..20 {
        page(&mut client, list, &ControlKey::new([number; 16]), 0).unwrap();
    }
    assert!(page(&mut client, Document::PeerChain, &keys[0], 350).is_ok());
}

#[test]
fn d5_a_text_that_was_begun_is_read_to_its_end_though_the_session_ends() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    let (key, chain) = (ControlKey::new([7; 16]), Document::PeerChain);
    let plain = session(&daemon, &mut client, &key);
    let first = page(&mut client, chain, &key, 0).unwrap();
    drop(plain);
    wait_until(|| daemon.pool.sessions() == 0);
    let mut pages = vec![first];
    while pages.last().unwrap().bytes().len() == Page::MAX_LEN {
        let offset = pages.last().unwrap().offset + Page::MAX_LEN as u32;
        pages.push(page(&mut client, chain, &key, offset).unwrap());
    }
    assert!(Chain::decode(&put_together(&pages)).is_ok());
    assert_eq!(page(&mut client, chain, &key, 0), Err(15), "it is there no more");
    // Another session under the same key has texts of its own.
    let (near, far) = tcp_pair();
    let _peer = Peer::server(far, &daemon.pki.host("peer.example"), None).echo();
    let request = StartTls { control_key: key.clone(), ..as_client("peer.example") };
    let _plain = client.protect(request, &near);
    let other = page(&mut client, chain, &key, 0).unwrap();
    assert_ne!(other.total, pages[0].total);
}

/// The body of an OFFER with these bytes for protocols, stated to be as many as `len`.
fn offer(key: &ControlKey, len: u16, protocols: &[u8]) -> Message {
    let mut body = [0; 380];
    body[..16].copy_from_slice(key.expose());
    body[16..18].copy_from_slice(&len.to_le_bytes());
    body[18..][..protocols.len()].copy_from_slice(protocols);
    Message::Local(Offer::COMMAND, Secret::new(body))
}

#[test]
fn d4_an_offer_that_tls_cannot_make_is_refused_and_leaves_the_one_before() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    let key = ControlKey::new([7; 16]);
    assert_eq!(client.call(offer(&key, 3, b"\x02h2"), None), Message::Success);
    let longest = Offer::MAX_LEN as u16;
    for (len, protocols) in [
        (1, &b"\x00"[..]),
        (4, b"\x02h2\x00"),
        (2, b"\x02h2"),
        (4, b"\x02h2\x05"),
        (longest + 1, b"\x02h2"),
        (u16::MAX, b"\x02h2"),
    ] {
        let refused = client.call(offer(&key, len, protocols), None);
        assert_eq!(code_of(&refused), 9, "{len} {protocols:?}");
    }
    let unknown = Message::Local(LocalCommand::new(0x4c56_00ff), Secret::new([0; 380]));
    assert_eq!(code_of(&client.call(unknown, None)), 8);
    let (near, far) = tcp_pair();
    let peer = Peer::client_with(far, &daemon.pki, "pool.example", &[b"h2"]);
    let chosen = peer.spawn(|mut peer| async move {
        peer.established().await.unwrap();
        peer.facts().tls.unwrap().alpn
    });
    let request = StartTls { control_key: key, ..as_server("pool.example") };
    let _plain = client.protect(request, &near);
    assert_eq!(wait(chosen).as_deref(), Some("h2"));
}

/// What a peer that offers `theirs` and a server of the pool that offers `ours` agree on.
#[track_caller]
fn agreed(daemon: &Daemon, ours: &[Vec<u8>], theirs: &[&[u8]]) -> Result<Option<String>, u8> {
    wait_until(|| daemon.pool.sessions() == 0);
    let mut client = daemon.client();
    let key = ControlKey::new([8; 16]);
    let offer = Offer { control_key: key.clone(), alpn: ours.to_vec() };
    assert_eq!(client.call(offer.to_message().unwrap(), None), Message::Success);
    let (near, far) = tcp_pair();
    let _peer = Peer::client_with(far, &daemon.pki, "pool.example", theirs).echo();
    let request = StartTls { control_key: key.clone(), ..as_server("pool.example") };
    client.request(Message::StartTls(request), Some(near.as_fd()));
    let _protected = client.finish_tls()?;
    Ok(report(&mut client, &key).unwrap().tls.unwrap().alpn)
}

#[test]
fn d4_as_many_and_as_long_protocols_as_fit_are_offered() {
    let daemon = Daemon::start();
    let many: Vec<_> =
        (0..Offer::MAX_LEN / 2).map(|number| vec![b'!' + number as u8 % 90]).collect();
    let last = many.last().unwrap().clone();
    assert_eq!(many.len(), 181);
    let told = String::from_utf8(last.clone()).unwrap();
    assert_eq!(agreed(&daemon, &many, &[b"none of them", &last]), Ok(Some(told)));
    let longest = vec![b'x'; 255];
    let told = "x".repeat(255);
    assert_eq!(agreed(&daemon, &[longest.clone(), b"y".to_vec()], &[&longest]), Ok(Some(told)));
    assert_eq!(agreed(&daemon, &[longest], &[b"x"]), Err(24), "as long is not as good");
    // Nothing that is offered is nothing that is wanted.
    assert_eq!(agreed(&daemon, &[], &[b"h2"]), Ok(None));
    // Bytes that are no text are a protocol like any other.
    let odd = vec![0xff, 0x00, 0x0a];
    assert!(agreed(&daemon, std::slice::from_ref(&odd), &[&odd]).unwrap().is_some());
}

#[test]
fn d4_an_offer_is_for_its_key_and_its_connection_alone() {
    let daemon = Daemon::start();
    let key = ControlKey::new([9; 16]);
    let mut other = daemon.client();
    assert_eq!(other.call(offer(&key, 3, b"\x02h2"), None), Message::Success);
    let mut client = daemon.client();
    assert_eq!(client.call(offer(&ControlKey::new([1; 16]), 3, b"\x02h3"), None), Message::Success);
    let (near, far) = tcp_pair();
    let _peer = Peer::client_with(far, &daemon.pki, "pool.example", &[b"h2", b"h3"]).echo();
    let request = StartTls { control_key: key.clone(), ..as_server("pool.example") };
    let _plain = client.protect(request, &near);
    assert_eq!(report(&mut client, &key).unwrap().tls.unwrap().alpn, None);
}

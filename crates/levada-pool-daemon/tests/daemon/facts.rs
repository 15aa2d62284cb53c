//! What is derived from a session, and what is told about it: PRNG and INFO.

use levada::{ChannelBinding, ExporterError, KeyingMaterial, Socket};
use levada_pool_wire::body::{Fact, Info, InfoKind, Prng, PrngRequest, StartTls};
use levada_pool_wire::{ControlKey, Message, StartTlsFlags};
use levada_tls::encoded_names;
use tokio::io::AsyncReadExt as _;
use tokio::sync::oneshot;

use crate::support::{
    Client, Daemon, Peer, Plain, Spec, as_client, as_server, code_of, tcp_pair, wait,
};

/// A peer that derives keys from its own end of the session, and then waits to be let go.
fn deriving<F>(
    peer: Peer,
    derive: impl FnOnce(&Socket) -> Vec<F> + Send + 'static,
) -> (oneshot::Receiver<Vec<Vec<u8>>>, tokio::task::JoinHandle<()>)
where
    F: Future<Output = Result<KeyingMaterial, ExporterError>> + Send + 'static,
{
    let (tell, told) = oneshot::channel();
    let task = peer.spawn(|mut socket| async move {
        socket.established().await.unwrap();
        let mut keys = Vec::new();
        for derived in derive(&socket) {
            keys.push(derived.await.unwrap().bytes().to_vec());
        }
        let _ = tell.send(keys);
        // The handshake's last records leave with the reads.
        let _ = socket.read_to_end(&mut Vec::new()).await;
    });
    (told, task)
}

fn derive(
    client: &mut Client,
    key: &ControlKey,
    label: &[u8],
    context: Option<&[u8]>,
    output_len: usize,
) -> Result<Vec<u8>, u8> {
    let request = PrngRequest { control_key: key.clone(), label, context, output_len };
    match client.call(Message::Prng(Prng::from_request(&request).unwrap()), None) {
        Message::Prng(reply) => Ok(reply.output().unwrap().to_vec()),
        other => Err(code_of(&other)),
    }
}

#[test]
fn a7_keys_are_derived_as_the_peer_derives_them() {
    let daemon = Daemon::start();
    let (near, far) = tcp_pair();
    let peer = Peer::server(far, &daemon.pki.host("peer.example"), None);
    let (theirs, _task) = deriving(peer, |socket| {
        vec![
            socket.export_keying_material("EXPERIMENTAL levada", None, 32),
            socket.export_keying_material("EXPERIMENTAL levada", Some(b"context"), 350),
            socket.export_keying_material("EXPORTER-Channel-Binding", Some(b""), 32),
            socket.export_keying_material("ttls keying material", None, 128),
        ]
    });
    let mut client = daemon.client();
    let (_plain, reply) = client.protect(as_client("peer.example"), &near);
    let key = &reply.control_key;
    let theirs = theirs.blocking_recv().unwrap();
    let ours = [
        derive(&mut client, key, b"EXPERIMENTAL levada", None, 32).unwrap(),
        derive(&mut client, key, b"EXPERIMENTAL levada", Some(b"context"), 350).unwrap(),
        derive(&mut client, key, b"EXPORTER-Channel-Binding", Some(b""), 32).unwrap(),
        derive(&mut client, key, b"ttls keying material", None, 128).unwrap(),
    ];
    assert_eq!(theirs, ours);

    for label in [&b"EXPERIMENTAL"[..], b"master secret", b"own", b"EXPORTER\xff", &[b'x'; 254]] {
        assert_eq!(derive(&mut client, key, label, None, 32), Err(25));
    }
    let other = ControlKey::new([1; 16]);
    assert_eq!(derive(&mut client, &other, b"EXPERIMENTAL x", None, 32), Err(15));
    let mut stranger = daemon.client();
    assert_eq!(derive(&mut stranger, key, b"EXPERIMENTAL x", None, 32), Err(15), "not ours");
    assert_eq!(client.detach(key), Ok(()));
    assert_eq!(derive(&mut client, key, b"EXPERIMENTAL x", None, 32), Err(15), "detached");
}

/// Asks for a fact, or compares it.
fn info(
    client: &mut Client,
    key: &ControlKey,
    kind: InfoKind,
    fact: Option<&[u8]>,
) -> Result<Vec<u8>, u8> {
    let fact = fact.map(|fact| Fact::new(fact).unwrap());
    let info = Info { control_key: key.clone(), kind, fact };
    match client.call(Message::Info(info), None) {
        Message::Info(reply) => Ok(reply.fact.unwrap().as_bytes().to_vec()),
        other => Err(code_of(&other)),
    }
}

fn der_of(pem: &str) -> Vec<u8> {
    let identity = levada::Identity::from_pem(pem.as_bytes(), None, None).unwrap();
    identity.certificate_der().to_vec()
}

/// A session as server, with a peer that shows `pem`.
fn served(daemon: &Daemon, client: &mut Client, pem: Option<&str>) -> (Plain, ControlKey) {
    let (near, far) = tcp_pair();
    let _peer = Peer::client(far, &daemon.pki, "pool.example", pem).echo();
    let flags = StartTlsFlags::SERVER.with(StartTlsFlags::REQUEST_REMOTEID);
    let request = StartTls { flags, ..as_server("pool.example") };
    let (plain, reply) = client.protect(request, &near);
    (plain, reply.control_key)
}

#[test]
fn a7_names_of_both_certificates_are_told() {
    let daemon = Daemon::start();
    let spec = Spec { hosts: &["far.example"], mailboxes: &["u@far.example"], ..Spec::default() };
    let shown = daemon.pki.identity(spec);
    let mut client = daemon.client();
    let (_plain, key) = served(&daemon, &mut client, Some(&shown));
    let key = &key;
    let own = std::fs::read_to_string(daemon.folder.path().join("pool.pem")).unwrap();
    let (own, peer) = (der_of(&own), der_of(&shown));
    let (own, peer) = (encoded_names(&own).unwrap(), encoded_names(&peer).unwrap());
    for (kind, wanted) in [
        (InfoKind::PeerSubject, peer.subject),
        (InfoKind::PeerIssuer, peer.issuer),
        (InfoKind::OwnSubject, own.subject),
        (InfoKind::OwnIssuer, own.issuer),
    ] {
        assert_eq!(info(&mut client, key, kind, None).as_deref(), Ok(wanted));
        assert_eq!(info(&mut client, key, kind, Some(wanted)).as_deref(), Ok(wanted));
        assert_eq!(info(&mut client, key, kind, Some(b"other")), Err(29));
    }
    let host = &b"\x82\x0bfar.example"[..];
    let mailbox = &b"\x81\x0du@far.example"[..];
    for name in [host, mailbox] {
        let kind = InfoKind::PeerSubjectAltName;
        assert_eq!(info(&mut client, key, kind, Some(name)).as_deref(), Ok(name));
        assert_eq!(info(&mut client, key, kind, None), Err(29), "which of them?");
        assert_eq!(info(&mut client, key, InfoKind::OwnSubjectAltName, Some(name)), Err(29));
    }
    let ours = &b"\x82\x0cpool.example"[..];
    let kind = InfoKind::OwnSubjectAltName;
    assert_eq!(info(&mut client, key, kind, Some(ours)).as_deref(), Ok(ours));
    assert_eq!(info(&mut daemon.client(), key, kind, Some(ours)), Err(15), "not ours");
}

#[test]
fn a7_who_shows_nothing_has_no_names() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    let (_plain, key) = served(&daemon, &mut client, None);
    assert_eq!(info(&mut client, &key, InfoKind::PeerSubject, None), Err(29));
    assert_eq!(info(&mut client, &key, InfoKind::TlsUnique, None), Err(29), "none in TLS 1.3");
    let mut packet = levada_pool_wire::Packet {
        request: levada_pool_wire::RequestId(9),
        callback: None,
        message: Message::Info(Info { control_key: key, kind: InfoKind::TlsUnique, fact: None }),
    }
    .encode()
    .expose()
    .to_owned();
    packet[24..28].copy_from_slice(&7_u32.to_le_bytes());
    let packet = levada_pool_wire::Packet::decode(&packet).unwrap();
    assert_eq!(code_of(&client.call(packet.message, None)), 28);
}

#[test]
fn d5_the_channel_binding_is_that_of_the_peer() {
    let daemon = Daemon::start();
    let (near, far) = tcp_pair();
    let peer = Peer::server(far, &daemon.pki.host("peer.example"), None);
    let (theirs, task) =
        deriving(peer, |socket| vec![socket.channel_binding(ChannelBinding::TlsServerEndPoint)]);
    let mut client = daemon.client();
    let (plain, reply) = client.protect(as_client("peer.example"), &near);
    let ours = info(&mut client, &reply.control_key, InfoKind::TlsServerEndPoint, None);
    assert_eq!(ours.as_ref(), Ok(&theirs.blocking_recv().unwrap()[0]));
    drop(plain);
    wait(task);
}

//! TLS put on a running stream, taken off again, and plaintext where TLS was expected.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::IoSlice;
use std::pin::pin;
use std::task::{Context, Waker};

use levada::{
    Ended, Ending, Event, Fault, Identities, Identity, Mode, Options, Pipe, SessionName, Socket,
    State, TlsClient, TlsServer, UpgradeError, Verification, WhyPlain,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn tls() -> (TlsClient, TlsServer, SessionName) {
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (signed.cert.pem(), signed.signing_key.serialize_pem());
    let identity = Identity::from_pem(certificate.as_bytes(), Some(key.as_bytes()), None).unwrap();
    let anchors = levada::Anchors::from_pem(certificate.as_bytes()).unwrap();
    let client = TlsClient::builder().anchors(anchors).build().unwrap();
    let server = TlsServer::builder(Identities::one(&identity)).build().unwrap();
    (client, server, SessionName::new("localhost").unwrap())
}

fn plain_pair() -> (Socket, Socket) {
    let (near, far) = Pipe::pair(1000);
    let adopt = |pipe| Socket::adopt(pipe, None, Options::default());
    (adopt(near), adopt(far))
}

async fn line(socket: &mut Socket) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        line.push(socket.read_u8().await.unwrap());
    }
    String::from_utf8(line).unwrap()
}

#[tokio::test]
async fn starttls_both_ways_and_back_to_plaintext() {
    let (tls_client, tls_server, name) = tls();
    let (mut client, mut server) = plain_pair();
    let mut events = client.events();
    let calling = async {
        client.write_all(b"STARTTLS\n").await.unwrap();
        assert_eq!(line(&mut client).await, "go ahead\n");
        assert!(client.start_client_encryption(&tls_client, &name).unwrap());
        assert_eq!((client.state(), client.mode()), (State::Handshaking, Mode::TlsClient));
        assert!(!client.start_client_encryption(&tls_client, &name).unwrap(), "no effect");
        let parts = [IoSlice::new(b"sec"), IoSlice::new(b"ret\n")];
        assert_eq!(client.write_vectored(&parts).await.unwrap(), 7, "queued, in order");
        assert_eq!(line(&mut client).await, "secret too\n");
        assert_eq!(client.facts().tls.unwrap().version, Some("1.3"));
        assert!(client.end_tls());
        client.write_all(b"plain again\n").await.unwrap();
        assert_eq!(line(&mut client).await, "plain as well\n");
        assert_eq!((client.mode(), client.facts().plain), (Mode::Plain, Some(WhyPlain::EndTls)));
        client.shutdown().await.unwrap();
        client.closed().await
    };
    let answering = async {
        assert_eq!(line(&mut server).await, "STARTTLS\n");
        // Written before the upgrade: it goes in plaintext, in front of the first record.
        server.write_all(b"go ahead\n").await.unwrap();
        assert!(server.start_server_encryption(&tls_server).unwrap());
        assert_eq!(line(&mut server).await, "secret\n");
        let parts = [IoSlice::new(b"secret "), IoSlice::new(b""), IoSlice::new(b"too\n")];
        assert_eq!(server.write_vectored(&parts).await.unwrap(), 11, "sealed, in order");
        server.flush().await.unwrap();
        assert!(server.end_tls());
        assert_eq!(line(&mut server).await, "plain again\n");
        server.write_all(b"plain as well\n").await.unwrap();
        server.shutdown().await.unwrap();
        assert_eq!(server.read(&mut [0; 1]).await.unwrap(), 0);
        server.closed().await
    };
    let (ours, theirs) = tokio::join!(calling, answering);
    assert_eq!((&ours.ending, &theirs.ending), (&Ending::Finished, &Ending::Finished));
    // Who met under TLS is known to the end, and each end tells the same.
    let (ours, theirs) = (ours.facts.tls.as_ref().unwrap(), theirs.facts.tls.as_ref().unwrap());
    assert_eq!(ours.verified_name.as_deref(), Some("localhost"));
    assert_eq!(ours.verification, Some(Verification::Verified));
    assert_eq!(ours.peer_chain.first(), theirs.identity.as_deref());
    assert_eq!(theirs.verification, Some(Verification::Anonymous));
    let told: Vec<_> = std::iter::from_fn(|| events.try_next()).collect();
    let modes: Vec<_> = told.iter().filter(|event| matches!(event, Event::Mode(_))).collect();
    assert_eq!(modes, [&Event::Mode(Mode::TlsClient), &Event::Mode(Mode::Plain)]);
}

#[tokio::test]
async fn l07_bytes_that_wait_where_tls_begins_are_refused_as_an_injection() {
    let (tls_client, _, name) = tls();
    let (near, _far) = Pipe::pair(1000);
    let mut client =
        Socket::adopt_with_prefix(near, b"250 injected\n".to_vec(), None, Options::default());
    let refused = client.start_client_encryption(&tls_client, &name).unwrap_err();
    assert_eq!(refused, UpgradeError::Injection { bytes: 13 });
    assert_eq!((client.state(), client.mode()), (State::Established, Mode::Plain));
    assert_eq!(line(&mut client).await, "250 injected\n", "nothing is lost");
    assert!(client.start_client_encryption(&tls_client, &name).unwrap());
}

#[tokio::test]
async fn what_the_kernel_holds_at_an_upgrade_is_tls_or_fails_as_none() {
    let (tls_client, _, name) = tls();
    let (mut client, mut server) = plain_pair();
    server.write_all(b"250 injected\n").await.unwrap();
    assert!(client.start_client_encryption(&tls_client, &name).unwrap());
    let error = client.read(&mut [0; 9]).await.unwrap_err();
    let Ending::FatalError { cause: Fault::NotTls { first }, .. } =
        &Ended::of(&error).unwrap().ending
    else {
        panic!("{error}")
    };
    assert_eq!(first, b"250 injected\n");
}

#[tokio::test]
async fn s18_plaintext_is_let_through_only_where_it_is_allowed_by_name() {
    let (_, tls_server, _) = tls();
    for allowed in [true, false] {
        let (near, far) = Pipe::pair(1000);
        let mut options = Options::default();
        options.danger_allow_plaintext = allowed;
        let mut server = Socket::adopt(near, Some(tls_server.session()), options);
        let mut client = Socket::adopt(far, None, Options::default());
        client.write_all(b"GET / HTTP/1.0\n").await.unwrap();
        if !allowed {
            let error = server.established().await.unwrap_err();
            assert_eq!(Ended::of(&error).unwrap().ending.cause_code(), "ERR_TLS_FATAL_ERROR");
            continue;
        }
        server.established().await.unwrap();
        assert_eq!((server.mode(), server.facts().plain), (Mode::Plain, Some(WhyPlain::Fallback)));
        assert_eq!(line(&mut server).await, "GET / HTTP/1.0\n", "the first buffer, whole and once");
        server.write_all(b"HTTP/1.0 200\n").await.unwrap();
        assert_eq!(line(&mut client).await, "HTTP/1.0 200\n");
    }
}

#[tokio::test]
async fn s19_a_hook_decides_about_plaintext_in_its_own_time() {
    let (_, tls_server, _) = tls();
    for (allowed, lets_through) in [(true, false), (false, true)] {
        let (near, far) = Pipe::pair(1000);
        let mut options = Options::default();
        // The hook has the last word.
        options.danger_allow_plaintext = allowed;
        let mut server = Socket::adopt(near, Some(tls_server.session()), options);
        let mut client = Socket::adopt(far, None, Options::default());
        client.write_all(b"GET / HTTP/1.0\n").await.unwrap();
        let (answer, asked) = tokio::sync::oneshot::channel();
        server.danger_on_plaintext(|first| async move {
            assert_eq!(first, b"GET / HTTP/1.0\n", "all that has come");
            asked.await.unwrap()
        });
        let mut cx = Context::from_waker(Waker::noop());
        assert!(pin!(server.established()).poll(&mut cx).is_pending());
        answer.send(lets_through).unwrap();
        let up = server.established().await;
        assert_eq!(up.is_ok(), lets_through);
        if lets_through {
            assert_eq!(server.facts().plain, Some(WhyPlain::Fallback));
            assert_eq!(line(&mut server).await, "GET / HTTP/1.0\n");
            server.write_all(b"HTTP/1.0 200\n").await.unwrap();
            assert_eq!(line(&mut client).await, "HTTP/1.0 200\n");
        }
    }
}

#[tokio::test]
async fn s18_an_adopted_prefix_counts_as_the_first_bytes() {
    let (tls_client, tls_server, name) = tls();
    let mut options = Options::default();
    options.danger_allow_plaintext = true;
    let (near, _far) = Pipe::pair(1000);
    let session = Some(tls_server.session());
    let mut server = Socket::adopt_with_prefix(near, b"G".to_vec(), session, options);
    server.established().await.unwrap();
    assert_eq!(server.read_u8().await.unwrap(), b'G');

    // A ClientHello that comes byte by byte is none the less one.
    let (near, far) = Pipe::pair(1);
    let mut server = Socket::adopt(near, Some(tls_server.session()), options);
    let session = tls_client.session(&name).unwrap();
    let mut client = Socket::adopt(far, Some(session), Options::default());
    let (server_up, client_up) = tokio::join!(server.established(), client.flush());
    server_up.unwrap();
    client_up.unwrap();
    assert_eq!(server.mode(), Mode::TlsServer);
}

#[tokio::test]
async fn a_plain_socket_is_handed_out_with_what_was_read_ahead() {
    let (near, far) = Pipe::pair(1000);
    let socket = Socket::adopt_with_prefix(near, b"ahead".to_vec(), None, Options::default());
    let (carrier, ahead) = socket.into_carrier().unwrap();
    assert_eq!(ahead, b"ahead");
    let mut again = Socket::adopt(carrier, None, Options::default());
    let mut other = Socket::adopt(far, None, Options::default());
    other.write_all(b"still here\n").await.unwrap();
    assert_eq!(line(&mut again).await, "still here\n");
}

#[tokio::test]
async fn s20_there_is_no_fallback_once_the_first_byte_was_tls() {
    let (_, tls_server, _) = tls();
    let hello_cut_short = [&[22, 3, 1, 0, 9, 1, 0, 0, 5][..], b"plain"].concat();
    let record_of_nonsense = [22, 3, 3, 0, 4, 99, 0, 0, 0].to_vec();
    let alert = [21, 3, 3, 0, 2, 2, 40].to_vec();
    for first in [hello_cut_short, record_of_nonsense, alert] {
        let (near, far) = Pipe::pair(1000);
        let mut options = Options::default();
        options.danger_allow_plaintext = true;
        let mut server = Socket::adopt(near, Some(tls_server.session()), options);
        server.write_all(b"for your eyes only\n").await.unwrap();
        let mut client = Socket::adopt(far, None, Options::default());
        client.write_all(&first).await.unwrap();
        client.write_all(b"GET / HTTP/1.0\n").await.unwrap();
        let error = server.established().await.unwrap_err();
        let cause = Ended::of(&error).unwrap().ending.cause_code();
        assert!(["ERR_TLS_FATAL_ERROR", "ERR_TLS_FATAL_ALERT"].contains(&cause), "{cause}");
        assert_eq!(server.mode(), Mode::TlsServer, "never plain");
        drop(server);
        let mut seen = Vec::new();
        let _ = client.read_to_end(&mut seen).await;
        assert!(!seen.windows(4).any(|part| part == b"eyes"), "{}", seen.escape_ascii());
    }
}

#[tokio::test(start_paused = true)]
async fn s21_a_byte_and_then_silence_ends_by_the_deadline() {
    let (_, tls_server, _) = tls();
    for allowed in [true, false] {
        let (near, far) = Pipe::pair(1000);
        let mut options = Options::default();
        options.danger_allow_plaintext = allowed;
        let mut server = Socket::adopt(near, Some(tls_server.session()), options);
        let mut client = Socket::adopt(far, None, Options::default());
        client.write_all(&[22]).await.unwrap();
        let began = tokio::time::Instant::now();
        let error = server.established().await.unwrap_err();
        assert_eq!(Ended::of(&error).unwrap().ending.cause_code(), "timeout_handshake");
        assert_eq!(began.elapsed().as_secs(), 10);
    }
}

//! A plain side with borders between messages, SOCK_DGRAM or SOCK_SEQPACKET, works with OpenSSL and GnuTLS, as
//! TLS client and as TLS server: what is sent in one message comes in one.

use std::net::TcpStream;
use std::os::fd::{AsFd as _, OwnedFd};

use levada_pool::wire::Message;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, recv, send, shutdown,
    socketpair,
};

use crate::harness::{Backend, Caller, Foreign, Host, PATIENCE, Pki, Pool, Speaker};

const KINDS: [SocketType; 2] = [SocketType::DGRAM, SocketType::SEQPACKET];

/// Gives the pool one end of such a pair, and waits for the session.
#[track_caller]
fn plain(speaker: &mut Speaker, kind: SocketType) -> OwnedFd {
    let pair = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None);
    let (ours, theirs) = pair.unwrap();
    set_socket_timeout(&ours, Timeout::Recv, Some(PATIENCE)).unwrap();
    let question = speaker.hear();
    assert!(matches!(question.message, Message::PlaintextConnect(_)), "{question:?}");
    speaker.send(&question, Some(theirs.as_fd()));
    let reply = speaker.hear();
    assert!(matches!(reply.message, Message::StartTls(_)), "{reply:?}");
    ours
}

fn message(plain: &OwnedFd) -> Vec<u8> {
    let mut room = [0; 4096];
    let (count, _) = recv(plain, &mut room[..], RecvFlags::empty()).unwrap();
    room[..count].to_vec()
}

#[test]
fn f_from_a_server() {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    for (program, version) in Foreign::EACH {
        let server = program.server(&pki, version, Host::default());
        for kind in KINDS {
            let mut speaker = pool.speaker();
            speaker.ask_for_tls(TcpStream::connect(server.address).unwrap(), false, 0);
            let plain = plain(&mut speaker, kind);
            for _ in 0..2 {
                send(&plain, b"hello\n", SendFlags::empty()).unwrap();
                assert_eq!(message(&plain), server.answer(), "{program:?} {version} {kind:?}");
            }
        }
    }
}

#[test]
fn f_from_a_client() {
    let pki = Pki::new();
    let pool = Pool::start(&pki);
    for (program, version) in Foreign::EACH {
        for kind in KINDS {
            let backend = Backend::new();
            let mut visitor = program.client(&pki, backend.address, version, Caller::default());
            let mut speaker = pool.speaker();
            speaker.ask_for_tls(backend.accept(), true, 0);
            let plain = plain(&mut speaker, kind);
            for words in ["hello\n", "a longer line than that before\n"] {
                visitor.running.write(words.as_bytes());
                let heard = message(&plain);
                assert_eq!(heard, words.as_bytes(), "{program:?} {version} {kind:?}");
                send(&plain, &heard, SendFlags::empty()).unwrap();
                assert_eq!(visitor.running.stdout.line().as_deref(), Some(words.trim_end()));
            }
            // A datagram socket has no end that the visitor could wait for.
            if kind == SocketType::SEQPACKET {
                shutdown(&plain, Shutdown::Write).unwrap();
                visitor.leave();
            }
        }
    }
}

//! Plain streams over memory and TCP, and the relay between them.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use levada::{Address, Ended, Ending, Event, Listener, Mode, Options, Pipe, Socket, State};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn pair(capacity: usize) -> (Socket, Socket) {
    let (near, far) = Pipe::pair(capacity);
    (Socket::adopt(near, None, Options::default()), Socket::adopt(far, None, Options::default()))
}

fn dial(address: &str) -> Socket {
    let to = address.parse::<Address>().unwrap().for_connecting().unwrap();
    Socket::dial(to.endpoint, None, Options::default())
}

async fn tcp_pair() -> (Socket, Socket) {
    let bind = "tcp://127.0.0.1:0".parse::<Address>().unwrap().for_listening().unwrap();
    let listener = Listener::bind(&bind.endpoint, None, Options::default()).await.unwrap();
    let mut client = dial(&format!("tcp://{}", listener.local().unwrap()));
    let (accepted, up) = tokio::join!(listener.accept(), client.established());
    up.unwrap();
    (client, accepted.unwrap().into_socket().expect("nothing but a transport"))
}

#[tokio::test]
async fn half_close_lets_the_tail_through_and_both_finish() {
    for (mut near, mut far) in [pair(7), tcp_pair().await] {
        assert_eq!((near.state(), near.mode()), (State::Established, Mode::Plain));
        let tail = async {
            near.write_all(b"a question").await.unwrap();
            near.shutdown().await.unwrap();
            assert_eq!(near.state(), State::Closing);
            let mut answer = Vec::new();
            near.read_to_end(&mut answer).await.unwrap();
            assert_eq!(answer, b"an answer that is rather long");
            near.closed().await
        };
        let reply = async {
            let mut question = Vec::new();
            far.read_to_end(&mut question).await.unwrap();
            assert_eq!(question, b"a question");
            far.write_all(b"an answer that is rather long").await.unwrap();
            far.shutdown().await.unwrap();
            far.closed().await
        };
        let (ours, theirs) = tokio::join!(tail, reply);
        assert_eq!((ours.ending, theirs.ending), (Ending::Finished, Ending::Finished));
        assert_eq!(ours.facts.bytes.written, 10);
        assert_eq!(theirs.facts.bytes.wire_written, 29);
    }
}

#[tokio::test]
async fn a_dropped_socket_is_a_reset_and_its_last_event_is_told() {
    for (mut near, mut far) in [pair(64), tcp_pair().await] {
        far.write_all(b"last words").await.unwrap();
        let mut events = far.events();
        let mut words = [0; 10];
        near.read_exact(&mut words).await.unwrap();
        drop(far);
        let error = near.read(&mut words).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        let ended = Ended::of(&error).unwrap();
        assert_eq!(ended.code(), "ECONNRESET");
        assert!(
            matches!(events.next().await, Some(Event::Ended(e)) if e.ending == Ending::Aborted)
        );
        assert_eq!(events.next().await, None);
    }
}

#[tokio::test]
async fn a_relay_passes_bytes_and_goodbyes_both_ways() {
    let (mut client, mut left) = tcp_pair().await;
    let mut right = Socket::adopt(Pipe::echo(1000), None, Options::default());
    let relay = tokio::spawn(async move { levada::relay(&mut left, &mut right).await });
    let sent: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    let (mut reader, mut writer) = tokio::io::split(&mut client);
    let writing = async {
        writer.write_all(&sent).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let mut received = Vec::new();
    let (read, ()) = tokio::join!(reader.read_to_end(&mut received), writing);
    read.unwrap();
    assert!(received == sent, "the echo differs");
    let (left, right) = relay.await.unwrap();
    assert_eq!((left.ending, right.ending), (Ending::Finished, Ending::Finished));
    assert_eq!(client.closed().await.ending, Ending::Finished);
}

#[tokio::test]
async fn a_relay_never_turns_a_bad_ending_into_a_good_one() {
    let (mut client, mut left) = tcp_pair().await;
    let (mut right, mut target) = pair(1000);
    let relay = tokio::spawn(async move { levada::relay(&mut left, &mut right).await });
    client.write_all(b"half a mess").await.unwrap();
    let mut got = [0; 11];
    target.read_exact(&mut got).await.unwrap();
    client.abort();
    let (left, right) = relay.await.unwrap();
    assert_eq!(left.code(), "ECONNRESET");
    assert_eq!(right.ending, Ending::Aborted);
    let error = target.read(&mut got).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn giving_up_before_it_is_established_is_no_error() {
    let mut socket = dial("tcp://127.0.0.1:9");
    socket.shutdown().await.unwrap();
    assert_eq!(socket.ended().unwrap().ending, Ending::ConnectFinalized);
    assert_eq!(socket.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_refused_connection_says_so_with_its_number() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut socket = dial(&format!("tcp://localhost:{port}"));
    let mut events = socket.events();
    let error = socket.established().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    let ended = Ended::of(&error).unwrap();
    assert_eq!((ended.code(), ended.ending.cause_code()), ("connectFailed", "ECONNREFUSED"));
    assert_eq!(ended.os_error(), Some(111));
    assert_eq!(ended.phase, State::Connecting);
    let told: Vec<_> = std::iter::from_fn(|| events.try_next()).collect();
    assert_eq!(told.first(), Some(&Event::State(State::HostLookup)));
    assert!(told.iter().any(|event| matches!(event, Event::AttemptFailed(..))));
    assert!(matches!(told.last(), Some(Event::Ended(_))));
}

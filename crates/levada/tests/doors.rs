//! The same stream through its other doors: two halves, vectored writes, the traits of futures-io.

use std::io::IoSlice;

use levada::{Carrier, Ending, Event, Options, Pipe, Socket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn pair(capacity: usize) -> (Socket, Socket) {
    let (near, far) = Pipe::pair(capacity);
    let adopt = |pipe| Socket::adopt(pipe, None, Options::default());
    (adopt(near), adopt(far))
}

#[tokio::test]
async fn two_tasks_own_a_half_each_and_put_them_together_again() {
    let (near, far) = pair(10);
    let (mut reader, mut writer) = near.into_split();
    let echo = tokio::spawn(async move {
        let (mut reader, mut writer) = far.into_split();
        tokio::io::copy(&mut reader, &mut writer).await.unwrap();
        writer.shutdown().await.unwrap();
        reader.unsplit(writer).unwrap().closed().await
    });
    let writing = tokio::spawn(async move {
        writer.write_all(&[7; 5000]).await.unwrap();
        writer.shutdown().await.unwrap();
        writer
    });
    let mut back = Vec::new();
    reader.read_to_end(&mut back).await.unwrap();
    assert_eq!(back, [7; 5000]);
    let writer = writing.await.unwrap();
    assert_eq!(writer.facts().bytes.written, 5000);
    let ended = reader.unsplit(writer).unwrap().closed().await;
    assert_eq!(ended.ending, Ending::Finished);
    assert_eq!(echo.await.unwrap().ending, Ending::Finished);
}

#[tokio::test]
async fn halves_of_two_sockets_are_given_back() {
    let ((one, _far), (other, _far_too)) = (pair(1), pair(1));
    let ((reader, kept), (_other_reader, writer)) = (one.into_split(), other.into_split());
    let back = reader.unsplit(writer).unwrap_err();
    back.0.unsplit(kept).unwrap();
}

#[tokio::test]
async fn b7_vectored_writes_keep_their_order_and_go_at_once() {
    let (mut near, mut far) = pair(100);
    let parts =
        [IoSlice::new(b"one "), IoSlice::new(b""), IoSlice::new(b"two "), IoSlice::new(b"3")];
    let mut slices = &mut { parts }[..];
    while !slices.is_empty() {
        let count = near.write_vectored(slices).await.unwrap();
        IoSlice::advance_slices(&mut slices, count);
    }
    near.shutdown().await.unwrap();
    let mut text = String::new();
    far.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "one two 3");
}

#[tokio::test]
async fn a_descriptor_is_adopted_and_given_away_again() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let unix = std::os::unix::net::UnixStream::pair().unwrap();
    let pairs: [(std::os::fd::OwnedFd, std::os::fd::OwnedFd); 2] =
        [(tcp.into(), listener.accept().unwrap().0.into()), (unix.0.into(), unix.1.into())];
    for (near, far) in pairs {
        let adopt = |fd| Socket::adopt(Carrier::from_fd(fd).unwrap(), None, Options::default());
        let (mut near, mut far) = (adopt(near), adopt(far));
        near.write_all(b"first").await.unwrap();
        let mut text = [0; 5];
        far.read_exact(&mut text).await.unwrap();
        let (carrier, ahead) = near.into_carrier().unwrap();
        assert!(ahead.is_empty());
        let mut again = adopt(carrier.into_fd().unwrap());
        again.write_all(b"again").await.unwrap();
        far.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"again");
    }
}

#[tokio::test]
async fn a_descriptor_that_is_no_stream_socket_is_refused_in_words() {
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let error = Carrier::from_fd(datagrams.into()).unwrap_err();
    assert!(error.to_string().contains("no stream socket"), "{error}");
    let file = std::fs::File::open("/dev/null").unwrap();
    assert!(Carrier::from_fd(file.into()).is_err());
}

#[tokio::test]
async fn a_listener_of_events_that_never_listens_stops_nothing_and_gets_the_last() {
    let (mut near, mut far) = pair(10);
    let mut events = near.events();
    let sending = async {
        near.write_all(&vec![1; 100_000]).await.unwrap();
        near.shutdown().await.unwrap();
        near.closed().await
    };
    let taking = async {
        let count = tokio::io::copy(&mut far, &mut tokio::io::sink()).await.unwrap();
        far.shutdown().await.unwrap();
        count
    };
    let (ended, count) = tokio::join!(sending, taking);
    assert_eq!((ended.ending, count), (Ending::Finished, 100_000));
    let told: Vec<_> = std::iter::from_fn(|| events.try_next()).collect();
    assert!(matches!(told.last(), Some(Event::Ended(_))));
}

#[cfg(feature = "futures-io")]
#[tokio::test]
async fn the_traits_of_futures_io_are_there_too() {
    use futures_util::io::AsyncWriteExt as _;

    let (mut near, mut far) = pair(10);
    let asking = async {
        futures_util::AsyncWriteExt::write_all(&mut near, b"a question that is long")
            .await
            .unwrap();
        near.close().await.unwrap();
    };
    let mut question = Vec::new();
    let answering = futures_util::AsyncReadExt::read_to_end(&mut far, &mut question);
    let ((), read) = tokio::join!(asking, answering);
    assert_eq!((read.unwrap(), &question[..]), (23, &b"a question that is long"[..]));
    futures_util::AsyncWriteExt::close(&mut far).await.unwrap();
    assert_eq!(near.closed().await.ending, Ending::Finished);
}

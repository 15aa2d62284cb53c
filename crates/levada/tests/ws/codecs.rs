//! Codecs of both families on the stream (§1.7).

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::bytes::Bytes;
use tokio_util::codec::{Framed, LengthDelimitedCodec, LinesCodec};

use crate::support::{Over, pair};

/// §1.7: half a line first, then the rest; closed by either side.
#[tokio::test]
async fn b1_lines_of_tokio_util_come_whole() {
    for over in Over::ALL {
        for closer in [0, 1] {
            let mut ends = pair(over);
            ends.rotate_left(closer);
            let [mut one, other] = ends;
            let write = async {
                one.write_all(b"half a ").await.unwrap();
                one.flush().await.unwrap();
                one.write_all(b"line\nand another\n").await.unwrap();
                one.shutdown().await.unwrap();
                one.closed().await
            };
            let read = async {
                let mut lines = Framed::new(other, LinesCodec::new());
                let mut got = Vec::new();
                while let Some(line) = lines.next().await {
                    got.push(line.unwrap());
                }
                got
            };
            let (ended, lines) = tokio::join!(write, read);
            assert_eq!(lines, ["half a line", "and another"], "{over:?}");
            assert!(ended.is_clean());
        }
    }
}

/// §1.7: what is delimited by its length.
#[tokio::test]
async fn b1_length_delimited_frames_come_whole() {
    for over in Over::ALL {
        let [one, other] = pair(over);
        let [mut one, mut other] =
            [one, other].map(|end| Framed::new(end, LengthDelimitedCodec::new()));
        let sizes = [0, 1, 125, 126, 2000, 9000];
        let write = async {
            for size in sizes {
                one.send(Bytes::from(vec![size as u8; size])).await.unwrap();
            }
            SinkExt::<Bytes>::close(&mut one).await.unwrap();
            assert!(one.next().await.is_none());
        };
        let read = async {
            let mut got = Vec::new();
            while let Some(frame) = other.next().await {
                got.push(frame.unwrap().len());
            }
            got
        };
        assert_eq!(tokio::join!(write, read).1, sizes, "{over:?}");
    }
}

/// §1.7: the stream goes through tokio's copy in both directions.
#[tokio::test]
async fn b1_copy_bidirectional_passes_everything() {
    let [mut client, mut left] = pair(Over::Memory);
    let [mut right, mut server] = pair(Over::Memory);
    let relay =
        tokio::spawn(async move { tokio::io::copy_bidirectional(&mut left, &mut right).await });
    let question = async {
        client.write_all(&vec![1; 300_000]).await.unwrap();
        client.flush().await.unwrap();
        let mut answer = vec![0; 200_000];
        client.read_exact(&mut answer).await.unwrap();
        client.shutdown().await.unwrap();
        client.closed().await
    };
    let answer = async {
        let mut question = vec![0; 300_000];
        server.read_exact(&mut question).await.unwrap();
        server.write_all(&vec![2; 200_000]).await.unwrap();
        server.flush().await.unwrap();
        server.closed().await
    };
    let (ours, theirs) = tokio::join!(question, answer);
    assert!(ours.is_clean() && theirs.is_clean());
    let _ = relay.await.unwrap();
}

/// §1.7: the other family of traits, with its codecs.
#[cfg(feature = "futures-io")]
#[tokio::test]
async fn b1_asynchronous_codec_works() {
    use asynchronous_codec::{Framed, LinesCodec};
    for over in Over::ALL {
        let [one, other] = pair(over);
        let mut one = Framed::new(one, LinesCodec);
        let mut other = Framed::new(other, LinesCodec);
        let write = async {
            one.send("a line\n".to_owned()).await.unwrap();
            one.send("another\n".to_owned()).await.unwrap();
            one.close().await.unwrap();
            assert!(one.next().await.is_none());
        };
        let read = async {
            let mut got = Vec::new();
            while let Some(line) = other.next().await {
                got.push(line.unwrap());
            }
            got
        };
        assert_eq!(tokio::join!(write, read).1, ["a line\n", "another\n"], "{over:?}");
    }
}

/// §1.7: the buffered reader of that family, and its vectored write.
#[cfg(feature = "futures-io")]
#[tokio::test]
async fn b3_b7_the_futures_traits_are_the_same_stream() {
    use futures_util::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
    use std::io::IoSlice;
    let [mut one, mut other] = pair(Over::Trickle);
    let write = async {
        let slices = [IoSlice::new(b"one\n"), IoSlice::new(b"two")];
        assert_eq!(AsyncWriteExt::write_vectored(&mut one, &slices).await.unwrap(), 7);
        AsyncWriteExt::close(&mut one).await.unwrap();
        let mut rest = Vec::new();
        AsyncReadExt::read_to_end(&mut one, &mut rest).await.unwrap();
    };
    let read = async {
        let mut line = String::new();
        AsyncBufReadExt::read_line(&mut other, &mut line).await.unwrap();
        let mut rest = String::new();
        AsyncReadExt::read_to_string(&mut other, &mut rest).await.unwrap();
        (line, rest)
    };
    let ((), (line, rest)) = tokio::join!(write, read);
    assert_eq!((&*line, &*rest), ("one\n", "two"));
}

//! 2,000 TLS streams are held at once, and every one of them is answered.

use std::sync::Arc;

use levada::{Dialer, Stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::harness::{Pki, Serve, raise_open_files};

/// Handshakes at once, so that none outlasts its deadline on a busy machine.
const AT_ONCE: usize = 32;

/// Descriptors of this process that are no stream's.
const RESERVE: u64 = 512;

#[test]
fn three_hundred_of_them_in_little_time() {
    held_and_echoed("three_hundred_of_them_in_little_time", 300);
}

#[test]
fn all_of_them() {
    if levada_testkit::skip::slow_runs("all_of_them") {
        held_and_echoed("all_of_them", 2000);
    }
}

fn held_and_echoed(test: &str, count: usize) {
    let limit = raise_open_files();
    if limit < count as u64 + RESERVE {
        let why = format!("{count} streams do not fit into {limit} open files");
        return levada_testkit::skip::cannot_run(test, &why);
    }
    let pki = Pki::new();
    let mut serve = Serve::tls(&pki, "echo:");
    let idle = serve.descriptors();
    let url = format!("{}?ca={}", serve.tls_url(), pki.ca);
    let dialer = Dialer::new(&url.parse().unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();

    let streams = runtime.block_on(dial_all(dialer, count));
    // An echo needs no descriptor beside its client's.
    assert!(serve.descriptors() >= idle + count, "all are held at once");
    let streams = runtime.block_on(talk_all(streams, 1));
    let streams = runtime.block_on(talk_all(streams, 2));
    assert!(serve.descriptors() >= idle + count, "and still are");
    runtime.block_on(close_all(streams));
    for _ in 0..count {
        assert_eq!(serve.ended(), ("finished".into(), "finished".into()));
    }
    assert_eq!(serve.stop().0, 0);
}

async fn dial_all(dialer: Dialer, count: usize) -> Vec<Stream> {
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut dialling = JoinSet::new();
    for _ in 0..count {
        let (dialer, turns) = (dialer.clone(), Arc::clone(&turns));
        dialling.spawn(async move {
            let _turn = turns.acquire().await;
            let mut stream = dialer.dial().unwrap();
            stream.established().await.unwrap();
            stream
        });
    }
    dialling.join_all().await
}

/// Everybody speaks, and only then does anybody listen: each has words of its own.
async fn talk_all(mut streams: Vec<Stream>, round: usize) -> Vec<Stream> {
    let words = |number: usize| format!("the words of {number} in round {round}").into_bytes();
    for (number, stream) in streams.iter_mut().enumerate() {
        stream.write_all(&words(number)).await.unwrap();
        stream.flush().await.unwrap();
    }
    for (number, stream) in streams.iter_mut().enumerate() {
        let mut echo = words(number);
        echo.fill(0);
        stream.read_exact(&mut echo).await.unwrap();
        assert_eq!(echo, words(number));
    }
    streams
}

async fn close_all(mut streams: Vec<Stream>) {
    for stream in &mut streams {
        stream.shutdown().await.unwrap();
    }
    for stream in &mut streams {
        assert!(stream.closed().await.is_clean());
    }
}

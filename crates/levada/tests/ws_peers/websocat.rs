//! websocat, which is built out of crates.io and so only asked in the slow suites.

use std::os::fd::OwnedFd;
use std::process::Stdio;

use levada::{Ending, Party, WsStream};
use levada_testkit::{peers, skip};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::{PATIENCE, accept, closed, connect, echo, pattern};

/// The program, if it is asked for and there.
fn program(test: &str) -> Option<std::process::Command> {
    if !skip::slow_runs(test) {
        return None;
    }
    let Some(program) = peers::websocat() else {
        skip::cannot_run(test, peers::MISSING);
        return None;
    };
    let mut command = std::process::Command::new(program);
    command.arg("--binary");
    Some(command)
}

/// B1, C1: it sends what it reads, writes what comes, and closes when there is no more to read.
#[tokio::test]
async fn websocat_is_understood_as_client() {
    let Some(mut command) = program("websocat_is_understood_as_client") else { return };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/echo", listener.local_addr().unwrap());
    let mut child = command
        .args(["--protocol", "binary", &url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let data = [pattern(), pattern(), pattern()].concat();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let talk = tokio::task::spawn_blocking(move || {
        let mut back = vec![0; data.len()];
        std::thread::scope(|scope| {
            scope.spawn(|| std::io::Write::write_all(&mut input, &data).unwrap());
            std::io::Read::read_exact(&mut output, &mut back).unwrap();
        });
        drop(input);
        assert!(back == data);
    });
    let ended = echo(accept(&listener).await).await;
    talk.await.unwrap();
    let Ending::WsClose { by: Party::Peer, .. } = ended.ending else { panic!("{ended}") };
    assert!(child.wait().unwrap().success());
}

/// B1, C2: as a server it speaks on the socket that it is given, and gives back what comes.
#[tokio::test]
async fn websocat_is_understood_as_server() {
    let Some(mut command) = program("websocat_is_understood_as_server") else { return };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let open = tokio::spawn(async move { connect(address, "/echo").await });
    let (socket, _) =
        tokio::task::spawn_blocking(move || listener.accept().unwrap()).await.unwrap();
    let output = OwnedFd::from(socket.try_clone().unwrap());
    let mut child = command
        .args(["--protocol", "binary", "inetd-ws:", "mirror:"])
        .stdin(OwnedFd::from(socket))
        .stdout(output)
        .spawn()
        .unwrap();
    drop(command);
    let stream: WsStream<TcpStream> = timeout(PATIENCE, open).await.unwrap().unwrap();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (data, mut back) = (pattern(), vec![0; 1 << 21]);
    let write = async {
        writer.write_all(&data).await.unwrap();
        writer.flush().await.unwrap();
    };
    let talk = async { tokio::join!(write, reader.read_exact(&mut back)).1 };
    timeout(PATIENCE, talk).await.unwrap().unwrap();
    assert!(back == data);
    let mut stream = reader.unsplit(writer);
    stream.shutdown().await.unwrap();
    let ended = timeout(PATIENCE, stream.closed()).await.unwrap();
    // It may be gone before it has answered.
    let answered = closed(1000, "", Party::Local);
    assert!([answered, Ending::SocketClose].contains(&ended.ending), "{ended}");
    child.wait().unwrap();
}

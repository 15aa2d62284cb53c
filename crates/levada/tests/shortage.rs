//! A lack of descriptors. Its limit is the whole process's: this test has a binary of its own.

use std::net::TcpStream;
use std::time::Duration;

use levada::{Address, Listener, Options, OsError};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::time::timeout;

#[tokio::test]
async fn without_descriptors_connections_wait_and_nothing_breaks() {
    let on = "tcp://127.0.0.1:0".parse::<Address>().unwrap().for_listening().unwrap();
    let listener = Listener::bind(&on.endpoint, None, Options::default()).await.unwrap();
    let here = listener.local().unwrap().to_string();
    let callers: Vec<_> = (0..8).map(|_| TcpStream::connect(&here).unwrap()).collect();

    // Room for a few descriptors more than there are.
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64 - 1;
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(open + 3), maximum }).unwrap();
    let told = listener.shortage();
    assert_eq!(*told.borrow(), None);
    let mut accepted = Vec::new();
    while let Ok(socket) = timeout(Duration::from_millis(200), listener.accept()).await {
        accepted.push(socket.expect("a shortage is waited out"));
    }
    let held = accepted.len();
    assert!((1..callers.len()).contains(&held), "{held} were accepted");
    assert_eq!(told.borrow().as_ref().map(OsError::symbol), Some("EMFILE"));

    // Each descriptor that comes free lets one more in.
    for _ in held..callers.len() {
        accepted.remove(0);
        accepted.push(listener.accept().await.unwrap());
        assert_eq!(*told.borrow(), None);
    }
}

//! A terminal or pipe that others use, too, is as usable after us as it was before, and meanwhile.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;

use rustix::fs::fcntl_getfl;

use crate::harness::{Backend, Terminal, connect};

#[test]
fn a_terminal() {
    let backend = Backend::new();
    let mut terminal = Terminal::new();
    let flags = fcntl_getfl(&terminal.side).unwrap();
    let before = terminal.settings();
    let client =
        connect(&backend.url(), [""; 0]).stdin(terminal.again()).stdout(terminal.again()).start();
    let mut stream = backend.accept();
    terminal.types("hello\n");
    let mut line = [0; 6];
    stream.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"hello\n");
    assert_eq!(fcntl_getfl(&terminal.side).unwrap(), flags, "while it runs");
    stream.write_all(b"goodbye\n").unwrap();
    // Nobody types an end of file: the peer's goodbye ends the session.
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.wait().code(), 0);
    assert_eq!(stream.read(&mut line).unwrap(), 0, "and that is a clean end for the peer, too");
    assert_eq!(fcntl_getfl(&terminal.side).unwrap(), flags);
    assert_eq!(terminal.settings(), before);
    // The terminal shows what came, and works as before.
    terminal.shows("goodbye");
}

#[test]
fn a_pipe() {
    let (reader, writer) = std::io::pipe().unwrap();
    shared(&reader.into(), writer.into());
}

#[test]
fn a_socket() {
    let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
    shared(&one.into(), other.into());
}

/// Our standard input is one end of something; another process holds the same end.
fn shared(ours: &OwnedFd, theirs: OwnedFd) {
    let backend = Backend::new();
    let flags = fcntl_getfl(ours).unwrap();
    let client = connect(&backend.url(), [""; 0]).stdin(ours.try_clone().unwrap()).start();
    let mut stream = backend.accept();
    rustix::io::write(&theirs, b"hello\n").unwrap();
    let mut line = [0; 6];
    stream.read_exact(&mut line).unwrap();
    assert_eq!(fcntl_getfl(ours).unwrap(), flags, "while it runs");
    drop(theirs);
    assert_eq!(stream.read(&mut line).unwrap(), 0);
    drop(stream);
    client.wait();
    assert_eq!(fcntl_getfl(ours).unwrap(), flags);
}

#[test]
fn a_file_is_read_to_its_end() {
    let backend = Backend::new();
    let file = std::env::current_exe().unwrap();
    let client = connect(&backend.url(), [""; 0]).stdin(File::open(&file).unwrap()).start();
    let mut stream = backend.accept();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    crate::harness::assert_same(&got, &std::fs::read(file).unwrap());
    drop(stream);
    assert_eq!(client.wait().code(), 0);
}

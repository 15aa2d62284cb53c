//! A terminal or pipe that others use, too, is as usable after us as it was before, and meanwhile.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, fcntl_getfl};
use rustix::pty::OpenptFlags;

use crate::harness::{Backend, connect};

/// Both sides of a new terminal.
fn terminal() -> (File, OwnedFd) {
    let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    rustix::pty::grantpt(&master).unwrap();
    rustix::pty::unlockpt(&master).unwrap();
    let name = rustix::pty::ptsname(&master, Vec::new()).unwrap();
    let slave = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    (master.into(), slave)
}

#[test]
fn a_terminal() {
    let backend = Backend::new();
    let (mut keyboard, terminal) = terminal();
    let flags = fcntl_getfl(&terminal).unwrap();
    // `Termios` compares by what it prints.
    let settings = || format!("{:?}", rustix::termios::tcgetattr(&terminal).unwrap());
    let before = settings();
    let client = connect(&backend.url(), [""; 0])
        .stdin(terminal.try_clone().unwrap())
        .stdout(terminal.try_clone().unwrap())
        .start();
    let mut stream = backend.accept();
    keyboard.write_all(b"hello\n").unwrap();
    let mut line = [0; 6];
    stream.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"hello\n");
    assert_eq!(fcntl_getfl(&terminal).unwrap(), flags, "while it runs");
    stream.write_all(b"goodbye\n").unwrap();
    // Nobody types an end of file: the peer's goodbye ends the session.
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.wait().code(), 0);
    assert_eq!(stream.read(&mut line).unwrap(), 0, "and that is a clean end for the peer, too");
    assert_eq!(fcntl_getfl(&terminal).unwrap(), flags);
    assert_eq!(settings(), before);
    // The terminal shows what came, and works as before.
    let mut shown = String::new();
    let mut screen = [0; 1024];
    while !shown.contains("goodbye") {
        let count = keyboard.read(&mut screen).unwrap();
        shown.push_str(&String::from_utf8_lossy(&screen[..count]));
    }
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

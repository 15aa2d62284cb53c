//! Who asks for the events of a stream and then does not read them stops no data.

use std::io::Write as _;

use rustix::fs::{OFlags, fcntl_setfl};

use crate::harness::{Backend, assert_same, digits, levada};

#[test]
fn on_a_standard_error_that_is_full() {
    let (mut reader, mut full) = std::io::pipe().unwrap();
    fcntl_setfl(&full, OFlags::NONBLOCK).unwrap();
    while full.write(&[b'\n'; 4096]).is_ok() {}
    fcntl_setfl(&full, OFlags::empty()).unwrap();

    let backend = Backend::new();
    let args = ["connect", &backend.url(), "--verbose", "--log", "json"];
    let mut client = levada(args).stderr(full).start();
    let bytes = digits(300_000);
    let feeding = client.feed(bytes.clone());
    let mut target = backend.accept();
    let echo = std::thread::spawn(move || {
        let mut writer = target.try_clone().unwrap();
        std::io::copy(&mut target, &mut writer).unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    // All of it has come back before anybody reads the first event.
    assert_same(&client.stdout.take(bytes.len()), &bytes);
    drop(feeding.join().unwrap());

    let events = std::thread::spawn(move || {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut reader, &mut text).unwrap();
        text
    });
    assert_eq!(client.wait().code(), 0);
    echo.join().unwrap();
    let events = events.join().unwrap();
    assert!(events.contains("\"event\":"), "{events}");
    let last = events.lines().last().unwrap();
    assert!(last.contains("\"code\":\"finished\""), "the last one is never lost: {last}");
}

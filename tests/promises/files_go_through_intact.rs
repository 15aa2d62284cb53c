//! A file that curl brings to nginx through a bridge, and fetches again, is the same to the last byte.

use std::io::{Read, Write as _};

use levada_testkit::numbers::Numbers;

use crate::harness::{Command, Nginx, Pki, Serve};

const MIB: u64 = 1 << 20;
const QUICK: u64 = 64 * MIB;
const WHOLE: u64 = 1024 * MIB;

#[test]
fn where_the_bridge_takes_tls_off() {
    terminated(QUICK);
}

#[test]
fn where_the_bridge_puts_tls_on() {
    originated(QUICK);
}

#[test]
fn a_gibibyte_where_the_bridge_takes_tls_off() {
    if levada_testkit::skip::slow_runs("a_gibibyte_where_the_bridge_takes_tls_off") {
        terminated(WHOLE);
    }
}

#[test]
fn a_gibibyte_where_the_bridge_puts_tls_on() {
    if levada_testkit::skip::slow_runs("a_gibibyte_where_the_bridge_puts_tls_on") {
        originated(WHOLE);
    }
}

fn terminated(size: u64) {
    let (pki, nginx) = (Pki::new(), Nginx::start(None));
    let serve = Serve::tls(&pki, &format!("tcp://{}", nginx.address));
    let url = format!("https://{}/file", serve.address());
    there_and_back(&nginx, serve, &["--cacert", &pki.ca, &url], size);
}

fn originated(size: u64) {
    let pki = Pki::new();
    let nginx = Nginx::start(Some(&pki));
    let to = format!("tls://{}", nginx.address);
    let serve = Serve::start(["--listen", "tcp://127.0.0.1:0", "--to", &to, "--ca", &pki.ca]);
    let url = format!("http://{}/file", serve.address());
    there_and_back(&nginx, serve, &[&url], size);
}

fn there_and_back(nginx: &Nginx, mut serve: Serve, args: &[&str], size: u64) {
    let curl = || {
        let quiet = ["--silent", "--show-error", "--fail", "--noproxy", "*"];
        Command::new("curl").args(quiet).args(args)
    };

    let (reader, mut writer) = std::io::pipe().unwrap();
    let upload = curl().args(["--upload-file", "-"]).stdin(reader).start();
    // Where it gives up, it says why below.
    Source::new().give(size, |bytes| drop(writer.write_all(bytes)));
    drop(writer);
    let upload = upload.wait();
    assert_eq!(upload.code(), 0, "{}", upload.stderr);
    assert_intact(std::fs::File::open(nginx.stored("file")).unwrap(), size);
    assert_counted(&mut serve, "read", size);

    let (reader, writer) = std::io::pipe().unwrap();
    let download = curl().stdout(writer).start();
    assert_intact(reader, size);
    let download = download.wait();
    assert_eq!(download.code(), 0, "{}", download.stderr);
    assert_counted(&mut serve, "written", size);
    assert_eq!(serve.stop().0, 0);
}

/// Both streams ended well, and the client's counted the file, and not much beside it.
#[track_caller]
fn assert_counted(serve: &mut Serve, direction: &str, size: u64) {
    let record = serve.next("ended");
    for side in ["client", "target"] {
        assert_eq!(record[side]["clean"], true, "{record}");
    }
    let count = record["client"]["facts"]["bytes"][direction].as_u64().unwrap();
    // HTTP's headers, and the headers of the chunks that it is sent in.
    assert!((size..size + size / 100).contains(&count), "{record}");
}

/// Panics unless `stream` holds what a [`Source`] gives, `size` bytes of it and no more.
#[track_caller]
fn assert_intact(mut stream: impl Read, size: u64) {
    let mut at = 0;
    let mut room = Vec::new();
    Source::new().give(size, |wanted| {
        room.resize(wanted.len(), 0);
        stream.read_exact(&mut room).unwrap_or_else(|error| panic!("behind {at} bytes: {error}"));
        assert!(room == wanted, "it differs within {} bytes from {at} on", wanted.len());
        at += wanted.len() as u64;
    });
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "nothing comes behind it");
}

/// Bytes that never repeat: what is lost, doubled or moved by however little shows.
struct Source(Numbers);

impl Source {
    const CHUNK: u64 = 64 * 1024;

    fn new() -> Self {
        Self(Numbers::from(0x9e37_79b9_7f4a_7c15))
    }

    /// Gives `size` bytes, a chunk at a time.
    fn give(&mut self, size: u64, mut take: impl FnMut(&[u8])) {
        let mut chunk = vec![0; Self::CHUNK as usize];
        for _ in 0..size / Self::CHUNK {
            for word in chunk.chunks_exact_mut(8) {
                word.copy_from_slice(&self.0.next().to_le_bytes());
            }
            take(&chunk);
        }
    }
}

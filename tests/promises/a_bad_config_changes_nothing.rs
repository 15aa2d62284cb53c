//! A configuration with anything wrong in it starts nothing and changes nothing: no port was open, no
//! socket made or taken over, and each fault is told with its line.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixListener;

use crate::harness::{Finished, Folder, Pki, levada};

fn refused(config: &str) -> Finished {
    let finished = levada(["serve", "--config", config]).run(b"");
    assert_eq!(finished.code(), 1, "{}", finished.stderr);
    assert!(finished.stdout.is_empty());
    // `check` says the same, but for what only the system knows.
    let checked = levada(["check", config]).run(b"");
    if checked.code() == 1 {
        assert_eq!(checked.stderr, finished.stderr);
        assert!(checked.stdout.is_empty());
    }
    finished
}

#[test]
fn every_fault_is_told_and_the_good_route_is_not_opened() {
    let pki = Pki::new();
    let folder = Folder::new();
    // A socket that was left behind: a listener would take it over.
    let deserted = folder.path().join("deserted.sock");
    drop(UnixListener::bind(&deserted).unwrap());
    let before = std::fs::metadata(&deserted).unwrap().ino();
    for (fault, words) in [
        ("[[route]]\nlisen = \"tcp://:1\"\nto = \"echo:\"", "levada.toml:6:1: unknown key `lisen`"),
        (
            "[[route]]\nlisten = \"tsl://:1\"\nto = \"echo:\"",
            "levada.toml:6:11: unknown scheme `tsl`",
        ),
        ("[[route]]\nlisten = \"unix:b\"\nto = 7", "levada.toml:7:6: a number"),
        (
            "[[route]]\nlisten = { address = \"tls://:0\", cert = \"none.pem\" }\nto = \"echo:\"",
            "levada.toml:6:41: cannot read ",
        ),
        (
            "[[route]]\nlisten = \"unix:b\"\nto = { address = \"tls://a:1\", ca = \"levada.toml\" }",
            "levada.toml:7:36: ",
        ),
        ("[[route", "levada.toml:5:"),
    ] {
        let text =
            format!("\n[[route]]\nlisten = \"unix:deserted.sock\"\nto = \"echo:\"\n{fault}\n");
        let finished = refused(&folder.write("levada.toml", &text));
        assert!(finished.stderr.contains(words), "{}", finished.stderr);
        assert_eq!(std::fs::metadata(&deserted).unwrap().ino(), before, "it was taken over");
        assert!(!folder.path().join("b").exists(), "it was opened");
    }
    // A key of another certificate is a fault of the files together.
    let text = format!(
        "[[route]]\nlisten = {{ address = \"tls://:0\", cert = \"{}\", key = \"{}\" }}\nto = \"echo:\"\n",
        pki.localhost, pki.client
    );
    let finished = refused(&folder.write("levada.toml", &text));
    assert!(finished.stderr.contains("levada.toml:2:41: "), "{}", finished.stderr);
}

#[test]
fn where_one_listener_cannot_be_opened_none_is_kept() {
    let folder = Folder::new();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let text = format!(
        "[[route]]\nlisten = \"unix:first\"\nto = \"echo:\"\n\n\
         [[route]]\nlisten = \"tcp://{address}\"\nto = \"echo:\"\n"
    );
    let finished = refused(&folder.write("levada.toml", &text));
    assert!(finished.stderr.contains("levada.toml:6: cannot listen"), "{}", finished.stderr);
    assert!(finished.stderr.contains("something else listens there"), "{}", finished.stderr);
    assert!(!folder.path().join("first").exists());
    // Who listened before still does.
    TcpStream::connect(address).unwrap();
}

#[test]
fn a_file_stands_alone() {
    let folder = Folder::new();
    let good = "[[route]]\nlisten = \"unix:a\"\nto = \"echo:\"\n";
    let config = folder.write("levada.toml", good);
    for (flag, value) in [("--listen", "unix:b"), ("--to", "echo:"), ("--drain", "1s")] {
        let finished = levada(["serve", "--config", &config, flag, value]).run(b"");
        assert_eq!(finished.code(), 1);
        let why = format!("levada: {flag} beside --config: the file says all");
        assert!(finished.stderr.starts_with(&why), "{}", finished.stderr);
    }
    assert!(!folder.path().join("a").exists());
}

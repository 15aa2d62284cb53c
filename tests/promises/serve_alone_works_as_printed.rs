//! `levada serve` alone, or without a target, runs at once, and the commands that it prints work when they
//! are pasted.

use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::process::Signal;

use crate::harness::{Backend, Command, Folder, Running, levada};

const PORT: u16 = 8443;

fn start(home: &Path) -> Running {
    at_home(levada(["serve"]), home).start()
}

fn at_home(command: Command, home: &Path) -> Command {
    command.env("HOME", home).env("XDG_STATE_HOME", "")
}

/// A shell that becomes this command.
fn shell(command: &str) -> Command {
    Command::new("sh").args(["-c", &format!("exec {command}")])
}

/// The printed text up to its end, and the commands in it, one line each.
fn commands(serve: &mut Running) -> (String, Vec<String>) {
    let mut text = String::new();
    while !text.contains("Ctrl-C") {
        text.push_str(&serve.stdout.line().expect("it prints commands"));
        text.push('\n');
    }
    let joined = text.replace("\\\n", " ");
    let indented = joined.lines().filter(|line| line.starts_with("  "));
    let commands = indented.map(|line| line.trim().to_owned()).collect();
    (text, commands)
}

/// One test, for there is one such port; runs of this test beside each other take turns.
#[test]
fn at_the_port_of_its_own() {
    let turn = std::fs::File::create(std::env::temp_dir().join("levada-port-8443.lock")).unwrap();
    turn.lock().unwrap();
    let Ok(occupied) = TcpListener::bind(("127.0.0.1", PORT)) else {
        return levada_testkit::skip::cannot_run(
            "serve_alone_works_as_printed",
            "another program has port 8443",
        );
    };
    let folder = Folder::new();
    // A path that a shell would take apart.
    let home = folder.path().join("it's a $HOME");
    let refused = start(&home).wait();
    assert_eq!(refused.code(), 1);
    assert!(refused.stderr.contains("127.0.0.1:8443 is taken"), "{}", refused.stderr);
    // What it proposes instead works.
    let proposed = refused.stderr.lines().find(|line| line.contains("9443")).expect("a way out");
    let proposed = proposed.replace("9443", "0");
    let mut elsewhere = at_home(shell(&proposed), &home).start();
    assert!(elsewhere.stderr.line().unwrap().contains("listening on=tls://127.0.0.1:"));
    drop(elsewhere);
    drop(occupied);

    let mut serve = start(&home);
    let (text, commands) = commands(&mut serve);
    let folder = home.join(".local/state/levada");
    assert!(text.contains(folder.to_str().unwrap()), "{text}");
    assert_private(&folder);
    assert_eq!(commands.len(), 2, "{text}");
    assert!(commands[0].contains(" connect ") && commands[1].starts_with("openssl s_client "));
    for command in commands {
        let mut client = shell(&command).start();
        client.write(b"hello\n");
        assert_eq!(client.stdout.take(6), b"hello\n", "{command}");
        if !command.starts_with("openssl") {
            assert_eq!(client.finish().code(), 0, "{command}");
        }
    }
    serve.signal(Signal::INT);
    let serve = serve.wait();
    assert_eq!(serve.code(), 0, "{}", serve.stderr);

    // The next time, the same identity is used.
    let mut serve = start(&home);
    assert!(serve.stdout.line().unwrap().starts_with("Using the identity"));
    drop(serve);
    drop(turn);
}

/// Every scheme that has something to say: with TLS, the identity for localhost is there.
#[test]
fn at_any_place_at_home() {
    let folder = Folder::new();
    let home = folder.path().join("home");
    let socket = folder.path().join("it's.sock");
    let unix = format!("unix:{}", socket.display());
    let listen =
        ["wss://localhost:0/try", "ws://127.0.0.1:0/it's&more", "tls://[::1]:0", "tcp://:0", &unix];
    let args = listen.iter().flat_map(|address| ["--listen", address]);
    let mut serve = at_home(levada(["serve"]).args(args), &home).start();
    let (text, commands) = commands(&mut serve);
    assert!(text.starts_with("Made a development CA and an identity for localhost"), "{text}");
    assert_eq!(text.matches("what you send comes back").count(), listen.len(), "{text}");
    assert_eq!(text.matches("No web page may connect").count(), 2, "{text}");
    let (curls, talks): (Vec<_>, Vec<_>) =
        commands.into_iter().partition(|command| command.starts_with("curl "));
    assert_eq!((curls.len(), talks.len()), (2, 6), "{text}");
    for command in talks {
        let mut client = shell(&command).start();
        client.write(b"hello\n");
        assert_eq!(client.stdout.take(6), b"hello\n", "{command}");
    }
    for command in curls {
        let opened = shell(&command).start().finish();
        assert!(opened.stdout.starts_with(b"HTTP/1.1 101 "), "{command}: {}", opened.stderr);
    }
}

#[test]
fn and_a_page_that_is_told_is_there() {
    let listen = ["serve", "--listen", "ws://127.0.0.1:0/try", "--demo"];
    let mut serve = levada(listen).start();
    let (text, _) = commands(&mut serve);
    let told = text.lines().find_map(|line| line.strip_prefix("See it live in a browser: "));
    let page = told.unwrap_or_else(|| panic!("{text}"));
    let page = Command::new("curl").args(["--silent", "--fail", page]).start().finish();
    assert_eq!(page.code(), 0, "{text}");
    assert!(page.stdout.starts_with(b"<!doctype html>"));
}

/// An identity for localhost is for whoever is at home; it leads where it is told to.
#[test]
fn and_tls_at_home_needs_no_identity() {
    let folder = Folder::new();
    let home = folder.path().join("home");
    let backend = Backend::new();
    let listen = ["serve", "--listen", "wss://127.0.0.1:0/vnc", "--to", &backend.url()];
    let mut serve = at_home(levada(listen), &home).start();
    let (text, commands) = commands(&mut serve);
    assert!(text.contains(&format!("/vnc: leads to {}.", backend.url())), "{text}");
    let mut client = shell(&commands[0]).start();
    client.write(b"RFB");
    let mut got = [0; 3];
    backend.accept().read_exact(&mut got).unwrap();
    assert_eq!(&got, b"RFB");
    // Elsewhere it would be of no use.
    let refused = at_home(levada(["serve", "--listen", "wss://:0"]), &home).start().wait();
    assert_eq!(refused.code(), 1);
    assert!(refused.stderr.contains("listen at 127.0.0.1 or localhost"), "{}", refused.stderr);
}

fn assert_private(folder: &Path) {
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder), 0o700);
    let files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() >= 3);
    for file in files {
        let public = file.ends_with("ca.pem");
        assert_eq!(mode(&file), if public { 0o644 } else { 0o600 }, "{}", file.display());
    }
}

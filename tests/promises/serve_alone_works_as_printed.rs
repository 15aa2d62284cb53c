//! `levada serve` alone runs at once, and the commands that it prints work when they are pasted.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::process::Signal;

use crate::harness::{Command, Folder, Running, levada};

const PORT: u16 = 8443;

fn start(home: &Path) -> Running {
    levada(["serve"]).env("HOME", home).env("XDG_STATE_HOME", "").start()
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
    let mut elsewhere = Command::new("sh").args(["-c", &format!("exec {proposed}")]).start();
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
        let mut client = Command::new("sh").args(["-c", &format!("exec {command}")]).start();
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

//! A name service that never answers delays nobody who wants to go: neither a deadline nor a signal
//! waits for the lookup.

use std::process::Command as StdCommand;

use rustix::process::Signal;

use crate::harness::{Command, Folder, Running, levada};

/// A network in which packets to the name service vanish without an answer.
const HOLE: &str = "ip link add hole type veth peer name far && ip addr add 192.0.2.1/24 dev hole && \
                    ip link set hole arp off up && ip link set far up && \
                    mount --bind \"$1\" /etc/resolv.conf && shift && exec \"$@\"";

/// The lookup by itself would take longer than any test waits.
const RESOLVER: &str = "nameserver 192.0.2.53\noptions timeout:30 attempts:5\n";

/// `levada` in a network of its own, or `None` where this machine lets nobody have one.
fn in_the_hole(test: &str, folder: &Folder, args: &[&str]) -> Option<Running> {
    let unshare = ["unshare", "--net", "--mount", "--map-root-user"];
    let may = StdCommand::new(unshare[0]).args(&unshare[1..]).arg("true").output().unwrap();
    if !may.status.success() {
        let why = String::from_utf8_lossy(&may.stderr).trim().to_owned();
        levada_testkit::skip::cannot_run(test, &why);
        return None;
    }
    let resolver = folder.write("resolv.conf", RESOLVER);
    let words = levada(args).words();
    let shell = ["sh", "-c", HOLE, "sh", &resolver];
    let command = Command::new(unshare[0]).args(&unshare[1..]).args(shell);
    Some(command.args(words).start())
}

#[test]
fn beyond_its_deadline() {
    let folder = Folder::new();
    let address = "tcp://nobody.example:443?deadline-lookup=200ms";
    let args = ["connect", address, "--log", "json"];
    let Some(client) = in_the_hole("beyond_its_deadline", &folder, &args) else { return };
    let client = client.wait();
    let ended = client.ended();
    assert_eq!(
        (&ended["code"], &ended["cause"]),
        (&"connectFailed".into(), &"timeout_lookup".into())
    );
}

#[test]
fn behind_a_signal() {
    let folder = Folder::new();
    let args = ["connect", "tcp://nobody.example:443?deadline-lookup=off", "--log", "json", "-v"];
    let Some(mut client) = in_the_hole("behind_a_signal", &folder, &args) else { return };
    while !client.stderr.line().expect("it looks the name up").contains("host_lookup") {}
    client.signal(Signal::TERM);
    let client = client.wait();
    assert_eq!(client.ending(), "aborted", "{}", client.stderr);
}

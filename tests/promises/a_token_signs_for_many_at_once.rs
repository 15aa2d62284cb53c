//! A key on a token serves many applications of a pool at once, each a process, with clients of OpenSSL and GnuTLS;
//! those that are killed (SIGKILL) over their handshakes cost the others nothing.

use std::path::Path;

use levada_testkit::skip::slow_runs;
use levada_testkit::soft_hsm::{PIN, SoftHsm};
use rustix::process::Signal;

use crate::harness::{Caller, Foreign, Pki, Pool, levada, raise_open_files};

/// A hardened pool whose localhost has its key on a token.
fn pool(pki: &Pki) -> Pool {
    let folder = pki.folder.path().join("hsm");
    let hsm = SoftHsm::new(&folder);
    hsm.token("site");
    hsm.import("site", Path::new(&pki.localhost), "www", "01");
    let pin = pki.folder.write("pin", &format!("{PIN}\n"));
    let module = SoftHsm::module();
    let policy = format!(
        "[[identity]]\nname = \"localhost\"\ncert = {:?}\nkey-pass-file = {pin:?}\n\
         key = \"pkcs11:token=site;object=www?module-path={module}\"\n",
        pki.localhost
    );
    let policy = pki.folder.write("token.toml", &policy);
    let socket = pki.folder.path().join("pool.sock").to_str().unwrap().to_owned();
    let words = ["pool", "--config", &policy, "--socket", &socket, "--log", "json"];
    let reach = ["--token-dir", folder.to_str().unwrap()];
    Pool::listening(levada(words).args(reach).env("SOFTHSM2_CONF", hsm.config()), socket)
}

/// Which of them are killed.
const fn is_killed(number: usize) -> bool {
    number % 5 == 4
}

/// As many applications, and a quarter as many again that are killed as soon as their clients have come.
fn crowd(count: usize) {
    raise_open_files();
    let pki = Pki::new();
    let pool = pool(&pki);
    let before = pool.descriptors();
    let words = ["accept", "starttls:1006:localhost:", "plain:SOCK_STREAM", "echo", "leave"];
    let started: Vec<_> =
        (1..=count + count / 4).map(|number| pool.application(number, &words)).collect();
    let mut all: Vec<_> = started
        .into_iter()
        .enumerate()
        .map(|(number, mut application)| {
            let port: u16 = application.stdout.line().unwrap().parse().unwrap();
            let (program, version) = Foreign::EACH[number % 4];
            let to = ([127, 0, 0, 1], port).into();
            let visitor = program.client(&pki, to, version, Caller::default());
            if is_killed(number) {
                application.signal(Signal::KILL);
            }
            (application, visitor)
        })
        .collect();
    for (number, (application, visitor)) in all.iter_mut().enumerate() {
        if !is_killed(number) {
            assert_eq!(application.stdout.line().as_deref(), Some("protected localhost "));
            assert!(visitor.is_echoed(), "{number}");
        }
    }
    for (number, (application, visitor)) in all.into_iter().enumerate() {
        if !is_killed(number) {
            visitor.leave();
            let ended = application.wait();
            assert_eq!(ended.code(), 0, "{number}: {}", ended.stderr);
        }
    }
    while !pool.sessions().is_empty() {}
    // The module keeps what it has opened for its sessions with the token, which are bounded.
    assert!(pool.descriptors() < before + 32, "{} of {before}", pool.descriptors());
    let told = pool.stop().join("\n");
    assert!(!told.contains("token") && !told.contains(PIN), "{told}");
}

#[test]
fn sixteen() {
    crowd(16);
}

#[test]
fn sixty_four() {
    if slow_runs("sixty_four") {
        crowd(64);
    }
}

#[test]
fn two_hundred_and_fifty_six() {
    if slow_runs("two_hundred_and_fifty_six") {
        crowd(256);
    }
}

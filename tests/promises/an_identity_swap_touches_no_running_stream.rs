//! A certificate that is renewed on disk is shown from the next handshake on: streams that run go on
//! as they are, and a bad one changes nothing.

use std::fs;

use rustix::process::Signal;

use crate::harness::{Caller, Foreign, Pki, Serve, Visitor};

fn visit(pki: &Pki, serve: &Serve, (program, version): (Foreign, &str)) -> Visitor {
    program.client(pki, serve.address(), version, Caller::default())
}

#[test]
fn on_sighup() {
    let (old, new) = (Pki::new(), Pki::new());
    for peer in Foreign::EACH {
        let cert = old.folder.write("live.pem", &fs::read_to_string(&old.localhost).unwrap());
        let listen = ["--listen", "tls://127.0.0.1:0", "--cert", &cert, "--to", "echo:"];
        let mut serve = Serve::start(listen);
        let mut running = visit(&old, &serve, peer);
        assert!(running.is_echoed(), "{peer:?}");

        fs::copy(&new.localhost, &cert).unwrap();
        serve.process.signal(Signal::HUP);
        serve.next("reloaded");
        assert!(visit(&new, &serve, peer).is_echoed(), "{peer:?}: the next handshake shows it");
        assert!(!visit(&old, &serve, peer).is_echoed(), "{peer:?}: who trusts it alone is served");

        // A certificate without its key: what there is stays.
        let text = fs::read_to_string(&old.localhost).unwrap();
        let (certificate, _) = text.split_once("-----BEGIN PRIVATE KEY").unwrap();
        fs::write(&cert, certificate).unwrap();
        serve.process.signal(Signal::HUP);
        let failed = serve.next("not_reloaded");
        assert_eq!(failed["level"], "error");
        assert!(failed["error"].as_str().unwrap().contains("live.pem"), "{failed}");
        assert!(visit(&new, &serve, peer).is_echoed(), "{peer:?}: a bad one changes nothing");

        assert!(running.is_echoed(), "{peer:?}: this stream never noticed");
        running.leave();
        let (code, records) = serve.stop();
        assert_eq!(code, 0, "{records:?}");
    }
}

#[test]
fn without_a_signal_once_the_files_have_changed() {
    let (old, new) = (Pki::new(), Pki::new());
    let mut serve = Serve::tls(&old, "echo:");
    let [peer, ..] = Foreign::EACH;
    assert!(visit(&old, &serve, peer).is_echoed());
    fs::copy(&new.localhost, &old.localhost).unwrap();
    serve.next("reloaded");
    assert!(visit(&new, &serve, peer).is_echoed());
}

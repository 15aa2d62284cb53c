//! Somebody may be asked about every peer beside the rules, and takes their time: whom they refuse is
//! refused, whom they let in is let in, whether it is OpenSSL or GnuTLS that comes or answers.

use levada::{
    Anchors, Candidate, ClientAuth, Decision, Identities, Options, PeerRules, TlsClient, TlsServer,
    Verification,
};

use crate::harness::library::{Library, call, identity};
use crate::harness::{Caller, Foreign, Host, Pki};

/// Refuses certificates for `unwanted.example`, lets in those for `odd.example` whatever is wrong with
/// them, and keeps to the rules otherwise.
fn rules() -> PeerRules {
    PeerRules::new().ask(|candidate: Candidate| async move {
        tokio::task::yield_now().await;
        let shown = format!("{:?}", candidate.chain.first());
        if shown.contains("unwanted.example") {
            Decision::Refuse("nobody wants it".to_owned())
        } else if shown.contains("odd.example") {
            Decision::DangerLetIn
        } else {
            Decision::Keep
        }
    })
}

/// Peers, and how far each is let in.
fn peers(pki: &Pki) -> [(String, Option<Verification>); 4] {
    let identity = |pki: &Pki, name: &str| {
        pki.identity(&format!("{name}.pem"), &["localhost", &format!("{name}.example")], |_| {})
    };
    // By an authority of the same name, with another key.
    let stranger = Pki::new();
    let of_stranger = |name: &str| {
        let text = std::fs::read_to_string(identity(&stranger, name)).unwrap();
        pki.folder.write(&format!("{name}-of-stranger.pem"), &text)
    };
    [
        (identity(pki, "wanted"), Some(Verification::Verified)),
        (identity(pki, "unwanted"), None),
        (of_stranger("odd"), Some(Verification::Danger)),
        (of_stranger("wanted"), None),
    ]
}

fn anchors(pki: &Pki) -> Anchors {
    Anchors::from_pem(&std::fs::read(&pki.ca).unwrap()).unwrap()
}

#[test]
fn that_comes() {
    let pki = Pki::new();
    let tls = TlsServer::builder(Identities::one(&identity(&pki.localhost)))
        .client_auth(ClientAuth::Required(anchors(&pki)))
        .client_rules(rules())
        .build()
        .unwrap();
    let server = Library::start(tls, Options::default(), |_| {});
    for (program, version) in Foreign::EACH {
        for (file, wanted) in peers(&pki) {
            let caller = Caller { own: Some(&file), ..Caller::default() };
            let mut visitor = program.client(&pki, server.address, version, caller);
            if wanted.is_some() {
                assert!(visitor.is_echoed(), "{program:?} {version} {file}");
                visitor.leave();
            } else {
                let alert = if file.contains("stranger") { 51 } else { 46 };
                assert_eq!(visitor.alert(), alert, "{program:?} {version} {file}");
            }
            let ended = server.ended();
            assert_eq!(ended.is_clean(), wanted.is_some(), "{ended}");
            let told = ended.facts.tls.as_ref().unwrap().verification;
            assert_eq!(told, Some(wanted.unwrap_or(Verification::Refused)), "{ended}");
        }
    }
}

#[test]
fn that_answers() {
    let pki = Pki::new();
    let tls = TlsClient::builder().anchors(anchors(&pki)).rules(rules()).build().unwrap();
    for (program, version) in Foreign::EACH {
        for (file, wanted) in peers(&pki) {
            let host = Host { own: Some(&file), ..Host::default() };
            let mut host = program.server(&pki, version, host);
            let (heard, ended) = call(&tls, host.address, Options::default());
            let told = ended.facts.tls.as_ref().unwrap().verification;
            assert_eq!(told, Some(wanted.unwrap_or(Verification::Refused)), "{ended}");
            if wanted.is_some() {
                assert_eq!(heard, host.answer(), "{program:?} {version} {file}: {ended}");
            } else {
                let alert = if file.contains("stranger") { 51 } else { 46 };
                assert_eq!(host.alert(), alert, "{program:?} {version} {file}");
            }
        }
    }
}

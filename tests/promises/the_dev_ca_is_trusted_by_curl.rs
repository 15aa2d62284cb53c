//! What `levada dev-ca` makes is taken by programs that share no code with ours, in both directions, and
//! its CA cannot vouch for the names of others.

use std::path::Path;

use crate::harness::{
    Caller, Command, Finished, Folder, Foreign, Host, Nginx, Pki, Serve, connect, levada,
};

fn dev_ca(dir: &str, args: &[&str]) -> Finished {
    let finished = levada(["dev-ca", "--dir", dir]).args(args).run(b"");
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
    finished
}

#[test]
fn with_a_certificate_for_each_end() {
    let folder = Folder::new();
    let dir = folder.path().to_str().unwrap();
    let told = dev_ca(dir, &["app.test", "127.0.0.1"]).stdout;
    let told = String::from_utf8(told).unwrap();
    for words in ["curl --cacert", "openssl s_client", "connect tls://app.test", "Firefox"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    dev_ca(dir, &["--client", "alice"]);
    let file = |name: &str| format!("{dir}/{name}");
    let (ca, client) = (file("ca.pem"), file("client-alice.pem"));

    let behind = Nginx::start(None);
    std::fs::write(behind.stored("hello"), "from behind\n").unwrap();
    let to = format!("tcp://{}", behind.address);
    let serve = ["--listen", "tls://127.0.0.1:0", "--cert", &file("app.test.pem")];
    let serve = serve.into_iter().chain(["--client-ca", &ca, "--to", &to]);
    let serve = Serve::start(serve);
    let port = serve.address().port();
    let (url, way) =
        (format!("https://app.test:{port}/hello"), format!("app.test:{port}:127.0.0.1"));
    let curl = |args: &[&str]| {
        let all = ["--silent", "--show-error", "--max-time", "20", "--resolve", &way, &url];
        Command::new("curl").args(all).args(args).run(b"")
    };
    let let_in = curl(&["--cacert", &ca, "--cert", &client]);
    assert_eq!((let_in.code(), &*let_in.stdout), (0, &b"from behind\n"[..]), "{}", let_in.stderr);
    assert_ne!(curl(&["--cacert", &ca]).code(), 0, "who shows nothing is not let in");
    assert_ne!(curl(&["--cert", &client]).code(), 0, "who trusts no CA does not go in");
}

#[test]
fn and_by_openssl_and_gnutls_on_either_side() {
    let folder = Folder::new();
    let dir = folder.path().to_str().unwrap();
    dev_ca(dir, &["app.test", "127.0.0.1"]);
    dev_ca(dir, &["--client", "alice"]);
    let file = |name: &str| format!("{dir}/{name}");
    let (ca, server, client) = (file("ca.pem"), file("app.test.pem"), file("client-alice.pem"));
    let pki = Pki { ca, ..Pki::new() };
    let listen = ["--listen", "tls://127.0.0.1:0", "--to", "echo:", "--cert", &server];
    let serve = Serve::start([&listen[..], &["--client-ca", &pki.ca]].concat());
    for (program, version) in Foreign::EACH {
        for verified in ["app.test", "127.0.0.1"] {
            let (name, verified) = (Some("app.test"), Some(verified));
            let caller = Caller { name, verified, own: Some(&client), words: &[] };
            let mut visitor = program.client(&pki, serve.address(), version, caller);
            assert!(visitor.is_echoed(), "{program:?} {version} {verified:?}");
            visitor.leave();
        }
        let nobody = Caller { name: Some("app.test"), ..Caller::default() };
        let nobody = program.client(&pki, serve.address(), version, nobody);
        assert_eq!(nobody.alert(), 116, "{program:?} {version}");

        let host = Host { own: Some(&server), client_ca: Some(&pki.ca) };
        let host = program.server(&pki, version, host);
        let words = ["--ca", &pki.ca, "--cert", &client, "--name", "app.test"];
        let client = connect(&host.url(), words).run(b"hello\n");
        assert_eq!(client.code(), 0, "{program:?} {version}: {}", client.stderr);
        assert_eq!(client.stdout, host.answer());
    }
}

#[test]
fn and_it_vouches_for_nobody_elses_names() {
    let folder = Folder::new();
    let dir = folder.path().to_str().unwrap();
    dev_ca(dir, &["app.test"]);
    let file = |name: &str| format!("{dir}/{name}");
    // Somebody has got the CA's key, and signs for a name in the world.
    let openssl = |args: &[&str]| Command::new("openssl").args(args).run(b"");
    let (key, request, forged) = (file("forged.key"), file("forged.csr"), file("forged.crt"));
    let subject = ["-subj", "/CN=example.org", "-addext", "subjectAltName=DNS:example.org"];
    let asked = ["req", "-newkey", "rsa:2048", "-nodes", "-keyout", &key, "-out", &request];
    assert_eq!(openssl(&[&asked[..], &subject].concat()).code(), 0);
    let authority = file("authority.pem");
    let signing = ["x509", "-req", "-in", &request, "-out", &forged, "-copy_extensions", "copyall"];
    let by = ["-CA", &authority, "-CAkey", &authority, "-CAcreateserial"];
    let signed = openssl(&[&signing[..], &by].concat());
    assert_eq!(signed.code(), 0, "{}", signed.stderr);

    let ca = file("ca.pem");
    let verify = |certificate: &str| openssl(&["verify", "-CAfile", &ca, certificate]);
    assert_eq!(verify(&file("app.test.pem")).code(), 0, "what it may vouch for is good");
    let refused = verify(&forged);
    assert_ne!(refused.code(), 0);
    assert!(refused.stderr.contains("permitted subtree violation"), "{}", refused.stderr);
    assert!(Path::new(&forged).exists());
}

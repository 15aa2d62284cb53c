//! No key, no passphrase and nothing of what is sent appears in what the command says.

use crate::harness::{Backend, Command, Folder, Pki, Serve, WebSocket, connect, levada};

const PASSPHRASE: &str = "correct-horse-battery";
const PAYLOAD: &str = "payload-that-nobody-logs";

/// A private key that a passphrase opens, and the file with the passphrase.
fn encrypted(pki: &Pki) -> [String; 2] {
    let passphrase = pki.folder.write("passphrase", &format!("{PASSPHRASE}\n"));
    let key = pki.folder.path().join("encrypted.key").to_str().unwrap().to_owned();
    let made = Command::new("openssl")
        .args(["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-in", &pki.localhost, "-out", &key])
        .args(["-passout", &format!("file:{passphrase}")])
        .run(b"");
    assert!(made.status.success(), "{}", made.stderr);
    [key, passphrase]
}

/// What must not be seen: the passphrase, the payload, and every line of a private key.
fn secrets(pki: &Pki, files: &[&str]) -> Vec<String> {
    let mut secrets = vec![PASSPHRASE.to_owned(), PAYLOAD.to_owned(), "hunter2".to_owned()];
    for file in files.iter().chain([&pki.localhost.as_str(), &pki.client.as_str()]) {
        let text = std::fs::read_to_string(file).unwrap();
        let key = text.split("PRIVATE KEY-----").nth(1).expect("a key is in the file");
        secrets.extend(key.lines().filter(|line| line.len() > 20).map(str::to_owned));
    }
    secrets
}

#[test]
fn not_of_streams_that_go_well_or_badly() {
    let pki = Pki::new();
    let [key, passphrase] = encrypted(&pki);
    let secrets = secrets(&pki, &[&key]);
    for format in ["json", "text"] {
        let serve = Serve::start([
            "--listen",
            "tls://127.0.0.1:0",
            "--cert",
            &pki.localhost,
            "--key",
            &key,
            "--passphrase-file",
            &passphrase,
            "--client-ca",
            &pki.ca,
            "--to",
            "echo:",
        ]);
        let mut said = String::new();
        let format = ["--log", format];
        for args in [
            &["--ca", &pki.ca, "--cert", &pki.client][..],
            &["--ca", &pki.ca],
            &["--ca", &pki.client],
            &[],
        ] {
            let url = serve.tls_url();
            let client = levada(["connect", &url, "-v"]).args(format).args(args);
            said.push_str(&client.run(PAYLOAD.as_bytes()).stderr);
        }
        let (_, records) = serve.stop();
        for record in records {
            said.push_str(&record.to_string());
        }
        assert!(said.contains("established") && said.contains("finished"), "{said}");
        for secret in &secrets {
            assert!(!said.contains(secret.as_str()), "`{secret}` is in the log:\n{said}");
        }
    }
}

/// A WebSocket's credentials reach its server, and nobody else.
#[test]
fn not_of_what_a_websocket_is_asked_with() {
    let folder = Folder::new();
    let fields = "Authorization: Bearer hunter2\nCookie: session=hunter2\n";
    let fields = folder.write("secret.headers", fields);
    let wrong = folder.write("wrong.headers", "X: y\nAuthorization Bearer hunter2\n");
    let backend = Backend::new();
    let url = backend.url().replace("tcp", "ws");
    let file = ["--header-file", &fields];
    let mut said = String::new();
    for format in ["json", "text"] {
        let client = levada(["connect", &url, "-v", "--log", format]).args(file).start();
        let mut server = WebSocket::accept(backend.accept());
        assert!(server.head.contains("Cookie: session=hunter2"), "{}", server.head);
        server.close(1008);
        said.push_str(&client.wait().stderr);
    }
    // By way of a server of our own, whose log has both ends.
    let listen = ["--listen", "ws://127.0.0.1:0", "--to", &url];
    let mut serve = Serve::start(listen.into_iter().chain(file));
    let through = format!("ws://{}", serve.address());
    let client = connect(&through, file).start();
    let server = WebSocket::accept(backend.accept());
    assert!(server.head.contains("Authorization: Bearer hunter2"), "{}", server.head);
    drop(server);
    said.push_str(&client.wait().stderr);
    said.push_str(&serve.next("ended").to_string());
    for how in [&["--json"][..], &[]] {
        let inspecting = levada(["inspect", &url, "--brief"]).args(file).args(how).start();
        drop(WebSocket::accept(backend.accept()));
        let finished = inspecting.wait();
        said.push_str(&String::from_utf8(finished.stdout).unwrap());
    }
    let refused = connect(&url, ["--header-file", &wrong]).run(b"");
    assert!(refused.stderr.contains("line 2 is no header field"), "{}", refused.stderr);
    said.push_str(&refused.stderr);
    assert!(said.contains("established") && said.contains("1008"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn not_of_files_and_words_that_are_wrong() {
    let pki = Pki::new();
    let [key, passphrase] = encrypted(&pki);
    let wrong = pki.folder.write("wrong", "hunter2\n");
    let secrets = secrets(&pki, &[&key]);
    let listen = "tls://127.0.0.1:0";
    let serve = |args: &[&str]| {
        let to = ["serve", "--listen", listen, "--to", "echo:"];
        levada(to).args(args).run(b"")
    };
    let damaged = std::fs::read_to_string(&pki.localhost).unwrap().replace('=', "");
    let damaged = pki.folder.write("damaged.pem", &damaged[..damaged.len() - 40]);
    for finished in [
        serve(&["--cert", &pki.localhost, "--key", &key, "--passphrase-file", &wrong]),
        serve(&["--cert", &pki.localhost, "--key", &key]),
        serve(&["--cert", &key, "--key", &pki.localhost]),
        serve(&["--cert", &passphrase]),
        serve(&["--cert", &damaged]),
        serve(&["--cert", &pki.localhost, "--key", &pki.client]),
        serve(&["--cert", &pki.localhost, "--client-ca", &key]),
        connect("tls://user:hunter2@example.org:443", [""; 0]).run(b""),
        connect("tls://example.org:443", ["--ca", &passphrase]).run(b""),
    ] {
        assert_eq!(finished.code(), 1, "{}", finished.stderr);
        for secret in &secrets {
            assert!(!finished.stderr.contains(secret.as_str()), "`{secret}`: {}", finished.stderr);
        }
    }
}

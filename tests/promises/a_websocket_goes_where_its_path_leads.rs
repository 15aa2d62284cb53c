//! Routes of one listener of WebSockets: the path of the request chooses between them, each with its own
//! Origins and subprotocols, and what has no route is not found.

use std::io::{Read as _, Write as _};

use crate::harness::{BINARY, Backend, Client, Pki, Serve, WebSocket, free, levada, request};

#[test]
fn as_many_as_the_file_has() {
    let pki = Pki::new();
    let (vnc, db, rest) = (Backend::new(), Backend::new(), Backend::new());
    let on = free();
    let text = |last: &str| {
        format!(
            r#"
log = "json"

[[route]]
listen = {{ address = "wss://{on}/vnc", cert = "localhost.pem", origin = "https://a.example" }}
to = "{vnc}"

[[route]]
listen = {{ address = "wss://{on}/db", cert = "localhost.pem", subprotocol = "sql" }}
to = "{db}"
{last}"#,
            vnc = vnc.url(),
            db = db.url(),
        )
    };
    let config = pki.folder.write("levada.toml", &text(""));
    let checked = levada(["check", &config]).run(b"");
    let checked = String::from_utf8(checked.stdout).unwrap();
    for line in [
        "    path /vnc\n    web pages of https://a.example may connect\n    subprotocol binary\n",
        "    path /db\n    no web page may connect\n    subprotocol sql\n",
    ] {
        assert!(checked.contains(line), "{checked}");
    }
    let checked = levada(["check", &config, "--json"]).run(b"");
    let plan: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    let websocket = &plan["routes"][1]["listen"]["websocket"];
    assert_eq!((&websocket["path"], &websocket["subprotocols"][0]), (&"/db".into(), &"sql".into()));

    let mut serve = Serve::config(&config, 2);
    let page = "Origin: https://a.example\r\n";
    let offers = "Sec-WebSocket-Protocol: sql, binary\r\n";
    for (path, fields, status, subprotocol, backend) in [
        ("/vnc", page, "101", None, Some(&vnc)),
        ("/vnc?room=1", offers, "101", Some("binary"), Some(&vnc)),
        ("/db", offers, "101", Some("sql"), Some(&db)),
        ("/db", page, "403", None, None),
        ("/", "", "404", None, None),
        ("/vnc/", "", "404", None, None),
        ("/VNC", "", "404", None, None),
    ] {
        let mut client = Client::start(&pki, on, "-tls1_3", &["-ign_eof"]);
        client.write(request(path, fields).as_bytes());
        let lines = std::iter::from_fn(|| client.stdout.line());
        let head: Vec<_> = lines.take_while(|line| line != "\r").collect();
        assert!(head[0].starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {head:?}");
        let chosen = head.iter().find_map(|line| line.strip_prefix("Sec-WebSocket-Protocol: "));
        assert_eq!(chosen.map(str::trim), subprotocol, "{path}: {head:?}");
        let Some(backend) = backend else {
            let record = serve.next("ended");
            assert_eq!(record["on"], format!("wss://{on}"), "{record}");
            assert_eq!(record["to"], serde_json::Value::Null, "{record}");
            continue;
        };
        client.write(b"\x82\x85\0\0\0\0hello");
        let mut target = backend.accept();
        let mut got = [0; 5];
        target.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"hello");
        drop((client, target));
        let record = serve.next("ended");
        let path = path.split('?').next().unwrap();
        assert_eq!(record["on"], format!("wss://{on}{path}"), "{record}");
        assert_eq!(record["to"], backend.url(), "{record}");
    }
    assert_eq!(serve.stop().0, 0);

    // A route without a path is for all others.
    let others = format!(
        "\n[[route]]\nlisten = {{ address = \"wss://{on}\", cert = \"localhost.pem\" }}\nto = \"{}\"\n",
        rest.url()
    );
    let config = pki.folder.write("more.toml", &text(&others));
    let _serve = Serve::config(&config, 3);
    let mut client = Client::start(&pki, on, "-tls1_3", &["-ign_eof"]);
    client.write(request("/anything", "").as_bytes());
    assert!(client.stdout.line().expect("it answers").starts_with("HTTP/1.1 101 "));
    rest.accept();
}

/// The same in plain, and at a Unix socket.
#[test]
fn whatever_carries_them() {
    let pki = Pki::new();
    let (a, b) = (Backend::new(), Backend::new());
    let on = free();
    let route = |listen: &str, to: &Backend| {
        format!("[[route]]\nlisten = \"{listen}\"\nto = \"{}\"\n", to.url())
    };
    let text = [
        "log = \"json\"\n".to_owned(),
        route(&format!("ws://{on}/a"), &a),
        route(&format!("ws://{on}/b"), &b),
        route("ws+unix:ws.sock?path=/a", &a),
        route("ws+unix:ws.sock?path=/b", &b),
    ];
    let config = pki.folder.write("levada.toml", &text.concat());
    let mut serve = Serve::config(&config, 2);
    for (path, backend) in [("/a", &a), ("/b", &b)] {
        let mut client = WebSocket::open(on, path);
        client.send(BINARY, b"x");
        let mut target = backend.accept();
        target.read_exact(&mut [0]).unwrap();
        target.write_all(b"y").unwrap();
        assert_eq!(client.take(1), b"y");
    }
    // The lines of the Unix socket's routes, behind those of the addresses.
    for _ in 0..2 {
        assert_eq!(serve.next("listening")["event"], "listening");
    }
    let socket = pki.folder.path().join("ws.sock");
    for (path, backend) in [("/a", &a), ("/b", &b)] {
        let address = format!("ws+unix:{}", socket.display());
        let mut client = levada(["connect", &address, "--path", path]).start();
        client.write(b"x");
        backend.accept().read_exact(&mut [0]).unwrap();
    }
}

//! What good addresses say, to a listener and to whoever connects.

use std::num::NonZeroU16;
use std::time::Duration;

use levada_address::{
    Address, CertificateRules, ClientCheck, ConnectEndpoint, ConnectTls, CrlCheck, Endpoint,
    Family, Fault, Form, Host, IdentityFiles, KeyPlace, ListenEndpoint, ListenTls, MAX_LEN,
    OPTIONS, PassphraseSource, SCHEMES, Scheme, Side, UnixName, ValueKind,
};

fn address(text: &str) -> Address {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn listen_tls(text: &str) -> ListenTls {
    address(text).for_listening().unwrap_or_else(|error| panic!("{error}")).tls.expect("tls")
}

fn connect_tls(text: &str) -> ConnectTls {
    address(text).for_connecting().unwrap_or_else(|error| panic!("{error}")).tls.expect("tls")
}

fn identity(cert: &str, key: &str) -> IdentityFiles {
    IdentityFiles {
        cert: cert.into(),
        key: KeyPlace::File(key.into()),
        passphrase: None,
        signer: None,
        ocsp: None,
    }
}
use levada_core::{Deadlines, Lapse};

#[test]
fn addresses_and_how_they_are_shown() {
    for (text, shown) in [
        ("tcp://example.org:80", "tcp://example.org:80"),
        ("tcp://Example.ORG:0080", "tcp://example.org:80"),
        ("tcp://:8080", "tcp://*:8080"),
        ("tcp://[::0]:0", "tcp://[::]:0"),
        ("tls://10.0.0.1:443?name=a.example", "tls://10.0.0.1:443?name=a.example"),
        ("tls://:1?cert=a&key=b&cert=c&key=d", "tls://*:1?cert=a&key=b&cert=c&key=d"),
        ("tls://:1?cert=a=b?c+d e", "tls://*:1?cert=a=b?c+d%20e"),
        ("tls://:1?cert=%26%25%ff", "tls://*:1?cert=%26%25%FF"),
        ("unix:/run/x.sock", "unix:/run/x.sock"),
        ("unix:run/x.sock?deadline-idle=2m", "unix:run/x.sock?deadline-idle=120s"),
        ("unix:@levada", "unix:@levada"),
        ("unix:/水渠/%3f%25", "unix:/水渠/%3F%25"),
        ("stdio:", "stdio:"),
        ("echo:?deadline-close=off", "echo:?deadline-close=off"),
    ] {
        assert_eq!(address(text).to_string(), shown);
        assert_eq!(address(shown), address(text));
    }
}

#[test]
fn the_endpoint_of_each_scheme() {
    let on = |text: &str| address(text).for_listening().unwrap().endpoint;
    let to = |text: &str| address(text).for_connecting().unwrap().endpoint;
    let every = ListenEndpoint::Tcp { host: None, port: 8080, family: Family::Any };
    assert_eq!(on("tcp://:8080"), every);
    assert_eq!(on("tcp://*:8080"), every);
    let ip = Host::Ip([0, 0, 0, 0].into());
    assert_eq!(
        on("tcp://0.0.0.0:0?family=4"),
        ListenEndpoint::Tcp { host: Some(ip), port: 0, family: Family::V4 }
    );
    assert_eq!(
        to("tcp://example.org:80?family=6&bind=[::1]:9"),
        ConnectEndpoint::Tcp {
            host: Host::Name("example.org".into()),
            port: NonZeroU16::new(80).unwrap(),
            family: Family::V6,
            bind: Some("[::1]:9".parse().unwrap()),
        }
    );
    let path = UnixName::Path("run/x".into());
    assert_eq!(on("unix:run/x"), ListenEndpoint::Unix(path.clone()));
    assert_eq!(to("unix:run/x"), ConnectEndpoint::Unix(path));
    assert_eq!(to("unix:@x"), ConnectEndpoint::Unix(UnixName::Abstract(b"x".to_vec())));
    assert_eq!((on("stdio:"), to("stdio:")), (ListenEndpoint::Stdio, ConnectEndpoint::Stdio));
    assert_eq!(to("echo:"), ConnectEndpoint::Echo);
    assert_eq!(*address("echo:").endpoint(), Endpoint::Echo);
}

#[test]
fn keys_belong_to_certificates() {
    let identities = |text: &str| listen_tls(text).identities;
    assert_eq!(identities("tls://:1?cert=a"), [identity("a", "a")]);
    assert_eq!(identities("tls://:1?cert=a&cert=b"), [identity("a", "a"), identity("b", "b")]);
    assert_eq!(
        identities("tls://:1?cert=a&cert=b&key=c&key=b"),
        [identity("a", "c"), identity("b", "b")]
    );
    for (words, source) in [
        ("cert=a&key=k&passphrase-file=p", PassphraseSource::File("p".into())),
        ("cert=a&key=k&passphrase-env=P", PassphraseSource::Variable("P".into())),
    ] {
        let opened = IdentityFiles { passphrase: Some(source), ..identity("a", "k") };
        assert_eq!(connect_tls(&format!("tls://h:1?{words}")).identity.as_ref(), Some(&opened));
        assert_eq!(identities(&format!("tls://:1?{words}")), [opened]);
    }
}

#[test]
fn clients_are_asked_when_there_is_who_vouches_for_them() {
    let client = |words: &str| listen_tls(&format!("tls://:1?cert=a{words}")).client;
    let check = |required| {
        Some(ClientCheck { ca: Some("c".into()), rules: CertificateRules::default(), required })
    };
    assert_eq!(client(""), None);
    assert_eq!(client("&client-auth=none"), None);
    assert_eq!(client("&client-ca=c"), check(true));
    assert_eq!(client("&client-ca=c&client-auth=required"), check(true));
    assert_eq!(client("&client-ca=c&client-auth=requested"), check(false));
    assert_eq!(client("&client-ca=c&client-auth=none"), None);
}

#[test]
fn rules_are_those_of_the_words() {
    let key = "spki:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let rules = CertificateRules {
        pins: vec![key.parse().unwrap()],
        names: ["dns:a.example", "spiffe://b.example"].map(|rule| rule.parse().unwrap()).to_vec(),
        crls: vec!["l".into(), "m".into()],
        crl_check: Some(CrlCheck::Leaf),
        verify_time: Some(1_000_000_000),
        danger_ignore: vec![Lapse::Name, Lapse::Validity],
    };
    let to = connect_tls(&format!(
        "tls://h:1?ca=c&pin={key}&san=dns:a.example&san=spiffe://b.example&crl=l&crl=m\
         &crl-check=leaf&verify-time=2001-09-09T01:46:40Z&danger-ignore=name&danger-ignore=validity"
    ));
    assert_eq!(to.rules, rules);
    let on = listen_tls(&format!(
        "tls://:1?cert=a&client-ca=c&client-pin={key}&client-san=dns:a.example\
         &client-san=spiffe://b.example&client-crl=l&client-crl=m&client-crl-check=leaf\
         &client-verify-time=2001-09-09T03:46:40%2B02:00&danger-ignore-client=name\
         &danger-ignore-client=validity"
    ));
    assert_eq!(on.client, Some(ClientCheck { ca: Some("c".into()), rules, required: true }));
    // A pin needs nobody who vouches.
    let on = listen_tls(&format!("tls://:1?cert=a&client-pin={key}&client-auth=requested"));
    let client = on.client.unwrap();
    assert_eq!((client.ca, client.required, client.rules.pins.len()), (None, false, 1));
}

#[test]
fn the_verified_name_and_the_one_asked_for() {
    let names = |text| {
        let tls = connect_tls(text);
        (tls.name.to_string(), tls.sni)
    };
    let sni = |name: &str| Some(name.to_owned());
    assert_eq!(names("tls://a.example:1"), ("a.example".into(), sni("a.example")));
    assert_eq!(names("tls://a.example.:1"), ("a.example.".into(), sni("a.example")));
    assert_eq!(names("tls://10.0.0.1:1"), ("10.0.0.1".into(), None));
    assert_eq!(names("tls://10.0.0.1:1?name=b.example"), ("b.example".into(), sni("b.example")));
    assert_eq!(names("tls://a.example:1?sni=c.example"), ("a.example".into(), sni("c.example")));
    assert_eq!(names("tls://a.example:1?name=[::1]"), ("[::1]".into(), None));
}

#[test]
fn deadlines_have_defaults() {
    let deadlines = Deadlines::default();
    assert_eq!(address("stdio:").for_listening().unwrap().deadlines, deadlines);
    let changed = address("echo:?deadline-lookup=off&deadline-idle=1m").for_connecting().unwrap();
    let wanted = Deadlines { lookup: None, idle: Some(Duration::from_secs(60)), ..deadlines };
    assert_eq!(changed.deadlines, wanted);
}

#[test]
fn what_the_address_says_wins() {
    let mut tls = address("tls://:1?cert=own.pem&alpn=h2");
    assert!(!tls.set("alpn", "http/1.1").unwrap());
    assert!(!tls.set("key", "other.key").unwrap(), "a key is only right beside its certificate");
    assert!(tls.set("deadline-idle", "1m").unwrap());
    assert!(tls.set("deadline-idle", "2m").unwrap(), "a stronger source comes later");
    assert_eq!(tls.to_string(), "tls://*:1?cert=own.pem&alpn=h2&deadline-idle=120s");
}

#[test]
fn lists_are_set_as_a_whole() {
    let mut tls = address("tls://:1");
    assert!(tls.set_all("cert", ["a", "b"]).unwrap());
    assert!(tls.set_all("key", ["c", "d"]).unwrap());
    assert_eq!(tls.to_string(), "tls://*:1?cert=a&cert=b&key=c&key=d");
    assert!(tls.set("cert", "e").unwrap());
    assert!(tls.set_all("key", [""; 0]).unwrap());
    assert_eq!(tls.to_string(), "tls://*:1?cert=e");
    let error = tls.set_all("alpn", ["h2", "h3"]).unwrap_err();
    assert_eq!(error.one_line().to_string(), "`alpn` may stand only once, at byte 0 of `alpn=h3`");
}

#[test]
fn what_is_set_is_checked() {
    let mut tcp = address("tcp://h:1?family=4");
    let mut error = |word, value| tcp.set(word, value).unwrap_err().to_string();
    assert_eq!(
        error("fmaily", "4"),
        "unknown option `fmaily`\n    fmaily\n    ^^^^^^\n    did you mean `family`?"
    );
    assert_eq!(
        error("family", "ipv6"),
        "this is none of the choices\n    family=ipv6\n           ^^^^\n    \
         choose from `4`, `6`, `any`"
    );
    assert_eq!(
        error("ca", "x"),
        "`ca` means nothing to `tcp:`\n    ca\n    ^^\n    it is an option of `tls:` and `wss:`"
    );
    assert_eq!(tcp.to_string(), "tcp://h:1?family=4");
}

#[test]
fn what_is_too_long_is_refused_at_its_limit() {
    let path = |len: usize| "č".repeat(len / 2);
    let error = format!("tls://:1?cert={}", path(MAX_LEN)).parse::<Address>().unwrap_err();
    assert_eq!((error.fault(), error.span()), (&Fault::TooLong, MAX_LEN..MAX_LEN));
    assert_eq!(error.input().len(), MAX_LEN);
    // Each blank is three bytes when it is displayed.
    let blanks = format!("tls://:1?cert={}", " ".repeat(MAX_LEN / 2)).parse::<Address>();
    assert_eq!(*blanks.unwrap_err().fault(), Fault::TooLong);
    let mut tls = address("tls://:1");
    let room = MAX_LEN - "tls://*:1?cert=".len();
    assert_eq!(*tls.set("cert", path(room + 2)).unwrap_err().fault(), Fault::TooLong);
    assert_eq!(tls.to_string(), "tls://*:1");
    assert!(tls.set("cert", path(room)).unwrap());
    assert_eq!(tls.to_string().parse(), Ok(tls));
}

/// A word that a view forgot would be taken from its user and then do nothing.
#[test]
fn every_word_of_the_table_reaches_the_view() {
    let sample = |kind: ValueKind| match kind {
        ValueKind::Path | ValueKind::Key => "some.file",
        ValueKind::PeerName | ValueKind::DnsName => "other.example",
        ValueKind::Alpn => "h2",
        ValueKind::ClientAuth => "requested",
        ValueKind::Family => "6",
        ValueKind::Bind => "10.9.9.9",
        ValueKind::Deadline => "77s",
        ValueKind::Switch => "off",
        ValueKind::Variable => "KEY_PASS",
        ValueKind::Pin => "spki:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        ValueKind::SanRule => "dns:a.example",
        ValueKind::CrlCheck => "leaf",
        ValueKind::Moment => "2030-01-31T12:00:00Z",
        ValueKind::Lapse => "name",
        ValueKind::RecordSize => "777",
        ValueKind::Target => "/some/path",
        ValueKind::Origin => "https://other.example",
        ValueKind::Subprotocols => "chat,binary",
        ValueKind::Proxy => "http://me@other.example:1",
        ValueKind::Deflate => "no-context-takeover",
        ValueKind::Http => "2",
        other => panic!("no sample of {other:?}"),
    };
    let view = |address: &Address, side| match side {
        Side::Listen => format!("{:?}", address.for_listening().unwrap()),
        Side::Connect => format!("{:?}", address.for_connecting().unwrap()),
    };
    for row in OPTIONS {
        for side in [Side::Listen, Side::Connect].into_iter().filter(|&s| row.side.contains(s)) {
            for scheme in SCHEMES.iter().map(|spec| spec.scheme) {
                let has_host = scheme.spec().form == Form::HostPort;
                if !row.fits(scheme, side) || !(has_host || scheme == Scheme::WsUnix) {
                    continue;
                }
                let end = if has_host { "//h:1" } else { "/s" };
                let mut address = address(&format!("{scheme}:{end}"));
                if scheme.spec().tls && scheme != Scheme::PoolTls {
                    address.set("cert", "base.pem").unwrap();
                    if side == Side::Listen && row.word != "client-ca" {
                        address.set("client-ca", "base.ca").unwrap();
                    }
                }
                if let Some(lists) = row.word.strip_suffix("-check") {
                    address.set(lists, "base.crl").unwrap();
                }
                if row.word.starts_with("proxy-") {
                    address.set("proxy", "https://me@h:1").unwrap();
                }
                let before = view(&address, side);
                let value = match row.word {
                    "text-as-bytes" => "on",
                    _ => sample(row.kind),
                };
                assert!(address.set(row.word, value).unwrap());
                let after = view(&address, side);
                assert_ne!(after, before, "{} does nothing for {side} of {scheme}", row.word);
            }
        }
    }
}

#[test]
fn paths_begin_at_a_folder() {
    let begun = |text: &str, folder: &str| {
        let mut address: Address = text.parse().unwrap();
        address.begin_paths_at(folder.as_ref()).map(|()| address.to_string())
    };
    assert_eq!(begun("unix:a", "/x").unwrap(), "unix:/x/a");
    assert_eq!(begun("unix:/a", "/x").unwrap(), "unix:/a");
    assert_eq!(begun("unix:@a", "/x").unwrap(), "unix:@a");
    assert_eq!(begun("tcp://a:1", "/x").unwrap(), "tcp://a:1");
    assert_eq!(begun("tls://a:1?ca=b&cert=/c", "").unwrap(), "tls://a:1?ca=b&cert=/c");
    assert_eq!(begun("tls://a:1?ca=b&cert=/c", "d").unwrap(), "tls://a:1?ca=d/b&cert=/c");
    let long = format!("/{}", "x".repeat(106));
    assert_eq!(begun("unix:a", &long).unwrap_err().fault(), &Fault::UnixLong { len: 109 });
    assert_eq!(begun("tls://a:1?ca=b", &"x".repeat(9000)).unwrap_err().fault(), &Fault::TooLong);
}

#[test]
fn a_web_socket_is_asked_for_by_its_path() {
    let ws = address("wss://example.org:443/vnc?origin=https://a.org&subprotocol=binary,chat");
    assert_eq!(ws.to_string().parse(), Ok(ws.clone()));
    let view = ws.for_connecting().unwrap();
    assert!(view.tls.is_some());
    let ws = view.web_socket.unwrap();
    assert_eq!((&*ws.host, &*ws.path), ("example.org", "/vnc"));
    assert_eq!(ws.origin.as_deref(), Some("https://a.org"));
    assert_eq!(ws.subprotocols, ["binary", "chat"]);

    let host = |text: &str| address(text).for_connecting().unwrap().web_socket.unwrap().host;
    assert_eq!(host("ws://[::1]:8080"), "[::1]:8080");
    assert_eq!(host("ws://a:443"), "a:443");
    assert_eq!(host("ws+unix:/run/x"), "localhost");
    let query = address("ws://a:1?path=/x%3Froom=1%26a=b");
    assert_eq!(query.to_string(), "ws://a:1?path=/x?room=1%26a=b");
    assert_eq!(query.for_connecting().unwrap().web_socket.unwrap().path, "/x?room=1&a=b");
}

#[test]
fn no_web_page_may_connect_unless_it_is_named() {
    let listen = |text: &str| address(text).for_listening().unwrap().web_socket.unwrap();
    let default = listen("ws://:1");
    assert_eq!((default.path, default.origins), (None, Some(Vec::new())));
    assert_eq!(default.subprotocols, ["binary"]);
    let named = listen("ws://:1/vnc?origin=https://a.org&origin=https://*.b.org");
    assert_eq!(named.path.as_deref(), Some("/vnc"));
    assert_eq!(named.origins.unwrap(), ["https://a.org", "https://*.b.org"]);
    assert_eq!(listen("ws+unix:/s?origin=any").origins, None);
    assert!(listen("ws://:1?text-as-bytes=on").text_as_bytes);
}

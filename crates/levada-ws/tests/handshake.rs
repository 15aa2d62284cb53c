//! The opening handshake: RFC 6455 §4 from both sides, and every refusal.

use levada_ws::handshake::{
    Answer, AnswerError, ClientHandshake, Field, Limits, Offer, OfferError, OriginPattern, Origins,
    Paths, Refusal, Rejection, Request, Response, Rules, ServerHandshake,
};
use proptest::prelude::*;

const NONCE: [u8; 16] = *b"the sample nonce";

/// The example of RFC 6455 §1.3.
const REQUEST: &str = "GET /chat HTTP/1.1\r\n\
    Host: server.example.com\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Origin: http://example.com\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

const RESPONSE: &str = "HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
    Sec-WebSocket-Protocol: chat\r\n\r\n";

fn read_request(wire: &str) -> Result<Request, Refusal> {
    let mut server = ServerHandshake::new(Limits::default());
    server.handle_wire(wire.as_bytes()).map(|progress| progress.head.expect("it is whole"))
}

fn offer() -> Offer {
    Offer::new("server.example.com", "/chat")
        .and_then(|offer| offer.with_origin("http://example.com"))
        .and_then(|offer| offer.with_subprotocol("chat"))
        .and_then(|offer| offer.with_subprotocol("superchat"))
        .expect("the offer is sound")
}

fn read_response(wire: &str) -> Result<Response, Rejection> {
    let mut client = ClientHandshake::new(offer(), NONCE, Limits::default());
    client.handle_wire(wire.as_bytes()).map(|progress| progress.head.expect("it is whole"))
}

/// `text` without the line that begins with `name`, and with `lines` at the end of the head.
fn edit(text: &str, name: &str, lines: &str) -> String {
    let kept: String =
        text.split_inclusive("\r\n").filter(|line| !line.starts_with(name)).collect();
    format!("{}{lines}\r\n", kept.trim_end_matches("\r\n").to_owned() + "\r\n")
}

#[test]
fn s1_3_the_example_of_the_rfc_from_both_sides() {
    let request = read_request(REQUEST).unwrap();
    assert_eq!((request.path(), request.target()), ("/chat", "/chat"));
    assert_eq!(request.host(), "server.example.com");
    assert_eq!(request.origin(), Some("http://example.com"));
    assert_eq!(request.subprotocols(), ["chat", "superchat"]);
    let mut rules = Rules::default();
    rules.subprotocols = vec!["mqtt".into(), "chat".into()];
    let answer = rules.judge(&request).unwrap();
    assert_eq!(request.accept(&answer).unwrap(), RESPONSE.as_bytes());

    let response = read_response(RESPONSE).unwrap();
    assert_eq!(response.subprotocol(), Some("chat"));
}

#[test]
fn what_the_client_renders_is_what_the_server_reads() {
    let field = Field::new("Authorization", "Bearer abc").unwrap();
    let offer = offer().with_field(field.clone());
    let mut client = ClientHandshake::new(offer, NONCE, Limits::default());
    let request = read_request(core::str::from_utf8(&client.request()).unwrap()).unwrap();
    assert!(request.fields().contains(&field));
    let added = Field::new("X-Node", "a").unwrap();
    let mut answer = Rules::default().judge(&request).unwrap();
    answer.subprotocol = Some("superchat".into());
    answer.fields = vec![added.clone()];
    let progress = client.handle_wire(&request.accept(&answer).unwrap()).unwrap();
    let response = progress.head.unwrap();
    assert_eq!(response.subprotocol(), Some("superchat"));
    assert!(response.fields().contains(&added));
    assert!(!format!("{response:?}").contains("Bearer"), "values are not shown");
}

#[test]
fn c14_bytes_behind_the_head_are_not_touched() {
    let behind = b"\x82\x80abcd";
    let mut server = ServerHandshake::new(Limits::default());
    let progress = server.handle_wire(&[REQUEST.as_bytes(), behind].concat()).unwrap();
    assert_eq!(progress.consumed, REQUEST.len());
    assert!(progress.head.is_some());
    let mut client = ClientHandshake::new(offer(), NONCE, Limits::default());
    let progress = client.handle_wire(&[RESPONSE.as_bytes(), behind].concat()).unwrap();
    assert_eq!(progress.consumed, RESPONSE.len());
    assert!(progress.head.is_some());
}

#[test]
fn s4_2_every_malformed_request_is_refused_with_its_status() {
    let cases = [
        (REQUEST.replace("GET", "POST"), Refusal::Method, 405),
        (REQUEST.replace("HTTP/1.1", "HTTP/1.0"), Refusal::HttpVersion, 400),
        (REQUEST.replace("HTTP/1.1", "FTP/1.1"), Refusal::BadHead, 400),
        (REQUEST.replace("/chat", "*"), Refusal::Target, 400),
        (REQUEST.replace("/chat", "ftp://a/chat"), Refusal::Target, 400),
        (edit(REQUEST, "Host", ""), Refusal::Host, 400),
        (edit(REQUEST, "-", "Host: other\r\n"), Refusal::Host, 400),
        (edit(REQUEST, "-", "Content-Length: 3\r\n"), Refusal::Body, 400),
        (edit(REQUEST, "-", "Transfer-Encoding: chunked\r\n"), Refusal::Body, 400),
        (edit(REQUEST, "Upgrade", ""), Refusal::NotAnUpgrade, 426),
        (edit(REQUEST, "Upgrade", "Upgrade: h2c\r\n"), Refusal::NotAnUpgrade, 426),
        (edit(REQUEST, "Connection", "Connection: close\r\n"), Refusal::NotAnUpgrade, 426),
        (edit(REQUEST, "Sec-WebSocket-Version", ""), Refusal::Version, 426),
        (REQUEST.replace("Version: 13", "Version: 8"), Refusal::Version, 426),
        (edit(REQUEST, "Sec-WebSocket-Key", ""), Refusal::Key, 400),
        (REQUEST.replace("Key: dGhl", "Key: "), Refusal::Key, 400),
        (edit(REQUEST, "-", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), Refusal::Key, 400),
        (edit(REQUEST, "-", "Origin: http://b\r\n"), Refusal::Origin, 400),
        (REQUEST.replace("superchat", "chat"), Refusal::Subprotocol, 400),
        (REQUEST.replace("superchat", "super chat"), Refusal::Subprotocol, 400),
        (edit(REQUEST, "-", &"A: b\r\n".repeat(60)), Refusal::TooManyFields, 431),
        (edit(REQUEST, "-", &format!("A: {}\r\n", "b".repeat(9000))), Refusal::HeadTooLong, 431),
        ("\x16\x03\x01".into(), Refusal::BadHead, 400),
        (edit(REQUEST, "-", "A: b\0c\r\n"), Refusal::BadHead, 400),
    ];
    for (wire, refusal, status) in cases {
        assert_eq!(read_request(&wire), Err(refusal.clone()), "{wire}");
        assert_eq!(refusal.status(), status);
        let response = String::from_utf8(refusal.to_response()).unwrap();
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{response}");
        assert_eq!(head.contains("Sec-WebSocket-Version: 13"), status == 426);
        assert_eq!(head.contains("Allow: GET"), status == 405);
    }
    assert_eq!(ServerHandshake::new(Limits::default()).handle_eof(), Refusal::Truncated);
}

#[test]
fn s4_2_what_the_rfc_leaves_free_is_accepted() {
    for wire in [
        REQUEST.replace("Upgrade: websocket", "upgrade: h2c, WebSocket"),
        REQUEST.replace("Connection: Upgrade", "CONNECTION: keep-alive, upgrade"),
        REQUEST.replace("/chat", "http://server.example.com/chat"),
        edit(REQUEST, "Origin", ""),
        edit(REQUEST, "-", "Content-Length: 0\r\nCookie: \u{e9}=1\r\n"),
        edit(REQUEST, "-", "Sec-WebSocket-Extensions: permessage-deflate\r\n"),
        format!("\r\n{REQUEST}"),
        REQUEST.replace("\r\n", "\n"),
    ] {
        assert_eq!(read_request(&wire).unwrap().path(), "/chat", "{wire}");
    }
    let query = read_request(&REQUEST.replace("/chat", "/chat?room=1")).unwrap();
    assert_eq!((query.path(), query.target()), ("/chat", "/chat?room=1"));
}

#[test]
fn s4_2_2_rules_refuse_with_their_status() {
    let request = read_request(REQUEST).unwrap();
    let mut rules = Rules::default();
    assert_eq!(rules.judge(&request), Ok(Answer::default()));

    rules.require_subprotocol = true;
    assert_eq!(rules.judge(&request), Err(Refusal::NoCommonSubprotocol));
    rules.subprotocols = vec!["superchat".into(), "chat".into()];
    let answer = rules.judge(&request).unwrap();
    assert_eq!(answer.subprotocol.as_deref(), Some("superchat"), "our order counts");

    let patterns = vec![OriginPattern::new("https://*.example.com").unwrap()];
    rules.origins = Origins::Listed { patterns, allow_absent: false };
    assert_eq!(rules.judge(&request), Err(Refusal::OriginForbidden));
    let patterns = vec![OriginPattern::new("http://example.com").unwrap()];
    rules.origins = Origins::Listed { patterns: patterns.clone(), allow_absent: false };
    assert!(rules.judge(&request).is_ok());
    let without = read_request(&edit(REQUEST, "Origin", "")).unwrap();
    assert_eq!(rules.judge(&without), Err(Refusal::OriginForbidden));
    rules.origins = Origins::Listed { patterns, allow_absent: true };
    assert!(rules.judge(&without).is_ok());

    rules.paths = Paths::Listed(vec!["/".into(), "/chatter".into()]);
    assert_eq!(rules.judge(&request), Err(Refusal::Path));
    rules.paths = Paths::Listed(vec!["/chat".into()]);
    assert!(rules.judge(&request).is_ok());
    assert_eq!((Refusal::Path.status(), Refusal::OriginForbidden.status()), (404, 403));
}

#[test]
fn each_path_may_have_rules_of_its_own() {
    let at = |path: &str, subprotocol: &str| {
        let mut rules = Rules::default();
        rules.paths = Paths::Listed(vec![path.into()]);
        rules.subprotocols = vec![subprotocol.into()];
        rules
    };
    let mut rules = at("/a", "chat");
    rules.others = vec![at("/chat", "superchat"), at("/chat", "chat"), at("/c", "chat")];
    let request = |path: &str| read_request(&REQUEST.replace("/chat", path)).unwrap();
    let chosen = |path: &str| rules.judge(&request(path)).map(|answer| answer.subprotocol.unwrap());
    assert_eq!(chosen("/a"), Ok("chat".into()));
    assert_eq!(chosen("/chat?room=1"), Ok("superchat".into()), "the first that serves it");
    assert_eq!(chosen("/b"), Err(Refusal::Path));
    rules.others[0].origins = Origins::Listed { patterns: Vec::new(), allow_absent: true };
    assert_eq!(
        rules.judge(&request("/chat")),
        Err(Refusal::OriginForbidden),
        "and it alone judges"
    );
}

#[test]
fn an_application_refuses_in_its_own_words() {
    let field = Field::new("WWW-Authenticate", "Basic").unwrap();
    let refusal = Refusal::Application { status: 401, fields: vec![field] };
    let response = String::from_utf8(refusal.to_response()).unwrap();
    assert!(response.starts_with("HTTP/1.1 401 Unauthorized\r\n"));
    assert!(response.contains("\r\nWWW-Authenticate: Basic\r\n"));
    assert_eq!(Refusal::Application { status: 101, fields: Vec::new() }.status(), 500);
    let request = read_request(REQUEST).unwrap();
    let mut answer = Rules::default().judge(&request).unwrap();
    answer.subprotocol = Some("mqtt".into());
    assert_eq!(request.accept(&answer), Err(AnswerError::Subprotocol));
}

#[test]
fn s4_1_every_wrong_response_is_rejected() {
    let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    let cases = [
        (RESPONSE.replace("HTTP/1.1", "HTTP/1.0"), Rejection::HttpVersion),
        (RESPONSE.replace("HTTP/1.1", "SSH-2.0"), Rejection::BadHead),
        (edit(RESPONSE, "Upgrade", ""), Rejection::Upgrade),
        (edit(RESPONSE, "Upgrade", "Upgrade: h2c\r\n"), Rejection::Upgrade),
        (edit(RESPONSE, "Connection", ""), Rejection::Connection),
        (edit(RESPONSE, "Sec-WebSocket-Accept", ""), Rejection::AcceptMissing),
        (edit(RESPONSE, "-", accept), Rejection::AcceptMissing),
        (RESPONSE.replace("s3p", "s3q"), Rejection::AcceptWrong),
        (RESPONSE.replace("chat", "mqtt"), Rejection::Subprotocol("mqtt".into())),
        (RESPONSE.replace("chat", "chat, superchat"), Rejection::Subprotocol("superchat".into())),
        (
            edit(RESPONSE, "-", "Sec-WebSocket-Extensions: permessage-deflate; x=1\r\n"),
            Rejection::Extension("permessage-deflate; x=1".into()),
        ),
        (edit(RESPONSE, "-", &"A: b\r\n".repeat(61)), Rejection::TooManyFields),
        (edit(RESPONSE, "-", &format!("A: {}\r\n", "b".repeat(9000))), Rejection::HeadTooLong),
    ];
    for (wire, rejection) in cases {
        assert_eq!(read_response(&wire), Err(rejection), "{wire}");
    }
    let client = ClientHandshake::new(offer(), NONCE, Limits::default());
    assert_eq!(client.handle_eof(), Rejection::Truncated);
    assert_eq!(read_response(&edit(RESPONSE, "Sec-WebSocket-P", "")).unwrap().subprotocol(), None);
}

#[test]
fn a_status_is_told_with_its_fields() {
    let wire = "HTTP/1.1 302 Found\r\nLocation: https://b/\r\n\r\n";
    let Err(Rejection::Status { status, fields }) = read_response(wire) else { panic!() };
    assert_eq!(status, 302);
    assert_eq!((fields[0].name(), fields[0].text()), ("Location", Some("https://b/")));
}

#[test]
fn an_offer_of_the_users_cannot_break_the_head() {
    for host in ["", "a b", "a\r\nX: y", "a/b", "u@a", "a?", "ü"] {
        assert_eq!(Offer::new(host, "/"), Err(OfferError::Host), "{host:?}");
    }
    for target in ["", "a", "/a b", "/a\r\nX: y", "/a#b", "/ü"] {
        assert_eq!(Offer::new("a", target), Err(OfferError::Target), "{target:?}");
    }
    assert_eq!(offer().with_origin("a\r\nX: y"), Err(OfferError::Origin));
    assert_eq!(offer().with_subprotocol("a, b"), Err(OfferError::Subprotocol));
    assert_eq!(offer().with_subprotocol("chat"), Err(OfferError::SubprotocolTwice));
    assert!(Offer::new("[::1]:8080", "/?q=%20").is_ok());
}

proptest! {
    /// Whatever the user asks for, the head has the lines that were meant and no others.
    #[test]
    fn no_argument_adds_a_line(
        host in any::<String>(),
        target in any::<String>(),
        name in any::<String>(),
        value in any::<String>(),
        origin in any::<String>(),
    ) {
        let base = Offer::new(&host, &target).or_else(|_| Offer::new("a", "/")).unwrap();
        let mut lines = 7;
        let mut offer = base.clone();
        if let Ok(field) = Field::new(&name, &value) {
            offer = offer.with_field(field);
            lines += 1;
        }
        if let Ok(with_origin) = offer.clone().with_origin(&origin) {
            offer = with_origin;
            lines += 1;
        }
        let request = ClientHandshake::new(offer, NONCE, Limits::default()).request();
        for line_break in [b'\r', b'\n'] {
            prop_assert_eq!(request.split(|&byte| byte == line_break).count(), lines + 1);
        }
    }

    /// Both ends agree, wherever the bytes are cut.
    #[test]
    fn s4_both_ends_agree_on_any_cut(cut in 0_usize..1000, nonce in any::<[u8; 16]>()) {
        let mut client = ClientHandshake::new(offer(), nonce, Limits::default());
        let wire = client.request();
        let (first, second) = wire.split_at(cut % wire.len());
        let mut server = ServerHandshake::new(Limits::default());
        prop_assert_eq!(server.handle_wire(first).unwrap().head, None);
        let request = server.handle_wire(second).unwrap().head.unwrap();
        let wire = request.accept(&Answer::default()).unwrap();
        let (first, second) = wire.split_at(cut % wire.len());
        prop_assert_eq!(client.handle_wire(first).unwrap().head, None);
        prop_assert!(client.handle_wire(second).unwrap().head.is_some());
    }
}

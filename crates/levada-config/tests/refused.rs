//! What is wrong, in the words in which it is told.

use std::path::Path;

use levada_address::TimeLimit;
use levada_config::{LogFormat, parse};

#[track_caller]
fn told(text: &str) -> String {
    parse(text, Path::new("")).expect_err("it is refused").in_file("f.toml").to_string()
}

/// A good route, to which a test adds what it is about.
const GOOD: &str = "[[route]]\nlisten = \"tcp://:1\"\nto = \"echo:\"\n";

#[test]
fn everything_that_can_be_said() {
    let text = r#"
drain = "off"
log = "json"
max-connections = 10
max-connections-per-address = 3
max-handshakes = 0x10
deadline-idle = "5s"
deadline-close = "1s"

[[route]]
listen = { address = "tls://:1?deadline-idle=1s", cert = ["a", "/b"], key = ["c", "d"] }

[route.to]
address = "unix:run/x"
deadline-close = "2s"
"#;
    let config = parse(text, Path::new("/x")).unwrap();
    assert_eq!((config.drain, config.log), (Some(TimeLimit::Off), Some(LogFormat::Json)));
    assert_eq!((config.max_connections, config.max_handshakes), (Some(10), Some(16)));
    assert_eq!(config.max_connections_per_address, Some(3));
    let route = &config.routes[0];
    assert_eq!(
        route.listen.address.to_string(),
        "tls://*:1?deadline-idle=1s&deadline-close=1s&cert=/x/a&cert=/b&key=/x/c&key=/x/d"
    );
    assert_eq!(route.to.address.to_string(), "unix:/x/run/x?deadline-idle=5s&deadline-close=2s");
    assert_eq!(&text[route.listen.place_of(Path::new("/b"))], "\"/b\"");
    assert_eq!(&text[route.to.place_of(Path::new("/b"))], "\"unix:run/x\"");
}

#[test]
fn routes_may_share_a_listener_by_conditions() {
    let text = r#"
[[route]]
listen = { address = "tls://:443", cert = "a.pem" }
when = { sni = ["A.example.", "*.b.example"], alpn = "h2" }
to = "echo:"

[[route]]
listen = "tcp://:443"
to = "unix:rest"
"#;
    let config = parse(text, Path::new("")).unwrap();
    let when = config.routes[0].when.as_ref().unwrap();
    assert_eq!(when.sni, ["a.example", "*.b.example"]);
    assert_eq!(when.alpn, [b"h2".to_vec()]);
    assert_eq!(config.routes[1].when, None);
    assert!(config.routes[0].shares_listener(&config.routes[1]));
}

/// Two routes of one listener of WebSockets, by what they say of listening.
fn web_sockets(first: &str, second: &str) -> String {
    let route = |listen: &str| format!("[[route]]\nlisten = {{ {listen} }}\nto = \"echo:\"\n");
    route(first) + &route(second)
}

#[test]
fn routes_may_share_a_listener_of_web_sockets_by_their_paths() {
    let tls = "cert = \"a.pem\", client-ca = \"b.pem\"";
    let text = web_sockets(
        &format!("address = \"wss://:443/vnc\", origin = \"https://a.example\", {tls}"),
        &format!("address = \"wss://:443/db\", subprotocol = \"x\", {tls}"),
    );
    let rest = "[[route]]\nlisten = { address = \"wss://:443\", cert = \"a.pem\", \
                client-ca = \"b.pem\" }\nto = \"echo:\"\n";
    let config = parse(&(text + rest), Path::new("")).unwrap();
    assert!(config.routes[0].shares_listener(&config.routes[1]));
    assert!(config.routes[0].shares_listener(&config.routes[2]));
    let unix =
        web_sockets("address = \"ws+unix:a?path=/b\"", "address = \"ws+unix:a\", path = \"/c\"");
    assert!(parse(&unix, Path::new("")).is_ok());
}

#[test]
fn web_sockets_that_cannot_share_are_told_why() {
    for (first, second, what, hint) in [
        ("ws://:80/a", "ws://:80/a", "another route has this path there already", "another path"),
        ("ws://:80", "ws://:80/a", "another route takes every path there", "let it stand last"),
        ("ws://:80/a", "tcp://:80", "another route listens there already", "another port"),
        ("ws://:80/a", "ws://:80/b?ping=1s", "listener has others", "say the same in each"),
        ("ws://:80/a", "ws://:80/b?family=4", "listener has others", "say the same in each"),
        ("ws://:80/a", "wss://:80/b?cert=x", "listener has others", "say the same in each"),
        ("wss://:80/a?cert=x", "wss://:80/b?cert=y", "listener has others", "say the same in each"),
    ] {
        let [first, second] = [first, second].map(|address| format!("address = \"{address}\""));
        let told = told(&web_sockets(&first, &second));
        assert!(told.starts_with("f.toml:5:22: ") && told.contains(what), "{told}");
        assert!(told.contains(hint), "{told}");
    }
    let told = told("[[route]]\nlisten = \"ws://:80/a\"\nwhen = { sni = \"b\" }\nto = \"echo:\"\n");
    assert!(told.contains("leave `when` away") && told.contains("by their paths"), "{told}");
}

#[test]
fn a_wrong_condition_is_told_with_its_place() {
    for (when, what, hint) in [
        ("7", "`when` is a table", "write `when = {"),
        ("{}", "`when` has no condition", "write `when = {"),
        ("{ snl = 1 }", "unknown key `snl`", "did you mean `sni`?"),
        ("{ path = \"/a\" }", "unknown key `path`", "it belongs to one end of a route"),
        ("{ sni = 1 }", "a number, where a text is wanted", "write it like `sni"),
        ("{ sni = [] }", "the list is empty", "write it like `sni"),
        ("{ sni = \"a b\" }", "`a b` cannot be asked for", "write a name"),
        ("{ sni = \"a.*.b\" }", "`a.*.b` cannot be asked for", "write a name"),
        ("{ sni = \"b\u{fc}cher\" }", "`b\u{fc}cher` cannot be asked for", "xn--"),
        ("{ alpn = [\"h2\", \"\"] }", "`` cannot be asked for", "1 to 255 bytes"),
    ] {
        let told = told(&format!("{GOOD}when = {when}\n"));
        assert!(told.starts_with("f.toml:4:") && told.contains(what), "{told}");
        assert!(told.contains(hint), "{told}");
    }
}

#[test]
fn routes_of_one_listener_agree_on_what_is_the_listeners() {
    let first = "[[route]]\nlisten = \"tcp://:1\"\nwhen = { sni = \"a\" }\nto = \"echo:\"\n";
    let other =
        |listen: &str| told(&format!("{first}[[route]]\nlisten = {listen}\nto = \"echo:\"\n"));
    for listen in ["\"tcp://:1?deadline-idle=1s\"", "\"tcp://:1?family=4\""] {
        assert!(other(listen).contains("the first route of this listener has others"), "{listen}");
    }
    let told = told(&format!("{GOOD}{GOOD}"));
    assert!(told.contains("another route listens there already"), "{told}");
    assert!(told.contains("which clients the first one is for"), "{told}");
}

#[test]
fn a_wrong_key_is_told_with_the_right_one() {
    for (line, what, hint) in [
        ("drian = 1", "unknown key `drian`", "did you mean `drain`?"),
        ("deadline_idle = 1", "unknown key `deadline_idle`", "did you mean `deadline-idle`?"),
        ("listen = 1", "unknown key `listen`", "it belongs to a route: "),
        ("ca = 1", "unknown key `ca`", "it belongs to one end of a route: "),
        ("q = 1", "unknown key `q`", "the keys here are route, drain, "),
    ] {
        let told = told(&format!("{line}\n{GOOD}"));
        let caret = "^".repeat(line.split(' ').next().unwrap().len());
        let wanted = format!("f.toml:1:1: {what}\n    {line}\n    {caret}\n    {hint}");
        assert!(told.starts_with(&wanted), "{told}");
    }
}

#[test]
fn a_wrong_value_is_told_with_its_place() {
    for (line, wanted) in [
        ("drain = 5", "1:9: a number, where a text is wanted\n    drain = 5\n            ^\n"),
        ("drain = \"5\"", "1:11: a time ends with its unit"),
        ("max-handshakes = 0", "1:18: no whole number"),
        ("max-handshakes = \"7\"", "1:18: no whole number"),
        ("log = \"xml\"", "1:7: no format of the log"),
        ("log = json", "1:7: string values must be quoted"),
        ("drain = \"1s\"\ndrain = \"2s\"", "2:1: duplicate key"),
    ] {
        let told = told(&format!("{line}\n{GOOD}"));
        assert!(told.starts_with(&format!("f.toml:{wanted}")), "{told}");
    }
}

#[test]
fn an_end_that_is_wrong_is_told_where() {
    for (ends, wanted) in [
        ("listen = 'tcp://:1'", "1:1: a route needs `to`"),
        ("listen = 'tcp//:1'\nto = 'echo:'", "2:11: the scheme is missing"),
        ("listen = 'tls://:1?crt=a'\nto = 'echo:'", "2:20: unknown option `crt`"),
        ("listen = 'tls://:1'\nto = 'echo:'", "2:10: `cert` is needed for listening"),
        ("listen = {cert = 'a'}\nto = 'echo:'", "2:10: `listen` needs `address`"),
        ("listen = 'echo:'\nto = 'echo:'", "2:10: `echo:` is not for listening"),
        ("listen = 'unix:a'\nto = 'stdio:'", "3:6: standard output can serve one stream only"),
        (
            "listen = 'unix:a'\nto = {address='tls://a:1?cert=a', key='b'}",
            "3:35: the address has its own `key` or `cert`",
        ),
        (
            "listen = 'unix:a'\nto = {address='tls://a:1', cert=['a', 'b']}",
            "3:33: a list, where a text is wanted",
        ),
        (
            "listen = 'unix:a'\nto = {address='tls://a:1', client-ca='a'}",
            "3:28: `client-ca` means nothing for connecting",
        ),
    ] {
        let told = told(&format!("[[route]]\n{ends}\n"));
        assert!(told.starts_with(&format!("f.toml:{wanted}")), "{told}\nwanted: {wanted}");
        assert_eq!(told.matches("f.toml:").count(), 1, "{told}");
    }
}

#[test]
fn routes_that_are_none_or_too_many() {
    assert!(told("").starts_with("f.toml:1:1: there is no route\n"));
    assert!(told("route = []").contains("there is no route"));
    assert!(told("route = 1").contains("no list of routes"));
    assert!(told("[route]\nlisten = 'tcp://:1'").contains("with two brackets"));
    assert!(told(&GOOD.repeat(2)).starts_with("f.toml:5:10: another route listens there"));
    // Every listener gets a port of its own.
    let any = GOOD.replace(":1", ":0").repeat(2);
    assert_eq!(parse(&any, Path::new("")).unwrap().routes.len(), 2);
}

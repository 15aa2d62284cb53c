//! From text to the parts of an address.
//!
//! ```text
//! address   = scheme ":" endpoint [ "?" option *( "&" option ) ]
//! endpoint  = "//" [ host ] ":" port      ; tcp, tls, pool+tls
//!           / "//" [ host ] ":" port [ path ]   ; ws, wss: as the request has it, never decoded
//!           / [ "@" ] name                ; unix, ws+unix, percent-encoded
//!           / ""                          ; stdio, echo
//! host      = name / IPv4 / "[" IPv6 "]" / "*"
//! option    = word "=" value              ; the value is percent-encoded
//! ```

use crate::error::Wrong;
use crate::options::Entry;
use crate::{
    Endpoint, Fault, Form, Host, HostFault, OptionSpec, Options, Repeat, Scheme, Schemes, UnixName,
    Value, endpoint, percent, suggest,
};

/// The longest address in bytes, with all that was set from outside.
pub const MAX_LEN: usize = 8192;

/// The parts of an address.
pub(crate) struct Parts {
    pub(crate) scheme: Scheme,
    pub(crate) endpoint: Endpoint,
    pub(crate) options: Options,
}

pub(crate) fn parse(input: &str) -> Result<Parts, Wrong> {
    check_characters(input)?;
    let scheme = parse_scheme(input)?;
    let body_at = scheme.name().len() + 1;
    let body = &input[body_at..];
    let (body, query) = body.split_once('?').map_or((body, None), |(body, q)| (body, Some(q)));
    // What stands behind the port of a WebSocket is its option `path`.
    let path_at = body.strip_prefix("//").filter(|_| scheme.is_web_socket()).and_then(|rest| {
        let at = rest.find('/').map(|at| at + 2);
        at.filter(|_| scheme.spec().form == Form::HostPort)
    });
    let (body, path) = body.split_at(path_at.unwrap_or(body.len()));
    let endpoint = match scheme.spec().form {
        Form::HostPort => host_port(scheme, body),
        Form::Path => unix(scheme, body),
        Form::Stdio => alone(scheme, body).map(|()| Endpoint::Stdio),
        Form::Echo => alone(scheme, body).map(|()| Endpoint::Echo),
    }
    .map_err(|wrong| wrong.shifted(body_at))?;
    let path_at = body_at + body.len();
    let mut options = Options::default();
    if !path.is_empty() {
        let spec = find_word(scheme, "path").map_err(|wrong| wrong.shifted(path_at))?;
        let value = spec.kind.parse(path.as_bytes()).map_err(|wrong| wrong.shifted(path_at))?;
        options.push(Entry { spec, value, own: true });
    }
    let query_at = path_at + path.len() + 1;
    let options = query.map_or(Ok(options.clone()), |query| parse_options(scheme, query, options));
    Ok(Parts { scheme, endpoint, options: options.map_err(|wrong| wrong.shifted(query_at))? })
}

fn check_characters(input: &str) -> Result<(), Wrong> {
    if input.is_empty() {
        return Err(Wrong::new(0..0, Fault::Empty).hint(suggest::schemes()));
    }
    if let Some((at, char)) = input.char_indices().find(|(_, char)| char.is_control()) {
        let mut encoded = String::new();
        percent::encode(char.encode_utf8(&mut [0; 4]).as_bytes(), b"", &mut encoded);
        return Err(Wrong::new(at..at + char.len_utf8(), Fault::Control(char))
            .hint(format!("in a path or a value write it as `{encoded}`")));
    }
    if let Some(at) = input.find('#') {
        return Err(Wrong::new(at..input.len(), Fault::Fragment)
            .hint("in a path or a value write `#` as `%23`"));
    }
    Ok(())
}

fn parse_scheme(input: &str) -> Result<Scheme, Wrong> {
    let missing = || Wrong::new(0..0, Fault::SchemeMissing).hint(suggest::missing_scheme(input));
    let Some((name, rest)) = input.split_once(':') else {
        return Err(missing());
    };
    if let Some(scheme) = Scheme::find(name) {
        return Ok(scheme);
    }
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-');
    let like_a_scheme = name.starts_with(|char: char| char.is_ascii_alphabetic())
        && name.bytes().all(word)
        && !rest.starts_with(|char: char| char.is_ascii_digit());
    // A name with a port behind it, or what no scheme looks like.
    if !like_a_scheme && !rest.starts_with("//") {
        return Err(missing());
    }
    Err(Wrong::new(0..name.len(), Fault::SchemeUnknown(name.to_owned()))
        .hint(suggest::scheme(name)))
}

fn host_port(scheme: Scheme, body: &str) -> Result<Endpoint, Wrong> {
    let Some(authority) = body.strip_prefix("//") else {
        let guess = format!("{scheme}://{}", body.trim_start_matches('/'));
        return Err(
            Wrong::new(0..0, Fault::SlashesMissing(scheme)).hint_if_some(suggest::address(&guess))
        );
    };
    authority_endpoint(scheme, authority).map_err(|wrong| wrong.shifted(2))
}

fn authority_endpoint(scheme: Scheme, text: &str) -> Result<Endpoint, Wrong> {
    let (authority, path) = text.split_at(text.find('/').unwrap_or(text.len()));
    if let Some(at) = authority.rfind('@') {
        return Err(Wrong::new(0..at + 1, Fault::Userinfo)
            .hint_if_some(suggest::address(&format!("{scheme}://{}", &authority[at + 1..]))));
    }
    if !path.is_empty() {
        return Err(Wrong::new(authority.len()..text.len(), Fault::Path)
            .hint_if_some(suggest::address(&format!("{scheme}://{authority}"))));
    }
    let colon = match authority.rfind(':') {
        Some(colon) if !authority[colon..].contains(']') => Some(colon),
        _ => None,
    };
    let host_text = &authority[..colon.unwrap_or(authority.len())];
    let host = match host_text {
        "" | "*" => None,
        _ => {
            let host = Host::parse(host_text);
            Some(host.map_err(|wrong| bare_ipv6(scheme, authority, wrong))?)
        }
    };
    let port_missing = || {
        let common = scheme.spec().common_port.unwrap_or_default();
        Wrong::new(authority.len()..authority.len(), Fault::PortMissing)
            .hint_if_some(suggest::address(&format!("{scheme}://{host_text}:{common}")))
    };
    let colon = colon.ok_or_else(port_missing)?;
    let port_text = &authority[colon + 1..];
    if port_text.is_empty() {
        return Err(port_missing());
    }
    let port = endpoint::parse_port(port_text).map_err(|wrong| wrong.shifted(colon + 1))?;
    Ok(Endpoint::Tcp { host, port })
}

/// Colons in a host that is in no brackets: most likely an IPv6 address, with a port or without.
fn bare_ipv6(scheme: Scheme, authority: &str, wrong: Wrong) -> Wrong {
    if authority.starts_with('[') || authority.bytes().filter(|&byte| byte == b':').count() < 2 {
        return wrong;
    }
    let common = scheme.spec().common_port.unwrap_or_default();
    let with_port = authority.rsplit_once(':').map(|(ip, port)| format!("[{ip}]:{port}"));
    let guesses = [with_port, Some(format!("[{authority}]:{common}"))];
    let good = |guess: String| suggest::address(&format!("{scheme}://{guess}"));
    match guesses.into_iter().flatten().find_map(good) {
        Some(hint) => Wrong::new(0..authority.len(), HostFault::Brackets).hint(hint),
        None => wrong,
    }
}

fn unix(scheme: Scheme, body: &str) -> Result<Endpoint, Wrong> {
    if body.starts_with("//") {
        let path = body.trim_start_matches('/');
        return Err(Wrong::new(0..2, Fault::SlashesUnwanted(scheme))
            .hint_if_some(suggest::address(&format!("{scheme}:/{path}"))));
    }
    UnixName::parse(body).map(Endpoint::Unix)
}

fn alone(scheme: Scheme, body: &str) -> Result<(), Wrong> {
    let fault = match body {
        "" => return Ok(()),
        "//" => Fault::SlashesUnwanted(scheme),
        _ => Fault::Trailing(scheme),
    };
    Err(Wrong::new(0..body.len(), fault).hint(format!("did you mean `{scheme}:`?")))
}

fn parse_options(scheme: Scheme, query: &str, mut options: Options) -> Result<Options, Wrong> {
    let mut at = 0;
    for text in query.split('&') {
        let (spec, value) = option(scheme, text).map_err(|wrong| wrong.shifted(at))?;
        if spec.repeat == Repeat::Never && options.get(spec.word).is_some() {
            return Err(Wrong::new(at..at + text.len(), Fault::OptionRepeated(spec.word)));
        }
        options.push(Entry { spec, value, own: true });
        at += text.len() + 1;
    }
    Ok(options)
}

fn option(scheme: Scheme, text: &str) -> Result<(&'static OptionSpec, Value), Wrong> {
    let (word, raw) = text.split_once('=').map_or((text, None), |(word, raw)| (word, Some(raw)));
    let spec = find_word(scheme, word)?;
    let Some(raw) = raw else {
        return Err(Wrong::new(text.len()..text.len(), Fault::OptionBare(spec.word))
            .hint(format!("give it one: `{}={}`", spec.word, spec.kind.placeholder())));
    };
    let value = percent::decode(raw).map_err(Wrong::from).and_then(|bytes| {
        spec.kind
            .parse(&bytes)
            .map_err(|wrong| Wrong { range: percent::raw_range(raw, &wrong.range), ..wrong })
    });
    Ok((spec, value.map_err(|wrong| wrong.shifted(word.len() + 1))?))
}

/// Words in a row, with "and" before the last.
fn listed(words: &[String]) -> String {
    match words {
        [rest @ .., last] if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

/// The row of `word`, if it belongs to `scheme`.
pub(crate) fn find_word(scheme: Scheme, word: &str) -> Result<&'static OptionSpec, Wrong> {
    let range = 0..word.len();
    if word.is_empty() {
        return Err(Wrong::new(range, Fault::OptionEmpty)
            .hint("options are `word=value`, with `&` between them"));
    }
    let Some(spec) = OptionSpec::find(word) else {
        return Err(Wrong::new(range, Fault::OptionUnknown(word.to_owned()))
            .hint(suggest::option(word, scheme)));
    };
    match spec.schemes {
        Schemes::Only(schemes) if !schemes.contains(&scheme) => {
            let names: Vec<_> = schemes.iter().map(|scheme| format!("`{scheme}:`")).collect();
            Err(Wrong::new(range, Fault::OptionScheme(spec.word, scheme))
                .hint(format!("it is an option of {}", listed(&names))))
        }
        _ => Ok(spec),
    }
}

//! Guessing what was meant.

use std::net::Ipv6Addr;

use crate::{OPTIONS, SCHEMES, Scheme, parse};

/// Longer words are no typing errors, and not worth the comparing.
const LONGEST: usize = 32;

/// The word that `wrong` most likely stands for, if any: as a key of a file, or an option of an address.
pub fn nearest<'a>(wrong: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if wrong.is_empty() || wrong.len() > LONGEST {
        return None;
    }
    let wrong = wrong.to_ascii_lowercase().replace('_', "-");
    let begins = |word: &str| {
        wrong.len().min(word.len()) >= 3 && (wrong.starts_with(word) || word.starts_with(&wrong))
    };
    let rated = words.filter_map(|word| match strsim::damerau_levenshtein(&wrong, word) {
        distance if distance <= (wrong.len() / 3).max(1) => Some((distance, word)),
        _ if begins(word) => Some((LONGEST, word)),
        _ => None,
    });
    rated.min_by_key(|&(distance, _)| distance).map(|(_, word)| word)
}

/// What to say about a word that no option has.
pub(crate) fn option(wrong: &str, scheme: Scheme) -> String {
    let words =
        || OPTIONS.iter().filter(move |row| row.schemes.contains(scheme)).map(|row| row.word);
    match nearest(wrong, words()) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("the options of {scheme} are {}", words().collect::<Vec<_>>().join(", ")),
    }
}

/// What to say about a word that no scheme has.
pub(crate) fn scheme(wrong: &str) -> String {
    let lower = wrong.to_ascii_lowercase();
    let mistaken = SCHEMES.iter().find(|row| row.mistaken.contains(&lower.as_str()));
    let near = || nearest(wrong, SCHEMES.iter().map(|row| row.name));
    match mistaken.map(|row| row.name).or_else(near) {
        Some(name) => format!("did you mean `{name}`?"),
        None => schemes(),
    }
}

/// The shapes that an address can have.
pub(crate) fn schemes() -> String {
    let shapes: Vec<_> = SCHEMES.iter().map(|row| format!("`{}`", row.shape)).collect();
    format!("an address is one of {}", shapes.join(", "))
}

/// What to say about an address without a scheme. An address that is offered is always a good one.
pub(crate) fn missing_scheme(input: &str) -> String {
    let guess = if input == "-" {
        "stdio:".to_owned()
    } else if input.starts_with(['/', '.', '@']) {
        format!("unix:{input}")
    } else if Scheme::find(input).is_some() {
        format!("{input}:")
    } else if input.parse::<Ipv6Addr>().is_ok() {
        format!("tcp://[{input}]:80")
    } else if input.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("tcp://:{input}")
    } else if input.trim_start_matches(['[', ':']).contains(':') || input.starts_with(':') {
        format!("tcp://{input}")
    } else {
        format!("tcp://{input}:80")
    };
    address(&guess).unwrap_or_else(schemes)
}

/// Offers `guess` if it is a good address.
pub(crate) fn address(guess: &str) -> Option<String> {
    parse::parse(guess).is_ok().then(|| format!("did you mean `{guess}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_understood() {
        for (wrong, meant) in [
            ("crt", "cert"),
            ("certificate", "cert"),
            ("CA", "ca"),
            ("client_ca", "client-ca"),
            ("passphrase", "passphrase-file"),
            ("deadline-conect", "deadline-connect"),
        ] {
            assert_eq!(option(wrong, Scheme::Tls), format!("did you mean `{meant}`?"));
        }
        assert!(option("port", Scheme::Tls).starts_with("the options of tls are cert, key,"));
        assert!(!option("crt", Scheme::Tcp).contains("cert"));
        assert_eq!(scheme("tsl"), "did you mean `tls`?");
        assert_eq!(scheme("HTTPS"), "did you mean `tls`?");
        assert!(scheme("gopher").starts_with("an address is one of `tcp://host:port`, "));
    }

    #[test]
    fn an_address_that_is_offered_is_a_good_one() {
        for (wrong, meant) in [
            ("localhost:80", "tcp://localhost:80"),
            ("localhost", "tcp://localhost:80"),
            ("8080", "tcp://:8080"),
            (":8080", "tcp://:8080"),
            ("[::1]:80", "tcp://[::1]:80"),
            ("::1", "tcp://[::1]:80"),
            ("/run/x.sock", "unix:/run/x.sock"),
            ("./x.sock", "unix:./x.sock"),
            ("@name", "unix:@name"),
            ("stdio", "stdio:"),
            ("-", "stdio:"),
        ] {
            assert_eq!(missing_scheme(wrong), format!("did you mean `{meant}`?"));
        }
        for wrong in ["a b", "user@host", "host:port"] {
            assert!(missing_scheme(wrong).starts_with("an address is one of"), "{wrong}");
        }
    }
}

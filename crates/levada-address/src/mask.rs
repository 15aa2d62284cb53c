//! Stars for what looks like a secret in an address that is refused.
//!
//! A good address holds no secret. A bad one may: `tcp://user:password@host`, or `passphrase=` in
//! place of `passphrase-file=`. Its error is logged and pasted into mails, so that part is hidden.

use std::ops::Range;

use crate::{Form, OptionSpec, Scheme};

/// What is part of words whose values are secret, elsewhere if not here.
const SECRET: &[&str] = &["pass", "secret", "token", "pwd", "pin"];

/// `input` with a star for each byte that looks secret, so that places in it stay what they are.
pub(crate) fn secrets(input: &str) -> String {
    let mut shown = input.to_owned();
    let ranges = values(input).chain(userinfo(input));
    for range in ranges {
        shown.replace_range(range.clone(), &"*".repeat(range.len()));
    }
    shown
}

/// The part before the `@` of a host, where the scheme has a host or is none of ours.
fn userinfo(input: &str) -> Option<Range<usize>> {
    let scheme = input.split(':').next().and_then(Scheme::find);
    if scheme.is_some_and(|scheme| scheme.spec().form != Form::HostPort) {
        return None;
    }
    let start = input.find("://").map_or(0, |at| at + 3);
    let end = input[start..].find(['/', '?']).map_or(input.len(), |at| start + at);
    let at = input[start..end].rfind('@')?;
    Some(start..start + at)
}

/// The values of words that are not ours and look secret.
fn values(input: &str) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    input.split(['?', '&']).filter_map(move |option| {
        let start = at;
        at += option.len() + 1;
        let (word, value) = option.split_once('=')?;
        let end = start + option.len();
        if word == "proxy" {
            // What stands between the colon and the last `@` is a password, whatever is in it.
            let begin = end - value.len();
            let value = &input[begin..];
            let last = value.rfind('@')?;
            let user = value.find("://").map_or(0, |at| at + 3);
            let colon = value.get(user..last)?.find(':')?;
            return Some(begin + user + colon + 1..begin + last);
        }
        let lower = word.to_ascii_lowercase();
        let secret = OptionSpec::find(word).is_none() && SECRET.iter().any(|s| lower.contains(s));
        secret.then(|| end - value.len()..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_starred_out_and_nothing_else() {
        for (input, shown) in [
            ("tcp://me:pw@host:1", "tcp://*****@host:1"),
            ("https://me:p#w@host", "https://******@host"),
            ("me:pw@host:1", "*****@host:1"),
            ("tls://:1?passphrase=xyz&key=a", "tls://:1?passphrase=***&key=a"),
            ("passphrase=č", "passphrase=**"),
            ("tcp://a:1?proxy=http://me:p@w@b:1&x=y", "tcp://a:1?proxy=http://me:***@b:1&x=y"),
            ("tcp://a:1?proxy=http://me:p&w?@b:1", "tcp://a:1?proxy=http://me:****@b:1"),
            ("tcp://a:1?proxy=http://me@b:1", "tcp://a:1?proxy=http://me@b:1"),
            ("tls://:1?passphrase-file=a", "tls://:1?passphrase-file=a"),
            ("unix:a@b", "unix:a@b"),
            ("@name", "@name"),
            ("tls://h:1?cert=a@b", "tls://h:1?cert=a@b"),
        ] {
            assert_eq!(secrets(input), shown);
        }
    }
}

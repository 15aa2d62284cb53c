//! Selectors: which remote identities an entry is for, from the most to the least particular.

use std::fmt;

/// The selectors under which a remote identity is looked for, the first that has an entry wins.
///
/// For `u@a.b` these are `u@a.b`, `@a.b`, `u@.b`, `@.b`, `u@.`, `@.`; without a user `a.b`, `.b`,
/// `.`. Letters are in lower case, a dot at the end of the domain does not count.
///
/// Source: TLS Pool protocol V2, databases.
pub(crate) fn selectors(remote: &str) -> Vec<String> {
    let remote = remote.to_ascii_lowercase();
    let (user, domain) = match remote.rsplit_once('@') {
        Some((user, domain)) => (Some(user), domain),
        None => (None, remote.as_str()),
    };
    let domain = domain.trim_end_matches('.');
    let suffixes = domain.match_indices('.').map(|(at, _)| &domain[at..]);
    let domains = std::iter::once(domain).chain(suffixes).chain(["."]);
    match user {
        None => domains.map(str::to_owned).collect(),
        Some(user) => {
            domains.flat_map(|domain| [format!("{user}@{domain}"), format!("@{domain}")]).collect()
        }
    }
}

/// Why a text is no selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoSelector {
    Empty,
    /// Something that no host name has.
    Domain,
}

impl fmt::Display for NoSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a selector of nothing",
            Self::Domain => "no domain, and no end of one",
        })
    }
}

/// A selector as it is looked for, from how it is written.
pub(crate) fn normalize(selector: &str) -> Result<String, NoSelector> {
    if selector.is_empty() {
        return Err(NoSelector::Empty);
    }
    let domain = selector.rsplit_once('@').map_or(selector, |(_, domain)| domain);
    let labels = domain.strip_prefix('.').unwrap_or(domain);
    let is_end = domain.starts_with('.') && labels.is_empty();
    if !is_end && !is_host(labels) {
        return Err(NoSelector::Domain);
    }
    Ok(selector.to_ascii_lowercase())
}

/// Whether a text can be a host name: labels of letters, digits, `-` and `_`, none of them empty.
pub(crate) fn is_host(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    name.len() <= 253
        && name.split('.').all(|label| (1..=63).contains(&label.len()) && label.bytes().all(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c3_a_user_at_a_domain_is_looked_for_from_the_particular_to_the_general() {
        assert_eq!(
            selectors("u@a.b.c"),
            ["u@a.b.c", "@a.b.c", "u@.b.c", "@.b.c", "u@.c", "@.c", "u@.", "@."]
        );
    }

    #[test]
    fn c3_a_domain_is_looked_for_with_its_ends() {
        assert_eq!(selectors("A.b.C."), ["a.b.c", ".b.c", ".c", "."]);
    }

    #[test]
    fn every_selector_of_a_remote_can_be_written() {
        for remote in ["u@a.b.c", "a.b", "localhost"] {
            for selector in selectors(remote) {
                assert_eq!(normalize(&selector), Ok(selector.clone()));
            }
        }
        for wrong in ["", "@", "a..b", "*.b", "a b"] {
            assert!(normalize(wrong).is_err(), "{wrong}");
        }
    }
}

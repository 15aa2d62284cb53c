//! Which clients a route is for.

use levada_address::OptionSpec;
use toml::Spanned;
use toml::de::DeValue;

use crate::reader::{Reader, in_table};
use crate::suggest;

/// Which clients a route is for, by what their ClientHello asks for. Every condition that is there
/// must hold, and one of its entries is enough for that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct When {
    /// Names that are asked for (SNI), in lower case; `*.host.example` is for one label more. Empty:
    /// any, and none.
    pub sni: Vec<String>,
    /// Application protocols of which one is offered. Empty: any, and none.
    pub alpn: Vec<Vec<u8>>,
}

/// The keys of `when`.
const SNI: &str = "sni";
const ALPN: &str = "alpn";

impl When {
    /// Whether the name that a client asks for is one of those here.
    pub fn has_name(&self, sni: Option<&str>) -> bool {
        let is = |pattern: &String, name: &str| match pattern.strip_prefix("*.") {
            Some(parent) => name.split_once('.').is_some_and(|(_, rest)| rest == parent),
            None => pattern == name,
        };
        let name = sni.map(|name| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase());
        let named = |name: String| self.sni.iter().any(|pattern| is(pattern, &name));
        self.sni.is_empty() || name.is_some_and(named)
    }

    /// Whether a client offers one of the application protocols here.
    pub fn has_protocol(&self, offered: &[Vec<u8>]) -> bool {
        self.alpn.is_empty() || self.alpn.iter().any(|name| offered.contains(name))
    }
}

impl Reader<'_> {
    pub(crate) fn when(&mut self, value: &Spanned<DeValue<'_>>) -> Option<When> {
        const SHAPE: &str = "write `when = { sni = [\"host.example\"] }`, or `alpn`, or both";
        let DeValue::Table(table) = value.get_ref() else {
            self.fault(value.span(), "`when` is a table", SHAPE);
            return None;
        };
        let words = [SNI, ALPN];
        for key in table.keys().filter(|key| !words.contains(&key.get_ref().as_ref())) {
            let hint = match OptionSpec::find(key.get_ref()) {
                Some(row) => format!("it belongs to one end of a route: {}", in_table(row.word)),
                None => suggest::key(key.get_ref(), words.into_iter()),
            };
            self.fault(key.span(), format!("unknown key `{key}`"), hint);
        }
        let (sni, alpn) = (table.get(SNI), table.get(ALPN));
        if sni.is_none() && alpn.is_none() {
            self.fault(value.span(), "`when` has no condition", SHAPE);
            return None;
        }
        let sni = sni.map_or(Some(Vec::new()), |value| {
            self.list(value, "`sni = [\"host.example\"]`", |name| {
                let host = name.strip_prefix("*.").unwrap_or(name);
                if is_name(host) {
                    Ok(name.trim_end_matches('.').to_ascii_lowercase())
                } else if name.is_ascii() {
                    Err("write a name as clients ask for it, or `*.` and its parent")
                } else {
                    Err("write an international name in its xn-- form")
                }
            })
        });
        let alpn = alpn.map_or(Some(Vec::new()), |value| {
            self.list(value, "`alpn = [\"h2\"]`", |name| match name.len() {
                1..=255 => Ok(name.as_bytes().to_vec()),
                _ => Err("the name of a protocol has 1 to 255 bytes"),
            })
        });
        Some(When { sni: sni?, alpn: alpn? })
    }

    /// A text, or a list of some; `None` where one is wrong, and that is told.
    fn list<T>(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        shape: &str,
        read: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Option<Vec<T>> {
        let items: Vec<_> = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => vec![value],
        };
        if items.is_empty() {
            self.fault(value.span(), "the list is empty", format!("write it like {shape}"));
            return None;
        }
        let mut good = Some(Vec::new());
        for item in items {
            let read = self.string(item, shape).and_then(|text| {
                let what = || format!("`{}` cannot be asked for", text.escape_debug());
                read(&text).map_err(|hint| self.fault(item.span(), what(), hint)).ok()
            });
            match (read, &mut good) {
                (Some(read), Some(good)) => good.push(read),
                _ => good = None,
            }
        }
        good
    }
}

/// Whether clients can ask for this name (RFC 1123 section 2.1).
fn is_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(letter);
    name.len() <= 253 && name.strip_suffix('.').unwrap_or(name).split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_is_for_one_label_more() {
        let when =
            When { sni: vec!["*.b.example".to_owned(), "c.example".to_owned()], alpn: vec![] };
        for name in ["a.b.example", "A.B.Example.", "c.example"] {
            assert!(when.has_name(Some(name)), "{name}");
        }
        for name in ["b.example", "x.a.b.example", "a.c.example", ""] {
            assert!(!when.has_name(Some(name)), "{name}");
        }
        assert!(!when.has_name(None));
        assert!(When::default().has_name(None));
    }

    #[test]
    fn one_protocol_in_common_is_enough() {
        let when = When { sni: vec![], alpn: vec![b"h2".to_vec(), b"mqtt".to_vec()] };
        assert!(when.has_protocol(&[b"http/1.1".to_vec(), b"mqtt".to_vec()]));
        assert!(!when.has_protocol(&[b"http/1.1".to_vec()]));
        assert!(!when.has_protocol(&[]));
    }
}

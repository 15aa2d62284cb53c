//! Where a key is: PKCS#11 URIs (RFC 7512).

use std::fmt;
use std::ops::Range;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use levada_address::percent;

use crate::token::TokenFacts;

/// A private key on a token, as a PKCS#11 URI names it (RFC 7512): by attributes of the token
/// (`token`, `manufacturer`, `serial`, `model`, `slot-id`) and of the key (`object`, `id`). What is
/// left out fits every token, and every key of it.
///
/// `?module-path=FILE` names the module that speaks with the token; without it that is p11-kit's,
/// which knows all modules that are set up on a machine. `pin-source=FILE` (or `file:FILE`) names a
/// file with the PIN.
///
/// A PIN itself (`pin-value`) is refused: URIs are shown in logs and in lists of processes.
///
/// ```
/// use levada_pkcs11::KeyUri;
///
/// let uri: KeyUri = "pkcs11:token=My%20token;id=%01%02?module-path=/usr/lib/hsm.so".parse()?;
/// assert_eq!(uri.module().to_str(), Some("/usr/lib/hsm.so"));
///
/// let error = "pkcs11:label=site".parse::<KeyUri>().unwrap_err();
/// assert_eq!(error.to_string(), "`label` is no attribute that finds a private key: did you mean `object`?");
/// # Ok::<(), levada_pkcs11::UriError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct KeyUri {
    text: String,
    token: Option<String>,
    manufacturer: Option<String>,
    serial: Option<String>,
    model: Option<String>,
    slot_id: Option<u64>,
    pub(crate) object: Option<String>,
    pub(crate) id: Option<Vec<u8>>,
    module: Option<PathBuf>,
    pin_file: Option<PathBuf>,
}

/// The scheme of these URIs, its colon included.
const SCHEME: &str = "pkcs11:";

/// Debian and others put it where the system's loader finds it.
const P11_KIT: &str = "p11-kit-proxy.so";

impl KeyUri {
    /// The module that speaks with the token: a path, or a name that the system's loader finds.
    pub fn module(&self) -> &Path {
        self.module.as_deref().unwrap_or(Path::new(P11_KIT))
    }

    /// The file whose first line is the PIN.
    pub fn pin_file(&self) -> Option<&Path> {
        self.pin_file.as_deref()
    }

    /// Whether this is the token, in this slot.
    pub(crate) fn fits(&self, token: &TokenFacts, slot_id: u64) -> bool {
        let fits = |wanted: &Option<String>, is: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted.trim_end_matches(' ') == is)
        };
        fits(&self.token, &token.label)
            && fits(&self.manufacturer, &token.manufacturer)
            && fits(&self.serial, &token.serial)
            && fits(&self.model, &token.model)
            && self.slot_id.is_none_or(|wanted| wanted == slot_id)
    }

    /// What of it finds the token, in words.
    pub(crate) fn wanted_token(&self) -> String {
        let slot = self.slot_id.map(|id| id.to_string());
        in_words(&[
            ("token", self.token.as_deref()),
            ("serial", self.serial.as_deref()),
            ("model", self.model.as_deref()),
            ("manufacturer", self.manufacturer.as_deref()),
            ("slot-id", slot.as_deref()),
        ])
    }

    /// What of it finds the key, in words.
    pub(crate) fn wanted_key(&self) -> String {
        let id = self
            .id
            .as_ref()
            .map(|id| id.iter().fold(String::new(), |text, byte| text + &format!("%{byte:02x}")));
        in_words(&[("object", self.object.as_deref()), ("id", id.as_deref())])
    }
}

/// `token=a;serial=b` of what is there.
fn in_words(attributes: &[(&str, Option<&str>)]) -> String {
    let there = attributes.iter().filter_map(|(name, value)| Some(format!("{name}={}", (*value)?)));
    there.collect::<Vec<_>>().join(";")
}

impl fmt::Display for KeyUri {
    /// As it was written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for KeyUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyUri").field(&self.text).finish()
    }
}

/// Why a text is no URI of a private key. `place` counts in bytes of that text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UriError {
    /// Where it is wrong.
    pub place: Range<usize>,
    what: String,
}

impl fmt::Display for UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for UriError {}

/// The attributes of the path, and those of the query.
const PATH: [&str; 8] =
    ["token", "manufacturer", "serial", "model", "slot-id", "object", "id", "type"];
const QUERY: [&str; 2] = ["module-path", "pin-source"];

impl FromStr for KeyUri {
    type Err = UriError;

    /// Reads a URI (RFC 7512 section 2.3).
    ///
    /// # Errors
    ///
    /// [`UriError`], which says where it is wrong and how to mend it.
    fn from_str(text: &str) -> Result<Self, UriError> {
        let scheme = text.get(..SCHEME.len()).unwrap_or_default();
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(wrong(0..text.len(), "a PKCS#11 URI begins with `pkcs11:`"));
        }
        let mut uri = Self {
            text: text.to_owned(),
            token: None,
            manufacturer: None,
            serial: None,
            model: None,
            slot_id: None,
            object: None,
            id: None,
            module: None,
            pin_file: None,
        };
        let end_of_path = text.find('?').unwrap_or(text.len());
        let mut seen = Vec::new();
        for range in pieces(text, SCHEME.len()..end_of_path, ';') {
            uri.take(&PATH, &mut seen, text, range)?;
        }
        for range in pieces(text, (end_of_path + 1).min(text.len())..text.len(), '&') {
            uri.take(&QUERY, &mut seen, text, range)?;
        }
        Ok(uri)
    }
}

impl KeyUri {
    /// Takes the attribute that stands in `range`.
    fn take<'t>(
        &mut self,
        known: &[&str],
        seen: &mut Vec<&'t str>,
        text: &'t str,
        range: Range<usize>,
    ) -> Result<(), UriError> {
        let piece = &text[range.clone()];
        let Some((name, value)) = piece.split_once('=') else {
            let hint = format!("`{}` is no attribute: write `name=value`", shown(piece));
            return Err(wrong(range, hint));
        };
        let at_name = range.start..range.start + name.len();
        let at_value = at_name.end + 1..range.end;
        if seen.contains(&name) {
            return Err(wrong(at_name, format!("`{}` is there twice", shown(name))));
        }
        if !known.contains(&name) {
            return Err(wrong(at_name, unknown(name)));
        }
        seen.push(name);
        let bytes = || {
            percent::decode(value).map_err(|error| {
                let at = at_value.start + error.place;
                wrong(at..at + 1, error.to_string())
            })
        };
        let words = || match String::from_utf8(bytes()?.into_owned()) {
            Ok(words) => Ok(Some(words)),
            Err(_) => Err(wrong(at_value.clone(), format!("the value of `{name}` is no UTF-8"))),
        };
        match name {
            "token" => self.token = words()?,
            "manufacturer" => self.manufacturer = words()?,
            "serial" => self.serial = words()?,
            "model" => self.model = words()?,
            "object" => self.object = words()?,
            "id" => self.id = Some(bytes()?.into_owned()),
            "slot-id" => match value.parse() {
                Ok(id) => self.slot_id = Some(id),
                Err(_) => return Err(wrong(at_value, "`slot-id` is a number")),
            },
            "type" if value != "private" => {
                let hint = "only a private key can sign: write `type=private`, or leave it away";
                return Err(wrong(at_value, hint));
            }
            "module-path" => self.module = Some(path(bytes()?.into_owned(), &at_value)?),
            "pin-source" => {
                let bytes = bytes()?;
                let file = bytes.strip_prefix(b"file:").unwrap_or(&bytes);
                // A URI of a file may have an empty host before the path (RFC 8089).
                let bare = file.strip_prefix(b"//").filter(|path| path.starts_with(b"/"));
                self.pin_file = Some(path(bare.unwrap_or(file).to_vec(), &at_value)?);
            }
            _ => {}
        }
        Ok(())
    }
}

fn path(bytes: Vec<u8>, place: &Range<usize>) -> Result<PathBuf, UriError> {
    let hint = match bytes.first() {
        None => "the path of a file is missing",
        Some(b'|') => "no command is run for a PIN: name a file",
        Some(b'/') if !bytes.contains(&0) => {
            return Ok(std::ffi::OsString::from_vec(bytes).into());
        }
        Some(_) => "this is no absolute path of a file: it begins with `/`",
    };
    Err(wrong(place.clone(), hint))
}

/// Where the pieces between the marks stand in `text[range]`; those that are empty are left out.
fn pieces(text: &str, range: Range<usize>, mark: char) -> impl Iterator<Item = Range<usize>> {
    let mut at = range.start;
    text[range].split(mark).filter_map(move |piece| {
        let found = at..at + piece.len();
        at = found.end + 1;
        (!piece.is_empty()).then_some(found)
    })
}

fn unknown(name: &str) -> String {
    let hint = match name {
        "pin-value" => {
            return "a PIN does not stand in a URI, which logs show: put it into a file, and name \
                    that by `?pin-source=FILE`"
                .to_owned();
        }
        "label" => "did you mean `object`?".to_owned(),
        "module-name" => "name the module's file by `?module-path=FILE`".to_owned(),
        name if PATH.contains(&name) => "it stands before the `?`".to_owned(),
        name if QUERY.contains(&name) => "it stands behind a `?`".to_owned(),
        _ => format!("choose from {}; {}", PATH.join(", "), QUERY.join(", ")),
    };
    format!("`{}` is no attribute that finds a private key: {hint}", shown(name))
}

/// The start of a text, in printable characters.
fn shown(text: &str) -> String {
    text.escape_debug().take(40).collect()
}

fn wrong(place: Range<usize>, what: impl Into<String>) -> UriError {
    UriError { place, what: what.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<KeyUri, UriError> {
        text.parse()
    }

    fn token(label: &str) -> TokenFacts {
        TokenFacts {
            label: label.to_owned(),
            manufacturer: "SoftHSM project".to_owned(),
            model: "SoftHSM v2".to_owned(),
            serial: "8b43aec1d5fe6e0b".to_owned(),
        }
    }

    #[test]
    fn as_p11tool_prints_it() {
        let uri = read(
            "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=8b43aec1d5fe6e0b;\
             token=site;id=%00%01%FF;object=www;type=private",
        );
        let uri = uri.unwrap();
        assert!(uri.fits(&token("site"), 7));
        assert!(!uri.fits(&token("other"), 7));
        assert_eq!(
            (uri.object.as_deref(), uri.id.as_deref()),
            (Some("www"), Some(&[0, 1, 255][..]))
        );
        assert_eq!(uri.wanted_key(), "object=www;id=%00%01%ff");
        assert_eq!(uri.module(), Path::new("p11-kit-proxy.so"));
    }

    #[test]
    fn what_is_left_out_fits_all() {
        let uri = read("pkcs11:").unwrap();
        assert!(uri.fits(&token("any"), 1) && uri.object.is_none() && uri.id.is_none());
        assert!(read("PKCS11:slot-id=3").unwrap().fits(&token(""), 3));
        assert!(!read("pkcs11:slot-id=3").unwrap().fits(&token(""), 4));
    }

    #[test]
    fn a_file_has_the_pin() {
        for text in ["/a%20b", "file:/a%20b", "file:///a%20b"] {
            let uri = read(&format!("pkcs11:token=t?pin-source={text}&module-path=/m.so"));
            let uri = uri.unwrap();
            assert_eq!(uri.pin_file(), Some(Path::new("/a b")), "{text}");
            assert_eq!(uri.module(), Path::new("/m.so"));
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, place, what) in [
            ("/etc/key", 0..8, "begins with `pkcs11:`"),
            ("pkcs11:token", 7..12, "write `name=value`"),
            ("pkcs11:token=a;token=b", 15..20, "there twice"),
            ("pkcs11:token=a%2", 14..15, "two hexadecimal digits"),
            ("pkcs11:token=%ff", 13..16, "no UTF-8"),
            ("pkcs11:label=a", 7..12, "did you mean `object`"),
            ("pkcs11:type=cert", 12..16, "only a private key"),
            ("pkcs11:slot-id=x", 15..16, "a number"),
            ("pkcs11:module-path=/m", 7..18, "behind a `?`"),
            ("pkcs11:?token=a", 8..13, "before the `?`"),
            ("pkcs11:?pin-value=1", 8..17, "put it into a file"),
            ("pkcs11:?pin-source=|cat", 19..23, "no command"),
            ("pkcs11:?module-path=hsm.so", 20..26, "no absolute path"),
            ("pkcs11:?module-path=", 20..20, "missing"),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error.place, place, "{text}: {error}");
            assert!(error.to_string().contains(what), "{text}: {error}");
        }
    }
}

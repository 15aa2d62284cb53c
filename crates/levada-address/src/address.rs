//! An address: read, written, and completed from outside.

use std::ffi::OsStr;
use std::fmt;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::str::FromStr;

use crate::error::Wrong;
use crate::{
    AddressError, Endpoint, Fault, Form, MAX_LEN, Options, Repeat, Scheme, Side, UnixName, Value,
    parse, percent,
};

/// One end of a stream, as a person writes it.
///
/// `parse` checks the grammar and that each word belongs to the scheme; [`Address::for_listening`]
/// and [`Address::for_connecting`] check the rest. `Display` writes an address that parses to the
/// same one, with the words in the order in which they were given.
///
/// ```
/// # use levada_address::Address;
/// let address: Address = "tls://*:8443?cert=site.pem".parse()?;
/// assert_eq!(address.to_string(), "tls://*:8443?cert=site.pem");
/// # Ok::<(), levada_address::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    scheme: Scheme,
    endpoint: Endpoint,
    options: Options,
}

impl Address {
    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Where it leads.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The options that it has: its own ones, then those that were set from outside.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Sets `word` from outside, as a flag or a configuration key does; the value is in clear, not
    /// percent-encoded.
    ///
    /// What the address itself says wins, and then the answer is `false`. What was set from outside
    /// before is replaced, so begin with the weakest source. `cert` and `key` win together: an
    /// address that names one of them takes neither from outside. The value is checked in any
    /// case.
    ///
    /// ```
    /// # use levada_address::Address;
    /// let mut address: Address = "tls://example.org:443?alpn=h2".parse()?;
    /// assert!(!address.set("alpn", "http/1.1")?);
    /// assert!(address.set("ca", "/etc/our ca.pem")?);
    /// assert_eq!(address.to_string(), "tls://example.org:443?alpn=h2&ca=/etc/our%20ca.pem");
    /// # Ok::<(), levada_address::AddressError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When there is no such word, when it belongs to another scheme, and when the value is none of
    /// its kind or makes the address longer than [`MAX_LEN`] bytes. The address is then as it was
    /// before. Whether the word fits the side is checked later, with the rest.
    pub fn set(&mut self, word: &str, value: impl AsRef<OsStr>) -> Result<bool, AddressError> {
        self.set_all(word, [value])
    }

    /// Sets a word with all its values from outside, for one that may be repeated. No values take
    /// back what was set before. Else it is as [`Address::set`].
    ///
    /// # Errors
    ///
    /// As those of [`Address::set`], and when there are several values for a word that may stand
    /// only once.
    pub fn set_all<V: AsRef<OsStr>>(
        &mut self,
        word: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Result<bool, AddressError> {
        let spec = parse::find_word(self.scheme, word).map_err(|wrong| wrong.in_input(word))?;
        let mut parsed = Vec::new();
        for value in values {
            let value = value.as_ref().as_bytes();
            let text = format!("{word}={}", String::from_utf8_lossy(value));
            let at = word.len() + 1;
            if value.len() > MAX_LEN {
                return Err(too_long(&text));
            }
            if spec.repeat == Repeat::Never && !parsed.is_empty() {
                let wrong = Wrong::new(0..text.len(), Fault::OptionRepeated(spec.word));
                return Err(wrong.in_input(&text));
            }
            parsed.push(spec.kind.parse(value).map_err(|wrong| {
                // What is not UTF-8 has no places in its text: all of it is wrong.
                let places = str::from_utf8(value).is_ok();
                let range = if places { wrong.range } else { 0..text.len() - at };
                Wrong { range, ..wrong }.shifted(at).in_input(&text)
            })?);
        }
        if self.options.owns(word) || spec.partner.is_some_and(|other| self.options.owns(other)) {
            return Ok(false);
        }
        let before = self.options.clone();
        self.options.replace(spec, parsed);
        if self.write().text.len() > MAX_LEN {
            self.options = before;
            return Err(too_long(word));
        }
        Ok(true)
    }

    /// The address with nothing said about `word`.
    ///
    /// ```
    /// # use levada_address::Address;
    /// let mut address: Address = "ws://example.org:80/?origin=https://a.example".parse()?;
    /// address = address.without("origin");
    /// assert!(address.set("origin", "https://b.example")?);
    /// # Ok::<(), levada_address::AddressError>(())
    /// ```
    #[must_use]
    pub fn without(mut self, word: &str) -> Self {
        self.options.take_out(word);
        self
    }

    /// Lets every relative path begin at `folder`: those of files, and that of a Unix socket. So a
    /// configuration can name what lies beside it.
    ///
    /// ```
    /// # use levada_address::Address;
    /// let mut address: Address = "tls://:8443?cert=site.pem".parse()?;
    /// address.begin_paths_at("/etc/levada".as_ref())?;
    /// assert_eq!(address.to_string(), "tls://*:8443?cert=/etc/levada/site.pem");
    /// # Ok::<(), levada_address::AddressError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the socket's name or the address gets too long. The address is then as it was before.
    pub fn begin_paths_at(&mut self, folder: &Path) -> Result<(), AddressError> {
        let mut whole = self.clone();
        whole.options.begin_paths_at(folder);
        if let Endpoint::Unix(UnixName::Path(path)) = &mut whole.endpoint {
            *path = folder.join(&*path);
            let len = path.as_os_str().len();
            if len > UnixName::MAX_LEN {
                let hint = "a path that is absolute may be shorter";
                return Err(self.wrong(Part::End, Fault::UnixLong { len }, Some(hint)));
            }
        }
        let text = whole.write().text;
        if text.len() > MAX_LEN {
            return Err(too_long(&text));
        }
        *self = whole;
        Ok(())
    }

    /// Checks what both sides have in common: that the scheme and each word fit `side`.
    pub(crate) fn check_side(&self, side: Side) -> Result<(), AddressError> {
        let scheme = self.scheme.spec();
        if !scheme.side.contains(side) {
            return Err(self.wrong(Part::Scheme, Fault::SchemeSide(self.scheme, side), None));
        }
        for (index, (spec, _)) in self.options.iter().enumerate() {
            if !spec.side.contains(side) {
                let hint = format!("`{}` is for {}", spec.word, spec.side);
                let fault = Fault::OptionSide(spec.word, side);
                return Err(self.wrong(Part::Option(index), fault, Some(&hint)));
            }
            let again = self.options.position(spec.word, 1) == Some(index);
            if again && spec.repeat != Repeat::On(side) {
                let fault = Fault::OptionRepeated(spec.word);
                return Err(self.wrong(Part::Option(index), fault, None));
            }
        }
        Ok(())
    }

    /// The error of a good address that is wrong for its use.
    pub(crate) fn wrong(
        &self,
        part: Part,
        fault: impl Into<Fault>,
        hint: Option<&str>,
    ) -> AddressError {
        let written = self.write();
        let range = match part {
            Part::Scheme => 0..self.scheme.name().len(),
            Part::Host => written.host,
            Part::Port => written.port,
            Part::Option(index) => written.options.get(index).cloned().unwrap_or_default(),
            Part::Word(word) => self
                .options
                .position(word, 0)
                .and_then(|index| written.options.get(index).cloned())
                .unwrap_or_default(),
            Part::End => written.text.len()..written.text.len(),
        };
        Wrong::new(range, fault).hint_if_some(hint.map(str::to_owned)).in_input(&written.text)
    }

    fn write(&self) -> Written {
        let mut text = format!("{}:", self.scheme);
        let (mut host_range, mut port_range) = (0..0, 0..0);
        match &self.endpoint {
            Endpoint::Tcp { host, port } => {
                text.push_str("//");
                let start = text.len();
                text.push_str(&host.as_ref().map_or("*".to_owned(), ToString::to_string));
                host_range = start..text.len();
                text.push(':');
                let start = text.len();
                text.push_str(&port.to_string());
                port_range = start..text.len();
            }
            Endpoint::Unix(name) => name.write(&mut text),
            Endpoint::Stdio | Endpoint::Echo => {}
        }
        let mut options = Vec::new();
        let mut mark = '?';
        for (spec, value) in self.options.iter() {
            // A path stands behind the port, where it can: there it is first.
            if let Value::Target(path) = value
                && self.scheme.spec().form == Form::HostPort
                && !path.contains('?')
                && mark == '?'
            {
                let start = text.len();
                text.push_str(path);
                options.push(start..text.len());
                continue;
            }
            text.push(std::mem::replace(&mut mark, '&'));
            let start = text.len();
            text.push_str(spec.word);
            text.push('=');
            percent::encode(&value.to_bytes(), b"&", &mut text);
            options.push(start..text.len());
        }
        Written { text, host: host_range, port: port_range, options }
    }
}

/// A part of an address that can be wrong for its use.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    Scheme,
    Host,
    Port,
    /// The n-th option.
    Option(usize),
    /// The first option with this word.
    Word(&'static str),
    /// Where the next option would stand.
    End,
}

/// An address as text, and where its parts stand.
struct Written {
    text: String,
    host: Range<usize>,
    port: Range<usize>,
    options: Vec<Range<usize>>,
}

/// The error of a text that is too long, with as much of it as is allowed.
fn too_long(text: &str) -> AddressError {
    let end = (0..=MAX_LEN).rev().find(|&at| text.is_char_boundary(at)).unwrap_or_default();
    Wrong::new(end..end, Fault::TooLong).in_input(&text[..end])
}

impl FromStr for Address {
    type Err = AddressError;

    /// # Errors
    ///
    /// When `text` is longer than [`MAX_LEN`] bytes, as given or as displayed; when it is no
    /// address; when a word of it is not in the table, belongs to another scheme or has a value
    /// that is none of its kind; and when one is repeated that may not be.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.len() > MAX_LEN {
            return Err(too_long(text));
        }
        let parts = parse::parse(text).map_err(|wrong| wrong.in_input(text))?;
        let address =
            Self { scheme: parts.scheme, endpoint: parts.endpoint, options: parts.options };
        // What is displayed may be longer, by its percent-encoding, and is to be an address, too.
        if address.write().text.len() > MAX_LEN {
            return Err(too_long(text));
        }
        Ok(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.write().text)
    }
}

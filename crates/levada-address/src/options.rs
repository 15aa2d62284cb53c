//! The options of one address.

use std::path::{Path, PathBuf};

use crate::{DefaultValue, Family, KeyPlace, OptionSpec, TimeLimit, Value};

/// The options of one address, each with its row of the table and a value of that row's kind.
///
/// Here are only those that were given; [`Address::for_listening`](crate::Address::for_listening)
/// and [`Address::for_connecting`](crate::Address::for_connecting) fill in what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options(Vec<Entry>);

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) spec: &'static OptionSpec,
    pub(crate) value: Value,
    /// Whether the address itself says it.
    pub(crate) own: bool,
}

impl PartialEq for Entry {
    /// Where a word came from makes no difference to what it says.
    fn eq(&self, other: &Self) -> bool {
        self.spec.word == other.spec.word && self.value == other.value
    }
}

impl Eq for Entry {}

impl Options {
    /// Every option, in the order in which they are written.
    pub fn iter(&self) -> impl Iterator<Item = (&'static OptionSpec, &Value)> {
        self.0.iter().map(|entry| (entry.spec, &entry.value))
    }

    /// The values of `word`, in their order.
    pub fn values(&self, word: &str) -> impl Iterator<Item = &Value> {
        self.iter().filter(move |(spec, _)| spec.word == word).map(|(_, value)| value)
    }

    /// The first value of `word`.
    pub fn get(&self, word: &str) -> Option<&Value> {
        self.values(word).next()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where the n-th `word` stands among the options.
    pub(crate) fn position(&self, word: &str, nth: usize) -> Option<usize> {
        let places = self.0.iter().enumerate().filter(|(_, entry)| entry.spec.word == word);
        places.map(|(index, _)| index).nth(nth)
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        self.0.push(entry);
    }

    /// Whether the address itself says anything about `word`.
    pub(crate) fn owns(&self, word: &str) -> bool {
        self.0.iter().any(|entry| entry.own && entry.spec.word == word)
    }

    /// Puts `values` in place of what was set for `spec` from outside.
    pub(crate) fn replace(&mut self, spec: &'static OptionSpec, values: Vec<Value>) {
        self.0.retain(|entry| entry.own || entry.spec.word != spec.word);
        self.0.extend(values.into_iter().map(|value| Entry { spec, value, own: false }));
    }

    /// Takes out all that is said about `word`.
    pub(crate) fn take_out(&mut self, word: &str) {
        self.0.retain(|entry| entry.spec.word != word);
    }

    /// Puts `folder` before every path that is relative.
    pub(crate) fn begin_paths_at(&mut self, folder: &Path) {
        for entry in &mut self.0 {
            if let Value::Path(path) | Value::Key(KeyPlace::File(path)) = &mut entry.value {
                *path = folder.join(&*path);
            }
        }
    }

    pub(crate) fn path(&self, word: &str) -> Option<PathBuf> {
        self.paths(word).next().map(Path::to_owned)
    }

    pub(crate) fn paths(&self, word: &str) -> impl Iterator<Item = &Path> {
        self.values(word).filter_map(|value| match value {
            Value::Path(path) => Some(path.as_path()),
            _ => None,
        })
    }

    pub(crate) fn alpn(&self) -> Vec<Vec<u8>> {
        match self.get("alpn") {
            Some(Value::Alpn(protocols)) => protocols.clone(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn session(&self) -> SessionOptions {
        SessionOptions {
            resume: self.switch("resume"),
            max_record: match self.or_default("max-record") {
                Some(Value::RecordSize(bytes)) => usize::from(*bytes),
                _ => 16384,
            },
            danger_key_log: self.path("danger-key-log"),
        }
    }

    /// Whether `word` is on. One that the table has no default of is off.
    pub(crate) fn switch(&self, word: &str) -> bool {
        self.or_default(word) == Some(&Value::Switch(true))
    }

    pub(crate) fn family(&self) -> Family {
        match self.or_default("family") {
            Some(Value::Family(family)) => *family,
            _ => Family::Any,
        }
    }

    pub(crate) fn time_limit(&self, word: &str) -> TimeLimit {
        match self.or_default(word) {
            Some(Value::Deadline(deadline)) => *deadline,
            _ => TimeLimit::Off,
        }
    }

    /// The identities in the order of their certificates; as many as there are `cert` words.
    pub(crate) fn identities(&self) -> Vec<IdentityFiles> {
        let mut keys = self.values("key").filter_map(|value| match value {
            Value::Key(place) => Some(place.clone()),
            _ => None,
        });
        let mut staples = self.paths("ocsp");
        let passphrase = match self.get("passphrase-env") {
            Some(Value::Variable(name)) => Some(PassphraseSource::Variable(name.clone())),
            _ => self.path("passphrase-file").map(PassphraseSource::File),
        };
        let signer = self.path("signer");
        let identity = |cert: &Path| IdentityFiles {
            cert: cert.to_owned(),
            key: keys.next().unwrap_or_else(|| KeyPlace::File(cert.to_owned())),
            passphrase: passphrase.clone(),
            signer: signer.clone(),
            ocsp: staples.next().map(Path::to_owned),
        };
        self.paths("cert").map(identity).collect()
    }

    fn or_default(&self, word: &str) -> Option<&Value> {
        self.get(word).or_else(|| match &OptionSpec::find(word)?.default {
            DefaultValue::Value(value) => Some(value),
            DefaultValue::Absent | DefaultValue::Derived(_) => None,
        })
    }
}

/// The files of one identity: a certificate and its private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFiles {
    /// PEM: the certificate, then its chain; or the certificate alone as DER.
    pub cert: PathBuf,
    /// The private key. The same file as `cert` where that holds both.
    pub key: KeyPlace,
    /// Where the passphrase is that opens the key, if that is encrypted, or the PIN of its token.
    pub passphrase: Option<PassphraseSource>,
    /// The Unix socket of who signs with the private key, which is in no file then.
    pub signer: Option<PathBuf>,
    /// DER: the OCSP response to staple to the certificate.
    pub ocsp: Option<PathBuf>,
}

/// Where a passphrase is: never in an address, for those are shown in lists of processes and in logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassphraseSource {
    /// The first line of this file.
    File(PathBuf),
    /// The value of this environment variable.
    Variable(String),
}

/// What holds of every TLS session of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// Whether sessions are resumed.
    pub resume: bool,
    /// The most plain bytes in one record that we send, from 64 to 16384.
    pub max_record: usize,
    /// The file that gets the secrets of every session.
    pub danger_key_log: Option<PathBuf>,
}

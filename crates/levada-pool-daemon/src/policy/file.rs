//! The policy as it is written: TOML in, what it says out. Nothing is opened.

use std::ops::Range;
use std::path::{Path, PathBuf};

use levada_address::KeyPlace;
use levada_config::{Fault, Faults};
use levada_tls::CrlScope;
use toml::de::DeTable;

use super::reader::Reader;

/// What a policy file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyFile {
    /// Whom to trust as server; the platform's authorities where there is none.
    pub(crate) anchors: Option<Placed<PathBuf>>,
    /// Which servers are revoked.
    pub(crate) crls: Vec<Placed<PathBuf>>,
    /// Of whose revocation these lists have to tell.
    pub(crate) crl_scope: CrlScope,
    /// Who vouches for clients.
    pub(crate) client_anchors: Option<Placed<PathBuf>>,
    /// Which clients are revoked.
    pub(crate) client_crls: Vec<Placed<PathBuf>>,
    pub(crate) client_crl_scope: CrlScope,
    /// Whether connections are not protected at all.
    pub(crate) closed: bool,
    /// Whether no connection is handed back under kernel TLS.
    pub(crate) keeps_data: bool,
    pub(crate) clients_per_user: Option<usize>,
    pub(crate) sessions_per_user: Option<usize>,
    /// Who may enter PINs, and who may choose identities.
    pub(crate) pin_entry_users: Option<Vec<Placed<Account>>>,
    pub(crate) lidentry_users: Option<Vec<Placed<Account>>>,
    /// Where choices are kept that are to be remembered.
    pub(crate) lidentry_choices: Option<Placed<PathBuf>>,
    pub(crate) local_ca: Option<LocalCaEntry>,
    pub(crate) identities: Vec<IdentityEntry>,
    /// For faults that are found when the files are opened.
    pub(crate) text: String,
}

/// A value, with its place in the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) place: Range<usize>,
}

/// One `[[identity]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdentityEntry {
    pub(crate) name: Placed<String>,
    pub(crate) cert: Placed<PathBuf>,
    pub(crate) key: Option<Placed<KeyPlace>>,
    pub(crate) passphrase_file: Option<Placed<PathBuf>>,
    /// What the authority says of the certificate.
    pub(crate) ocsp: Option<Placed<PathBuf>>,
    /// Whether a person is asked for what decrypts the key.
    pub(crate) asks: bool,
    pub(crate) rights: RightsEntry,
    /// Selectors, normalized.
    pub(crate) show_to: Vec<String>,
    /// Whether it is shown to clients that ask for no name.
    pub(crate) default: bool,
}

/// The `[local-ca]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocalCaEntry {
    pub(crate) cert: Placed<PathBuf>,
    pub(crate) key: Option<Placed<PathBuf>>,
    /// Selectors, normalized.
    pub(crate) names: Vec<String>,
    pub(crate) rights: RightsEntry,
}

/// Who may use what the table is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RightsEntry {
    pub(crate) roles: Roles,
    pub(crate) services: Option<Vec<String>>,
    pub(crate) users: Option<Vec<Placed<Account>>>,
    pub(crate) groups: Option<Vec<Placed<Account>>>,
}

/// In which roles an identity may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Roles {
    pub(crate) client: bool,
    pub(crate) server: bool,
}

impl Default for Roles {
    fn default() -> Self {
        Self { client: true, server: true }
    }
}

/// A user or a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Account {
    Number(u32),
    Name(String),
}

impl PolicyFile {
    /// Reads a policy. Relative paths begin at `folder`, that of the file.
    ///
    /// ```
    /// use std::path::Path;
    /// use levada_pool_daemon::PolicyFile;
    ///
    /// let text = r#"
    /// [[identity]]
    /// name = "host.example"
    /// cert = "host.pem"
    /// service = ["https"]
    /// "#;
    /// let faults = PolicyFile::parse(text, Path::new("/etc/levada")).unwrap_err();
    /// assert_eq!(
    ///     faults.in_file("pool.toml").to_string(),
    ///     "pool.toml:5:1: unknown key `service`
    ///     service = [\"https\"]
    ///     ^^^^^^^
    ///     did you mean `services`?"
    /// );
    /// ```
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it; where it is no TOML, the first thing alone.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, Faults> {
        let table = DeTable::parse(text).map_err(|error| {
            let place = error.span().unwrap_or(text.len()..text.len());
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            Faults::new(text, vec![Fault::new(place, message, None)])
        })?;
        Reader::read(text, folder, table.get_ref())
    }
}

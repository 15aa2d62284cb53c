//! Which identity answers for which name.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustls::pki_types::DnsName;

use crate::identity::Identity;

/// A server's identities by the names that clients ask for (SNI, RFC 6066 section 3). Clones are one
/// table: a [change](Self::change) is for the next handshake of every server that has one of them,
/// and never for a stream that runs.
///
/// A name finds its exact entry, else the wildcard of its parent (`*.example.com` is for one label
/// more, not two), else the default. A client whose name finds nothing, or that asks for none where
/// there is no default, is refused with unrecognized_name.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let read = || levada_tls::Identity::from_pem(
/// #     include_bytes!("../tests/data/ec-cert.pem"),
/// #     Some(include_bytes!("../tests/data/ec-pkcs8.pem")),
/// #     None,
/// # );
/// use levada_tls::{Identities, TlsServer};
///
/// let identities = Identities::builder().with(&read()?)?.build()?;
/// let server = TlsServer::builder(identities.clone()).build()?;
///
/// // The certificate was renewed: from the next handshake on it is shown.
/// let renewed = read()?;
/// identities.change(|table| table.replacing(&renewed))?;
/// # drop(server);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Identities(Arc<Live>);

/// A table that can be exchanged.
struct Live {
    /// Locked no longer than it takes to copy or set the pointer.
    table: RwLock<Arc<Table>>,
    /// Held by who changes the table, so that no change is lost.
    changing: Mutex<()>,
}

#[derive(Clone, Default)]
struct Table {
    /// Exact names, and wildcards as they are written, in lower case.
    by_name: HashMap<String, Identity>,
    default: Option<Identity>,
    /// The default is not for names that have no entry.
    refuses_unknown: bool,
}

impl Identities {
    /// One identity for whatever name is asked for.
    pub fn one(identity: &Identity) -> Self {
        Self::of(Table { default: Some(identity.clone()), ..Table::default() })
    }

    /// A table with nobody in it: every client is refused, unless a
    /// [hook](crate::Session::on_hello) chooses who answers.
    pub fn none() -> Self {
        Self::of(Table::default())
    }

    /// A table that is still empty.
    pub fn builder() -> IdentitiesBuilder {
        IdentitiesBuilder { table: Table::default() }
    }

    fn of(table: Table) -> Self {
        let table = RwLock::new(Arc::new(table));
        Self(Arc::new(Live { table, changing: Mutex::new(()) }))
    }

    /// Adds, replaces and removes entries: `change` gets the table as it is, and the whole of what it
    /// gives holds from the next handshake on. Whoever changes it meanwhile waits; no handshake does.
    ///
    /// # Errors
    ///
    /// Those of `change`, and [`IdentitiesError::Empty`]: the table stays as it was.
    pub fn change(
        &self,
        change: impl FnOnce(IdentitiesBuilder) -> Result<IdentitiesBuilder, IdentitiesError>,
    ) -> Result<(), IdentitiesError> {
        let _changing = self.0.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let table = Table::clone(&self.table());
        let table = change(IdentitiesBuilder { table })?.whole()?;
        *self.0.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
        Ok(())
    }

    /// Whether somebody answers for `name`; `None` is a client that asks for no name.
    pub fn has(&self, name: Option<&str>) -> bool {
        self.find(name).is_some()
    }

    /// Who answers for `name`.
    pub(crate) fn find(&self, name: Option<&str>) -> Option<Identity> {
        let table = self.table();
        let Some(name) = name else { return table.default.clone() };
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let by_name = table.by_name.get(&name).or_else(|| {
            let (_, parent) = name.split_once('.')?;
            table.by_name.get(&format!("*.{parent}"))
        });
        let default = table.default.as_ref().filter(|_| !table.refuses_unknown);
        by_name.or(default).cloned()
    }

    /// The table as it is at this moment.
    fn table(&self) -> Arc<Table> {
        // Nothing panics while one of the locks is held but a caller's change, which is lost then.
        self.0.table.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.table();
        let mut names: Vec<_> = table.by_name.keys().collect();
        names.sort_unstable();
        f.debug_struct("Identities")
            .field("names", &names)
            .field("has_default", &table.default.is_some())
            .finish()
    }
}

impl fmt::Debug for IdentitiesBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentitiesBuilder")
            .field("entries", &self.table.by_name.len())
            .finish_non_exhaustive()
    }
}

/// The entries of [`Identities`], while they are put together or changed.
pub struct IdentitiesBuilder {
    table: Table,
}

impl IdentitiesBuilder {
    /// Adds `identity` for the names in its certificate.
    ///
    /// # Errors
    ///
    /// [`IdentitiesError::NoNames`] when the certificate has no DNS names, and
    /// [`IdentitiesError::Taken`] when another identity answers for one of them.
    pub fn with(self, identity: &Identity) -> Result<Self, IdentitiesError> {
        if identity.names().is_empty() {
            return Err(IdentitiesError::NoNames);
        }
        self.with_names(identity.names(), identity)
    }

    /// Adds `identity` for `names`, whatever its certificate says: `host.example` or, for one label
    /// more, `*.host.example`.
    ///
    /// # Errors
    ///
    /// [`IdentitiesError::BadName`] for what is no such name, [`IdentitiesError::Taken`] when
    /// another identity answers for one of them.
    pub fn with_names<N: AsRef<str>>(
        mut self,
        names: impl IntoIterator<Item = N>,
        identity: &Identity,
    ) -> Result<Self, IdentitiesError> {
        for name in names {
            match self.table.by_name.entry(key(name.as_ref())?) {
                Entry::Vacant(entry) => drop(entry.insert(identity.clone())),
                Entry::Occupied(entry) => return Err(IdentitiesError::Taken(entry.key().clone())),
            }
        }
        Ok(self)
    }

    /// Adds `identity` for the names in its certificate, in place of whoever answered for one of them,
    /// and as the default where that was one of those.
    ///
    /// # Errors
    ///
    /// [`IdentitiesError::NoNames`] when the certificate has no DNS names.
    pub fn replacing(self, identity: &Identity) -> Result<Self, IdentitiesError> {
        if identity.names().is_empty() {
            return Err(IdentitiesError::NoNames);
        }
        self.replacing_names(identity.names(), identity)
    }

    /// Adds `identity` for `names`, whatever its certificate says: as [`with_names`](Self::with_names),
    /// and otherwise as [`replacing`](Self::replacing).
    ///
    /// # Errors
    ///
    /// [`IdentitiesError::BadName`] for what is no such name.
    pub fn replacing_names<N: AsRef<str>>(
        mut self,
        names: impl IntoIterator<Item = N>,
        identity: &Identity,
    ) -> Result<Self, IdentitiesError> {
        for name in names {
            let old = self.table.by_name.insert(key(name.as_ref())?, identity.clone());
            if let (Some(old), Some(default)) = (old, &mut self.table.default)
                && old.is(default)
            {
                *default = identity.clone();
            }
        }
        Ok(self)
    }

    /// Removes the entry of `name`, written as it was added. The default stays.
    ///
    /// # Errors
    ///
    /// [`IdentitiesError::Unknown`] when there is none.
    pub fn without(mut self, name: &str) -> Result<Self, IdentitiesError> {
        match self.table.by_name.remove(&key(name)?) {
            Some(_) => Ok(self),
            None => Err(IdentitiesError::Unknown(name.to_owned())),
        }
    }

    /// Lets `identity` answer for every name that has no entry, and for none.
    #[must_use]
    pub fn with_default(mut self, identity: &Identity) -> Self {
        self.table.default = Some(identity.clone());
        self
    }

    /// Lets nobody answer for names that have no entry.
    #[must_use]
    pub fn without_default(mut self) -> Self {
        self.table.default = None;
        self
    }

    /// Keeps the default for clients that ask for no name: those that ask for one without an entry
    /// are refused with unrecognized_name.
    #[must_use]
    pub fn refuse_unknown_names(mut self) -> Self {
        self.table.refuses_unknown = true;
        self
    }

    /// The table.
    ///
    /// # Errors
    ///
    /// [`IdentitiesError::Empty`] when it has no entry: nobody could be served.
    pub fn build(self) -> Result<Identities, IdentitiesError> {
        self.whole().map(Identities::of)
    }

    fn whole(self) -> Result<Table, IdentitiesError> {
        if self.table.by_name.is_empty() && self.table.default.is_none() {
            return Err(IdentitiesError::Empty);
        }
        Ok(self.table)
    }
}

/// A name as the table has it.
fn key(name: &str) -> Result<String, IdentitiesError> {
    let host = name.strip_prefix("*.").unwrap_or(name);
    let Ok(host) = DnsName::try_from(host) else {
        return Err(IdentitiesError::BadName(name.to_owned()));
    };
    let mut key = host.as_ref().trim_end_matches('.').to_ascii_lowercase();
    if name.starts_with("*.") {
        key.insert_str(0, "*.");
    }
    Ok(key)
}

/// Why a table of identities cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdentitiesError {
    /// The table has no entry.
    Empty,
    /// The certificate has no DNS names to find it by.
    NoNames,
    /// The text is no DNS name and no wildcard of one.
    BadName(String),
    /// Another identity answers for this name.
    Taken(String),
    /// Nobody answers for this name.
    Unknown(String),
}

impl fmt::Display for IdentitiesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("there is no identity: give a certificate and its key"),
            Self::NoNames => f.write_str(
                "the certificate has no DNS names: make it the default, or say for which names it is",
            ),
            Self::BadName(name) => write!(
                f,
                "\"{}\" is no DNS name: write host.example, or *.example for one label more",
                name.escape_debug()
            ),
            Self::Taken(name) => {
                write!(f, "two identities are for \"{name}\": leave one, or name its names")
            }
            Self::Unknown(name) => {
                write!(f, "no identity is for \"{}\": was it removed before?", name.escape_debug())
            }
        }
    }
}

impl std::error::Error for IdentitiesError {}

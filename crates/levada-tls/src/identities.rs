//! Which identity answers for which name.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;

use rustls::pki_types::DnsName;

use crate::identity::Identity;

/// A server's identities by the names that clients ask for (SNI, RFC 6066 section 3). Immutable,
/// cheap to clone.
///
/// A name finds its exact entry, else the wildcard of its parent (`*.example.com` is for one label
/// more, not two), else the default. A client whose name finds nothing, or that asks for none where
/// there is no default, is refused with unrecognized_name.
#[derive(Clone)]
pub struct Identities(Arc<Table>);

#[derive(Default)]
struct Table {
    /// Exact names, and wildcards as they are written, in lower case.
    by_name: HashMap<String, Identity>,
    default: Option<Identity>,
}

impl Identities {
    /// One identity for whatever name is asked for.
    pub fn one(identity: &Identity) -> Self {
        Self(Arc::new(Table { by_name: HashMap::new(), default: Some(identity.clone()) }))
    }

    /// A table that is still empty.
    pub fn builder() -> IdentitiesBuilder {
        IdentitiesBuilder { table: Table::default() }
    }

    /// Whether somebody answers for `name`; `None` is a client that asks for no name.
    pub fn has(&self, name: Option<&str>) -> bool {
        self.find(name).is_some()
    }

    /// Who answers for `name`.
    pub(crate) fn find(&self, name: Option<&str>) -> Option<Identity> {
        let table = &*self.0;
        let by_name = name.and_then(|name| {
            let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
            table.by_name.get(&name).or_else(|| {
                let (_, parent) = name.split_once('.')?;
                table.by_name.get(&format!("*.{parent}"))
            })
        });
        by_name.or(table.default.as_ref()).cloned()
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<_> = self.0.by_name.keys().collect();
        names.sort_unstable();
        f.debug_struct("Identities")
            .field("names", &names)
            .field("has_default", &self.0.default.is_some())
            .finish()
    }
}

/// Collects the entries of [`Identities`].
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
            let name = name.as_ref();
            let host = name.strip_prefix("*.").unwrap_or(name);
            let Ok(host) = DnsName::try_from(host) else {
                return Err(IdentitiesError::BadName(name.to_owned()));
            };
            let mut key = host.as_ref().trim_end_matches('.').to_ascii_lowercase();
            if name.starts_with("*.") {
                key.insert_str(0, "*.");
            }
            match self.table.by_name.entry(key) {
                Entry::Vacant(entry) => drop(entry.insert(identity.clone())),
                Entry::Occupied(entry) => return Err(IdentitiesError::Taken(entry.key().clone())),
            }
        }
        Ok(self)
    }

    /// Lets `identity` answer for every name that has no entry, and for none.
    #[must_use]
    pub fn with_default(mut self, identity: &Identity) -> Self {
        self.table.default = Some(identity.clone());
        self
    }

    /// The table.
    ///
    /// # Errors
    ///
    /// [`IdentitiesError::Empty`] when it has no entry: nobody could be served.
    pub fn build(self) -> Result<Identities, IdentitiesError> {
        if self.table.by_name.is_empty() && self.table.default.is_none() {
            return Err(IdentitiesError::Empty);
        }
        Ok(Identities(Arc::new(self.table)))
    }
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
        }
    }
}

impl std::error::Error for IdentitiesError {}

//! The policy: who we can be, who may use it, and whom we trust.

mod file;
mod load;
mod on_token;
mod selector;
mod users;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use levada_pool_wire::Facilities;
use levada_sys::PeerCredentials;
use levada_tls::{
    Anchors, ClientAuth, Identities, Identity, PeerRules, TlsClient, TlsConfigError, TlsServer,
};

pub use file::{IDENTITY_KEYS, POLICY_KEYS, PolicyFile, PolicyKey};
pub use load::{PolicyError, PolicySource};

use file::{IdentityEntry, Roles};
use on_token::Trials;
use selector::selectors;

/// Settings of TLS that are kept for the next session; as many for each identity.
const KEPT: usize = 32;

/// Who we can be, who may use it, and whom we trust. Immutable: a reload exchanges the whole.
#[derive(Debug)]
pub struct Policy {
    locals: Vec<Local>,
    by_name: HashMap<String, usize>,
    /// Identities by the selectors of whom they are shown to, in the order of the file.
    shown_to: HashMap<String, Vec<usize>>,
    default: Option<usize>,
    /// Whom we trust as server.
    trusted_servers: Trust,
    /// Whom we trust as client.
    trusted_clients: Option<Trust>,
    /// Clients that show no certificate.
    anonymous: Kept<Wishes, TlsClient>,
    /// Whether connections are not protected at all.
    closed: bool,
    clients_per_user: Option<usize>,
    sessions_per_user: Option<usize>,
    digest: u64,
    /// The keys on tokens.
    trials: Trials,
}

/// Who vouches for peers, and who of them is revoked.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    anchors: Anchors,
    rules: PeerRules,
}

/// One identity, and who may use it for what.
#[derive(Debug)]
pub(crate) struct Local {
    name: String,
    identity: Identity,
    roles: Roles,
    services: Option<Vec<String>>,
    users: Option<Vec<u32>>,
    groups: Option<Vec<u32>>,
    clients: Kept<Wishes, TlsClient>,
    servers: Kept<(ClientCertificate, Wishes), TlsServer>,
}

/// What a TLS server wants of its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ClientCertificate {
    Required,
    Requested,
    Ignored,
}

/// What an application may wish of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Wishes {
    /// Application protocols (ALPN), the best first.
    pub(crate) alpn: Vec<Vec<u8>>,
    /// Whether sessions are neither resumed nor remembered.
    pub(crate) forgets: bool,
}

/// Who asks, and for which service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker<'a> {
    pub(crate) credentials: &'a PeerCredentials,
    pub(crate) service: &'a str,
}

/// Why the policy gives nothing, in words for the log: a client learns only that it did not get it.
#[derive(Debug)]
pub(crate) enum Denied {
    NoSuchIdentity(String),
    NotAllowed(String),
    NoClientAnchors,
    Tls(TlsConfigError),
}

impl std::fmt::Display for Denied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoSuchIdentity(name) => write!(f, "the policy has no identity {name:?}"),
            Self::NotAllowed(name) => {
                write!(f, "the policy does not let this user, service and role use {name:?}")
            }
            Self::NoClientAnchors => f.write_str(
                "client certificates are wanted, and the policy has no client-anchors to verify them",
            ),
            Self::Tls(error) => error.fmt(f),
        }
    }
}

impl Policy {
    fn new(
        trusted_servers: Trust,
        trusted_clients: Option<Trust>,
        locals: Vec<(&IdentityEntry, Local)>,
        digest: u64,
    ) -> Self {
        let mut policy = Self {
            locals: Vec::with_capacity(locals.len()),
            by_name: HashMap::new(),
            shown_to: HashMap::new(),
            default: None,
            trusted_servers,
            trusted_clients,
            anonymous: Kept::default(),
            closed: false,
            clients_per_user: None,
            sessions_per_user: None,
            digest,
            trials: Trials::default(),
        };
        for (index, (entry, local)) in locals.into_iter().enumerate() {
            policy.by_name.insert(local.name.clone(), index);
            for selector in &entry.show_to {
                policy.shown_to.entry(selector.clone()).or_default().push(index);
            }
            if entry.default {
                policy.default = Some(index);
            }
            policy.locals.push(local);
        }
        policy
    }

    /// Changes when the content of the policy, or of a file that it names, changes.
    pub const fn digest(&self) -> u64 {
        self.digest
    }

    /// What the pool offers.
    pub(crate) const fn facilities(&self) -> Facilities {
        if self.closed { Facilities::NONE } else { Facilities::STARTTLS }
    }

    /// How many control connections a user may have.
    pub(crate) const fn clients_per_user(&self) -> Option<usize> {
        self.clients_per_user
    }

    /// How many sessions a user may have, handshakes among them.
    pub(crate) const fn sessions_per_user(&self) -> Option<usize> {
        self.sessions_per_user
    }

    /// How many identities there are.
    pub const fn identities(&self) -> usize {
        self.locals.len()
    }

    /// The TLS client for a session with `remote`, and the name of the identity that it shows to
    /// whoever asks for a certificate: `wanted`, or else what is shown to `remote`, or else none.
    pub(crate) fn client(
        &self,
        asker: Asker<'_>,
        wanted: &str,
        remote: &str,
        wishes: &Wishes,
    ) -> Result<(TlsClient, Option<&Local>), Denied> {
        let local = if wanted.is_empty() {
            self.shown_to(asker, remote)
        } else {
            Some(self.named(asker, wanted, |roles| roles.client)?)
        };
        let kept = local.map_or(&self.anonymous, |local| &local.clients);
        let client = kept.get_or_make(wishes, || {
            let Trust { anchors, rules } = self.trusted_servers.clone();
            let builder = TlsClient::builder().anchors(anchors).rules(rules);
            let builder = builder.alpn(wishes.alpn.clone());
            let builder = if wishes.forgets { builder.resume_servers(0) } else { builder };
            match local {
                Some(local) => builder.identity(local.identity.clone()),
                None => builder,
            }
            .build()
        });
        Ok((client.map_err(Denied::Tls)?, local))
    }

    /// The TLS server that is `wanted`, and the name of its identity. Nothing wanted is the default.
    pub(crate) fn server(
        &self,
        asker: Asker<'_>,
        wanted: Option<&str>,
        certificate: ClientCertificate,
        wishes: &Wishes,
    ) -> Result<(TlsServer, &Local), Denied> {
        let local = match (wanted, self.default) {
            (Some(wanted), _) => self.named(asker, wanted, |roles| roles.server)?,
            (None, Some(index)) => self.allowed(index, asker, |roles| roles.server)?,
            (None, None) => return Err(Denied::NoSuchIdentity(String::new())),
        };
        let (auth, rules) = match (certificate, self.trusted_clients.clone()) {
            (ClientCertificate::Ignored, _) => (ClientAuth::None, PeerRules::new()),
            (_, None) => return Err(Denied::NoClientAnchors),
            (ClientCertificate::Required, Some(Trust { anchors, rules })) => {
                (ClientAuth::Required(anchors), rules)
            }
            (ClientCertificate::Requested, Some(Trust { anchors, rules })) => {
                (ClientAuth::Requested(anchors), rules)
            }
        };
        let server = local.servers.get_or_make(&(certificate, wishes.clone()), || {
            let builder = TlsServer::builder(Identities::one(&local.identity));
            let builder = builder.client_auth(auth).client_rules(rules);
            let builder = builder.alpn(wishes.alpn.clone());
            if wishes.forgets { builder.without_tickets() } else { builder }.build()
        });
        Ok((server.map_err(Denied::Tls)?, local))
    }

    /// A server for a client of whom nothing is known yet; its identity is decided on later.
    pub(crate) fn undecided(&self) -> Option<TlsServer> {
        let local = self.locals.iter().find(|local| local.roles.server)?;
        let key = (ClientCertificate::Ignored, Wishes::default());
        let identities = || Identities::one(&local.identity);
        let made = local.servers.get_or_make(&key, || TlsServer::builder(identities()).build());
        made.ok()
    }

    /// The identity that this asker shows to `remote` without being told to. The first selector that
    /// has an identity for the asker wins, and there the first in the file.
    fn shown_to(&self, asker: Asker<'_>, remote: &str) -> Option<&Local> {
        selectors(remote).iter().find_map(|selector| {
            let mut found = self.shown_to.get(selector)?.iter();
            found.find_map(|&index| self.allowed(index, asker, |roles| roles.client).ok())
        })
    }

    /// The identity by its name, or the wildcard of its parent.
    fn named(
        &self,
        asker: Asker<'_>,
        name: &str,
        role: fn(Roles) -> bool,
    ) -> Result<&Local, Denied> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let wildcard = || {
            let (_, parent) = name.split_once('.').filter(|(label, _)| !label.contains('@'))?;
            self.by_name.get(&format!("*.{parent}"))
        };
        match self.by_name.get(&name).or_else(wildcard) {
            Some(&index) => self.allowed(index, asker, role),
            None => Err(Denied::NoSuchIdentity(name)),
        }
    }

    fn allowed(
        &self,
        index: usize,
        asker: Asker<'_>,
        role: fn(Roles) -> bool,
    ) -> Result<&Local, Denied> {
        let local = &self.locals[index];
        if local.is_for(asker) && role(local.roles) {
            Ok(local)
        } else {
            Err(Denied::NotAllowed(local.name.clone()))
        }
    }
}

impl Local {
    fn new(
        entry: &IdentityEntry,
        identity: Identity,
        users: Option<Vec<u32>>,
        groups: Option<Vec<u32>>,
    ) -> Self {
        Self {
            name: entry.name.value.clone(),
            identity,
            roles: entry.roles,
            services: entry.services.clone(),
            users,
            groups,
            clients: Kept::default(),
            servers: Kept::default(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn identity(&self) -> &Identity {
        &self.identity
    }

    fn is_for(&self, Asker { credentials, service }: Asker<'_>) -> bool {
        let by_service =
            self.services.as_ref().is_none_or(|services| services.iter().any(|own| own == service));
        let everybody = self.users.is_none() && self.groups.is_none();
        let by_user = self.users.iter().flatten().any(|&uid| uid == credentials.uid);
        let is_member = |gid| gid == credentials.gid || credentials.groups.contains(&gid);
        let by_group = self.groups.iter().flatten().any(|&gid| is_member(gid));
        by_service && (everybody || by_user || by_group)
    }
}

/// Settings of TLS by what they differ in: what sessions have in common, tickets too, lies in them.
#[derive(Debug)]
struct Kept<K, T>(Mutex<HashMap<K, T>>);

impl<K: Clone + Eq + std::hash::Hash, T: Clone> Kept<K, T> {
    fn get_or_make<E>(&self, key: &K, make: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = lock().get(key) {
            return Ok(kept.clone());
        }
        let new = make()?;
        let mut kept = lock();
        if kept.len() >= KEPT {
            // The protocols are the application's to name, and it may name ever new ones.
            kept.clear();
        }
        Ok(kept.entry(key.clone()).or_insert(new).clone())
    }
}

impl<K, T> Default for Kept<K, T> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

/// The policy in force. A session keeps the one that it began with.
#[derive(Debug)]
pub(crate) struct InForce(Mutex<Arc<Policy>>);

impl InForce {
    pub(crate) fn new(policy: Policy) -> Self {
        Self(Mutex::new(Arc::new(policy)))
    }

    pub(crate) fn now(&self) -> Arc<Policy> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn replace(&self, policy: Policy) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }
}

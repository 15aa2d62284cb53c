//! The policy: who we can be, who may use it, and whom we trust.

mod file;
mod held;
mod keys;
mod load;
mod local_ca;
mod on_token;
mod reader;
mod rights;
mod selector;
mod users;
mod values;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use levada_pool_wire::{Facilities, Role};
use levada_sys::PeerCredentials;
use levada_tls::{
    Anchors, ClientAuth, Identities, Identity, PeerRules, TicketKeys, TlsClient, TlsConfigError,
    TlsServer,
};

pub use file::PolicyFile;
pub(crate) use held::Held;
pub use keys::{IDENTITY_KEYS, LOCAL_CA_KEYS, POLICY_KEYS, PolicyKey};
pub use load::{PolicyError, PolicySource};
pub(crate) use selector::{normalize, selectors};

use crate::notice::ServiceKind;
use crate::pin::PinDesk;
use file::IdentityEntry;
use local_ca::LocalCa;
use on_token::Trials;
use rights::Rights;

/// Settings of TLS that are kept for the next session; as many for each identity.
const KEPT: usize = 32;

/// Who we can be, who may use it, and whom we trust. Immutable: a reload exchanges the whole.
#[derive(Debug)]
pub struct Policy {
    locals: Vec<Arc<Local>>,
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
    /// Whether no connection is handed back under kernel TLS.
    keeps_data: bool,
    clients_per_user: Option<usize>,
    sessions_per_user: Option<usize>,
    /// Who may enter PINs, and who may choose identities.
    pin_entry_users: Option<Vec<u32>>,
    lidentry_users: Option<Vec<u32>>,
    /// Where choices are kept that are to be remembered.
    choices: Option<PathBuf>,
    pins: PinDesk,
    local_ca: Option<Arc<LocalCa>>,
    undecided: OnceLock<TlsServer>,
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
    held: Held,
    rights: Rights,
    /// What the authority says of the certificate: an OCSP response in DER.
    staple: Option<Vec<u8>>,
    /// What tickets are sealed with for its clients: of all applications, and from one policy to the next.
    tickets: OnceLock<TicketKeys>,
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
    NoLocalCa,
    NotMade(String),
    LocalCa(String),
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
            Self::NoLocalCa => f.write_str("the policy has no `local-ca` to sign on the fly"),
            Self::NotMade(name) => {
                write!(f, "the policy does not let its `local-ca` sign for {name:?}")
            }
            Self::LocalCa(why) => write!(f, "the policy's `local-ca` does not sign: {why}"),
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
            keeps_data: false,
            clients_per_user: None,
            sessions_per_user: None,
            pin_entry_users: None,
            lidentry_users: None,
            choices: None,
            pins: PinDesk::default(),
            local_ca: None,
            undecided: OnceLock::new(),
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
            policy.locals.push(Arc::new(local));
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

    /// Whether connections may be handed back under kernel TLS.
    pub(crate) const fn allows_kernel_tls(&self) -> bool {
        !self.keeps_data
    }

    /// How many sessions a user may have, handshakes among them.
    pub(crate) const fn sessions_per_user(&self) -> Option<usize> {
        self.sessions_per_user
    }

    /// How many identities there are.
    pub const fn identities(&self) -> usize {
        self.locals.len()
    }

    /// Whether this user may give the pool, which `own` runs, such a service: the pool's user and root,
    /// unless the policy says who.
    pub(crate) fn may_serve(&self, kind: ServiceKind, uid: u32, own: u32) -> bool {
        let users = match kind {
            ServiceKind::PinEntry => &self.pin_entry_users,
            ServiceKind::Lidentry => &self.lidentry_users,
        };
        users.as_ref().map_or(uid == own || uid == 0, |users| users.contains(&uid))
    }

    /// The file that keeps the choices of identity that are to be remembered, for [`Choices::open`].
    ///
    /// [`Choices::open`]: crate::Choices::open
    pub fn choices(&self) -> Option<&Path> {
        self.choices.as_deref()
    }

    /// Where its PINs are asked for.
    pub(crate) const fn pins(&self) -> &PinDesk {
        &self.pins
    }

    /// Who signs on the fly.
    pub(crate) const fn local_ca(&self) -> Option<&Arc<LocalCa>> {
        self.local_ca.as_ref()
    }

    /// The identity `name`, made on the fly.
    pub(crate) async fn make(
        &self,
        asker: Asker<'_>,
        name: &str,
        role: Role,
    ) -> Result<Arc<Local>, Denied> {
        self.local_ca.as_ref().ok_or(Denied::NoLocalCa)?.make(asker, name, role).await
    }

    /// Takes over what people have unlocked under the policy before, and the keys of tickets: those that
    /// were given out for an identity with the same certificate are good under this policy, too.
    fn inherit(&mut self, before: &Self) {
        for local in &mut self.locals {
            let kept = before.by_name.get(&local.name).map(|&index| &before.locals[index]);
            // Nobody else has one before it is in force.
            if let (Some(kept), Some(local)) = (kept, Arc::get_mut(local)) {
                local.held.inherit(&kept.held);
                let [ours, theirs] =
                    [&*local, kept].map(|local| local.held.shown().certificate_der());
                if let Some(keys) = kept.tickets.get().filter(|_| ours == theirs) {
                    local.tickets = OnceLock::from(keys.clone());
                }
            }
        }
    }

    /// The TLS client that shows `local` to whoever asks for a certificate: an identity with its key, or
    /// none.
    pub(crate) fn client(
        &self,
        local: Option<(&Local, &Identity)>,
        wishes: &Wishes,
    ) -> Result<TlsClient, Denied> {
        let kept = local.map_or(&self.anonymous, |(local, _)| &local.clients);
        let client = kept.get_or_make(wishes, || {
            let Trust { anchors, rules } = self.trusted_servers.clone();
            let builder = TlsClient::builder().anchors(anchors).rules(rules);
            let builder = builder.alpn(wishes.alpn.clone());
            let builder = if wishes.forgets { builder.resume_servers(0) } else { builder };
            match local {
                Some((_, identity)) => builder.identity(identity.clone()),
                None => builder,
            }
            .build()
        });
        client.map_err(Denied::Tls)
    }

    /// The TLS server that is `local`, by its identity with the key.
    pub(crate) fn server(
        &self,
        local: &Local,
        identity: &Identity,
        certificate: ClientCertificate,
        wishes: &Wishes,
    ) -> Result<TlsServer, Denied> {
        let (auth, rules) = self.client_auth(certificate)?;
        let server = local.servers.get_or_make(&(certificate, wishes.clone()), || {
            let builder = TlsServer::builder(Identities::one(&local.stapled(identity)));
            let builder = builder.client_auth(auth).client_rules(rules);
            let builder = builder.alpn(wishes.alpn.clone());
            if wishes.forgets {
                builder.without_tickets()
            } else {
                builder.tickets(local.tickets()?)
            }
            .build()
        });
        server.map_err(Denied::Tls)
    }

    /// How a TLS server judges the certificates of its clients.
    pub(crate) fn client_auth(
        &self,
        certificate: ClientCertificate,
    ) -> Result<(ClientAuth, PeerRules), Denied> {
        match (certificate, self.trusted_clients.clone()) {
            (ClientCertificate::Ignored, _) => Ok((ClientAuth::None, PeerRules::new())),
            (_, None) => Err(Denied::NoClientAnchors),
            (ClientCertificate::Required, Some(Trust { anchors, rules })) => {
                Ok((ClientAuth::Required(anchors), rules))
            }
            (ClientCertificate::Requested, Some(Trust { anchors, rules })) => {
                Ok((ClientAuth::Requested(anchors), rules))
            }
        }
    }

    /// A server for a client of whom nothing is known yet; its identity is decided on later.
    pub(crate) fn undecided(&self) -> Option<TlsServer> {
        let serves = |local: &Arc<Local>| local.rights.has(Role::Server);
        if self.local_ca.is_none() && !self.locals.iter().any(serves) {
            return None;
        }
        if let Some(made) = self.undecided.get() {
            return Some(made.clone());
        }
        let made = TlsServer::builder(Identities::none()).build().ok()?;
        Some(self.undecided.get_or_init(|| made).clone())
    }

    /// Who is there for a client that asks for no name.
    pub(crate) fn default_server(&self, asker: Asker<'_>) -> Result<&Arc<Local>, Denied> {
        let index = self.default.ok_or_else(|| Denied::NoSuchIdentity(String::new()))?;
        self.allowed(index, asker, Role::Server)
    }

    /// The identities that this asker may show to whom `selector` names, in the order of the file.
    pub(crate) fn shown_to(
        &self,
        asker: Asker<'_>,
        selector: &str,
    ) -> impl Iterator<Item = &Arc<Local>> {
        let shown = self.shown_to.get(selector).into_iter().flatten();
        shown.filter_map(move |&index| self.allowed(index, asker, Role::Client).ok())
    }

    /// The identity by its name, or the wildcard of its parent.
    pub(crate) fn named(
        &self,
        asker: Asker<'_>,
        name: &str,
        role: Role,
    ) -> Result<&Arc<Local>, Denied> {
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

    fn allowed(&self, index: usize, asker: Asker<'_>, role: Role) -> Result<&Arc<Local>, Denied> {
        let local = &self.locals[index];
        if local.rights.allow(asker, role) {
            Ok(local)
        } else {
            Err(Denied::NotAllowed(local.name.clone()))
        }
    }
}

impl Local {
    fn new(name: String, held: Held, rights: Rights) -> Self {
        Self {
            name,
            held,
            rights,
            staple: None,
            tickets: OnceLock::new(),
            clients: Kept::default(),
            servers: Kept::default(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The keys of its tickets. No other identity takes them, and they are bound to the rules about clients.
    fn tickets(&self) -> Result<TicketKeys, TlsConfigError> {
        if let Some(keys) = self.tickets.get() {
            return Ok(keys.clone());
        }
        let keys = TicketKeys::rotating(TicketKeys::PERIOD, SystemTime::now)?;
        Ok(self.tickets.get_or_init(|| keys).clone())
    }

    /// This identity of ours with its staple.
    fn stapled(&self, identity: &Identity) -> Identity {
        let stapled = self.staple.as_ref().map(|staple| identity.with_staple(staple));
        // That it fits was seen when the policy was read.
        stapled.and_then(Result::ok).unwrap_or_else(|| identity.clone())
    }

    /// The certificate with its key, for which a person may be waited for.
    pub(crate) const fn held(&self) -> &Held {
        &self.held
    }
}

/// Settings of TLS by what they differ in: what a client's sessions have in common lies in them.
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

    pub(crate) fn replace(&self, mut policy: Policy) {
        policy.inherit(&self.now());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }
}

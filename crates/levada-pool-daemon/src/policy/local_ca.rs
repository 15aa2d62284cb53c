//! The local CA: it signs certificates on the fly, for names that the policy lets it make.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use levada_pool_wire::Role;
use levada_tls::Identity;
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use time::{Duration, OffsetDateTime};
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use super::selector::{is_host, selectors};
use super::{Asker, Denied, Held, Local, Rights};

/// How long a certificate is good for. One that has less than half of it left is made anew.
const LIFE: Duration = Duration::hours(1);

/// How far the clock of a peer may be behind ours.
const BACKDATED: Duration = Duration::minutes(5);

/// Certificates that are kept for the next session. Whoever asks for ever new names has them made anew.
const KEPT: usize = 1024;

/// An authority that signs certificates on the fly, and what for.
pub(crate) struct LocalCa {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate and those behind it, which go behind each that it signs.
    chain: String,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
    /// Selectors of the names that it may sign for.
    names: HashSet<String>,
    rights: Rights,
    made: Mutex<HashMap<(String, Role), Made>>,
}

struct Made {
    local: Arc<Local>,
    renew_at: OffsetDateTime,
}

impl fmt::Debug for LocalCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalCa").field("names", &self.names).finish_non_exhaustive()
    }
}

impl LocalCa {
    /// The authority of `chain`, in PEM, with its `key`, in PEM there or on its own.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    pub(crate) fn new(
        chain: &[u8],
        key: Option<&[u8]>,
        names: HashSet<String>,
        rights: Rights,
    ) -> Result<Self, String> {
        // What it says of order and key is better than what the other library does.
        let identity = Identity::from_pem(chain, key, None).map_err(|error| error.to_string())?;
        let facts = identity.certificate().read().ok_or("its certificate cannot be read")?;
        if !facts.is_ca {
            return Err("its certificate is not that of an authority".to_owned());
        }
        let time = |seconds| {
            OffsetDateTime::from_unix_timestamp(seconds).map_err(|error| error.to_string())
        };
        let (not_before, not_after) = (time(facts.not_before)?, time(facts.not_after)?);
        let blocks = |text: &[u8]| pem::parse_many(text).map_err(|error| error.to_string());
        let own = blocks(chain)?;
        let certificates: Vec<_> =
            own.iter().filter(|block| block.tag() == "CERTIFICATE").collect();
        let ca = certificates.first().ok_or("it is no PEM")?;
        let keys = key.map(blocks).transpose()?.unwrap_or_else(|| own.clone());
        let key = keys.iter().find(|block| block.tag().ends_with("PRIVATE KEY"));
        let key = KeyPair::try_from(key.ok_or("its key is no PEM")?.contents());
        let cannot = |error: rcgen::Error| format!("it cannot sign: {error}");
        let key = key.map_err(cannot)?;
        let issuer = Issuer::from_ca_cert_der(&ca.contents().into(), key).map_err(cannot)?;
        let chain = certificates.iter().map(|block| pem::encode(block)).collect();
        let made = Mutex::default();
        let ca = Self { issuer, chain, not_before, not_after, names, rights, made };
        // That its name is written as others write it shows with the first certificate.
        ca.sign("localhost", Role::Server, time(facts.not_after)? - LIFE)?;
        Ok(ca)
    }

    /// The identity `name`, in this role, for whoever asks: as it was made before, or made now.
    ///
    /// # Errors
    ///
    /// [`Denied`].
    pub(crate) async fn make(
        self: &Arc<Self>,
        asker: Asker<'_>,
        name: &str,
        role: Role,
    ) -> Result<Arc<Local>, Denied> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if !self.rights.allow(asker, role) {
            return Err(Denied::NotAllowed(name));
        }
        if !self.may_make(&name) {
            return Err(Denied::NotMade(name));
        }
        let now = OffsetDateTime::now_utc();
        let key = (name, role);
        if let Some(made) = self.made().get(&key).filter(|made| made.renew_at > now) {
            return Ok(made.local.clone());
        }
        let (ca, asked) = (self.clone(), key.0.clone());
        // A key of RSA takes milliseconds to sign.
        let signed = spawn_blocking(move || ca.sign(&asked, role, now)).await;
        let signed = signed.unwrap_or_else(|error| Err(error.to_string()));
        let (identity, not_after) = signed.map_err(Denied::LocalCa)?;
        let local = Arc::new(Local::new(key.0.clone(), Held::Open(identity), Rights::default()));
        let renew_at = now + (not_after - now) / 2;
        let mut made = self.made();
        if made.len() >= KEPT {
            made.clear();
        }
        made.insert(key, Made { local: local.clone(), renew_at });
        Ok(local)
    }

    /// Whether it could make anything for them.
    pub(crate) fn is_for(&self, asker: Asker<'_>, role: Role) -> bool {
        self.rights.allow(asker, role)
    }

    /// Whether this is a name at all, and one of those that the policy lets be made.
    fn may_make(&self, name: &str) -> bool {
        let (user, domain) = match name.rsplit_once('@') {
            Some((user, domain)) => (Some(user), domain),
            None => (None, name),
        };
        let is_user = |user: &str| {
            !user.is_empty() && user.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'@')
        };
        (is_host(domain) || domain.parse::<IpAddr>().is_ok())
            && user.is_none_or(is_user)
            && selectors(name).iter().any(|selector| self.names.contains(selector))
    }

    /// Signs a certificate for a key that is made for it, and tells how long it is good.
    fn sign(
        &self,
        name: &str,
        role: Role,
        now: OffsetDateTime,
    ) -> Result<(Identity, OffsetDateTime), String> {
        let not_after = self.not_after.min(now + LIFE);
        if not_after <= now {
            return Err("it has expired".to_owned());
        }
        let cannot = |error: rcgen::Error| error.to_string();
        let mut params = CertificateParams::default();
        params.distinguished_name.remove(DnType::CommonName);
        params.not_before = self.not_before.max(now - BACKDATED);
        params.not_after = not_after;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let (user, domain) = match name.rsplit_once('@') {
            Some((_, domain)) => (Some(name), domain),
            None => (None, name),
        };
        if let Some(mailbox) = user {
            let mailbox = mailbox.try_into().map_err(cannot)?;
            params.subject_alt_names.push(SanType::Rfc822Name(mailbox));
        }
        // A client that is a user is nobody's host.
        if role == Role::Server || user.is_none() {
            params.subject_alt_names.push(match domain.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(domain.try_into().map_err(cannot)?),
            });
        }
        params.extended_key_usages = vec![match role {
            Role::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Role::Client => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        let key = KeyPair::generate().map_err(cannot)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(cannot)?;
        let chain = certificate.pem() + &self.chain;
        let key = Zeroizing::new(key.serialize_pem());
        let identity = Identity::from_pem(chain.as_bytes(), Some(key.as_bytes()), None);
        Ok((identity.map_err(|error| error.to_string())?, not_after))
    }

    fn made(&self) -> MutexGuard<'_, HashMap<(String, Role), Made>> {
        // Nothing in this file panics while it holds the lock.
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

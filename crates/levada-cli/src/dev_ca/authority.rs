//! The authority. It is kept, so that what trusts it today trusts the identities of tomorrow; its name
//! constraints keep it harmless even where somebody adds it to the system's authorities.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, GeneralSubtree, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, NameConstraints,
};
use time::{Duration, OffsetDateTime};

use super::identity::{self, Kept, Name};
use super::{BACKDATED, DevelopmentError, Done};
use crate::state_dir::StateDir;

/// The authority's certificate, for whoever is to trust it.
pub(crate) const CA: &str = "ca.pem";
/// The authority: its private key and its certificate.
pub(crate) const AUTHORITY: &str = "authority.pem";

const LIFE: Duration = Duration::days(3650);

/// How the names of authorities begin, behind which something follows that no other one has.
const LIMITED: &str = "Levada development CA ";
const UNLIMITED: &str = "Levada development CA for any name ";

/// The names that belong to nobody (RFC 6761, RFC 6762, RFC 8375, and `internal` by ICANN's resolution of
/// 2024-07-29), with all names below them.
pub(crate) const DOMAINS: &[&str] =
    &["localhost", "test", "example", "invalid", "internal", "local", "home.arpa"];

/// The addresses that belong to nobody: loopback, private, link-local and documentation (RFC 6890).
const NETWORKS: &[(IpAddr, u8)] = &[
    (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
    (IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 0)), 24),
    (IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
    (IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
    (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
];

/// An authority that can vouch for identities.
pub(crate) struct Authority {
    key: KeyPair,
    /// Its name: how its certificate's subject, and the issuer of its identities, read.
    pub(crate) name: String,
    pub(crate) not_after: OffsetDateTime,
}

impl Authority {
    /// The one of `folder`; one is made where there is none, or none that will do for the longest life
    /// of an identity. One for any name is made only where `any_name` says so.
    ///
    /// # Errors
    ///
    /// When something else has its file, or it is of the other kind.
    pub(crate) fn ensure(
        folder: &StateDir,
        any_name: bool,
        now: OffsetDateTime,
    ) -> Result<(Self, Done), DevelopmentError> {
        let file = folder.file(AUTHORITY);
        let Some(text) = folder.read(AUTHORITY)? else {
            return Ok((Self::make(folder, any_name, now)?, Done::Made));
        };
        let kept = Kept::parse(&text);
        let name = kept.as_ref().and_then(Kept::subject_name).filter(|name| is_ours(name));
        let (Some(name), Some(kept)) = (name.map(ToOwned::to_owned), kept) else {
            return Err(DevelopmentError::Refused(format!(
                "{} is no development CA that can be read\n    move it away, and a new one is made, \
                 which has to be trusted anew; or use another folder: `levada dev-ca --dir DIR`",
                file.display()
            )));
        };
        if kept.not_after <= now + identity::LONGEST_LIFE {
            let any_name = name.starts_with(UNLIMITED);
            return Ok((Self::make(folder, any_name, now)?, Done::Renewed));
        }
        if any_name && !name.starts_with(UNLIMITED) {
            return Err(DevelopmentError::Refused(format!(
                "the CA in {} is for reserved names and private addresses, and that cannot be \
                 changed\n    make another one: --dir DIR --danger-any-name",
                file.display()
            )));
        }
        if folder.read(CA)?.as_ref() != Some(&kept.certificate) {
            folder.publish(CA, &kept.certificate)?;
        }
        Ok((Self { key: kept.key, name, not_after: kept.not_after }, Done::Kept))
    }

    fn make(
        folder: &StateDir,
        any_name: bool,
        now: OffsetDateTime,
    ) -> Result<Self, DevelopmentError> {
        let key = KeyPair::generate()?;
        let kind = if any_name { UNLIMITED } else { LIMITED };
        // The first of its public point, behind the byte that says how it is encoded.
        let [_, a, b, c, d, ..] = *key.public_key_raw() else {
            return Err(DevelopmentError::Refused("a key without a public half was made".into()));
        };
        let mark = u32::from_be_bytes([a, b, c, d]);
        let name = format!("{kind}{mark:08x}");
        let mut params = params(&name);
        params.not_before = now - BACKDATED;
        params.not_after = now + LIFE;
        let certificate = params.self_signed(&key)?;
        let kept = identity::with_key(&key, &certificate);
        folder.write(AUTHORITY, &kept)?;
        folder.publish(CA, &identity::alone(&certificate))?;
        Ok(Self { key, name, not_after: params.not_after })
    }

    /// Whether it is for any name, and so a danger to whoever trusts it.
    pub(crate) fn is_unlimited(&self) -> bool {
        self.name.starts_with(UNLIMITED)
    }

    /// Whether it can vouch for a name: others would be refused wherever it is verified.
    pub(crate) fn vouches_for(&self, name: &Name) -> bool {
        let below = |host: &str, domain: &&&str| {
            let rest = host.strip_suffix(**domain);
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        self.is_unlimited()
            || match name {
                Name::Dns(host) => {
                    let host = host.to_ascii_lowercase();
                    DOMAINS.iter().any(|domain| below(&host, &domain))
                }
                Name::Ip(address) => {
                    NETWORKS.iter().any(|(network, bits)| within(*address, *network, *bits))
                }
                Name::Email(_) | Name::Uri(_) | Name::Word(_) => true,
            }
    }

    /// Signs a certificate for `key`.
    ///
    /// # Errors
    ///
    /// When it cannot be encoded.
    pub(crate) fn sign(
        &self,
        params: &CertificateParams,
        key: &KeyPair,
    ) -> Result<rcgen::Certificate, rcgen::Error> {
        let issuer = Issuer::new(self::params(&self.name), &self.key);
        params.signed_by(key, &issuer)
    }
}

/// Whether this is the name of a development CA.
pub(crate) fn is_ours(name: &str) -> bool {
    name.starts_with(LIMITED)
}

/// What the authority's certificate and those that it issues have in common, whenever that was.
fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    if !name.starts_with(UNLIMITED) {
        let domains = DOMAINS.iter().map(|domain| GeneralSubtree::DnsName((*domain).to_owned()));
        let networks = NETWORKS.iter().map(|(network, bits)| {
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(*network, *bits))
        });
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: domains.chain(networks).collect(),
            excluded_subtrees: Vec::new(),
        });
    }
    params
}

fn within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let mask = u32::MAX << (32 - u32::from(bits));
            address.to_bits() & mask == network.to_bits()
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let mask = u128::MAX << (128 - u32::from(bits));
            address.to_bits() & mask == network.to_bits()
        }
        _ => false,
    }
}

//! An identity for localhost, vouched for by an authority that exists for that alone.
//!
//! Each key lies in one file with its certificate, so that no crash can part them. The authority is
//! kept, so that what trusts it today trusts the identity of tomorrow; its name constraints keep it
//! harmless even where somebody adds it to the system's authorities.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use pem::Pem;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SanType,
};
use time::{Duration, OffsetDateTime};

use crate::state_dir::StateDir;

/// The authority's certificate, for whoever is to trust it.
const CA: &str = "ca.pem";
/// The authority: its private key and its certificate.
const AUTHORITY: &str = "authority.pem";
/// The identity: its private key and its certificate.
const LOCALHOST: &str = "localhost.pem";

const AUTHORITY_LIFE: Duration = Duration::days(3650);
/// What browsers take at most is 398 days (CA/Browser Forum, Baseline Requirements 6.3.2).
const LOCALHOST_LIFE: Duration = Duration::days(397);
/// An identity that has less than this left is made anew.
const RENEW_BEFORE: Duration = Duration::days(30);
/// For peers whose clocks are slow.
const BACKDATED: Duration = Duration::hours(1);

/// Files with which to serve TLS as localhost.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DevelopmentIdentity {
    /// The authority's certificate.
    pub(crate) ca: PathBuf,
    /// Private key and certificate for localhost, 127.0.0.1 and ::1.
    pub(crate) identity: PathBuf,
    /// What was done for it.
    pub(crate) made: Made,
}

/// What was done for a development identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    /// Nothing: both were there.
    Nothing,
    /// The identity was missing, or old.
    Identity,
    /// The authority was missing, or old, and so was the identity.
    Both,
}

/// Why there is no development identity.
#[derive(Debug)]
pub(crate) enum DevelopmentError {
    /// The files.
    Io(io::Error),
    /// The certificates.
    Certificate(rcgen::Error),
}

impl fmt::Display for DevelopmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Certificate(error) => error.fmt(f),
        }
    }
}

impl From<io::Error> for DevelopmentError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<rcgen::Error> for DevelopmentError {
    fn from(error: rcgen::Error) -> Self {
        Self::Certificate(error)
    }
}

/// Makes sure that `folder` holds an authority and an identity for localhost that are good for a
/// while from `now` on.
pub(crate) fn ensure(
    folder: &StateDir,
    now: OffsetDateTime,
) -> Result<DevelopmentIdentity, DevelopmentError> {
    let mut made = Made::Nothing;
    let kept = folder.read(AUTHORITY)?.and_then(|text| Kept::parse(&text));
    let kept = kept.filter(|kept| kept.not_after > now + LOCALHOST_LIFE);
    let authority = if let Some(kept) = kept {
        kept
    } else {
        made = Made::Both;
        // First: an identity whose authority is gone must not outlive it.
        folder.remove(LOCALHOST)?;
        let (text, kept) = make_authority(now)?;
        folder.write(AUTHORITY, &text)?;
        kept
    };
    if folder.read(CA)?.as_ref() != Some(&authority.certificate) {
        folder.write(CA, &authority.certificate)?;
    }
    let identity = folder.read(LOCALHOST)?.and_then(|text| Kept::parse(&text));
    if identity.is_none_or(|identity| identity.not_after < now + RENEW_BEFORE) {
        if made == Made::Nothing {
            made = Made::Identity;
        }
        folder.write(LOCALHOST, &make_localhost(&authority.key, now)?)?;
    }
    Ok(DevelopmentIdentity { ca: folder.file(CA), identity: folder.file(LOCALHOST), made })
}

/// A key with its certificate, from one file.
struct Kept {
    key: KeyPair,
    certificate: String,
    not_after: OffsetDateTime,
}

impl Kept {
    /// Reads what [`with_key`] wrote; `None` for anything else.
    fn parse(text: &str) -> Option<Self> {
        let blocks = pem::parse_many(text).ok()?;
        let labelled = |label| blocks.iter().find(|block: &&Pem| block.tag() == label);
        let key = KeyPair::from_pem(&pem::encode(labelled("PRIVATE KEY")?)).ok()?;
        let certificate = labelled("CERTIFICATE")?;
        let not_after = not_after(certificate.contents())?;
        let certificate = pem::encode_config(certificate, pem_config());
        Some(Self { key, certificate, not_after })
    }
}

fn pem_config() -> pem::EncodeConfig {
    pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF)
}

fn with_key(key: &KeyPair, certificate: &rcgen::Certificate) -> String {
    let certificate = Pem::new("CERTIFICATE", certificate.der().to_vec());
    let key = Pem::new("PRIVATE KEY", key.serialize_der());
    pem::encode_many_config(&[key, certificate], pem_config())
}

/// When a certificate ends to be valid (RFC 5280 section 4.1).
#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "a method's path has one lifetime, and yasna asks for all of them"
)]
fn not_after(der: &[u8]) -> Option<OffsetDateTime> {
    use yasna::tags::TAG_UTCTIME;
    use yasna::{BERReader, Tag};

    let read_time = |reader: BERReader<'_, '_>| {
        Ok(match reader.lookahead_tag()? {
            TAG_UTCTIME => *reader.read_utctime()?.datetime(),
            _ => *reader.read_generalized_time()?.datetime(),
        })
    };
    let ended = yasna::parse_der(der, |certificate| {
        certificate.read_sequence(|certificate| {
            let not_after = certificate.next().read_sequence(|body| {
                body.read_optional(|version| {
                    version.read_tagged(Tag::context(0), |version| version.read_i64())
                })?;
                for _serial_algorithm_issuer in 0..3 {
                    body.next().read_der()?;
                }
                let not_after = body.next().read_sequence(|validity| {
                    read_time(validity.next())?;
                    read_time(validity.next())
                })?;
                while body.read_optional(|rest| rest.read_der())?.is_some() {}
                Ok(not_after)
            })?;
            let _algorithm = certificate.next().read_der()?;
            let _signature = certificate.next().read_der()?;
            Ok(not_after)
        })
    });
    ended.ok()
}

fn authority_params(now: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, "Levada development authority");
    params.not_before = now - BACKDATED;
    params.not_after = now + AUTHORITY_LIFE;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let only = |address: IpAddr| {
        let prefix = if address.is_ipv4() { 32 } else { 128 };
        GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, prefix))
    };
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![
            GeneralSubtree::DnsName("localhost".to_owned()),
            only(Ipv4Addr::LOCALHOST.into()),
            only(Ipv6Addr::LOCALHOST.into()),
        ],
        excluded_subtrees: Vec::new(),
    });
    params
}

fn make_authority(now: OffsetDateTime) -> Result<(String, Kept), rcgen::Error> {
    let key = KeyPair::generate()?;
    let params = authority_params(now);
    let certificate = params.self_signed(&key)?;
    let text = with_key(&key, &certificate);
    let certificate =
        pem::encode_config(&Pem::new("CERTIFICATE", certificate.der().to_vec()), pem_config());
    let not_after = params.not_after;
    Ok((text, Kept { key, certificate, not_after }))
}

fn make_localhost(authority: &KeyPair, now: OffsetDateTime) -> Result<String, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, "localhost");
    params.not_before = now - BACKDATED;
    params.not_after = now - BACKDATED + LOCALHOST_LIFE;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.subject_alt_names = vec![
        SanType::DnsName("localhost".try_into()?),
        SanType::IpAddress(Ipv4Addr::LOCALHOST.into()),
        SanType::IpAddress(Ipv6Addr::LOCALHOST.into()),
    ];
    // The name and the usages of the issuer are the same, whenever it was made.
    let issuer = Issuer::new(authority_params(now), authority);
    let certificate = params.signed_by(&key, &issuer)?;
    Ok(with_key(&key, &certificate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    /// A folder that goes with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("levada-dev-ca-{name}-{}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }

        fn ensure(&self, now: OffsetDateTime) -> DevelopmentIdentity {
            ensure(&StateDir::open(self.0.clone()).unwrap(), now).unwrap()
        }

        fn text(&self, name: &str) -> String {
            fs::read_to_string(self.0.join(name)).unwrap()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn now() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
    }

    #[test]
    fn what_is_made_is_private_and_reused() {
        let folder = Folder::new("reused");
        let first = folder.ensure(now());
        assert_eq!(first.made, Made::Both);
        let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&folder.0) & 0o777, 0o700);
        for entry in fs::read_dir(&folder.0).unwrap() {
            assert_eq!(mode(&entry.unwrap().path()) & 0o777, 0o600);
        }
        let texts = [AUTHORITY, CA, LOCALHOST].map(|name| folder.text(name));
        assert!(!texts[1].contains("PRIVATE"));
        let again = folder.ensure(now() + Duration::days(300));
        assert_eq!(again, DevelopmentIdentity { made: Made::Nothing, ..first });
        assert_eq!([AUTHORITY, CA, LOCALHOST].map(|name| folder.text(name)), texts);
    }

    #[test]
    fn the_identity_is_renewed_before_it_expires_and_the_authority_stays() {
        let folder = Folder::new("renewed");
        folder.ensure(now());
        let (ca, old) = (folder.text(CA), folder.text(LOCALHOST));
        let then = now() + Duration::days(370);
        assert_eq!(folder.ensure(then).made, Made::Identity);
        assert_eq!(folder.text(CA), ca);
        assert_ne!(folder.text(LOCALHOST), old);
        let kept = Kept::parse(&folder.text(LOCALHOST)).unwrap();
        assert_eq!(kept.not_after, then - BACKDATED + LOCALHOST_LIFE);
    }

    #[test]
    fn an_authority_too_old_to_vouch_is_replaced_with_its_identity() {
        let folder = Folder::new("replaced");
        folder.ensure(now());
        let ca = folder.text(CA);
        assert_eq!(folder.ensure(now() + Duration::days(3260)).made, Made::Both);
        assert_ne!(folder.text(CA), ca);
    }

    #[test]
    fn what_is_damaged_or_missing_is_made_anew() {
        let folder = Folder::new("damaged");
        folder.ensure(now());
        fs::write(folder.0.join(LOCALHOST), "no PEM").unwrap();
        fs::remove_file(folder.0.join(CA)).unwrap();
        assert_eq!(folder.ensure(now()).made, Made::Identity);
        fs::write(folder.0.join(AUTHORITY), [0xff, 0xfe]).unwrap();
        assert_eq!(folder.ensure(now()).made, Made::Both);
        assert!(folder.text(AUTHORITY).contains(folder.text(CA).trim()));
    }
}

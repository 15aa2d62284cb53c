//! An authority, and whom it vouches for.

use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

/// A certificate authority.
pub(crate) struct Pki {
    issuer: Issuer<'static, KeyPair>,
    /// The authority's certificate, in PEM.
    pub(crate) ca: String,
}

/// What a certificate is to say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spec<'a> {
    pub(crate) hosts: &'a [&'a str],
    pub(crate) mailboxes: &'a [&'a str],
    pub(crate) expired: bool,
}

impl Pki {
    /// An authority by a name that no other has.
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("Test Authority {}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), ca }
    }

    /// A certificate with its key, in one PEM text.
    pub(crate) fn identity(&self, spec: Spec<'_>) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Test");
        let dns = |host: &&str| SanType::DnsName((*host).try_into().unwrap());
        let mail = |mailbox: &&str| SanType::Rfc822Name((*mailbox).try_into().unwrap());
        params.subject_alt_names =
            spec.hosts.iter().map(dns).chain(spec.mailboxes.iter().map(mail)).collect();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        if spec.expired {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        certificate.pem() + &key.serialize_pem()
    }

    /// A certificate for one host, with its key.
    pub(crate) fn host(&self, host: &str) -> String {
        self.identity(Spec { hosts: &[host], ..Spec::default() })
    }
}

//! An authority, and whom it vouches for.

use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SanType, date_time_ymd,
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
    /// By what a revocation list tells it; a random one where there is none.
    pub(crate) serial: Option<u64>,
}

fn authority() -> (CertificateParams, KeyPair) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("Test Authority {}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params, KeyPair::generate().unwrap())
}

impl Pki {
    /// An authority by a name that no other has.
    pub(crate) fn new() -> Self {
        let (params, key) = authority();
        let ca = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), ca }
    }

    /// An authority that this one vouches for.
    pub(crate) fn below(&self) -> Self {
        let (params, key) = authority();
        let ca = params.signed_by(&key, &self.issuer).unwrap().pem();
        Self { issuer: Issuer::new(params, key), ca }
    }

    /// The authority's certificate with its key, in PEM.
    pub(crate) fn authority(&self) -> String {
        self.ca.clone() + &self.issuer.key().serialize_pem()
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
        params.serial_number = spec.serial.map(Into::into);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        certificate.pem() + &key.serialize_pem()
    }

    /// A list that revokes these serial numbers, in PEM.
    pub(crate) fn crl(&self, serials: &[u64]) -> String {
        let revoked = |&serial: &u64| RevokedCertParams {
            serial_number: serial.into(),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: 1_u64.into(),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    /// A certificate for one host, with its key.
    pub(crate) fn host(&self, host: &str) -> String {
        self.identity(Spec { hosts: &[host], ..Spec::default() })
    }
}

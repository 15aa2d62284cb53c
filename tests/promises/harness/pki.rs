//! Certificates for one test.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::Folder;

/// An authority, and files with identities that it vouches for.
#[derive(Debug)]
pub(crate) struct Pki {
    pub(crate) folder: Folder,
    /// The authority's certificate.
    pub(crate) ca: String,
    /// Certificate and key for localhost, 127.0.0.1 and ::1.
    pub(crate) localhost: String,
    /// Certificate and key for a client.
    pub(crate) client: String,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let folder = Folder::new();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // By the same name as the identities, they would count as their own issuers.
        params.distinguished_name.push(DnType::OrganizationName, "the authority");
        let certificate = params.self_signed(&key).unwrap();
        let ca = folder.write("ca.pem", &certificate.pem());
        let issuer = Issuer::new(params, key);
        let identity = |name: &str, names: &[&str]| {
            let key = KeyPair::generate().unwrap();
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let params = CertificateParams::new(names).unwrap();
            let certificate = params.signed_by(&key, &issuer).unwrap();
            folder.write(name, &format!("{}{}", certificate.pem(), key.serialize_pem()))
        };
        let localhost = identity("localhost.pem", &["localhost", "127.0.0.1", "::1"]);
        let client = identity("client.pem", &["client"]);
        Self { folder, ca, localhost, client }
    }
}

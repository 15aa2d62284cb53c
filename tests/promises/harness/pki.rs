//! Certificates for one test.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, PublicKeyData, RevokedCertParams, date_time_ymd,
};

use super::{Command, Folder};

/// An authority, and files with identities that it vouches for.
pub(crate) struct Pki {
    pub(crate) folder: Folder,
    /// The authority's certificate.
    pub(crate) ca: String,
    /// Certificate and key for localhost, 127.0.0.1 and ::1.
    pub(crate) localhost: String,
    /// Certificate and key for a client.
    pub(crate) client: String,
    pub(crate) issuer: Issuer<'static, KeyPair>,
}

impl Pki {
    /// The serial numbers of the two identities.
    pub(crate) const LOCALHOST: u64 = 16;
    pub(crate) const CLIENT: u64 = 17;

    pub(crate) fn new() -> Self {
        Self::of("the authority")
    }

    /// That of an authority by this name.
    pub(crate) fn of(name: &str) -> Self {
        let folder = Folder::new();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // By the same name as the identities, they would count as their own issuers.
        params.distinguished_name.push(DnType::OrganizationName, name);
        let certificate = params.self_signed(&key).unwrap();
        let ca = folder.write("ca.pem", &certificate.pem());
        let issuer = Issuer::new(params, key);
        let none = String::new;
        let mut pki = Self { folder, ca, localhost: none(), client: none(), issuer };
        let names = ["localhost", "127.0.0.1", "::1"];
        pki.localhost = pki.identity("localhost.pem", &names, |params| {
            params.serial_number = Some(Self::LOCALHOST.into());
        });
        pki.client = pki.identity("client.pem", &["client"], |params| {
            params.serial_number = Some(Self::CLIENT.into());
        });
        pki
    }

    /// A file with a certificate and its key.
    pub(crate) fn identity(
        &self,
        file: &str,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> String {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        self.folder.write(file, &format!("{}{}", certificate.pem(), key.serialize_pem()))
    }

    /// A file with the same certificate, whose key this passphrase opens.
    pub(crate) fn lock(identity: &str, passphrase: &str) -> String {
        let words = ["pkcs8", "-topk8", "-iter", "2048", "-in", identity, "-passout"];
        let made =
            Command::new("openssl").args(words).args([format!("pass:{passphrase}")]).run(b"");
        assert_eq!(made.code(), 0, "{}", made.stderr);
        let certificate = std::fs::read_to_string(identity).unwrap();
        let (certificate, _) = certificate.split_once("-----BEGIN PRIVATE").unwrap();
        let path = format!("{identity}.locked");
        std::fs::write(&path, certificate.to_owned() + str::from_utf8(&made.stdout).unwrap())
            .unwrap();
        path
    }

    /// A file with a certificate for the private key in this PEM text.
    pub(crate) fn certify(&self, file: &str, names: &[&str], key: &str) -> String {
        self.certify_public(file, names, &KeyPair::from_pem(key).unwrap())
    }

    /// A file with a certificate for this public key.
    pub(crate) fn certify_public(
        &self,
        file: &str,
        names: &[&str],
        key: &impl PublicKeyData,
    ) -> String {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).unwrap();
        self.folder.write(file, &params.signed_by(key, &self.issuer).unwrap().pem())
    }

    /// A file with a revocation list of these serial numbers.
    pub(crate) fn crl(&self, file: &str, revoked: &[u64]) -> String {
        self.crl_until(file, revoked, date_time_ymd(2100, 1, 1))
    }

    /// The same, good until then.
    pub(crate) fn crl_until(
        &self,
        file: &str,
        revoked: &[u64],
        until: time::OffsetDateTime,
    ) -> String {
        let entry = |serial: &u64| RevokedCertParams {
            serial_number: (*serial).into(),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: until,
            crl_number: 1_u64.into(),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).unwrap();
        self.folder.write(file, &list.pem().unwrap())
    }
}

impl std::fmt::Debug for Pki {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pki").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// The private scalar of a P-256 key in PEM (RFC 5915 within RFC 5958).
#[track_caller]
pub(crate) fn scalar(pem_file: &str) -> Vec<u8> {
    let blocks = pem::parse_many(std::fs::read(pem_file).unwrap()).unwrap();
    let key = blocks.iter().find(|block| block.tag() == "PRIVATE KEY").unwrap().contents();
    let begin = [2, 1, 1, 4, 32];
    let at = key.windows(5).position(|window| window == begin).expect("a P-256 key") + 5;
    key[at..at + 32].to_vec()
}

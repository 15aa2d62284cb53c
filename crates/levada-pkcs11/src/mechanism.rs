//! From a signature scheme of TLS to what a token does, and back to the signature's encoding.

use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::KeyType;
use levada_tls::SignatureScheme;
use pkcs8::der::Encode as _;
use pkcs8::der::asn1::UintRef;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// How a token signs by a scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The token gets the hash, and gives r and s one behind the other.
    Ecdsa(Hash),
    /// The token hashes.
    Pkcs1(Hash),
    /// The token gets the hash.
    Pss(Hash),
    /// The token hashes.
    HashPss(Hash),
    /// The token gets the message.
    Ed25519,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// A message that is to be signed.
pub(crate) struct Order {
    way: Way,
    data: Vec<u8>,
}

/// The ways of a scheme, the best first.
fn ways(scheme: SignatureScheme) -> &'static [Way] {
    use Hash::{Sha256, Sha384, Sha512};
    match scheme {
        SignatureScheme::ECDSA_SECP256R1_SHA256 => &[Way::Ecdsa(Sha256)],
        SignatureScheme::ECDSA_SECP384R1_SHA384 => &[Way::Ecdsa(Sha384)],
        SignatureScheme::ECDSA_SECP521R1_SHA512 => &[Way::Ecdsa(Sha512)],
        SignatureScheme::RSA_PKCS1_SHA256 => &[Way::Pkcs1(Sha256)],
        SignatureScheme::RSA_PKCS1_SHA384 => &[Way::Pkcs1(Sha384)],
        SignatureScheme::RSA_PKCS1_SHA512 => &[Way::Pkcs1(Sha512)],
        SignatureScheme::RSA_PSS_RSAE_SHA256 => &[Way::Pss(Sha256), Way::HashPss(Sha256)],
        SignatureScheme::RSA_PSS_RSAE_SHA384 => &[Way::Pss(Sha384), Way::HashPss(Sha384)],
        SignatureScheme::RSA_PSS_RSAE_SHA512 => &[Way::Pss(Sha512), Way::HashPss(Sha512)],
        SignatureScheme::ED25519 => &[Way::Ed25519],
        _ => &[],
    }
}

/// Whether a token with these mechanisms can sign by `scheme`.
pub(crate) fn can(scheme: SignatureScheme, mechanisms: &[MechanismType]) -> bool {
    ways(scheme).iter().any(|way| mechanisms.contains(&way.mechanism()))
}

/// Of which kind a key is that signs by `scheme`.
pub(crate) fn kind(scheme: SignatureScheme) -> KeyType {
    match ways(scheme).first() {
        Some(Way::Ecdsa(_)) => KeyType::EC,
        Some(Way::Ed25519) => KeyType::EC_EDWARDS,
        _ => KeyType::RSA,
    }
}

/// What PKCS#11 calls what is needed for `scheme`.
pub(crate) fn needed(scheme: SignatureScheme) -> &'static str {
    match ways(scheme).first() {
        Some(Way::Ecdsa(_)) => "CKM_ECDSA",
        Some(Way::Pkcs1(Hash::Sha256)) => "CKM_SHA256_RSA_PKCS",
        Some(Way::Pkcs1(Hash::Sha384)) => "CKM_SHA384_RSA_PKCS",
        Some(Way::Pkcs1(Hash::Sha512)) => "CKM_SHA512_RSA_PKCS",
        Some(Way::Pss(_) | Way::HashPss(_)) => "CKM_RSA_PKCS_PSS",
        Some(Way::Ed25519) => "CKM_EDDSA",
        None => "mechanism for it",
    }
}

impl Way {
    fn mechanism(self) -> MechanismType {
        match self {
            Self::Ecdsa(_) => MechanismType::ECDSA,
            Self::Pkcs1(Hash::Sha256) => MechanismType::SHA256_RSA_PKCS,
            Self::Pkcs1(Hash::Sha384) => MechanismType::SHA384_RSA_PKCS,
            Self::Pkcs1(Hash::Sha512) => MechanismType::SHA512_RSA_PKCS,
            Self::Pss(_) => MechanismType::RSA_PKCS_PSS,
            Self::HashPss(Hash::Sha256) => MechanismType::SHA256_RSA_PKCS_PSS,
            Self::HashPss(Hash::Sha384) => MechanismType::SHA384_RSA_PKCS_PSS,
            Self::HashPss(Hash::Sha512) => MechanismType::SHA512_RSA_PKCS_PSS,
            Self::Ed25519 => MechanismType::EDDSA,
        }
    }
}

impl Hash {
    fn of(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(message).to_vec(),
            Self::Sha384 => Sha384::digest(message).to_vec(),
            Self::Sha512 => Sha512::digest(message).to_vec(),
        }
    }

    /// PSS as TLS has it: the mask by the same hash, the salt as long (RFC 8446 section 4.2.3).
    fn pss(self) -> PkcsPssParams {
        let (hash_alg, mgf, length) = match self {
            Self::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, 32_u64),
            Self::Sha384 => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384, 48),
            Self::Sha512 => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512, 64),
        };
        PkcsPssParams { hash_alg, mgf, s_len: length.into() }
    }
}

impl Order {
    /// What a token with these mechanisms is to do; `None` where it cannot.
    pub(crate) fn new(
        scheme: SignatureScheme,
        message: &[u8],
        mechanisms: &[MechanismType],
    ) -> Option<Self> {
        let mut ways = ways(scheme).iter();
        let way = *ways.find(|way| mechanisms.contains(&way.mechanism()))?;
        let data = match way {
            Way::Ecdsa(hash) | Way::Pss(hash) => hash.of(message),
            Way::Pkcs1(_) | Way::HashPss(_) | Way::Ed25519 => message.to_vec(),
        };
        Some(Self { way, data })
    }

    pub(crate) fn data(&self) -> &[u8] {
        &self.data
    }

    pub(crate) fn mechanism(&self) -> Mechanism<'static> {
        match self.way {
            Way::Ecdsa(_) => Mechanism::Ecdsa,
            Way::Pkcs1(Hash::Sha256) => Mechanism::Sha256RsaPkcs,
            Way::Pkcs1(Hash::Sha384) => Mechanism::Sha384RsaPkcs,
            Way::Pkcs1(Hash::Sha512) => Mechanism::Sha512RsaPkcs,
            Way::Pss(hash) => Mechanism::RsaPkcsPss(hash.pss()),
            Way::HashPss(Hash::Sha256) => Mechanism::Sha256RsaPkcsPss(Hash::Sha256.pss()),
            Way::HashPss(Hash::Sha384) => Mechanism::Sha384RsaPkcsPss(Hash::Sha384.pss()),
            Way::HashPss(Hash::Sha512) => Mechanism::Sha512RsaPkcsPss(Hash::Sha512.pss()),
            Way::Ed25519 => Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519)),
        }
    }

    /// The signature as TLS has it. One that is no signature stays as it is: it will not verify.
    pub(crate) fn encoded(&self, signature: Vec<u8>) -> Vec<u8> {
        match self.way {
            Way::Ecdsa(_) => ecdsa_der(&signature).unwrap_or(signature),
            _ => signature,
        }
    }
}

/// From r and s, each as long as the curve's order, to `Ecdsa-Sig-Value` (RFC 3279 section 2.2.3).
fn ecdsa_der(signature: &[u8]) -> Option<Vec<u8>> {
    let (r, s) = signature.split_at_checked(signature.len() / 2)?;
    [UintRef::new(r).ok()?, UintRef::new(s).ok()?].to_der().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ecdsa_is_encoded_as_two_integers_without_needless_zeros() {
        let mut signature = vec![0; 64];
        signature[31] = 1;
        signature[32] = 0x80;
        let mut expected = vec![0x30, 2 + 1 + 2 + 33, 2, 1, 1, 2, 33, 0, 0x80];
        expected.extend([0; 31]);
        assert_eq!(ecdsa_der(&signature), Some(expected));
        // P-521 needs the long form of the length.
        let long = ecdsa_der(&[0x7f; 132]).unwrap();
        assert_eq!(long[..5], [0x30, 0x81, 136, 2, 66]);
    }

    #[test]
    fn a_token_signs_by_what_it_has() {
        let pss = SignatureScheme::RSA_PSS_RSAE_SHA256;
        let hashing = [MechanismType::SHA256_RSA_PKCS_PSS];
        let order = Order::new(pss, b"message", &hashing).unwrap();
        assert_eq!((order.way, order.data()), (Way::HashPss(Hash::Sha256), &b"message"[..]));
        let both = [MechanismType::SHA256_RSA_PKCS_PSS, MechanismType::RSA_PKCS_PSS];
        let order = Order::new(pss, b"message", &both).unwrap();
        assert_eq!((order.way, order.data().len()), (Way::Pss(Hash::Sha256), 32));
        assert!(Order::new(pss, b"message", &[MechanismType::SHA256_RSA_PKCS]).is_none());
        assert!(!can(SignatureScheme::ED25519, &both) && can(pss, &both));
        assert_eq!(needed(pss), "CKM_RSA_PKCS_PSS");
    }
}

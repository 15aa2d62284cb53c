//! Keys for other protocols, and what binds them to this session: exporters (RFC 5705, RFC 8446
//! section 7.5) and channel bindings (RFC 5929, RFC 9266).

use std::fmt;

use pkcs8::der::asn1::AnyRef;
use pkcs8::der::{self, Decode, Reader, SliceReader, Tag, TagNumber, Tagged};
use rustls::SupportedCipherSuite;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use crate::certificate::dotted;
use crate::record_keys::expand;

/// Of TLS 1.2 itself, and so of no use to anybody else (RFC 5705 section 4, RFC 7627 section 4).
const RESERVED: &[&str] = &[
    "client finished",
    "server finished",
    "master secret",
    "key expansion",
    "extended master secret",
];

/// Keys that both ends of a session derive from it, and nobody else. Wiped when dropped; its `Debug`
/// does not show it.
#[derive(PartialEq, Eq)]
pub struct KeyingMaterial(Zeroizing<Vec<u8>>);

impl KeyingMaterial {
    /// The longest label, in bytes: TLS 1.3 puts a prefix of its own before it.
    pub const MAX_LABEL: usize = 249;
    /// The longest context, in bytes.
    pub const MAX_CONTEXT: usize = 65_535;
    /// The most bytes at once: 255 times the shortest hash of a cipher suite (RFC 5869 section 2.3).
    pub const MAX_LEN: usize = 255 * 32;

    /// Keys that were derived elsewhere: by the pool that holds the session.
    pub fn given(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for KeyingMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyingMaterial(..)")
    }
}

/// What a login inside of the session is bound to, so that nobody between the ends can pass it on
/// (RFC 5056).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChannelBinding {
    /// `tls-exporter` (RFC 9266): 32 bytes that only this session has. On TLS 1.2 only with the
    /// extended master secret (RFC 7627): without it two sessions may have the same.
    TlsExporter,
    /// `tls-server-end-point` (RFC 5929 section 4.1): the hash of the server's certificate, which a
    /// terminator in front of the server may have, too.
    ///
    /// On a resumed session this is the certificate of the first session as a client, and as a server
    /// that of the identity which answers for the name now. Where it was renewed in between, the two
    /// differ, and the login fails.
    TlsServerEndPoint,
}

impl ChannelBinding {
    /// The label that `tls-exporter` is derived under, with an empty context (RFC 9266 section 2).
    pub const TLS_EXPORTER: &str = "EXPORTER-Channel-Binding";
}

/// Why there is no keying material and no binding.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExporterError {
    /// There is no session now: the handshake is not over, or the session is, or the stream is plain.
    NoSession,
    /// The label is longer than [`KeyingMaterial::MAX_LABEL`], or is one of TLS itself.
    Label,
    /// The context is longer than [`KeyingMaterial::MAX_CONTEXT`].
    Context,
    /// No bytes are asked for, or more than [`KeyingMaterial::MAX_LEN`].
    Length,
    /// TLS 1.2 without the extended master secret: what is derived need not be of this session alone
    /// (RFC 9266 section 4).
    NotUnique,
    /// The server's certificate is signed in a way for which no hash is defined (RFC 5929 section
    /// 4.1), as with Ed25519.
    NoHash,
    /// The pool that holds the session derives no such keys, for this reason.
    Pool(String),
}

impl fmt::Display for ExporterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pool(why) => return write!(f, "the pool derives no such keys: {why}"),
            Self::NoSession => {
                "there is no TLS session to derive keys from: wait until it is established, and ask \
                 before it ends"
            }
            Self::Label => {
                "the label must have at most 249 bytes and be none of TLS itself: begin it with \
                 `EXPORTER-`"
            }
            Self::Context => "the context must have at most 65535 bytes: hash it first",
            Self::Length => "from 1 to 8160 bytes can be derived at once",
            Self::NotUnique => {
                "this TLS 1.2 session has no extended master secret (RFC 7627), so `tls-exporter` \
                 does not bind to it alone: use TLS 1.3"
            }
            Self::NoHash => {
                "`tls-server-end-point` is not defined for the signature of this certificate: use \
                 `tls-exporter`"
            }
        })
    }
}

impl std::error::Error for ExporterError {}

/// What keys for others are derived from.
pub(crate) struct Exporter<'a> {
    pub(crate) suite: SupportedCipherSuite,
    /// The exporter's secret of TLS 1.3 (RFC 8446 section 7.1), the master secret of TLS 1.2.
    pub(crate) secret: &'a [u8],
    pub(crate) client_random: &'a [u8],
    pub(crate) server_random: &'a [u8],
}

impl Exporter<'_> {
    pub(crate) fn export(
        &self,
        label: &str,
        context: Option<&[u8]>,
        length: usize,
    ) -> Result<KeyingMaterial, ExporterError> {
        if label.len() > KeyingMaterial::MAX_LABEL || RESERVED.contains(&label) {
            return Err(ExporterError::Label);
        }
        if context.is_some_and(|context| context.len() > KeyingMaterial::MAX_CONTEXT) {
            return Err(ExporterError::Context);
        }
        if !(1..=KeyingMaterial::MAX_LEN).contains(&length) {
            return Err(ExporterError::Length);
        }
        let mut material = Zeroizing::new(vec![0; length]);
        self.derive(label.as_bytes(), context, &mut material).ok_or(ExporterError::NoSession)?;
        Ok(KeyingMaterial(material))
    }

    fn derive(&self, label: &[u8], context: Option<&[u8]>, out: &mut [u8]) -> Option<()> {
        match self.suite {
            SupportedCipherSuite::Tls13(suite) => {
                // RFC 8446 section 7.5.
                let hash = |bytes: &[u8]| suite.common.hash_provider.hash(bytes);
                let mut secret = Zeroizing::new(vec![0; self.secret.len()]);
                expand(suite, self.secret, label, hash(&[]).as_ref(), &mut secret)?;
                expand(suite, &secret, b"exporter", hash(context.unwrap_or_default()).as_ref(), out)
            }
            SupportedCipherSuite::Tls12(suite) => {
                // RFC 5705 section 4.
                let mut seed = [self.client_random, self.server_random].concat();
                if let Some(context) = context {
                    seed.extend((context.len() as u16).to_be_bytes());
                    seed.extend_from_slice(context);
                }
                suite.prf_provider.for_secret(out, self.secret, label, &seed);
                Some(())
            }
        }
    }

    /// `tls-exporter` (RFC 9266 section 2).
    pub(crate) fn tls_exporter(
        &self,
        has_extended_master_secret: bool,
    ) -> Result<KeyingMaterial, ExporterError> {
        if matches!(self.suite, SupportedCipherSuite::Tls12(_)) && !has_extended_master_secret {
            return Err(ExporterError::NotUnique);
        }
        self.export(ChannelBinding::TLS_EXPORTER, Some(&[]), 32)
    }
}

/// `tls-server-end-point` of the server's certificate.
pub(crate) fn tls_server_end_point(certificate: &[u8]) -> Result<KeyingMaterial, ExporterError> {
    let hash = match signature_hash(certificate).ok().flatten() {
        Some(Hash::Sha224) => Sha224::digest(certificate).to_vec(),
        Some(Hash::Sha256) => Sha256::digest(certificate).to_vec(),
        Some(Hash::Sha384) => Sha384::digest(certificate).to_vec(),
        Some(Hash::Sha512) => Sha512::digest(certificate).to_vec(),
        None => return Err(ExporterError::NoHash),
    };
    Ok(KeyingMaterial(Zeroizing::new(hash)))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

/// The hash of the certificate's signature, with SHA-256 in place of MD5 and SHA-1; `None` where it
/// has none of its own.
fn signature_hash(certificate: &[u8]) -> der::Result<Option<Hash>> {
    let mut parts = SliceReader::new(AnyRef::from_der(certificate)?.value())?;
    let _to_be_signed = parts.tlv_bytes()?;
    hash_of(AnyRef::decode(&mut parts)?)
}

/// The hash in an AlgorithmIdentifier, of a signature or of a hash itself.
fn hash_of(algorithm: AnyRef<'_>) -> der::Result<Option<Hash>> {
    algorithm.tag().assert_eq(Tag::Sequence)?;
    let mut fields = SliceReader::new(algorithm.value())?;
    Ok(match dotted(AnyRef::decode(&mut fields)?.value())?.as_str() {
        // MD5 and SHA-1: with RSA, DSA and ECDSA, and the hashes themselves.
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.10040.4.3"
        | "1.2.840.10045.4.1"
        | "1.2.840.113549.2.5"
        | "1.3.14.3.2.26" => Some(Hash::Sha256),
        "1.2.840.113549.1.1.14" | "1.2.840.10045.4.3.1" | "2.16.840.1.101.3.4.2.4" => {
            Some(Hash::Sha224)
        }
        "1.2.840.113549.1.1.11" | "1.2.840.10045.4.3.2" | "2.16.840.1.101.3.4.2.1" => {
            Some(Hash::Sha256)
        }
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" | "2.16.840.1.101.3.4.2.2" => {
            Some(Hash::Sha384)
        }
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" | "2.16.840.1.101.3.4.2.3" => {
            Some(Hash::Sha512)
        }
        RSA_PSS => pss_hash(&mut fields)?,
        _ => None,
    })
}

const RSA_PSS: &str = "1.2.840.113549.1.1.10";

/// The hash in the parameters of RSASSA-PSS (RFC 4055 section 3.1): SHA-1 where none is named.
fn pss_hash(fields: &mut SliceReader<'_>) -> der::Result<Option<Hash>> {
    let mut parameters = SliceReader::new(AnyRef::decode(fields)?.value())?;
    if parameters.is_finished() {
        return Ok(Some(Hash::Sha256));
    }
    let first = AnyRef::decode(&mut parameters)?;
    match first.tag() {
        Tag::ContextSpecific { number: TagNumber(0), .. } => {
            // Of the hashes themselves only: one inside of the other would not end.
            let hash = AnyRef::from_der(first.value())?;
            let mut inner = SliceReader::new(hash.value())?;
            if dotted(AnyRef::decode(&mut inner)?.value())? == RSA_PSS {
                return Ok(None);
            }
            hash_of(hash)
        }
        _ => Ok(Some(Hash::Sha256)),
    }
}

//! What a client says first, and who is to answer it.

use std::fmt;
use std::pin::Pin;

use levada_core::AlertDescription;
use rustls::pki_types::DnsName;

use crate::identity::Identity;
use crate::reader::Reader;
use crate::server::TlsServer;
use crate::signature_scheme::SignatureScheme;
use crate::version::TlsVersion;

pub(crate) const CLIENT_HELLO: u8 = 1;

/// A ClientHello (RFC 8446 section 4.1.2): what the client wants and can. Numbers are those of the
/// IANA registries. Nothing of it is proved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientHello {
    /// The name that it asks for (RFC 6066 section 3), in lower case.
    pub sni: Option<String>,
    /// The application protocols that it offers (RFC 7301), the best first.
    pub alpn: Vec<Vec<u8>>,
    /// The versions that it offers, such as `0x0304` for TLS 1.3; of one that only tells its highest
    /// (TLS 1.2 and older), that one.
    pub versions: Vec<u16>,
    /// The signature schemes that it verifies, the best first.
    pub signature_schemes: Vec<SignatureScheme>,
    /// The key exchange groups that it has, the best first.
    pub groups: Vec<u16>,
    /// The cipher suites that it has, the best first.
    pub cipher_suites: Vec<u16>,
}

/// Who answers a ClientHello.
#[derive(Clone, Debug)]
pub enum HelloAnswer {
    /// The server that the session was begun by, with the identity that it has for the name.
    GoOn,
    /// That server, with this identity.
    Identity(Identity),
    /// Another server, with all that is its own: identities, whom it lets in, protocols, versions.
    Server(TlsServer),
    /// Nobody: the client is sent this alert.
    Refuse(AlertDescription),
    /// Somebody else: the stream is handed on as it is, with every byte that the client has sent.
    PassThrough,
}

/// An answer that is on its way.
pub(crate) type Answering = Pin<Box<dyn Future<Output = HelloAnswer> + Send>>;

/// What is asked when the ClientHello is there.
pub(crate) type HelloHook = Box<dyn FnOnce(ClientHello) -> Answering + Send>;

/// What the bytes of a handshake begin with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Front {
    /// Less than a whole message.
    Partial,
    /// A ClientHello.
    Hello(Box<ClientHello>),
    /// Something else, or a faulty ClientHello.
    Other,
}

impl ClientHello {
    /// Whether the client offers `version`.
    pub fn offers(&self, version: TlsVersion) -> bool {
        self.versions.contains(&match version {
            TlsVersion::V1_2 => 0x0303,
            TlsVersion::V1_3 => 0x0304,
        })
    }

    /// Reads the handshake message at the front of `bytes`, which are the contents of records.
    pub(crate) fn front(bytes: &[u8]) -> Front {
        match bytes {
            [] => Front::Partial,
            [CLIENT_HELLO, ..] => match Reader(bytes).message() {
                None => Front::Partial,
                Some((_, body)) => {
                    Self::read(body).map_or(Front::Other, |hello| Front::Hello(Box::new(hello)))
                }
            },
            _ => Front::Other,
        }
    }

    fn read(mut body: Reader<'_>) -> Option<Self> {
        let version = body.u16()?;
        body.take(32)?;
        body.vector8()?;
        let mut hello = Self { cipher_suites: body.vector16()?.numbers()?, ..Self::default() };
        body.vector8()?;
        if !body.is_empty() {
            let mut extensions = body.vector16()?;
            while !extensions.is_empty() {
                let (number, data) = extensions.extension()?;
                hello.extend(number, data)?;
            }
        }
        if hello.versions.is_empty() {
            hello.versions.push(version);
        }
        body.is_empty().then_some(hello)
    }

    fn extend(&mut self, number: u16, mut data: Reader<'_>) -> Option<()> {
        match number {
            0 => {
                // One name of one kind (RFC 6066 section 3).
                let mut list = data.vector16()?;
                let kind = list.u8()?;
                let name = std::str::from_utf8(list.vector16()?.0).ok()?;
                let is_name = kind == 0 && DnsName::try_from(name).is_ok();
                self.sni = is_name.then(|| name.to_ascii_lowercase());
            }
            10 => self.groups = data.vector16()?.numbers()?,
            13 => {
                let numbers = data.vector16()?.numbers()?;
                self.signature_schemes = numbers.into_iter().map(SignatureScheme).collect();
            }
            16 => {
                let mut list = data.vector16()?;
                while !list.is_empty() {
                    self.alpn.push(list.vector8()?.0.to_vec());
                }
            }
            43 => self.versions = data.vector8()?.numbers()?,
            _ => return Some(()),
        }
        data.is_empty().then_some(())
    }
}

impl fmt::Display for ClientHello {
    /// One line: `host.example, ALPN h2 http/1.1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sni.as_deref().unwrap_or("no name"))?;
        for (index, name) in self.alpn.iter().enumerate() {
            write!(f, "{} {}", if index == 0 { ", ALPN" } else { "" }, name.escape_ascii())?;
        }
        Ok(())
    }
}

//! An address that is used for listening.

use std::path::PathBuf;

use levada_core::Deadlines;

use crate::address::Part;
use crate::deadline::deadlines;
use crate::{
    Address, AddressError, CertificateRules, ClientAuth, Endpoint, Family, Fault, Host,
    IdentityFiles, ListenWebSocket, Scheme, SessionOptions, Side, UnixName, Value, rules,
};

/// What an address says to a listener, every default filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// Where to listen.
    pub endpoint: ListenEndpoint,
    /// How to speak TLS; `None` for plain bytes, and where a pool speaks it.
    pub tls: Option<ListenTls>,
    /// How a pool is to speak TLS; `None` where none is to.
    pub pool: Option<ListenPool>,
    /// How to open a WebSocket on every stream; `None` where none is opened.
    pub web_socket: Option<ListenWebSocket>,
    /// The deadlines of every stream that is accepted.
    pub deadlines: Deadlines,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenEndpoint {
    /// A TCP port.
    Tcp {
        /// The host; `None` is every address of this machine that `family` allows.
        host: Option<Host>,
        /// The port; 0 is any free one.
        port: u16,
        /// Which versions of IP to listen on. A host that is an IP address is of this version.
        family: Family,
    },
    /// A Unix stream socket.
    Unix(UnixName),
    /// Standard input and output, as the only stream that is ever accepted.
    Stdio,
}

/// How a listener speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenTls {
    /// The identities, at least one; SNI chooses, and the first serves whoever asks for no other.
    pub identities: Vec<IdentityFiles>,
    /// Whether and how clients prove who they are; `None` when they are not asked.
    pub client: Option<ClientCheck>,
    /// The application protocols, the preferred one first; empty when none is spoken of.
    pub alpn: Vec<Vec<u8>>,
    /// What holds of every session.
    pub session: SessionOptions,
}

/// How a pool is to speak TLS to a listener's clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenPool {
    /// The pool's socket; `None` for the one that runs here.
    pub socket: Option<PathBuf>,
    /// Whether clients are asked for a certificate, by the authorities that the pool trusts.
    pub client_auth: ClientAuth,
    /// The application protocols, the preferred one first; empty when none is spoken of.
    pub alpn: Vec<Vec<u8>>,
    /// Whether the kernel may seal and open the records, past the pool.
    pub kernel_tls: bool,
}

/// How clients prove who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCheck {
    /// PEM: the authorities that may vouch for them; `None` where there are pins instead.
    pub ca: Option<PathBuf>,
    /// What their certificates must satisfy beyond that.
    pub rules: CertificateRules,
    /// Whether a client without a certificate is refused.
    pub required: bool,
}

impl Address {
    /// What the address says to a listener.
    ///
    /// ```
    /// # use levada_address::{Address, ListenEndpoint};
    /// let address: Address = "tls://:8443?cert=a.pem&cert=b.pem&key=a.key&key=b.key".parse()?;
    /// let on = address.for_listening()?;
    /// assert!(matches!(on.endpoint, ListenEndpoint::Tcp { host: None, port: 8443, .. }));
    /// assert_eq!(on.tls.unwrap().identities[1].key.to_string(), "b.key");
    /// # Ok::<(), levada_address::AddressError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the scheme or a word is for connecting only, when a word stands without one that it
    /// needs, and when two words contradict each other.
    pub fn for_listening(&self) -> Result<ListenAddress, AddressError> {
        self.check_side(Side::Listen)?;
        let options = self.options();
        let endpoint = match self.endpoint() {
            Endpoint::Tcp { host, port } => {
                let family = options.family();
                if let Some(Host::Ip(ip)) = host
                    && !family.contains(*ip)
                {
                    return Err(self.wrong(Part::Word("family"), Fault::FamilyConflict, None));
                }
                ListenEndpoint::Tcp { host: host.clone(), port: *port, family }
            }
            Endpoint::Unix(name) => ListenEndpoint::Unix(name.clone()),
            Endpoint::Stdio => ListenEndpoint::Stdio,
            Endpoint::Echo => {
                let fault = Fault::SchemeSide(self.scheme(), Side::Listen);
                return Err(self.wrong(Part::Scheme, fault, None));
            }
        };
        let has_tls = matches!(self.scheme(), Scheme::Tls | Scheme::Wss);
        let tls = if has_tls { Some(self.listen_tls()?) } else { None };
        let pool = (self.scheme() == Scheme::PoolTls).then(|| ListenPool {
            socket: options.path("pool"),
            client_auth: match options.get("client-auth") {
                Some(Value::ClientAuth(auth)) => *auth,
                _ => ClientAuth::None,
            },
            alpn: options.alpn(),
            kernel_tls: options.switch("kernel-tls"),
        });
        let web_socket = self.listen_web_socket()?;
        Ok(ListenAddress { endpoint, tls, pool, web_socket, deadlines: deadlines(options) })
    }

    fn listen_tls(&self) -> Result<ListenTls, AddressError> {
        let options = self.options();
        let identities = options.identities();
        if identities.is_empty() {
            let fault = Fault::OptionNeeded("cert", Side::Listen);
            return Err(self.wrong(Part::End, fault, Some("add `cert=FILE`, and `key=FILE`")));
        }
        let (certs, keys) = (identities.len(), options.values("key").count());
        if keys != 0 && keys != certs {
            let hint =
                "the n-th key is for the n-th certificate; name a file that holds both twice";
            let fault = Fault::KeyCount { certs, keys };
            return Err(self.wrong(Part::Word("key"), fault, Some(hint)));
        }
        let staples = options.values("ocsp").count();
        if staples != 0 && staples != certs {
            let hint = "the n-th response is for the n-th certificate";
            let fault = Fault::StapleCount { certs, staples };
            return Err(self.wrong(Part::Word("ocsp"), fault, Some(hint)));
        }
        self.check_key()?;
        let client = self.client_check()?;
        Ok(ListenTls { identities, client, alpn: self.alpn()?, session: options.session() })
    }

    fn client_check(&self) -> Result<Option<ClientCheck>, AddressError> {
        let options = self.options();
        let ca = options.path("client-ca");
        let is_pinned = options.get(rules::CLIENT.pin).is_some();
        if ca.is_none() && !is_pinned {
            let mut words = ["client-auth"].into_iter().chain(rules::CLIENT.all());
            let auth_is_none =
                options.get("client-auth") == Some(&Value::ClientAuth(ClientAuth::None));
            let word = words.find(|word| options.get(word).is_some());
            return match word {
                None => Ok(None),
                Some("client-auth") if auth_is_none => Ok(None),
                Some(word) => {
                    let fault = Fault::OptionAlone(word, "client-ca");
                    let hint = "add `client-ca=FILE` with the authorities that vouch for clients";
                    Err(self.wrong(Part::Word(word), fault, Some(hint)))
                }
            };
        }
        let rules = self.rules(&rules::CLIENT, "client-ca")?;
        let required = match options.get("client-auth") {
            Some(Value::ClientAuth(ClientAuth::None)) => return Ok(None),
            Some(Value::ClientAuth(ClientAuth::Requested)) => false,
            _ => true,
        };
        Ok(Some(ClientCheck { ca, rules, required }))
    }
}

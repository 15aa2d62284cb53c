//! An address that is used for connecting.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;

use levada_core::Deadlines;

use crate::address::Part;
use crate::deadline::deadlines;
use crate::rules::Words;
use crate::{
    Address, AddressError, CertificateRules, ConnectProxy, ConnectWebSocket, Endpoint, Family,
    Fault, Host, IdentityFiles, PassphraseSource, Scheme, SessionOptions, Side, UnixName, Value,
    rules,
};

/// What an address says to whoever connects to it, every default filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectAddress {
    /// Where to connect to.
    pub endpoint: ConnectEndpoint,
    /// How to speak TLS; `None` for plain bytes, and where a pool speaks it.
    pub tls: Option<ConnectTls>,
    /// How a pool is to speak TLS; `None` where none is to.
    pub pool: Option<ConnectPool>,
    /// How to open a WebSocket on it; `None` where none is opened.
    pub web_socket: Option<ConnectWebSocket>,
    /// The proxy to connect through; `None` for none.
    pub proxy: Option<ConnectProxy>,
    /// The deadlines of the stream.
    pub deadlines: Deadlines,
}

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectEndpoint {
    /// A TCP port.
    Tcp {
        /// The host.
        host: Host,
        /// The port.
        port: NonZeroU16,
        /// Which versions of IP to use. A host or a `bind` that is an IP address is of this
        /// version.
        family: Family,
        /// The local end, with port 0 for any free one; `None` for what the system chooses.
        bind: Option<SocketAddr>,
    },
    /// A Unix stream socket.
    Unix(UnixName),
    /// Standard input and output.
    Stdio,
    /// A peer in this process that sends back what it gets.
    Echo,
}

/// How to speak TLS to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectTls {
    /// The name or IP address that the peer's certificate must hold.
    pub name: Host,
    /// The name to ask for in the handshake, without a dot at its end; `None` to ask for none.
    pub sni: Option<String>,
    /// PEM: the authorities that may vouch for the peer; `None` for those of the system, or for none
    /// where there are pins.
    pub ca: Option<PathBuf>,
    /// What the peer's certificate must satisfy beyond that.
    pub rules: CertificateRules,
    /// Who we are, if the peer asks for it.
    pub identity: Option<IdentityFiles>,
    /// The application protocols, the preferred one first; empty when none is spoken of.
    pub alpn: Vec<Vec<u8>>,
    /// What holds of every session.
    pub session: SessionOptions,
}

/// How a pool is to speak TLS to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectPool {
    /// The pool's socket; `None` for the one that runs here.
    pub socket: Option<PathBuf>,
    /// The name that the peer's certificate must hold, and that is asked for.
    pub name: Host,
    /// The application protocols, the preferred one first; empty when none is spoken of.
    pub alpn: Vec<Vec<u8>>,
    /// Whether the kernel may seal and open the records, past the pool.
    pub kernel_tls: bool,
}

impl Address {
    /// What the address says to whoever connects to it.
    ///
    /// ```
    /// # use levada_address::Address;
    /// let address: Address = "tls://10.0.0.1:443?name=example.org".parse()?;
    /// let tls = address.for_connecting()?.tls.unwrap();
    /// assert_eq!(tls.name.to_string(), "example.org");
    /// assert_eq!(tls.sni.as_deref(), Some("example.org"));
    /// # Ok::<(), levada_address::AddressError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the scheme or a word is for listening only, when the host is missing or the port is 0,
    /// when a word stands without one that it needs, and when two words contradict each other.
    pub fn for_connecting(&self) -> Result<ConnectAddress, AddressError> {
        self.check_side(Side::Connect)?;
        let endpoint = match self.endpoint() {
            Endpoint::Tcp { host, port } => self.connect_tcp(host.as_ref(), *port)?,
            Endpoint::Unix(name) => ConnectEndpoint::Unix(name.clone()),
            Endpoint::Stdio => ConnectEndpoint::Stdio,
            Endpoint::Echo => ConnectEndpoint::Echo,
        };
        let tls = match &endpoint {
            ConnectEndpoint::Tcp { host, .. }
                if matches!(self.scheme(), Scheme::Tls | Scheme::Wss) =>
            {
                Some(self.connect_tls(host)?)
            }
            _ => None,
        };
        let pool = match &endpoint {
            ConnectEndpoint::Tcp { host, .. } if self.scheme() == Scheme::PoolTls => {
                Some(ConnectPool {
                    socket: self.options().path("pool"),
                    name: self.peer_name(host).clone(),
                    alpn: self.options().alpn(),
                    kernel_tls: self.options().switch("kernel-tls"),
                })
            }
            _ => None,
        };
        let web_socket = self.connect_web_socket()?;
        let proxy = self.connect_proxy()?;
        let deadlines = deadlines(self.options());
        Ok(ConnectAddress { endpoint, tls, pool, web_socket, proxy, deadlines })
    }

    fn connect_proxy(&self) -> Result<Option<ConnectProxy>, AddressError> {
        let (file, variable) = ("proxy-password-file", "proxy-password-env");
        let options = self.options();
        let alone = |word, fault, hint| Err(self.wrong(Part::Word(word), fault, Some(hint)));
        let Some(Value::Proxy(address)) = options.get("proxy") else {
            return match [file, variable, "proxy-ca"]
                .into_iter()
                .find(|word| options.get(word).is_some())
            {
                Some(word) => {
                    alone(word, Fault::OptionAlone(word, "proxy"), "add `proxy=http://HOST:PORT`")
                }
                None => Ok(None),
            };
        };
        let password = match (options.path(file), options.get(variable)) {
            (Some(_), Some(_)) => {
                let fault = Fault::OptionsContradict(variable, file);
                return alone(variable, fault, "leave one of them away");
            }
            (Some(path), None) => Some((file, PassphraseSource::File(path))),
            (None, Some(Value::Variable(name))) => {
                Some((variable, PassphraseSource::Variable(name.clone())))
            }
            (None, _) => None,
        };
        if let (Some((word, _)), None) = (&password, &address.user) {
            let hint = "name whose it is: `proxy=http://USER@HOST:PORT`";
            return alone(word, Fault::OptionAlone(word, "proxy"), hint);
        }
        let ca = options.path("proxy-ca");
        if ca.is_some() && !address.tls {
            let hint = "a proxy under TLS is written `https://`";
            return alone("proxy-ca", Fault::OptionAlone("proxy-ca", "proxy"), hint);
        }
        let password = password.map(|(_, source)| source);
        Ok(Some(ConnectProxy { address: address.clone(), password, ca }))
    }

    fn connect_tcp(&self, host: Option<&Host>, port: u16) -> Result<ConnectEndpoint, AddressError> {
        let Some(host) = host else {
            let hint = "for this machine write `localhost`";
            return Err(self.wrong(Part::Host, Fault::HostNeeded, Some(hint)));
        };
        let port =
            NonZeroU16::new(port).ok_or_else(|| self.wrong(Part::Port, Fault::PortZero, None))?;
        let family = self.options().family();
        let bind = match self.options().get("bind") {
            Some(Value::Bind(local)) => Some(*local),
            _ => None,
        };
        let conflict = |word| self.wrong(Part::Word(word), Fault::FamilyConflict, None);
        // It is of the way that we go ourselves.
        let near = match self.options().get("proxy") {
            Some(Value::Proxy(proxy)) => &proxy.host,
            _ => host,
        };
        if let Host::Ip(ip) = near {
            if !family.contains(*ip) {
                return Err(conflict("family"));
            }
            if bind.is_some_and(|local| local.is_ipv4() != ip.is_ipv4()) {
                return Err(conflict("bind"));
            }
        }
        if bind.is_some_and(|local| !family.contains(local.ip())) {
            return Err(conflict("bind"));
        }
        Ok(ConnectEndpoint::Tcp { host: host.clone(), port, family, bind })
    }

    /// What the words of one side say of the other end's certificate, whose authorities come by `ca`.
    pub(crate) fn rules(
        &self,
        words: &Words,
        ca: &'static str,
    ) -> Result<CertificateRules, AddressError> {
        let options = self.options();
        let rules = words.rules(options);
        let (crls, pins) = (!rules.crls.is_empty(), !rules.pins.is_empty());
        if crls && pins && options.get(ca).is_none() {
            let hint = format!("add `{ca}=FILE` with the authorities that have made the lists");
            let fault = Fault::OptionAlone(words.crl, ca);
            return Err(self.wrong(Part::Word(words.crl), fault, Some(&hint)));
        }
        if rules.crl_check.is_some() && !crls {
            let fault = Fault::OptionAlone(words.crl_check, words.crl);
            return Err(self.wrong(Part::Word(words.crl_check), fault, None));
        }
        Ok(rules)
    }

    /// Checks that a private key comes from one place, and its passphrase from one.
    pub(crate) fn check_key(&self) -> Result<(), AddressError> {
        let contradictions = [
            ("passphrase-env", "passphrase-file"),
            ("signer", "key"),
            ("signer", "passphrase-file"),
            ("signer", "passphrase-env"),
        ];
        let is_there = |word| self.options().get(word).is_some();
        match contradictions.into_iter().find(|&(word, other)| is_there(word) && is_there(other)) {
            None => Ok(()),
            Some((word, other)) => {
                let fault = Fault::OptionsContradict(word, other);
                Err(self.wrong(Part::Word(word), fault, Some("leave one of them away")))
            }
        }
    }

    /// Whom the peer's certificate has to be for.
    fn peer_name<'a>(&'a self, host: &'a Host) -> &'a Host {
        match self.options().get("name") {
            Some(Value::PeerName(name)) => name,
            _ => host,
        }
    }

    fn connect_tls(&self, host: &Host) -> Result<ConnectTls, AddressError> {
        let options = self.options();
        let identity = options.identities().pop();
        self.check_key()?;
        for word in ["key", "passphrase-file", "passphrase-env", "signer"] {
            if identity.is_none() && options.get(word).is_some() {
                let fault = Fault::OptionAlone(word, "cert");
                return Err(self.wrong(Part::Word(word), fault, Some("add `cert=FILE`")));
            }
        }
        let name = self.peer_name(host);
        let sni = match options.get("sni") {
            Some(Value::DnsName(sni)) => Some(sni.as_str()),
            _ => name.dns_name(),
        };
        Ok(ConnectTls {
            name: name.clone(),
            sni: sni.map(str::to_owned),
            ca: options.path("ca"),
            rules: self.rules(&rules::PEER, "ca")?,
            identity,
            alpn: self.alpn()?,
            session: options.session(),
        })
    }
}

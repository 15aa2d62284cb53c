//! How TLS is spoken, as JavaScript sets it up: texts in PEM, not the files that addresses name.

use std::time::{Duration, SystemTime};

use levada::{
    Anchors, Identities, IdentitiesError, Identity, Lapse, Passphrase, PeerRules, SessionName,
};
use napi::bindgen_prelude::Buffer;
use napi_derive::napi;

use crate::door::Door;
use crate::setup::{Refusal, of_identity, refuse};
use crate::signer::KeyOfJavaScript;

/// A certificate chain with its key: PEM, or the number of a function of JavaScript that signs.
#[napi(object, object_to_js = false)]
pub struct IdentityOptions {
    /// The chain, and the key too where none is given apart.
    pub cert: Buffer,
    /// The private key.
    pub key: Option<Buffer>,
    /// Opens an encrypted key.
    pub passphrase: Option<Buffer>,
    /// Who signs, instead of `key`.
    pub signer: Option<u32>,
}

impl IdentityOptions {
    fn read(&self, door: &Door) -> Result<Identity, Refusal> {
        let identity = if let Some(id) = self.signer {
            let key = KeyOfJavaScript { door: door.clone(), id };
            Identity::with_signer(&self.cert, key)
        } else {
            let passphrase = self.passphrase.as_ref().map(|bytes| Passphrase::new(bytes.to_vec()));
            Identity::from_pem(&self.cert, self.key.as_deref(), passphrase.as_ref())
        };
        identity.map_err(|error| refuse(of_identity(&error))(&error))
    }
}

/// How a client speaks TLS.
#[napi(object, object_to_js = false)]
pub struct ClientOptions {
    /// The authorities to trust; those of the system if there are none.
    pub ca: Option<Buffer>,
    /// Who we are, if the server asks for it.
    pub identity: Option<IdentityOptions>,
    /// Application protocols, the best first.
    pub alpn: Vec<String>,
    /// At which time certificates must be valid, in milliseconds since 1970; now if it is not given.
    pub verify_at: Option<f64>,
    /// Whether the validity period is not looked at.
    pub danger_ignore_validity: bool,
    /// Whom the server's certificate must name.
    pub name: String,
}

/// A client of TLS, for one server.
#[napi]
pub struct TlsClient {
    pub(crate) tls: levada::TlsClient,
    pub(crate) name: SessionName,
}

#[napi]
impl TlsClient {
    /// Reads what JavaScript gives.
    ///
    /// # Errors
    ///
    /// What of it cannot be used.
    #[napi(constructor)]
    pub fn new(door: &Door, options: ClientOptions) -> Result<Self, Refusal> {
        let ClientOptions { ca, identity, alpn, verify_at, danger_ignore_validity, name } = options;
        let name = SessionName::new(&name).map_err(|error| refuse("ERR_LEVADA_NAME")(&error))?;
        let mut rules = PeerRules::new();
        if let Some(milliseconds) = verify_at {
            let since = Duration::try_from_secs_f64(milliseconds / 1000.0)
                .map_err(|error| refuse("ERR_LEVADA_OPTION")(&error))?;
            rules = rules.verify_at(SystemTime::UNIX_EPOCH + since);
        }
        if danger_ignore_validity {
            rules = rules.danger_ignore(Lapse::Validity);
        }
        let mut builder = levada::TlsClient::builder().alpn(alpn).rules(rules);
        if let Some(ca) = ca {
            builder = builder.anchors(anchors(&ca)?);
        }
        if let Some(identity) = identity {
            builder = builder.identity(identity.read(door)?);
        }
        let tls = builder.build().map_err(|error| refuse("ERR_LEVADA_TLS")(&error))?;
        Ok(Self { tls, name })
    }
}

fn anchors(pem: &[u8]) -> Result<Anchors, Refusal> {
    Anchors::from_pem(pem).map_err(|error| refuse("ERR_LEVADA_CA")(&error))
}

/// Who a server is to those who ask for these names.
#[napi(object, object_to_js = false)]
pub struct HostOptions {
    /// For which names, such as `host.example` or `*.host.example`; for none and for all others too
    /// where it is not given.
    pub names: Option<Vec<String>>,
    /// Who it is.
    pub identity: IdentityOptions,
}

/// How a server speaks TLS.
#[napi(object, object_to_js = false)]
pub struct ServerOptions {
    /// Who it is, to whom; the first is shown to those who ask for no name.
    pub hosts: Vec<HostOptions>,
    /// Application protocols, the best first.
    pub alpn: Vec<String>,
}

/// A server of TLS.
#[napi]
pub struct TlsServer {
    pub(crate) tls: levada::TlsServer,
    identities: Identities,
    door: Door,
}

#[napi]
impl TlsServer {
    /// Reads what JavaScript gives.
    ///
    /// # Errors
    ///
    /// What of it cannot be used.
    #[napi(constructor)]
    pub fn new(door: &Door, options: ServerOptions) -> Result<Self, Refusal> {
        let mut table = Identities::builder();
        for (index, host) in options.hosts.iter().enumerate() {
            let identity = host.identity.read(door)?;
            if index == 0 {
                table = table.with_default(&identity);
            }
            if let Some(names) = &host.names {
                table = table.with_names(names, &identity).map_err(|error| of_table(&error))?;
            }
        }
        // One who is for all names is no list: any name gets it.
        if options.hosts.iter().all(|host| host.names.is_some()) {
            table = table.refuse_unknown_names();
        }
        let identities = table.build().map_err(|error| of_table(&error))?;
        let builder = levada::TlsServer::builder(identities.clone()).alpn(options.alpn);
        let tls = builder.build().map_err(|error| refuse("ERR_LEVADA_TLS")(&error))?;
        Ok(Self { tls, identities, door: door.clone() })
    }

    /// From the next handshake on, shows this identity for these names, in place of any other.
    ///
    /// # Errors
    ///
    /// What of it cannot be used; nothing has changed then.
    #[napi]
    pub fn put(&self, host: HostOptions) -> Result<(), Refusal> {
        let identity = host.identity.read(&self.door)?;
        let changed = self.identities.change(|table| match &host.names {
            Some(names) => table.replacing_names(names, &identity),
            None => Ok(table.with_default(&identity)),
        });
        changed.map_err(|error| of_table(&error))
    }

    /// From the next handshake on, answers for this name no more.
    ///
    /// # Errors
    ///
    /// Where it did not.
    #[napi]
    pub fn remove(&self, name: String) -> Result<(), Refusal> {
        self.identities.change(|table| table.without(&name)).map_err(|error| of_table(&error))
    }
}

fn of_table(error: &IdentitiesError) -> Refusal {
    refuse("ERR_LEVADA_CERTIFICATE")(error)
}

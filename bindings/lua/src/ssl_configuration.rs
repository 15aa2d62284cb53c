//! `net.SslConfiguration`: whom we trust, who we are, and what TLS is to be like.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use levada::{Anchors, ClientAuth, Identities, Identity, TlsClient, TlsServer, TlsVersion};
use mlua::{AnyUserData, Lua, MetaMethod, Table, UserData, UserDataFields, UserDataMethods};

use crate::object;
use crate::ssl_certificate::SslCertificate;
use crate::ssl_key::SslKey;
use crate::values;
use crate::verdict::Verdict;

/// The settings of handshakes to come. What is made of them is made once.
pub(crate) struct Settings {
    certificate: RefCell<Option<SslCertificate>>,
    chain: RefCell<Vec<SslCertificate>>,
    key: RefCell<Option<SslKey>>,
    authorities: RefCell<Vec<Vec<u8>>>,
    verify_mode: Cell<i64>,
    protocols: RefCell<Vec<String>>,
    min_version: Cell<TlsVersion>,
    max_version: Cell<TlsVersion>,
    client: RefCell<Option<TlsClient>>,
    server: RefCell<Option<TlsServer>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            certificate: RefCell::default(),
            chain: RefCell::default(),
            key: RefCell::default(),
            authorities: RefCell::default(),
            verify_mode: Cell::new(values::AUTO_VERIFY_PEER),
            protocols: RefCell::default(),
            min_version: Cell::new(TlsVersion::V1_2),
            max_version: Cell::new(TlsVersion::V1_3),
            client: RefCell::default(),
            server: RefCell::default(),
        }
    }
}

thread_local! {
    /// Those of all sockets that were given none: one client, with one memory of sessions.
    static SHARED: Rc<Settings> = Rc::default();
}

impl Settings {
    pub(crate) fn shared() -> Rc<Self> {
        SHARED.with(Rc::clone)
    }

    /// What was made of the settings so far is out of date.
    fn changed(&self) {
        self.client.take();
        self.server.take();
    }

    pub(crate) fn verify_mode(&self) -> i64 {
        self.verify_mode.get()
    }

    pub(crate) fn set_verify_mode(&self, mode: i64) -> mlua::Result<()> {
        let modes = ["VERIFY_NONE", "QUERY_PEER", "VERIFY_PEER", "AUTO_VERIFY_PEER"];
        object::one_of(values::SSL_VALUES, &modes, mode)?;
        self.verify_mode.set(mode);
        self.changed();
        Ok(())
    }

    /// Whether a server asks its clients for certificates.
    pub(crate) fn asks_for_certificates(&self) -> bool {
        self.verify_mode.get() != values::VERIFY_NONE && !self.authorities.borrow().is_empty()
    }

    /// The client for the next handshake.
    pub(crate) fn client(&self, verdict: &Verdict) -> Result<TlsClient, String> {
        let verdict = self.verdict(verdict, self.verify_mode.get() == values::QUERY_PEER);
        if !verdict.asks()
            && let Some(client) = &*self.client.borrow()
        {
            return Ok(client.clone());
        }
        let mut builder = TlsClient::builder()
            .alpn(self.protocols.borrow().iter().map(String::as_str))
            .min_version(self.min_version.get())
            .max_version(self.max_version.get());
        if !self.authorities.borrow().is_empty() {
            builder = builder.anchors(self.anchors()?.and_platform());
        }
        if let Some(identity) = self.identity()? {
            builder = builder.identity(identity);
        }
        if self.verify_mode.get() == values::VERIFY_NONE {
            builder = builder.danger_no_verification();
        }
        let asks = verdict.asks();
        if asks {
            builder = builder.rules(verdict.rules());
        }
        let client = builder.build().map_err(|error| error.to_string())?;
        if !asks {
            *self.client.borrow_mut() = Some(client.clone());
        }
        Ok(client)
    }

    /// The server for the next handshake.
    pub(crate) fn server(&self, verdict: &Verdict) -> Result<TlsServer, String> {
        let verdict = self.verdict(verdict, self.verify_mode.get() == values::QUERY_PEER);
        if !verdict.asks()
            && let Some(server) = &*self.server.borrow()
        {
            return Ok(server.clone());
        }
        let identity = self.identity()?.ok_or(
            "a server needs a certificate and its key: set local_certificate and private_key",
        )?;
        let client_auth = match (self.verify_mode.get(), self.authorities.borrow().is_empty()) {
            (values::VERIFY_NONE, _) | (values::AUTO_VERIFY_PEER | values::QUERY_PEER, true) => {
                ClientAuth::None
            }
            (values::VERIFY_PEER, true) => {
                let why =
                    "clients are to be verified, but nobody is trusted: call add_ca_certificate";
                return Err(why.to_owned());
            }
            (values::VERIFY_PEER, false) => ClientAuth::Required(self.anchors()?),
            _ => ClientAuth::Requested(self.anchors()?),
        };
        let mut builder = TlsServer::builder(Identities::one(&identity))
            .alpn(self.protocols.borrow().iter().map(String::as_str))
            .min_version(self.min_version.get())
            .max_version(self.max_version.get())
            .client_auth(client_auth);
        let asks = verdict.asks();
        if asks {
            builder = builder.client_rules(verdict.rules());
        }
        let server = builder.build().map_err(|error| error.to_string())?;
        if !asks {
            *self.server.borrow_mut() = Some(server.clone());
        }
        Ok(server)
    }

    fn verdict(&self, verdict: &Verdict, lets_all_in: bool) -> Verdict {
        let is_verified = self.verify_mode.get() != values::VERIFY_NONE;
        Verdict { lets_all_in, teller: verdict.teller.clone().filter(|_| is_verified) }
    }

    fn anchors(&self) -> Result<Anchors, String> {
        let text: String = self.authorities.borrow().iter().map(|der| in_pem(der)).collect();
        Anchors::from_pem(text.as_bytes()).map_err(|error| error.to_string())
    }

    fn identity(&self) -> Result<Option<Identity>, String> {
        let (certificate, key) = (self.certificate.borrow(), self.key.borrow());
        let (certificate, key) = match (&*certificate, &*key) {
            (None, None) => return Ok(None),
            (Some(certificate), Some(key)) => (certificate, key),
            (Some(_), None) => return Err("private_key is missing".to_owned()),
            (None, Some(_)) => return Err("local_certificate is missing".to_owned()),
        };
        if key.kind != values::PRIVATE {
            return Err("private_key is a public key".to_owned());
        }
        let leaf = certificate.0.as_ref().map_err(|why| format!("local_certificate: {why}"))?;
        let key_text = key.read.as_ref().map_err(|why| format!("private_key: {why}"))?;
        let mut text = in_pem(leaf);
        for issuer in &*self.chain.borrow() {
            let issuer = issuer.0.as_ref();
            let der = issuer.map_err(|why| format!("local_certificate_chain: {why}"))?;
            // Some give the whole chain, others what is behind the certificate.
            if der != leaf {
                text.push_str(&in_pem(der));
            }
        }
        let passphrase = key.passphrase.as_ref();
        let identity = Identity::from_pem(text.as_bytes(), Some(key_text), passphrase);
        identity.map(Some).map_err(|error| error.to_string())
    }
}

fn in_pem(der: &[u8]) -> String {
    pem::encode(&pem::Pem::new("CERTIFICATE", der))
}

/// The settings, as an object that several sockets may be given.
#[derive(Clone)]
pub(crate) struct SslConfiguration(pub(crate) Rc<Settings>);

impl UserData for SslConfiguration {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_meta_field("__name", "SslConfiguration");
        fields.add_field_method_get("local_certificate", |_, this| {
            Ok(this.0.certificate.borrow().clone())
        });
        fields.add_field_method_set("local_certificate", |_, this, value: Option<AnyUserData>| {
            let value = value.map(|value| taken::<SslCertificate>(&value, "a SslCertificate"));
            *this.0.certificate.borrow_mut() = value.transpose()?;
            this.0.changed();
            Ok(())
        });
        fields.add_field_method_get("local_certificate_chain", |_, this| {
            Ok(this.0.chain.borrow().clone())
        });
        fields.add_field_method_set("local_certificate_chain", |_, this, chain: Option<Table>| {
            let chain = chain.iter().flat_map(Table::sequence_values::<AnyUserData>);
            let chain = chain.map(|value| taken::<SslCertificate>(&value?, "a SslCertificate"));
            let chain = chain.collect::<mlua::Result<Vec<_>>>()?;
            *this.0.chain.borrow_mut() = chain;
            this.0.changed();
            Ok(())
        });
        fields.add_field_method_get("private_key", |_, this| Ok(this.0.key.borrow().clone()));
        fields.add_field_method_set("private_key", |_, this, value: Option<AnyUserData>| {
            let value = value.map(|value| taken::<SslKey>(&value, "a SslKey")).transpose()?;
            *this.0.key.borrow_mut() = value;
            this.0.changed();
            Ok(())
        });
        fields.add_field_method_get("peer_verify_mode", |_, this| Ok(this.0.verify_mode()));
        fields.add_field_method_set("peer_verify_mode", |_, this, mode: i64| {
            this.0.set_verify_mode(mode)
        });
        fields.add_field_method_get("allowed_next_protocols", |_, this| {
            Ok(this.0.protocols.borrow().clone())
        });
        fields.add_field_method_set("allowed_next_protocols", |_, this, names: Vec<String>| {
            *this.0.protocols.borrow_mut() = names;
            this.0.changed();
            Ok(())
        });
        fields.add_field_method_get("min_version", |_, this| Ok(this.0.min_version.get().number()));
        fields.add_field_method_set("min_version", |_, this, version: String| {
            this.0.min_version.set(version_of(&version)?);
            this.0.changed();
            Ok(())
        });
        fields.add_field_method_get("max_version", |_, this| Ok(this.0.max_version.get().number()));
        fields.add_field_method_set("max_version", |_, this, version: String| {
            this.0.max_version.set(version_of(&version)?);
            this.0.changed();
            Ok(())
        });
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("add_ca_certificate", |_, this, certificate: AnyUserData| {
            let certificate = taken::<SslCertificate>(&certificate, "a SslCertificate")?;
            let der = certificate.0.map_err(|why| {
                mlua::Error::runtime(format!(
                    "the certificate is null, and vouches for nobody: {why}"
                ))
            })?;
            this.0.authorities.borrow_mut().push(der);
            this.0.changed();
            Ok(())
        });
        methods.add_meta_method(MetaMethod::ToString, |_, _, ()| Ok("net.SslConfiguration"));
    }
}

/// A copy of what an object holds.
fn taken<T: Clone + 'static>(object: &AnyUserData, what: &str) -> mlua::Result<T> {
    match object.borrow::<T>() {
        Ok(value) => Ok(value.clone()),
        Err(_) => Err(mlua::Error::runtime(format!("{what} is expected here"))),
    }
}

fn version_of(text: &str) -> mlua::Result<TlsVersion> {
    match text {
        "1.2" => Ok(TlsVersion::V1_2),
        "1.3" => Ok(TlsVersion::V1_3),
        _ => Err(mlua::Error::runtime(format!(
            "\"{}\" is not spoken here: SSL 3, TLS 1.0 and TLS 1.1 can be broken; give \"1.2\" or \"1.3\"",
            text.escape_debug()
        ))),
    }
}

/// `SslConfiguration.new()`.
#[expect(clippy::unnecessary_wraps, reason = "a constructor's signature")]
pub(crate) fn new(_: &Lua, (): ()) -> mlua::Result<SslConfiguration> {
    Ok(SslConfiguration(Rc::default()))
}

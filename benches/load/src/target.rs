//! Whom the load goes to: an address, and the TLS that is spoken there.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::client::{ClientConfig, Resumption, UnbufferedClientConnection};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{RootCertStore, version};

use crate::options::Options;
use crate::session::{Session, wrong};

/// The name in the certificates of the benchmark.
const NAME: &str = "bench.test";

/// Tickets that one store keeps: a server sends two at a time at most.
const TICKETS: usize = 8;

#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
}

impl Target {
    /// # Errors
    ///
    /// When the certificate cannot be read or used.
    pub(crate) fn new(options: &Options) -> io::Result<Self> {
        let address = options.to().map_err(io::Error::other)?;
        let tls = options.ca.as_deref().map(config).transpose()?;
        Ok(Self { address, tls: tls.map(Arc::new) })
    }

    /// The same target for a client that keeps its own tickets and resumes with them.
    pub(crate) fn resuming(&self) -> Self {
        let tls = self.tls.as_deref().map(|config| {
            let mut config = config.clone();
            config.resumption = Resumption::in_memory_sessions(TICKETS);
            Arc::new(config)
        });
        Self { address: self.address, tls }
    }

    /// A new session; `None` where the load is plain.
    pub(crate) fn session(&self) -> io::Result<Option<Session>> {
        let Some(config) = &self.tls else { return Ok(None) };
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        let tls = UnbufferedClientConnection::new(Arc::clone(config), name).map_err(wrong)?;
        Ok(Some(Session::new(tls)))
    }
}

/// TLS 1.3 with AES-128-GCM and X25519 and nothing else, so that every terminator negotiates the
/// same. The certificate is trusted by itself.
fn config(ca: &Path) -> io::Result<ClientConfig> {
    let provider = CryptoProvider {
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        ..aws_lc_rs::default_provider()
    };
    let in_file = |error| io::Error::other(format!("{}: {error}", ca.display()));
    let certificate = CertificateDer::from_pem_file(ca).map_err(|error| in_file(error.to_string()));
    let mut roots = RootCertStore::empty();
    roots.add(certificate?).map_err(wrong)?;
    let builder = ClientConfig::builder_with_provider(Arc::new(provider));
    let builder = builder.with_protocol_versions(&[&version::TLS13]).map_err(wrong)?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

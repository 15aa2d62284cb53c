//! What this machine's kernel can, and peers made of rustls alone.

use std::env;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, LazyLock};

use levada::{Options, Role, SessionName, Socket, TlsClient, TlsServer, TlsVersion};
use levada_sys::kernel_tls::{AttachError, attach};
use levada_testkit::skip::cannot_run;
use levada_tls::Identities;
use tokio::net::TcpStream;
use tokio_rustls::rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{CipherSuite, ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::world::{KNOWN, patient};

pub(crate) const SUITES: [(TlsVersion, CipherSuite); 6] = [
    (TlsVersion::V1_3, CipherSuite::TLS13_AES_128_GCM_SHA256),
    (TlsVersion::V1_3, CipherSuite::TLS13_AES_256_GCM_SHA384),
    (TlsVersion::V1_3, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
    (TlsVersion::V1_2, CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    (TlsVersion::V1_2, CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    (TlsVersion::V1_2, CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
];

pub(crate) const ROLES: [Role; 2] = [Role::Client, Role::Server];

/// The suites of TLS 1.3.
pub(crate) fn suites_of_tls_1_3() -> impl Iterator<Item = CipherSuite> {
    SUITES.into_iter().filter(|(version, _)| *version == TlsVersion::V1_3).map(|(_, suite)| suite)
}

/// Whether `test` can run; it says so if not.
pub(crate) fn has_kernel_tls(test: &str) -> bool {
    static MISSING: LazyLock<Option<String>> = LazyLock::new(|| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let _far = listener.accept().unwrap();
        match attach(&near) {
            Ok(()) => None,
            Err(error @ AttachError::NoKernelTls) => Some(error.to_string()),
            Err(error) => panic!("{error}"),
        }
    });
    let Some(why) = &*MISSING else { return true };
    assert!(!must("LEVADA_KERNEL_TLS"), "{why}");
    cannot_run(test, why);
    false
}

/// Whether the environment says so.
pub(crate) fn must(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| value == "must")
}

/// Options under which the kernel does the records, and no deadline ends a test.
pub(crate) fn options() -> Options {
    let mut options = patient();
    options.kernel_tls = true;
    options
}

pub(crate) fn client() -> TlsClient {
    TlsClient::builder().anchors(KNOWN.anchors()).build().unwrap()
}

pub(crate) fn server() -> TlsServer {
    TlsServer::builder(Identities::one(&KNOWN.identity())).build().unwrap()
}

pub(crate) async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

/// Our socket of this role and its peer of rustls, which speaks one suite; both established.
pub(crate) async fn pair(role: Role, suite: CipherSuite) -> (Socket, TlsStream<TcpStream>) {
    let (near, far) = tcp_pair().await;
    let session = match role {
        Role::Client => client().session(&SessionName::new("localhost").unwrap()).unwrap(),
        Role::Server => server().session(),
    };
    let mut socket = Socket::adopt(near, session, options());
    let (up, theirs) = tokio::join!(socket.established(), theirs(role, suite, far));
    up.unwrap();
    (socket, theirs)
}

/// The peer of an end of this role.
async fn theirs(role: Role, suite: CipherSuite, far: TcpStream) -> TlsStream<TcpStream> {
    let mut provider = default_provider();
    provider.cipher_suites.retain(|known| known.suite() == suite);
    let versions = [provider.cipher_suites[0].version()];
    let provider = Arc::new(provider);
    let certificate = CertificateDer::from_pem_slice(KNOWN.certificate.as_bytes()).unwrap();
    match role {
        Role::Client => {
            let key = PrivateKeyDer::from_pem_slice(KNOWN.key.as_bytes()).unwrap();
            let config = ServerConfig::builder_with_provider(provider);
            let config = config.with_protocol_versions(&versions).unwrap().with_no_client_auth();
            let mut config = config.with_single_cert(vec![certificate], key).unwrap();
            config.ticketer = Ticketer::new().unwrap();
            TlsAcceptor::from(Arc::new(config)).accept(far).await.unwrap().into()
        }
        Role::Server => {
            let mut roots = RootCertStore::empty();
            roots.add(certificate).unwrap();
            let config = ClientConfig::builder_with_provider(provider);
            let config = config.with_protocol_versions(&versions).unwrap();
            let config = config.with_root_certificates(roots).with_no_client_auth();
            let name = ServerName::try_from("localhost").unwrap();
            TlsConnector::from(Arc::new(config)).connect(name, far).await.unwrap().into()
        }
    }
}

//! tokio-rustls as the peer: what holds against a session of ours holds against another end, too.

use std::sync::Arc;

use levada::{Ending, Role, Socket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::world::{KNOWN, Layer, by_kernel, patient, session};

/// Our socket and a stream of tokio-rustls, both established.
async fn pair(layer: Layer, role: Role) -> (Socket, TlsStream<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (near, (far, _)) = (near.unwrap(), far.unwrap());
    let mut socket = Socket::adopt(near, session(layer, role), by_kernel(patient()));
    let provider = Arc::new(default_provider());
    let versions: [&'static SupportedProtocolVersion; 1] =
        [if layer == Layer::Tls12 { &TLS12 } else { &TLS13 }];
    let certificate = CertificateDer::from_pem_slice(KNOWN.certificate.as_bytes()).unwrap();
    let theirs = async {
        match role {
            Role::Client => {
                let key = PrivateKeyDer::from_pem_slice(KNOWN.key.as_bytes()).unwrap();
                let config = ServerConfig::builder_with_provider(provider)
                    .with_protocol_versions(&versions)
                    .unwrap()
                    .with_no_client_auth()
                    .with_single_cert(vec![certificate], key)
                    .unwrap();
                let accepted = TlsAcceptor::from(Arc::new(config)).accept(far).await;
                TlsStream::from(accepted.unwrap())
            }
            Role::Server => {
                let mut roots = RootCertStore::empty();
                roots.add(certificate).unwrap();
                let config = ClientConfig::builder_with_provider(provider)
                    .with_protocol_versions(&versions)
                    .unwrap()
                    .with_root_certificates(roots)
                    .with_no_client_auth();
                let name = ServerName::try_from("localhost").unwrap();
                let connected = TlsConnector::from(Arc::new(config)).connect(name, far).await;
                TlsStream::from(connected.unwrap())
            }
        }
    };
    let (up, theirs) = tokio::join!(socket.established(), theirs);
    up.unwrap();
    (socket, theirs)
}

fn all() -> impl Iterator<Item = (Layer, Role)> {
    Layer::TLS.into_iter().flat_map(|layer| [(layer, Role::Client), (layer, Role::Server)])
}

#[tokio::test]
async fn bytes_and_goodbyes_go_both_ways() {
    for (layer, role) in all() {
        let (mut ours, theirs) = pair(layer, role).await;
        let sent: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
        let echo = async {
            let (mut reader, mut writer) = tokio::io::split(theirs);
            tokio::io::copy(&mut reader, &mut writer).await.unwrap();
            writer.shutdown().await.unwrap();
        };
        let us = async {
            let (mut reader, mut writer) = tokio::io::split(&mut ours);
            let writing = async {
                writer.write_all(&sent).await.unwrap();
                writer.shutdown().await.unwrap();
            };
            let mut got = Vec::new();
            let (read, ()) = tokio::join!(reader.read_to_end(&mut got), writing);
            read.unwrap();
            assert!(got == sent, "{layer:?} {role:?}");
            ours.closed().await
        };
        let (ended, ()) = tokio::join!(us, echo);
        assert_eq!(ended.ending, Ending::Finished, "{layer:?} {role:?}");
    }
}

/// It says goodbye (with a FIN: that is its way), and we write on.
#[tokio::test]
async fn we_write_on_behind_its_goodbye() {
    for (layer, role) in all() {
        let (mut ours, mut theirs) = pair(layer, role).await;
        let them = async {
            theirs.write_all(b"question").await.unwrap();
            theirs.shutdown().await.unwrap();
            let mut answer = Vec::new();
            theirs.read_to_end(&mut answer).await.unwrap();
            assert_eq!(answer, b"answer", "{layer:?} {role:?}");
        };
        let us = async {
            let mut question = Vec::new();
            ours.read_to_end(&mut question).await.unwrap();
            assert_eq!(question, b"question");
            ours.write_all(b"answer").await.unwrap();
            ours.shutdown().await.unwrap();
            ours.closed().await
        };
        let (ended, ()) = tokio::join!(us, them);
        assert_eq!(ended.ending, Ending::Finished, "{layer:?} {role:?}");
    }
}

/// T31: data behind a goodbye that is sealed as it should be, which no session of ours would do.
#[tokio::test]
async fn t31_valid_data_behind_a_goodbye_is_never_delivered() {
    for (layer, role) in all() {
        let (mut ours, mut theirs) = pair(layer, role).await;
        theirs.write_all(b"in time").await.unwrap();
        let late = seal_behind_goodbye(&mut theirs);
        let (io, _) = theirs.get_mut();
        io.write_all(&late).await.unwrap();
        let mut got = Vec::new();
        ours.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"in time", "{layer:?} {role:?}");
        ours.shutdown().await.unwrap();
        assert_eq!(ours.closed().await.ending, Ending::Finished);
    }
}

/// A goodbye and a record of data behind it.
fn seal_behind_goodbye(stream: &mut TlsStream<TcpStream>) -> Vec<u8> {
    use std::io::Write as _;
    let mut wire = Vec::new();
    match stream {
        TlsStream::Client(stream) => {
            let (_, connection) = stream.get_mut();
            connection.send_close_notify();
            connection.writer().write_all(b"too late").unwrap();
            while connection.wants_write() {
                connection.write_tls(&mut wire).unwrap();
            }
        }
        TlsStream::Server(stream) => {
            let (_, connection) = stream.get_mut();
            connection.send_close_notify();
            connection.writer().write_all(b"too late").unwrap();
            while connection.wants_write() {
                connection.write_tls(&mut wire).unwrap();
            }
        }
    }
    // The goodbye is less than 40 bytes in either version.
    assert!(wire.len() > 40);
    wire
}

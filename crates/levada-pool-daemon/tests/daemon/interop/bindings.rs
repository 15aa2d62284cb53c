//! What binds a login to a session of the pool is what the peer binds it to.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;

use levada::{Carrier, ChannelBinding, ExporterError, KeyingMaterial, Options, PoolTls, Socket};

use super::{Calling, Maker};
use crate::support::Daemon;

/// A stream on the pool to GnuTLS, which tells its own bindings, with this priority.
async fn stream(daemon: &Daemon, priority: &str) -> (Socket, super::Program) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let priority = format!("--priority={priority}");
    let calling =
        Calling { name: Some("pool.example"), more: &["--verbose", &priority], identity: None };
    let ca = daemon.folder.path().join("ca.pem");
    let program = calling.run(Maker::GnuTls, listener.local_addr().unwrap().port(), &ca);
    let network = Carrier::from_fd(listener.accept().unwrap().0.into()).unwrap();
    let session = PoolTls::at(daemon.socket()).server();
    let mut stream = Socket::adopt(network, session, Options::default());
    stream.established().await.unwrap();
    (stream, program)
}

fn hexadecimal(keys: &KeyingMaterial) -> String {
    keys.bytes().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[tokio::test]
async fn d5_gnutls_has_the_same_channel_bindings() {
    let daemon = Daemon::start();
    let (stream, mut gnutls) = stream(&daemon, "NORMAL").await;
    let lines = BufReader::new(gnutls.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut theirs = lines.filter_map(|line| Some(line.split_once("': ")?.1.to_lowercase()));
    let bindings = [ChannelBinding::TlsServerEndPoint, ChannelBinding::TlsExporter];
    let mut ours = Vec::new();
    for binding in bindings {
        ours.push(hexadecimal(&stream.channel_binding(binding).await.unwrap()));
    }
    let mut heard = Vec::new();
    while !ours.iter().all(|binding| heard.contains(binding)) {
        heard.push(theirs.next().unwrap_or_else(|| panic!("{ours:?} among {heard:?}")));
    }
}

#[tokio::test]
async fn d5_what_two_sessions_could_have_binds_to_neither() {
    let daemon = Daemon::start();
    let old = "NORMAL:-VERS-ALL:+VERS-TLS1.2:%NO_SESSION_HASH";
    let (stream, _gnutls) = stream(&daemon, old).await;
    let error = stream.channel_binding(ChannelBinding::TlsExporter).await.unwrap_err();
    assert_eq!(error, ExporterError::NotUnique);
    // Keys of other names can still be had, as with TLS in this process.
    stream.export_keying_material("EXPORTER-levada", None, 32).await.unwrap();
    stream.channel_binding(ChannelBinding::TlsServerEndPoint).await.unwrap();
}

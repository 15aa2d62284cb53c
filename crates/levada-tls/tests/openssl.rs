//! Row T26 against an independent peer: the alert that our ending tells is the one that OpenSSL's
//! command line reports to have received. Passed over where there is no `openssl` command.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use levada_core::{AlertDescription, Ending, Fault};
use levada_tls::{
    Anchors, ClientAuth, Engine, Identities, Session, SessionName, TlsClient, TlsServer, TlsVersion,
};
use support::{Authority, HOST, VERSIONS, expired};

/// The command `openssl`; `None` where there is none whose words these tests know.
fn openssl(arguments: &[&str]) -> Option<Command> {
    let version = Command::new("openssl").arg("version").output().ok()?;
    if !version.stdout.starts_with(b"OpenSSL 3") {
        eprintln!("passed over: these tests read the words of OpenSSL 3");
        return None;
    }
    let mut command = Command::new("openssl");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    Some(command)
}

/// What somebody on the way does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Harm {
    /// Alters every piece that comes once the session is established.
    Alters,
    /// Adds more ChangeCipherSpecs behind the peer's first record than anybody needs.
    Floods,
}

/// Drives `session` over `stream` until it has ended or the peer has gone. Once it is established,
/// `established` is called.
fn drive(
    session: &mut Session,
    stream: &mut TcpStream,
    harm: Harm,
    mut established: impl FnMut(),
) -> Option<Ending> {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut wire = Vec::new();
    let (mut was_handshaking, mut floods) = (true, harm == Harm::Floods);
    let (mut buffer, mut plain) = (vec![0; 32 * 1024], vec![0; 32 * 1024]);
    loop {
        while session.wants_write() {
            session.write_wire(stream).ok()?;
        }
        if was_handshaking && !session.is_handshaking() {
            was_handshaking = false;
            established();
        }
        let count = stream.read(&mut buffer).ok().filter(|&count| count > 0)?;
        if !was_handshaking {
            buffer[count - 1] ^= 1;
        }
        wire.extend_from_slice(&buffer[..count]);
        let first = 5 + wire
            .get(3..5)
            .map_or(0, |length| usize::from(length[0]) << 8 | usize::from(length[1]));
        if floods && wire.len() >= first {
            wire.splice(first..first, [20, 3, 3, 0, 1, 1].repeat(4));
            floods = false;
        }
        match session.open(&mut wire, &mut plain) {
            Ok(opened) => drop(wire.drain(..opened.taken)),
            Err(ending) => {
                while session.wants_write() {
                    session.write_wire(stream).ok()?;
                }
                return Some(ending);
            }
        }
    }
}

/// Whether the peer's report has the fatal alert `alert` among what it received. Its number counts:
/// not every name is known to every OpenSSL.
#[track_caller]
fn assert_reported(mut peer: Child, alert: AlertDescription) {
    drop(peer.stdin.take());
    let mut report = String::new();
    peer.stdout.take().unwrap().read_to_string(&mut report).unwrap();
    peer.kill().ok();
    peer.wait().ok();
    let lines: Vec<_> = report.lines().collect();
    let wanted = format!("02 {:02x}", alert.0);
    let reported = lines.windows(2).any(|pair| {
        pair[0].starts_with("<<<") && pair[0].contains("Alert") && pair[1].trim() == wanted
    });
    assert!(reported, "no fatal {alert} came:\n{report}");
}

#[track_caller]
fn assert_alert(ending: Option<&Ending>, alert: AlertDescription) {
    let Some(Ending::FatalError { alert: Some(sent), .. }) = ending else {
        panic!("no alert was sent: {ending:?}")
    };
    assert_eq!(*sent, alert);
}

fn flag(version: TlsVersion) -> &'static str {
    match version {
        TlsVersion::V1_2 => "-tls1_2",
        TlsVersion::V1_3 => "-tls1_3",
    }
}

/// What our server says to OpenSSL's client.
fn serve(
    server: &TlsServer,
    arguments: &[&str],
    harm: Harm,
    alert: AlertDescription,
) -> Option<Ending> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut command = openssl(&["s_client", "-msg", "-connect", &address])?;
    let mut peer = command.args(arguments).spawn().unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let mut session = server.session();
    let ending = drive(&mut session, &mut stream, harm, || {
        peer.stdin.as_mut().unwrap().write_all(b"hello\n").unwrap();
    });
    drop(stream);
    assert_alert(ending.as_ref(), alert);
    assert_reported(peer, alert);
    ending
}

/// What our client says to OpenSSL's server with the certificate and key in `identity`.
fn connect(
    anchors: Anchors,
    identity: &(String, String),
    version: TlsVersion,
    harm: Harm,
    alert: AlertDescription,
) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join(format!("identity-{}-{}-{version}.pem", std::process::id(), alert.0));
    std::fs::write(&file, format!("{}{}", identity.0, identity.1)).unwrap();
    let path = file.to_str().unwrap();
    let arguments = ["s_server", "-accept", "127.0.0.1:0", "-msg", "-naccept", "1", "-cert", path];
    let Some(mut command) = openssl(&arguments) else { return };
    let mut peer = command.spawn().unwrap();
    let mut output = BufReader::new(peer.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("ACCEPT") {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "s_server did not start");
    }
    let address = line.trim().trim_start_matches("ACCEPT ").to_owned();
    // What stands in the reader's buffer is only what came before the connection.
    peer.stdout = Some(output.into_inner());
    std::fs::remove_file(&file).ok();

    let client = TlsClient::builder()
        .anchors(anchors)
        .min_version(version)
        .max_version(version)
        .build()
        .unwrap();
    let mut session = client.session(&SessionName::new(HOST).unwrap()).unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let ending = drive(&mut session, &mut stream, harm, || {});
    drop(stream);
    assert_alert(ending.as_ref(), alert);
    assert_reported(peer, alert);
}

#[test]
fn t26_openssl_server_receives_the_alert_about_its_certificate() {
    let authority = Authority::new("root");
    let good = authority.issue(&[HOST], |_| {});
    for version in VERSIONS {
        let stranger = Authority::new("stranger").anchors();
        connect(stranger, &good, version, Harm::Alters, AlertDescription::UNKNOWN_CA);
        let other = authority.issue(&["other.example"], |_| {});
        connect(
            authority.anchors(),
            &other,
            version,
            Harm::Alters,
            AlertDescription::BAD_CERTIFICATE,
        );
        let old = authority.issue(&[HOST], expired);
        connect(
            authority.anchors(),
            &old,
            version,
            Harm::Alters,
            AlertDescription::CERTIFICATE_EXPIRED,
        );
    }
}

#[test]
fn t26_openssl_client_receives_the_alert_about_what_it_offers() {
    let authority = Authority::new("root");
    let table = Identities::builder().with(&authority.identity(&[HOST])).unwrap().build().unwrap();
    let server = TlsServer::builder(table.clone()).alpn(["mqtt"]).build().unwrap();
    for version in VERSIONS {
        let with = |more: &[&'static str]| [&[flag(version)][..], more].concat();
        serve(
            &server,
            &with(&["-servername", "unknown.example"]),
            Harm::Alters,
            AlertDescription::UNRECOGNIZED_NAME,
        );
        serve(
            &server,
            &with(&["-servername", HOST, "-alpn", "h2"]),
            Harm::Alters,
            AlertDescription::NO_APPLICATION_PROTOCOL,
        );
        let strict = TlsServer::builder(table.clone())
            .client_auth(ClientAuth::Required(authority.anchors()))
            .build()
            .unwrap();
        serve(
            &strict,
            &with(&["-servername", HOST]),
            Harm::Alters,
            AlertDescription::CERTIFICATE_REQUIRED,
        );
    }
    let ending = serve(
        &server,
        &["-tls1_1", "-servername", HOST, "-cipher", "DEFAULT@SECLEVEL=0"],
        Harm::Alters,
        AlertDescription::PROTOCOL_VERSION,
    );
    if let Some(ending) = ending {
        let Ending::FatalError { cause, .. } = ending else { panic!("{ending:?}") };
        assert_eq!(cause, Fault::OldVersion);
    }
}

#[test]
fn t26_openssl_client_receives_alert_20_about_an_altered_record() {
    let authority = Authority::new("root");
    let identities = Identities::one(&authority.identity(&[HOST]));
    let server = TlsServer::builder(identities).build().unwrap();
    for version in VERSIONS {
        let arguments = [flag(version), "-servername", HOST];
        serve(&server, &arguments, Harm::Alters, AlertDescription::BAD_RECORD_MAC);
    }
}

/// The alert about what rustls has none for is ours, under the keys that the session has by then.
#[test]
fn t26_openssl_receives_the_alert_that_we_seal_in_both_roles() {
    let authority = Authority::new("root");
    let identity = authority.issue(&[HOST], |_| {});
    let alert = AlertDescription::UNEXPECTED_MESSAGE;
    connect(authority.anchors(), &identity, TlsVersion::V1_3, Harm::Floods, alert);
    let server = TlsServer::builder(Identities::one(&authority.identity(&[HOST])));
    let arguments = ["-tls1_3", "-servername", HOST];
    serve(&server.build().unwrap(), &arguments, Harm::Floods, alert);
}

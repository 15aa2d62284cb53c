//! Whatever `Debug` shows, no secret is in it: not in decimal, hexadecimal or base64.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use levada_tls::{
    DangerKeyLog, Engine, Identities, Identity, Passphrase, SessionName, TicketKeys, TicketRing,
    TlsClient, TlsServer,
};
use pem::Pem;
use support::Pair;

const CERT: &[u8] = include_bytes!("data/ec-cert.pem");
const KEY: &[u8] = include_bytes!("data/ec-pkcs8.pem");

/// Where the secrets of sessions go.
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The forms in which bytes may be shown.
fn forms(secret: &[u8]) -> [String; 4] {
    let list = format!("{secret:?}");
    let hex = secret.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let pem = Pem::new("X", secret).to_string();
    let base64 = pem.lines().nth(1).unwrap()[..40].to_owned();
    [list[1..40].to_owned(), hex.to_uppercase(), hex, base64]
}

#[test]
fn debug_never_shows_a_secret() {
    let identity = Identity::from_pem(CERT, Some(KEY), None).unwrap();
    assert_eq!(
        format!("{identity:?}"),
        "Identity { names: [\"host.example\", \"*.host.example\"], certificates: 1, .. }"
    );
    let passphrase = Passphrase::new(b"correct-horse".to_vec());
    let ring = TicketRing::generate(SystemTime::now(), Duration::from_secs(3600)).unwrap();
    let keys = TicketKeys::given(ring.clone(), SystemTime::now);
    let log = Arc::new(Mutex::new(Vec::new()));
    let key_log = DangerKeyLog::new(Shared(log.clone()));

    let table = Identities::one(&identity);
    let server = TlsServer::builder(table.clone()).tickets(keys.clone());
    let server = server.danger_key_log(key_log.clone());
    let client = TlsClient::builder().identity(identity.clone()).danger_no_verification();
    let builders = format!("{server:?} {client:?}");
    let (server, client) = (server.build().unwrap(), client.build().unwrap());
    let name = SessionName::new("host.example").unwrap();
    let mut pair = Pair::new(client.session(&name).unwrap(), server.session());
    let fresh = format!("{:?} {:?}", pair.client.session, pair.server.session);
    pair.talk();
    let (ours, theirs) = (&pair.client.session, &pair.server.session);
    let material = ours.export_keying_material("EXPORTER-test", None, 48).unwrap();
    let shown = format!(
        "{passphrase:?} {ring:?} {keys:?} {:?} {key_log:?} {table:?} {builders} {server:?} {client:?} \
         {fresh} {ours:?} {theirs:?} {:?} {:?} {material:?}",
        ring.keys(),
        ours.facts(),
        theirs.facts(),
    );

    let key = rcgen::KeyPair::from_pem(str::from_utf8(KEY).unwrap()).unwrap();
    let mut secrets = vec![key.serialized_der()[36..68].to_vec(), material.bytes().to_vec()];
    secrets.extend(ring.keys().iter().map(|key| key.danger_secret().to_vec()));
    let written = String::from_utf8(log.lock().unwrap().clone()).unwrap();
    let mut words: Vec<_> = secrets.iter().flat_map(|secret| forms(secret)).collect();
    words.extend(written.lines().map(|line| line.rsplit(' ').next().unwrap().to_owned()));
    words.extend(["correct-horse", "PRIVATE KEY"].map(str::to_owned));
    assert!(words.len() > 5 * 4 + 5, "the secrets of the session are among them");
    for word in words {
        assert!(!shown.contains(&word), "{word} is in {shown}");
    }
}

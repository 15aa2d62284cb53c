//! `levada pool import` makes a policy that a pool runs with, tells what it left out, and never writes
//! over anything.

use std::fmt::Write as _;

#[cfg(feature = "pkcs11")]
use levada_testkit::soft_hsm::PIN;

use crate::harness::{Client, Command, Folder, Pki, Pool, Serve, levada};
#[cfg(feature = "pkcs11")]
use crate::harness::{EC, Foreign, Host, Token, connect};

#[test]
fn pem_files_of_a_folder() {
    let pki = Pki::new();
    let from = pki.folder.path().join("from");
    std::fs::create_dir(&from).unwrap();
    let text = std::fs::read_to_string(&pki.localhost).unwrap();
    let (certificate, key) = text.split_at(text.find("-----BEGIN PRIVATE").unwrap());
    std::fs::write(from.join("web.crt"), certificate).unwrap();
    std::fs::write(from.join("web.key"), key).unwrap();
    std::fs::write(from.join("readme"), "x").unwrap();
    let into = pki.folder.path().join("into");
    let words =
        || levada(["pool", "import", "--pem", from.to_str().unwrap(), into.to_str().unwrap()]);
    let imported = words().run(b"");
    let told = String::from_utf8(imported.stdout.clone()).unwrap();
    assert_eq!(imported.code(), 6, "something was left out: {told}{}", imported.stderr);
    assert!(told.contains("taken: web.crt with web.key, as localhost"), "{told}");
    assert!(told.contains("left out: readme: "), "{told}");
    assert!(told.contains("the policy is ready: levada pool --config "), "{told}");
    let again = words().run(b"");
    assert_eq!(again.code(), 1);
    assert!(again.stderr.contains("is there already"), "{}", again.stderr);

    let policy = std::fs::read_to_string(into.join("pool.toml")).unwrap();
    let policy = policy.replace("= \"web", &format!("= \"{}/web", into.display()));
    let pool = Pool::start_with(&pki, &policy);
    let serve = Serve::start(["--listen", &pool.url("127.0.0.1:0"), "--to", "echo:"]);
    let mut client = Client::start(&pki, serve.address(), "-tls1_3", &[]);
    client.write(b"hello\n");
    assert_eq!(client.stdout.line().as_deref(), Some("hello"));
}

/// Berkeley DB's environment of the original: a folder whose configuration says where databases lie.
struct Environment(Folder);

/// How a database with several values for a key keeps them: as they came, or sorted.
const DUPLICATES: [&str; 2] = ["duplicates=1", "duplicates=1\ndupsort=1"];

type Records = [(Vec<u8>, Vec<u8>)];

impl Environment {
    fn new() -> Self {
        let folder = Folder::new();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        folder.write("DB_CONFIG", "set_data_dir data\n");
        Self(folder)
    }

    /// Makes a database by Berkeley DB's own hands.
    fn load(&self, name: &str, duplicates: &str, records: &Records) {
        let header = format!("VERSION=3\nformat=bytevalue\ntype=hash\n{duplicates}\nHEADER=END\n");
        let mut text = header;
        for bytes in records.iter().flat_map(|(key, value)| [key, value]) {
            text.push(' ');
            for byte in bytes {
                write!(text, "{byte:02x}").unwrap();
            }
            text.push('\n');
        }
        text.push_str("DATA=END\n");
        let home = self.0.path().to_str().unwrap();
        let loaded = Command::new("db_load").args(["-h", home, name]).run(text.as_bytes());
        assert_eq!(loaded.code(), 0, "{}", loaded.stderr);
        assert!(self.0.path().join("data").join(name).exists());
    }

    /// A file with what `db_dump` says of a database.
    fn dump(&self, name: &str, words: &[&str]) -> String {
        let home = self.0.path().to_str().unwrap();
        let dumped = Command::new("db_dump").args(["-h", home]).args(words).args([name]).run(b"");
        assert_eq!(dumped.code(), 0, "{}", dumped.stderr);
        self.0.write(&format!("{name}{}.dump", words.join("")), &dumped.stdout)
    }
}

/// A record as the databases have it: flags, a text, and the rest.
#[cfg(feature = "pkcs11")]
fn record(flags: u32, text: &str, rest: &[u8]) -> Vec<u8> {
    [&flags.to_be_bytes()[..], text.as_bytes(), b"\0", rest].concat()
}

#[cfg(feature = "pkcs11")]
fn der(path: &str) -> Vec<u8> {
    pem::parse(std::fs::read(path).unwrap()).unwrap().into_contents()
}

/// Imports these databases into a new folder: the exit code, and what is told.
#[cfg(feature = "pkcs11")]
fn import(token: &Token, environment: &Environment, words: &[&str], into: &str) -> (i32, String) {
    let dump = |name: &str| environment.dump(name, words);
    let (localid, disclose, trust) = (dump("localid.db"), dump("disclose.db"), dump("trust.db"));
    let from = ["--localid", &localid, "--disclose", &disclose, "--trust", &trust];
    let imported = levada(["pool", "import"]).args(from).args([into]);
    let imported = token.reached_by(imported).run(b"");
    (imported.code(), String::from_utf8(imported.stdout).unwrap() + &imported.stderr)
}

/// The names and contents of all files in a folder.
#[cfg(feature = "pkcs11")]
fn files(folder: &str) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let mut files: Vec<_> =
        entries.map(|entry| (entry.file_name(), std::fs::read(entry.path()).unwrap())).collect();
    files.sort();
    files
}

#[cfg(feature = "pkcs11")]
#[test]
fn databases_of_the_original() {
    for duplicates in DUPLICATES {
        let token = Token::new(EC);
        let environment = Environment::new();
        let text = |text: &str| text.as_bytes().to_vec();
        // The original names no module: p11-kit knows those of the machine.
        let identity = record(0x301, "pkcs11:token=site;object=www", &der(&token.cert));
        environment.load(
            "localid.db",
            duplicates,
            &[
                (text("user@localhost"), record(0x104, "", b"")),
                (text("localhost"), identity),
                (text("localhost"), record(0x302, "pkcs11:token=site", b"of OpenPGP")),
            ],
        );
        environment.load(
            "disclose.db",
            duplicates,
            &[(text("."), text("user@localhost")), (text("."), text("localhost"))],
        );
        let authority = record(0x301, "1", &der(&token.pki.ca));
        environment.load(
            "trust.db",
            duplicates,
            &[
                (vec![0, 10, b'\\', 0xff], record(0x801, "1", b"20300101000000Z\0")),
                (vec![0, 10, b'\\', 0xff], authority),
            ],
        );
        let into = ["bytes", "printed"]
            .map(|name| token.pki.folder.path().join(name).to_str().unwrap().to_owned());
        let told = [
            import(&token, &environment, &[], &into[0]),
            import(&token, &environment, &["-p"], &into[1]),
        ];
        let [(code, told), (_, printed)] = &told;
        assert_eq!((*code, printed.replace("printed", "bytes")), (6, told.clone()));
        assert_eq!(files(&into[0]), files(&into[1]), "both forms are the same");
        for line in [
            "taken: local identity localhost\n",
            "left out: local identity localhost: OpenPGP is no part of TLS any more\n",
            "left out: local identity user@localhost: the pool does no Kerberos\n",
            "taken: localhost for \".\"\n",
            "left out: user@localhost for \".\": no such local identity was taken\n",
            "taken: trust in 000a5cff\n",
            "left out: trust in 000a5cff: the pool does not trust whom it has met before\n",
            "the policy is ready: levada pool --config ",
        ] {
            assert!(told.contains(line), "{line}: {told}");
        }

        // A pool runs with that, and is to each what the original was.
        let pool = token.pool_within(&format!("{}/pool.toml", into[0]), &[]);
        let serve = Serve::start(["--listen", &pool.url("127.0.0.1:0"), "--to", "echo:"]);
        let mut person = pool.speaker();
        person.enters_pins();
        let mut visitor = Client::start(&token.pki, serve.address(), "-tls1_3", &[]);
        visitor.write(b"hello\n");
        assert_eq!(person.enters(PIN).label.as_str(), Some("site"));
        assert_eq!(visitor.stdout.line().as_deref(), Some("hello"));
        let host = Host { client_ca: Some(&token.pki.ca), ..Host::default() };
        let host = Foreign::OpenSsl.server(&token.pki, "1.3", host);
        let url = pool.url(format_args!("localhost:{}", host.address.port()));
        let client = connect(&url, [""; 0]).run(b"hello\n");
        assert_eq!(client.stdout, host.answer(), "{}", client.stderr);
    }
}

#[test]
fn what_is_no_dump_is_refused() {
    let environment = Environment::new();
    let into = environment.0.path().join("into").to_str().unwrap().to_owned();
    let refused = |dump: &str| {
        let refused = levada(["pool", "import", "--localid", dump, &into]).run(b"");
        assert_eq!(refused.code(), 1, "{}", refused.stderr);
        refused.stderr
    };
    let wrong = environment.0.write("wrong.dump", "no dump");
    assert!(refused(&wrong).contains("the dump of localid is none: line 1"));
    // Without the environment there is no such database, and of one that is not there nothing is told.
    environment.load("localid.db", DUPLICATES[0], &[]);
    let dumped = Command::new("db_dump").args(["localid.db"]).run(b"");
    let nothing = environment.0.write("nothing.dump", &dumped.stdout);
    assert_ne!(dumped.code(), 0);
    assert!(refused(&nothing).contains("db_dump -h FOLDER FILE"), "{dumped:?}");
    // A database without records is a policy without identities.
    let none = environment.dump("localid.db", &[]);
    let imported = levada(["pool", "import", "--localid", &none, &into]).run(b"");
    assert_eq!(imported.code(), 0, "{}", imported.stderr);
}

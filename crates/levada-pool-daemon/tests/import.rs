//! The import of the original's databases and of folders of PEM files.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/import_invariants.rs"]
mod invariants;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use levada_pool_daemon::{Dumps, Import, ImportError, PolicyFile, PolicySource};
use levada_testkit::Folder;
use levada_testkit::docs::workspace_root;
use proptest::prelude::*;

/// Files of `levada-tls`: `ec-cert.pem` is for `host.example` and `*.host.example`.
fn data(name: &str) -> Vec<u8> {
    fs::read(workspace_root().join("crates/levada-tls/tests/data").join(name)).unwrap()
}

fn der(name: &str) -> Vec<u8> {
    pem::parse(data(name)).unwrap().into_contents()
}

fn dump(records: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut text = "VERSION=3\nformat=bytevalue\ntype=hash\nHEADER=END\n".to_owned();
    for bytes in records.iter().flat_map(|(key, value)| [key.as_bytes(), value]) {
        text.push(' ');
        for byte in bytes {
            write!(text, "{byte:02x}").unwrap();
        }
        text.push('\n');
    }
    (text + "DATA=END\n").into_bytes()
}

/// A record as the databases have it: flags, a text, and the rest.
fn record(flags: u32, text: &str, rest: &[u8]) -> Vec<u8> {
    [&flags.to_be_bytes()[..], text.as_bytes(), b"\0", rest].concat()
}

fn told(import: &Import) -> Vec<String> {
    import.notes().iter().map(ToString::to_string).collect()
}

const URI: &str = "pkcs11:token=mail;object=key";

#[test]
fn c3_local_identities_become_identities_with_their_roles_and_keys() {
    let cert = || der("ec-cert.pem");
    let mut damaged = cert();
    damaged.pop();
    let localid = dump(&[
        ("host.example", record(0x301, URI, &cert())),
        ("u@host.example", record(0x101, URI, &cert())),
        ("server.example", record(0x201, URI, &cert())),
        ("elsewhere.example", record(0x4301, URI, &cert())),
        ("host.example", record(0x201, URI, &cert())),
        ("none.example", record(0x001, URI, &cert())),
        ("nouri.example", [&0x1301_u32.to_be_bytes()[..], &cert()].concat()),
        ("soft.example", record(0x301, "file:/key", &cert())),
        ("cut.example", record(0x301, URI, &damaged)),
        ("empty.example", Vec::new()),
        ("two.example", record(0x301, URI, &[cert(), cert()].concat())),
        ("chain.example", record(0x2301, URI, &[cert(), cert()].concat())),
        ("u@pgp.example", record(0x102, URI, b"x")),
        ("u@srp.example", record(0x103, "", b"")),
        ("u@krb.example", record(0x104, "", b"")),
        ("u@expr.example", record(0x105, "I&", b"")),
        ("u@odd.example", record(0x199, "", b"")),
        ("a b", record(0x301, URI, &cert())),
    ]);
    let import = Import::from_dumps(Dumps { localid: &localid, ..Dumps::default() }).unwrap();
    let told = told(&import);
    for line in [
        "taken: local identity host.example",
        "taken: local identity u@host.example",
        "taken: local identity server.example",
        "taken: local identity elsewhere.example",
        "left out: local identity elsewhere.example: its chain is elsewhere: add the issuers behind the \
         certificate",
        "left out: local identity host.example: another certificate for it was taken already",
        "left out: local identity none.example: it is for no role",
        "left out: local identity nouri.example: it says of no key where that is",
        "left out: local identity soft.example: its key is not on a token of PKCS#11",
        "left out: local identity cut.example: its certificate is cut",
        "left out: local identity empty.example: its record is damaged",
        "left out: local identity two.example: its record has more than its certificate",
        "left out: local identity u@pgp.example: OpenPGP is no part of TLS any more",
        "left out: local identity u@srp.example: the pool does no SRP",
        "left out: local identity u@krb.example: the pool does no Kerberos",
        "left out: local identity u@expr.example: the pool verifies every peer, and reads no \
         expressions",
        "left out: local identity u@odd.example: it is of the unknown type 153",
        "left out: local identity a b: no identity has such a name",
    ] {
        assert!(told.iter().any(|told| told == line), "{line}: {told:#?}");
    }
    assert_eq!(told.len(), 19, "each is told once: {told:#?}");
    let policy = import.policy();
    let identity = "[[identity]]\nname = \"u@host.example\"\ncert = \"u@host.example.pem\"\n\
                    key = \"pkcs11:token=mail;object=key\"\nkey-pass = \"ask\"\n\
                    roles = [\"client\"]\n";
    assert!(policy.contains(identity), "{policy}");
    PolicyFile::parse(policy, Path::new("")).unwrap();
}

#[test]
fn c3_disclosures_become_selectors_in_their_order() {
    let cert = der("ec-cert.pem");
    let client = |name: &'static str| (name, record(0x101, URI, &cert));
    let localid = dump(&[
        client("a@x.example"),
        client("b@x.example"),
        ("s.example", record(0x201, URI, &cert)),
    ]);
    let disclose = dump(&[
        (".partner.example", b"b@x.example".to_vec()),
        (".partner.example", b"a@x.example\0".to_vec()),
        ("@.", b"A@x.example".to_vec()),
        (".", b"a@x.example".to_vec()),
        (".", b"b@x.example".to_vec()),
        (".", b"s.example".to_vec()),
        ("a..b", b"a@x.example".to_vec()),
    ]);
    let dumps = Dumps { localid: &localid, disclose: &disclose, ..Dumps::default() };
    let import = Import::from_dumps(dumps).unwrap();
    let policy = import.policy();
    let places: Vec<_> =
        ["b@x", "a@x", "s.ex"].map(|name| policy.find(&format!("name = \"{name}"))).into();
    assert!(places.is_sorted() && places[0].is_some(), "{policy}");
    assert!(policy.contains("show-to = [\".partner.example\", \"@.\", \".\"]"), "{policy}");
    let told = told(&import);
    for line in [
        r#"taken: b@x.example for ".partner.example""#,
        r#"left out: s.example for ".": that local identity is for servers"#,
        r#"left out: a@x.example for "a..b": no domain, and no end of one"#,
        r#"left out: the order of a@x.example, b@x.example for ".": the order of the policy is the same for all selectors"#,
    ] {
        assert!(told.iter().any(|told| told == line), "{line}: {told:#?}");
    }
}

#[test]
fn c3_authorities_are_trusted_where_nothing_else_is_asked_of_them() {
    let ca = der("crl-ca.pem");
    let trust = dump(&[
        ("\u{1}", record(0x301, "1", &ca)),
        ("\u{2}", record(0x201, "T&I&f", &ca)),
        ("\u{3}", record(0x201, "D", &ca)),
        ("\u{4}", record(0x1201, "1", &ca)),
        ("\u{5}", record(0x401, "1", b"x")),
        ("\u{6}", record(0x801, "1", b"x")),
        ("\u{7}", record(0x202, "1", b"x")),
        ("\u{8}", record(0x001, "1", &ca)),
        ("\u{9}", record(0x201, "1", b"x")),
    ]);
    let import = Import::from_dumps(Dumps { trust: &trust, ..Dumps::default() }).unwrap();
    let told = told(&import);
    let taken = told.iter().filter(|line| line.starts_with("taken")).count();
    assert_eq!(taken, 2, "{told:#?}");
    for line in [
        "left out: trust in 03: it is trusted under the condition \"D\", which the pool cannot check",
        "left out: trust in 04: it is no root: whoever it vouches for sends it along",
        "left out: trust in 05: nobody has signed it: give a revocation list in `crl`",
        "left out: trust in 06: the pool does not trust whom it has met before",
        "left out: trust in 07: it is no authority of X.509",
        "left out: trust in 08: it is for no role",
        "left out: trust in 09: its certificate is damaged",
    ] {
        assert!(told.iter().any(|told| told == line), "{line}: {told:#?}");
    }
    assert_eq!(
        import.policy(),
        "anchors = \"anchors.pem\"\nclient-anchors = \"client-anchors.pem\"\n"
    );
    let folder = Folder::new();
    let policy = import.write(&folder.path().join("new")).unwrap();
    assert_eq!(PolicySource::new(policy).load().unwrap().identities(), 0);
}

#[test]
fn a_folder_of_pem_files_becomes_a_policy_that_loads() {
    let from = Folder::new();
    from.write("both.pem", &[data("rsa-cert.pem"), data("rsa-pkcs1.pem")].concat());
    from.write("ec.crt", &data("ec-cert.pem"));
    from.write("ec.key", &data("ec-pbkdf2.pem"));
    from.write("stray.key", &data("ed25519-pkcs8.pem"));
    from.write("alone.pem", &data("crl-ca.pem"));
    from.write("anchors.pem", &data("crl-ca.pem"));
    from.write("client-crl.pem", "no list");
    from.write("notes.txt", "x");
    from.write("text.pem", "x");
    fs::create_dir(from.path().join("sub.pem")).unwrap();
    let import = Import::from_folder(from.path()).unwrap();
    let told = told(&import).join("\n");
    for line in [
        "taken: anchors.pem",
        "taken: ec.crt with ec.key, as host.example, *.host.example",
        "left out: stray.key: no certificate is for this key",
        "left out: alone.pem: an authority: name it anchors.pem, or client-anchors.pem, if it is to be \
         trusted",
        "left out: client-crl.pem: ",
        "left out: notes.txt: it is no file whose name ends in .pem, .crt, .cer or .key",
        "left out: sub.pem: it is no file",
        "left out: text.pem: it has no certificate",
    ] {
        assert!(told.contains(line), "{line}\n{told}");
    }
    let to = from.path().join("new");
    let policy = import.write(&to).unwrap();
    let loaded =
        PolicySource::new(&policy).load().unwrap_or_else(|error| panic!("{error}\n{told}"));
    assert!(loaded.identities() >= 2, "{told}");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&to), mode(&policy)), (0o700, 0o600));
    let text = fs::read_to_string(&policy).unwrap();
    assert!(text.contains("key-pass = \"ask\""), "{text}");
}

#[test]
fn nothing_is_ever_written_over() {
    let folder = Folder::new();
    let import = Import::from_dumps(Dumps::default()).unwrap();
    folder.write("pool.toml", "mine");
    let error = import.write(folder.path()).unwrap_err();
    assert!(matches!(error, ImportError::Exists { .. }), "{error}");
    assert_eq!(fs::read(folder.path().join("pool.toml")).unwrap(), b"mine");
    // Nor through a link that leads nowhere, and nothing else is written then.
    let trust = dump(&[("a", record(0x301, "1", &der("crl-ca.pem")))]);
    let import = Import::from_dumps(Dumps { trust: &trust, ..Dumps::default() }).unwrap();
    let folder = Folder::new();
    std::os::unix::fs::symlink("/nowhere", folder.path().join("client-anchors.pem")).unwrap();
    assert!(import.write(folder.path()).is_err());
    assert!(!folder.path().join("anchors.pem").exists());
}

#[test]
fn a_dump_that_is_none_is_told_with_its_database_and_line() {
    let dumps = Dumps { disclose: b"VERSION=3\nformat=print\nHEADER=END\nx\n", ..Dumps::default() };
    let Err(error) = Import::from_dumps(dumps) else { panic!("it is no dump") };
    let told = error.to_string();
    assert!(told.starts_with("the dump of disclose is none: line 4: "), "{told}");
}

#[test]
fn the_corpus_of_the_fuzzer_holds() {
    let mut count = 0;
    for entry in fs::read_dir(workspace_root().join("fuzz/corpus/pool_import")).unwrap() {
        invariants::check(&fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 4);
}

proptest! {
    #[test]
    fn chance_is_read_or_refused(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        invariants::check(&text);
    }

    #[test]
    fn any_record_is_taken_or_left_out(
        records in proptest::collection::vec(
            (
                "[a-z@.\"\\\\]{0,12}|\\PC{0,6}",
                any::<u16>(),
                "pkcs11:[a-z\"]{0,4}|[1ITDf&]{0,4}|[a-z@.]{0,8}",
                proptest::option::of(Just(der("crl-ca.pem"))),
            ),
            0..6,
        )
    ) {
        let record = |(key, flags, text, rest): &(String, u16, String, Option<Vec<u8>>)| {
            let rest = rest.as_deref().unwrap_or_default();
            (key.clone(), record(u32::from(*flags), text, rest))
        };
        let records: Vec<_> = records.iter().map(record).collect();
        let records: Vec<_> = records.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        invariants::check(&dump(&records));
    }
}

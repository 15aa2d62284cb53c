//! `levada pool import` makes a policy that a pool runs with, tells what it left out, and never writes
//! over anything.

use std::fmt::Write as _;

use crate::harness::{Client, Pki, Pool, Serve, levada};

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

#[test]
fn databases_of_the_original() {
    let pki = Pki::new();
    let der = pem::parse(std::fs::read(&pki.ca).unwrap()).unwrap().into_contents();
    let value = [&0x201_u32.to_be_bytes()[..], b"1\0", &der].concat();
    let mut dump = "VERSION=3\nformat=bytevalue\ntype=hash\nHEADER=END\n 01\n ".to_owned();
    for byte in value {
        write!(dump, "{byte:02x}").unwrap();
    }
    dump.push_str("\nDATA=END\n");
    let trust = pki.folder.write("trust.dump", &dump);
    let into = pki.folder.path().join("into").to_str().unwrap().to_owned();
    let imported = levada(["pool", "import", "--trust", &trust, &into]).run(b"");
    let told = String::from_utf8(imported.stdout.clone()).unwrap();
    assert_eq!(imported.code(), 0, "{told}{}", imported.stderr);
    let anchors = std::fs::read(format!("{into}/anchors.pem")).unwrap();
    assert_eq!(pem::parse(anchors).unwrap().contents(), der);
    let wrong = pki.folder.write("wrong.dump", "no dump");
    let refused = levada(["pool", "import", "--localid", &wrong, &into]).run(b"");
    assert_eq!(refused.code(), 1);
    assert!(refused.stderr.contains("the dump of localid is none: line 1"), "{}", refused.stderr);
}

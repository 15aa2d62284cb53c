use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::authority::{AUTHORITY, CA};
use super::*;

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("levada-dev-ca-{name}-{}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn open(&self) -> StateDir {
        StateDir::open(self.0.clone()).unwrap()
    }

    fn localhost(&self, now: OffsetDateTime) -> Localhost {
        localhost(&self.open(), now).unwrap()
    }

    fn made(&self, plan: &DevCaPlan, now: OffsetDateTime) -> Result<String, String> {
        make(&self.open(), plan, now).map_err(|error| error.to_string())
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn kept(&self, name: &str) -> Kept {
        Kept::parse(&self.text(name)).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const LOCALHOST: &str = "localhost.pem";

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
}

fn plan(names: &[&str]) -> DevCaPlan {
    DevCaPlan {
        names: names.iter().map(ToString::to_string).collect(),
        client: false,
        folder: None,
        days: 397,
        renew: false,
        danger_any_name: false,
    }
}

#[test]
fn keys_are_private_and_all_is_reused() {
    let folder = Folder::new("reused");
    let first = folder.localhost(now());
    assert_eq!((first.authority_done, first.identity_done), (Done::Made, Done::Made));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.0), 0o700);
    for (file, wanted) in [(AUTHORITY, 0o600), (LOCALHOST, 0o600), (CA, 0o644)] {
        assert_eq!(mode(&folder.0.join(file)), wanted, "{file}");
    }
    let texts = [AUTHORITY, CA, LOCALHOST].map(|name| folder.text(name));
    assert!(!texts[1].contains("PRIVATE"));
    let again = folder.localhost(now() + Duration::days(300));
    assert_eq!((again.authority_done, again.identity_done), (Done::Kept, Done::Kept));
    folder.made(&plan(&["localhost"]), now()).unwrap();
    assert_eq!([AUTHORITY, CA, LOCALHOST].map(|name| folder.text(name)), texts);
}

#[test]
fn an_identity_is_renewed_before_it_expires_and_the_authority_stays() {
    let folder = Folder::new("renewed");
    folder.localhost(now());
    folder.made(&DevCaPlan { client: true, ..plan(&["alice", "alice@app.test"]) }, now()).unwrap();
    let (ca, old) = (folder.text(CA), folder.text(LOCALHOST));
    let then = now() + Duration::days(370);
    let told = folder.made(&plan(&[]), then).unwrap();
    assert_eq!(told.matches("Renewed:").count(), 2, "{told}");
    assert_eq!(folder.text(CA), ca);
    assert_ne!(folder.text(LOCALHOST), old);
    assert_eq!(folder.kept(LOCALHOST).not_after, then - BACKDATED + identity::LONGEST_LIFE);
    let names = folder.kept("client-alice.pem").names();
    assert_eq!(names, [Name::Word("alice".into()), Name::Email("alice@app.test".into())]);
    let told = folder.made(&plan(&[]), then).unwrap();
    assert_eq!(told.matches("Good:").count(), 2, "{told}");
}

#[test]
fn an_authority_too_old_to_vouch_is_replaced_with_its_identities() {
    let folder = Folder::new("replaced");
    folder.localhost(now());
    folder.made(&plan(&["app.test"]), now()).unwrap();
    let ca = folder.text(CA);
    let then = now() + Duration::days(3260);
    let told = folder.made(&plan(&[]), then).unwrap();
    assert!(told.starts_with("Made a NEW CA"), "{told}");
    assert_ne!(folder.text(CA), ca);
    assert_eq!(told.matches("Renewed:").count(), 2, "{told}");
    let done = folder.localhost(then);
    assert_eq!((done.authority_done, done.identity_done), (Done::Kept, Done::Kept));
}

#[test]
fn what_is_damaged_or_missing_is_made_anew_for_localhost() {
    let folder = Folder::new("damaged");
    folder.localhost(now());
    fs::write(folder.0.join(LOCALHOST), "no PEM").unwrap();
    fs::remove_file(folder.0.join(CA)).unwrap();
    let done = folder.localhost(now());
    assert_eq!((done.authority_done, done.identity_done), (Done::Kept, Done::Renewed));
    assert!(folder.text(AUTHORITY).contains(folder.text(CA).trim()));
}

#[test]
fn nothing_of_others_is_written_over_unasked() {
    let folder = Folder::new("others");
    folder.made(&plan(&["app.test", "10.0.0.7"]), now()).unwrap();
    let ours = folder.text("app.test.pem");
    let refused = folder.made(&plan(&["app.test", "b.test"]), now()).unwrap_err();
    assert!(refused.contains("is for app.test, 10.0.0.7, not for b.test"), "{refused}");
    assert!(refused.contains("--renew"), "{refused}");
    assert_eq!(folder.text("app.test.pem"), ours);
    folder.made(&DevCaPlan { renew: true, ..plan(&["app.test", "b.test"]) }, now()).unwrap();
    assert_eq!(folder.kept("app.test.pem").names().len(), 2);

    // Another CA's identity: good, but not ours.
    let other = Folder::new("others-2");
    other.made(&plan(&["app.test"]), now()).unwrap();
    fs::copy(other.0.join("app.test.pem"), folder.0.join("app.test.pem")).unwrap();
    let refused = folder.made(&plan(&["app.test"]), now()).unwrap_err();
    assert!(refused.contains("is no identity of this CA"), "{refused}");
    assert_eq!(folder.text("app.test.pem"), other.text("app.test.pem"));

    fs::write(folder.0.join("site.pem"), "somebody's").unwrap();
    fs::write(folder.0.join(AUTHORITY), [0xff, 0xfe]).unwrap();
    let refused = folder.made(&plan(&[]), now()).unwrap_err();
    assert!(refused.contains("is no development CA that can be read"), "{refused}");
    assert_eq!(fs::read(folder.0.join(AUTHORITY)).unwrap(), [0xff, 0xfe]);
    assert_eq!(folder.text("site.pem"), "somebody's");
}

#[test]
fn it_vouches_for_names_that_belong_to_nobody_alone() {
    let folder = Folder::new("names");
    for name in ["localhost", "a.b.localhost", "*.app.test", "x.home.arpa", "172.31.0.1", "fd00::1"]
    {
        folder.made(&plan(&[name]), now()).unwrap();
    }
    for name in ["example.org", "contest", "test.com", "8.8.8.8", "172.32.0.1", "2001:db8::1", "db"]
    {
        let refused = folder.made(&plan(&[name]), now()).unwrap_err();
        assert!(refused.contains("may belong to somebody"), "{name}: {refused}");
        assert!(refused.contains("--danger-any-name"), "{refused}");
    }
    let danger = DevCaPlan { danger_any_name: true, ..plan(&["example.org"]) };
    let refused = folder.made(&danger, now()).unwrap_err();
    assert!(refused.contains("that cannot be changed"), "{refused}");
    let other = Folder::new("names-2");
    let told = other.made(&danger, now()).unwrap();
    assert!(told.contains("DANGER"), "{told}");
    other.made(&plan(&["example.com"]), now()).unwrap();
}

#[test]
fn what_cannot_be_a_name_is_refused_with_examples() {
    let folder = Folder::new("wrong");
    for (names, client, words) in [
        (&["two words"][..], false, "cannot name a server"),
        (&["app.test:443"], false, "without a port"),
        (&["alice@app.test"], false, "cannot name a server"),
        (&[""], true, "cannot name a client"),
        (&["a\nb"], true, "cannot name a client"),
        (&["alice", "bob"], true, "one plain name"),
    ] {
        let refused = folder.made(&DevCaPlan { client, ..plan(names) }, now()).unwrap_err();
        assert!(refused.contains(words), "{names:?}: {refused}");
    }
}

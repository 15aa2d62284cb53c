//! A pool gives up what it can do without before it hears a client: other programs, other files, other
//! processes, being dumped; and who is not its user does not reach it.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use levada_pool::wire::body::Ping;

use crate::harness::{Pki, Pool};

fn status(pool: &Pool, line: &str) -> String {
    let path = format!("/proc/{}/status", pool.process.id());
    let text = std::fs::read_to_string(path).unwrap();
    let found = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':'));
    found.unwrap_or_default().trim().to_owned()
}

#[test]
fn rights_are_gone_before_the_first_client() {
    let pki = Pki::new();
    let mut pool = Pool::start(&pki);
    assert_eq!(status(&pool, "Seccomp"), "2");
    assert_eq!(status(&pool, "NoNewPrivs"), "1");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", pool.process.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);
    // The kernel gives what belongs to a process that is not dumpable to root.
    let owner = std::fs::metadata(format!("/proc/{}/environ", pool.process.id())).unwrap().uid();
    assert_eq!(owner, 0);
    for right in ["memory locked", "core and debuggers", "files", "calls"] {
        loop {
            let record = pool.next("hardened");
            if record["right"] == right {
                assert!(!record["state"].as_str().unwrap().is_empty());
                break;
            }
        }
    }
    let mode = std::fs::metadata(&pool.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn root_becomes_somebody_else_and_still_serves() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let pki = Pki::new();
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(pki.folder.path(), open).unwrap();
    let pool = Pool::start_as(&pki, "pool.sock", &["--user", "nobody"]);
    assert_ne!(status(&pool, "Uid").split_whitespace().next(), Some("0"));
    assert_eq!(status(&pool, "CapEff"), "0000000000000000");
    let mut speaker = pool.speaker();
    speaker.ask(levada_pool::wire::Message::Ping(Ping::default()), None);
    speaker.hear();
}

//! A pool gives up what it can do without before it hears a client: other programs, other files, other
//! processes, being dumped; and who is not its user does not reach it.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use levada_pool::wire::body::Ping;
use levada_testkit::skip::cannot_run;
use rustix::process::{Resource, getrlimit};

use crate::harness::{Pki, Pool, Server, compile_client};

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

/// What the log says of the pool's memory.
fn told_of_memory(pool: &mut Pool) -> String {
    loop {
        let record = pool.next("hardened");
        if record["right"] == "memory locked" {
            return record["state"].as_str().unwrap().to_owned();
        }
    }
}

/// It has all that it needs, whatever it may lock.
fn serves(pki: &Pki, pool: &Pool) {
    let server = Server::reversing(pki, "-tls1_3");
    let client = pool.client(&compile_client(pki), server.address.port(), "localhost");
    let mut client = client.start();
    client.write(b"hello\n");
    assert_eq!(client.stdout.take(6), b"olleh\n");
}

/// Whether this process could lock as much memory as it likes: without a limit, or with the right to
/// raise it (CAP_SYS_RESOURCE) or not to heed it (CAP_IPC_LOCK).
fn may_lock() -> bool {
    let rights = std::fs::read_to_string("/proc/self/status").unwrap();
    let rights = rights.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap().trim();
    let rights = u64::from_str_radix(rights, 16).unwrap();
    getrlimit(Resource::Memlock).maximum.is_none() || rights & (1 << 14 | 1 << 24) != 0
}

#[test]
fn memory_is_locked_where_no_limit_binds() {
    let test = "memory_is_locked_where_no_limit_binds";
    if !may_lock() {
        return cannot_run(test, "RLIMIT_MEMLOCK binds this process, and it may not raise it");
    }
    let pki = Pki::new();
    let mut pool = Pool::start(&pki);
    assert_eq!(told_of_memory(&mut pool), "all");
    let locked = |pool: &Pool| status(pool, "VmLck").replace(" kB", "").parse::<u64>().unwrap();
    let before = locked(&pool);
    assert!(before > 1000, "{before} KiB");
    serves(&pki, &pool);
    // What it has taken since is locked as well: all that it can write to.
    let data = status(&pool, "VmData").replace(" kB", "").parse::<u64>().unwrap();
    assert!(locked(&pool) >= data, "{} of {data} KiB", locked(&pool));
}

#[test]
fn a_limit_of_locked_memory_is_named() {
    let pki = Pki::new();
    let mut pool = Pool::start_within(&pki, "-l 64");
    let told = told_of_memory(&mut pool);
    assert_eq!(told, "none, the limit is 65536 bytes (raise it: LimitMEMLOCK=infinity)");
    assert_eq!(status(&pool, "VmLck"), "0 kB");
    serves(&pki, &pool);
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

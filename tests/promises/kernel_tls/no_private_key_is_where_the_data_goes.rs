//! The process whose data goes past the pool, or through it, has nothing of the private key that its sessions
//! were made with.

use std::os::unix::fs::FileExt as _;

use crate::harness::{Pki, Pool, Serve, scalar};
use crate::stream::connect_tls;
use crate::way::Way;

#[test]
fn nor_was_while_it_served() {
    let pki = Pki::new();
    let key = scalar(&pki.localhost);
    let pool = Pool::start(&pki);
    for way in Way::EACH {
        let mut serve = Serve::start(["--listen", &way.url(&pool, "127.0.0.1:0"), "--to", "echo:"]);
        let finished = connect_tls(&pki, &serve).run(b"hello");
        assert_eq!((finished.code(), &finished.stdout[..]), (0, &b"hello"[..]));
        way.assert_told(&serve.next("ended")["client"]["facts"]);
        let mut client = connect_tls(&pki, &serve).start();
        client.write(b"hello");
        assert_eq!(client.stdout.take(5), b"hello");
        assert_is_without(serve.process.id(), &key);
    }
}

/// Searches the whole memory of a process for a key, as a debugger would read it.
fn assert_is_without(process: u32, key: &[u8]) {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let memory = std::fs::File::open(format!("/proc/{process}/mem")).unwrap();
    let mut searched = 0;
    for map in maps.lines().filter(|map| map.contains(" rw")) {
        let (range, _) = map.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|at| u64::from_str_radix(at, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        // What was unmapped meanwhile cannot be read.
        if memory.read_exact_at(&mut bytes, start).is_ok() {
            assert!(!bytes.windows(16).any(|window| window == &key[..16]), "{map}");
            searched += bytes.len();
        }
    }
    assert!(searched > 100_000, "{searched}");
}

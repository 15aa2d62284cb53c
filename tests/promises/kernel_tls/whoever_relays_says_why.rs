//! Where data goes through the pool an operator is told why, at both ends of that way: the kernel has no TLS,
//! or the pool's policy does not allow it. Where the address says so, nobody asks.

use levada_testkit::peers::listening_port;
use serde_json::{Value, json};

use crate::harness::{Pki, Pool, Running, levada};
use crate::stream::connect_by_pool;
use crate::way::Way;

/// What is told of two streams, both ends of each on the pool.
struct Told {
    /// The fact of the first, in JSON.
    fact: Value,
    /// What `levada serve` has logged of each in text.
    logged: [String; 2],
    /// What `levada connect -v` has said of the second in text.
    said: String,
    /// What the pool has logged of all.
    by_the_pool: Vec<String>,
}

impl Told {
    #[track_caller]
    fn of(pool: Pool, way: Way) -> Self {
        let listen = way.url(&pool, "127.0.0.1:0");
        let mut serve = levada(["serve", "--listen", &listen, "--to", "echo:"]).start();
        let port = loop {
            if let Some(port) = listening_port(serve.id()) {
                break port;
            }
        };
        let address = way.url(&pool, format_args!("127.0.0.1:{port}"));
        let first = connect_by_pool(&address).run(b"hello");
        assert_eq!((first.code(), &first.stdout[..]), (0, &b"hello"[..]), "{}", first.stderr);
        let fact = first.ended()["facts"]["kernel_tls"].take();
        let words = ["connect", &address, "--name", "localhost", "-v"];
        let second = levada(words).run(b"hello");
        assert_eq!((second.code(), &second.stdout[..]), (0, &b"hello"[..]), "{}", second.stderr);
        let logged = [ended(&mut serve), ended(&mut serve)];
        drop(serve);
        Self { fact, logged, said: second.stderr, by_the_pool: pool.stop() }
    }

    /// Holds what both ends tell to this code and these words.
    #[track_caller]
    fn assert_is(&self, code: &str, words: &str) {
        for line in &self.logged {
            assert!(line.contains(&format!(" kernel_tls={code} ")), "{line}");
        }
        let said = format!("levada: records of TLS {words}");
        assert!(self.said.lines().any(|line| line == said), "{}", self.said);
    }

    /// How often the pool tells this of a session.
    fn count(&self, what: &str) -> usize {
        self.by_the_pool.iter().filter(|line| line.contains(what)).count()
    }
}

/// The next line of a log in text about an end.
#[track_caller]
fn ended(serve: &mut Running) -> String {
    loop {
        let line = serve.stderr.line().expect("it tells of an end");
        if line.contains(" ended ") {
            return line;
        }
    }
}

#[test]
fn of_the_kernel() {
    let pki = Pki::new();
    let told = Told::of(Pool::start(&pki), Way::Kernel);
    if Way::Kernel.is_past_the_pool() {
        let rekeys = told.fact["armed"]["rekeys"].as_bool().unwrap();
        let words = "by the kernel, which cannot go on with new keys";
        told.assert_is("armed", if rekeys { "by the kernel" } else { words });
        assert_eq!(told.count(", handed back under kernel TLS"), 4, "{:?}", told.by_the_pool);
    } else {
        assert_eq!(told.fact, json!({ "declined": "unsupported" }));
        let words =
            "not by the kernel: this kernel has no TLS: load its module `tls`, if it has one";
        told.assert_is("unsupported", words);
        assert_eq!(told.count("handed back"), 0, "nobody asks in vain: {:?}", told.by_the_pool);
    }
}

#[test]
fn of_the_policy() {
    let pki = Pki::new();
    let file = Pool::policy(&pki);
    let policy = format!("kernel-tls = false\n{}", std::fs::read_to_string(file).unwrap());
    let told = Told::of(Pool::start_with(&pki, &policy), Way::Kernel);
    if Way::Kernel.is_past_the_pool() {
        assert_eq!(told.fact, json!({ "declined": "forbidden" }));
        let words = "the pool's policy does not allow it";
        told.assert_is("forbidden", &format!("not by the kernel: {words}"));
        let words = format!(", not handed back: {words}");
        assert_eq!(told.count(&words), 4, "{:?}", told.by_the_pool);
    } else {
        // That stands in the way first.
        assert_eq!(told.fact, json!({ "declined": "unsupported" }));
    }
}

#[test]
fn of_the_address() {
    let pki = Pki::new();
    let told = Told::of(Pool::start(&pki), Way::Relay);
    assert_eq!(told.fact, Value::Null);
    assert!(!told.logged.concat().contains("kernel_tls"), "{:?}", told.logged);
    assert!(!told.said.contains("kernel"), "{}", told.said);
    assert_eq!(told.count("handed back"), 0, "{:?}", told.by_the_pool);
    assert_eq!(told.count(" protected: "), 4, "{:?}", told.by_the_pool);
}

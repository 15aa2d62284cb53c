//! Under kernel TLS the pool is not on the way of the data. It says so, and when it is killed (SIGKILL) in the
//! middle of a stream the bytes go on both ways, and the stream ends in order.

use std::io::{Read as _, Write as _};

use levada_testkit::skip::kernel_tls;
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Backend, Caller, Foreign, Host, Pki, Pool, Serve, assert_same, digits};
use crate::stream::connect_by_pool;
use crate::way::Way;

const MUCH: usize = 200_000;

/// A client and a server of ours at once, with this program at the other end of each.
#[track_caller]
fn outlive_the_pool(foreign: Foreign, version: &str) {
    let (pki, backend) = (Pki::new(), Backend::new());
    let mut pool = Pool::start(&pki);
    let mut serve =
        Serve::start(["--listen", &Way::Kernel.url(&pool, "127.0.0.1:0"), "--to", &backend.url()]);
    let mut visitor = foreign.client(&pki, serve.address(), version, Caller::default()).running;
    let mut behind = backend.accept();
    let mut question = vec![0; MUCH];
    visitor.write(&digits(MUCH)[..1000]);
    behind.read_exact(&mut question[..1000]).unwrap();

    let host = foreign.server(&pki, version, Host::default());
    let mut client = connect_by_pool(&Way::Kernel.url(&pool, host.address)).start();
    client.write(b"hello\n");
    assert_eq!(client.stdout.take(6), host.answer());

    let listed = pool.sessions();
    let is_past_it = |session: &&Value| {
        session["stage"] == "handed-back"
            && session["read"].is_null()
            && session["written"].is_null()
    };
    assert_eq!(listed.iter().filter(is_past_it).count(), 2, "{listed:?}");
    for _ in &listed {
        pool.hear("handed back under kernel TLS");
    }
    pool.process.signal(Signal::KILL);
    pool.process.join();

    let sending = visitor.feed(digits(MUCH)[1000..].to_vec());
    behind.write_all(&digits(MUCH)).unwrap();
    behind.read_exact(&mut question[1000..]).unwrap();
    assert_same(&question, &digits(MUCH));
    assert_same(&visitor.stdout.take(MUCH), &digits(MUCH));
    // The end of its input: it says goodbye.
    drop(sending.join().unwrap());
    assert_eq!(behind.read(&mut [0]).unwrap(), 0);
    drop(behind);
    assert_eq!(visitor.wait().code(), 0);
    let ended = serve.next("ended")["client"].take();
    assert_eq!(ended["code"], "finished", "{ended}");
    Way::Kernel.assert_told(&ended["facts"]);

    client.write(&b"hello\n".repeat(1000));
    assert_same(&client.stdout.take(6000), &host.answer().repeat(1000));
    let client = client.finish();
    assert_eq!((client.code(), client.ending().as_str()), (0, "finished"), "{}", client.stderr);
    Way::Kernel.assert_told(&client.ended()["facts"]);
}

#[test]
fn to_openssl() {
    if kernel_tls("the_pool_leaves_the_data_path::to_openssl") {
        outlive_the_pool(Foreign::OpenSsl, "1.2");
        outlive_the_pool(Foreign::OpenSsl, "1.3");
    }
}

#[test]
fn to_gnutls() {
    if kernel_tls("the_pool_leaves_the_data_path::to_gnutls") {
        outlive_the_pool(Foreign::GnuTls, "1.2");
        outlive_the_pool(Foreign::GnuTls, "1.3");
    }
}

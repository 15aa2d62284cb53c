//! What has to be there before anything is measured: the peers, our own programs, certificates.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::bench::place::Key;
use crate::bench::work_folder;
use crate::peers::{self, Peer};
use crate::steps::{cargo, run};

const PEERS: &[Peer] = &[
    Peer { program: "nginx", package: "nginx", purpose: "a peer to measure" },
    Peer {
        program: "/usr/lib/nginx/modules/ngx_stream_module.so",
        package: "libnginx-mod-stream",
        purpose: "nginx' module for streams",
    },
    Peer { program: "haproxy", package: "haproxy", purpose: "a peer to measure" },
    Peer { program: "stunnel", package: "stunnel4", purpose: "a peer to measure" },
    Peer { program: "hitch", package: "hitch", purpose: "a peer to measure" },
    Peer { program: "go", package: "golang-go", purpose: "builds a peer to measure" },
    Peer { program: "openssl", package: "openssl", purpose: "makes the certificates" },
    Peer { program: "ip", package: "iproute2", purpose: "sets up the network namespace" },
    Peer { program: "unshare", package: "util-linux", purpose: "makes the network namespace" },
];

pub(crate) fn install() -> Result<(), String> {
    peers::ensure_each(PEERS)
}

/// Builds what is measured and what measures, in release mode.
pub(crate) fn build(target: &Path) -> Result<(), String> {
    let work = work_folder(target);
    fs::create_dir_all(&work).map_err(|error| format!("{}: {error}", work.display()))?;
    run(&mut cargo(["build", "--release", "--locked", "--package", "levada-load"]))?;
    // Apart, so that neither gets features for the sake of the other.
    if Path::new("crates/levada-cli").exists() {
        let build = ["build", "--release", "--locked", "--package", "levada-cli"];
        run(&mut cargo(build))?;
    }
    let mut go = Command::new("go");
    go.args(["build", "-o"]).arg(work.join("go-relay")).arg("benches/peers/relay.go");
    run(go.env("GO111MODULE", "off").env("GOCACHE", work.join("go-cache")))?;
    for key in Key::ALL {
        certificate(&work, key)?;
    }
    Ok(())
}

/// A certificate that vouches for itself, made once.
fn certificate(work: &Path, key: Key) -> Result<(), String> {
    let file = |end: &str| work.join(format!("{}.{end}", key.name()));
    let (certificate, private, bundle) = (file("crt"), file("key"), file("pem"));
    if bundle.exists() {
        return Ok(());
    }
    let algorithm: &[&str] = match key {
        Key::EcdsaP256 => &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
        Key::Rsa2048 => &["-newkey", "rsa:2048"],
    };
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-nodes", "-days", "3650", "-subj", "/CN=bench.test"]);
    openssl.args(["-addext", "subjectAltName=DNS:bench.test"]);
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    openssl.args(algorithm).arg("-keyout").arg(&private).arg("-out").arg(&certificate);
    run(&mut openssl)?;
    let read = |path| fs::read(path).map_err(|error| format!("{}: {error}", work.display()));
    let both = [read(&certificate)?, read(&private)?].concat();
    fs::write(&bundle, both).map_err(|error| format!("{}: {error}", bundle.display()))
}

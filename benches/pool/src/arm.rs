//! What is measured: the processes of one way to do TLS.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::Value;

/// How TLS is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// In the process that serves.
    InProcess,
    /// In a pool's process.
    Pool,
}

/// An identity for localhost, who vouches for it, and the command.
pub(crate) struct Files {
    levada: String,
    folder: PathBuf,
    pub(crate) ca: String,
}

impl Files {
    pub(crate) fn new(levada: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("levada-pool-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::OrganizationName, "the authority");
        let key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        write("localhost.pem", &format!("{}{}", certificate.pem(), key.serialize_pem()));
        write("anchors.pem", &ca);
        Self { levada: levada.to_owned(), folder, ca }
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    fn start(&self, words: &[&str], event: &str) -> (Child, Value) {
        let mut child = Command::new(&self.levada)
            .args(words)
            .args(["--log", "json"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let begun = lines.find_map(|line| {
            let record: Value = serde_json::from_str(&line).ok()?;
            (record["event"] == event).then_some(record)
        });
        // Nobody who writes is to wait.
        std::thread::spawn(move || lines.for_each(drop));
        (child, begun.unwrap_or_else(|| panic!("{words:?} does not start")))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The processes that run.
pub(crate) struct Arm {
    /// The one that does TLS, and then the one behind it.
    processes: Vec<Child>,
    pub(crate) address: SocketAddr,
    pub(crate) ca: String,
}

impl Arm {
    /// Starts them in front of `backend`.
    pub(crate) fn start(files: &Files, kind: Kind, backend: SocketAddr) -> Self {
        let (to, socket) = (format!("tcp://{backend}"), files.path("socket"));
        let mut processes = Vec::new();
        let listen = match kind {
            Kind::InProcess => format!("tls://127.0.0.1:0?cert={}", files.path("localhost.pem")),
            Kind::Pool => {
                let folder = files.folder.to_str().unwrap();
                let words = ["pool", "--config", folder, "--socket", &socket];
                processes.push(files.start(&words, "pool_listening").0);
                // What is measured is the relay, whatever the kernel can.
                format!("pool+tls://127.0.0.1:0?pool={socket}&kernel-tls=off")
            }
        };
        let (serve, begun) = files.start(&["serve", "--listen", &listen, "--to", &to], "listening");
        processes.push(serve);
        let address = begun["on"].as_str().unwrap().split_once("://").unwrap().1.parse().unwrap();
        Self { processes, address, ca: files.ca.clone() }
    }

    /// The CPU seconds of each process so far.
    pub(crate) fn cpu(&self) -> Vec<f64> {
        let seconds = |child: &Child| {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
            // Behind the name, which may hold anything.
            let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
            let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
            ticks as f64 / rustix::param::clock_ticks_per_second() as f64
        };
        self.processes.iter().map(seconds).collect()
    }
}

impl Drop for Arm {
    fn drop(&mut self) {
        for child in &mut self.processes {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

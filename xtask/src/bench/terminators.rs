//! The terminators that are compared, each in its best documented configuration: one worker, TLS 1.3
//! with AES-128-GCM and X25519, large buffers where it has a setting for them, no log per connection.

use std::path::{Path, PathBuf};

use crate::bench::place::Place;

pub(crate) struct Terminator {
    pub(crate) name: &'static str,
    /// What is worth knowing about how it is set up.
    pub(crate) setup: &'static str,
    /// The program below `target` that has to be there; `None` for what the system's packages give.
    pub(crate) built: Option<&'static str>,
    /// The words that make it tell its version; `None` for what is built from this repository.
    pub(crate) version: Option<&'static [&'static str]>,
    /// Its configuration, if it reads one from a file.
    pub(crate) config: Option<fn(&Place) -> String>,
    pub(crate) command: fn(&Place) -> Vec<String>,
}

/// The one whose peers the others are.
pub(crate) const OURS: &str = "levada";

/// The relay without TLS, half of the limit.
pub(crate) const RELAY: &str = "plain relay";

pub(crate) const ALL: &[Terminator] = &[
    Terminator {
        name: OURS,
        setup: "`--max-handshakes 8192`, for the load of 5,000 at a time",
        built: Some("release/levada"),
        version: None,
        config: None,
        command: |place| {
            let Place { port, backend, certificate, key, .. } = place;
            let (certificate, key) = (certificate.display(), key.display());
            words(&[
                &place.program.display().to_string(),
                "serve",
                "--listen",
                &format!("tls://127.0.0.1:{port}?cert={certificate}&key={key}"),
                "--to",
                &format!("tcp://127.0.0.1:{backend}"),
                "--max-handshakes",
                "8192",
            ])
        },
    },
    Terminator {
        name: "nginx",
        setup: "stream module, `proxy_buffer_size 256k`",
        built: None,
        version: Some(&["nginx", "-v"]),
        config: Some(nginx),
        command: |place| words(&["nginx", "-c", &config_file(place), "-e", "stderr"]),
    },
    Terminator {
        name: "haproxy",
        setup: "TCP mode, `tune.bufsize 131072`",
        built: None,
        version: Some(&["haproxy", "-v"]),
        config: Some(haproxy),
        command: |place| words(&["haproxy", "-db", "-f", &config_file(place)]),
    },
    Terminator {
        name: "stunnel",
        setup: "as it comes, with TCP_NODELAY and no log per connection",
        built: None,
        version: Some(&["stunnel", "-version"]),
        config: Some(stunnel),
        command: |place| words(&["stunnel", &config_file(place)]),
    },
    Terminator {
        name: "hitch",
        setup: "as it comes, with a backlog of 4096",
        built: None,
        version: Some(&["hitch", "--version"]),
        config: Some(hitch),
        command: |place| words(&["hitch", &format!("--config={}", config_file(place))]),
    },
    Terminator {
        name: "go",
        setup: "`benches/peers/relay.go`: crypto/tls and io.Copy",
        built: Some("bench/go-relay"),
        version: Some(&["go", "version"]),
        config: None,
        command: |place| {
            let Place { port, backend, certificate, key, .. } = place;
            words(&[
                &place.program.display().to_string(),
                &format!("127.0.0.1:{port}"),
                &format!("127.0.0.1:{backend}"),
                &certificate.display().to_string(),
                &key.display().to_string(),
            ])
        },
    },
    Terminator {
        name: RELAY,
        setup: "`levada-load relay`: 256 KiB buffers, no TLS",
        built: Some("release/levada-load"),
        version: None,
        config: None,
        command: |place| {
            words(&[
                &place.program.display().to_string(),
                "relay",
                "--listen",
                &format!("127.0.0.1:{}", place.port),
                "--to",
                &format!("127.0.0.1:{}", place.backend),
            ])
        },
    },
];

impl Terminator {
    /// Whether there is a TLS session to speak of.
    pub(crate) fn is_tls(&self) -> bool {
        self.name != RELAY
    }

    /// Whether `levada` is measured against it.
    pub(crate) fn is_peer(&self) -> bool {
        self.name != OURS && self.name != RELAY
    }

    /// Its program below `target`, if it is built here; an error names the one that is missing.
    pub(crate) fn program(&self, target: &Path) -> Result<PathBuf, PathBuf> {
        match self.built {
            None => Ok(PathBuf::new()),
            Some(path) => {
                let program = target.join(path);
                if program.is_file() { Ok(program) } else { Err(program) }
            }
        }
    }
}

pub(crate) fn named(name: &str) -> Option<&'static Terminator> {
    ALL.iter().find(|terminator| terminator.name == name)
}

pub(crate) fn config_file(place: &Place) -> String {
    place.folder.join("conf").display().to_string()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn nginx(place: &Place) -> String {
    let Place { folder, port, backend, certificate, key, .. } = place;
    let (folder, certificate, key) = (folder.display(), certificate.display(), key.display());
    format!(
        "\
load_module modules/ngx_stream_module.so;
user root;
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/pid;
error_log stderr error;
events {{
    worker_connections 16384;
}}
stream {{
    server {{
        listen 127.0.0.1:{port} ssl backlog=4096;
        proxy_pass 127.0.0.1:{backend};
        proxy_buffer_size 256k;
        proxy_timeout 1h;
        tcp_nodelay on;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.3;
        ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
        ssl_ecdh_curve X25519;
        ssl_session_tickets on;
    }}
}}
"
    )
}

fn haproxy(place: &Place) -> String {
    let Place { port, backend, bundle, .. } = place;
    let bundle = bundle.display();
    format!(
        "\
global
    nbthread 1
    maxconn 8000
    tune.bufsize 131072
    ssl-default-bind-options ssl-min-ver TLSv1.3
    ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
defaults
    mode tcp
    timeout connect 10s
    timeout client 1h
    timeout server 1h
listen bench
    bind 127.0.0.1:{port} ssl crt {bundle} curves X25519 backlog 4096
    server backend 127.0.0.1:{backend}
"
    )
}

fn stunnel(place: &Place) -> String {
    let Place { port, backend, certificate, key, .. } = place;
    let (certificate, key) = (certificate.display(), key.display());
    format!(
        "\
foreground = yes
pid =
debug = warning
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
[bench]
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{backend}
cert = {certificate}
key = {key}
sslVersion = TLSv1.3
ciphersuites = TLS_AES_128_GCM_SHA256
curves = X25519
"
    )
}

fn hitch(place: &Place) -> String {
    let Place { port, backend, bundle, .. } = place;
    let bundle = bundle.display();
    format!(
        "\
frontend = \"[127.0.0.1]:{port}\"
backend = \"[127.0.0.1]:{backend}\"
pem-file = \"{bundle}\"
workers = 1
backlog = 4096
daemon = off
log-level = 0
user = \"_hitch\"
tls-protos = TLSv1.3
ciphersuites = \"TLS_AES_128_GCM_SHA256\"
ecdh-curve = \"X25519\"
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        let path = PathBuf::from;
        Place {
            folder: path("/w/x"),
            port: 4001,
            backend: 4000,
            program: path("/t/program"),
            certificate: path("/w/a.crt"),
            key: path("/w/a.key"),
            bundle: path("/w/a.pem"),
        }
    }

    /// What of the place each terminator has to be told, in its configuration or its command.
    fn told(terminator: &Terminator) -> String {
        let config = terminator.config.map(|config| config(&place())).unwrap_or_default();
        format!("{config}\n{}", (terminator.command)(&place()).join(" "))
    }

    #[test]
    fn each_is_told_where_to_listen_and_where_to_go() {
        for terminator in ALL {
            let told = told(terminator);
            assert!(told.contains(":4001"), "{}: {told}", terminator.name);
            assert!(told.contains(":4000"), "{}: {told}", terminator.name);
        }
    }

    #[test]
    fn each_tls_terminator_gets_the_same_certificate() {
        for terminator in ALL.iter().filter(|terminator| terminator.is_tls()) {
            let told = told(terminator);
            let has_pair = told.contains("/w/a.crt") && told.contains("/w/a.key");
            assert!(has_pair || told.contains("/w/a.pem"), "{}: {told}", terminator.name);
        }
    }

    #[test]
    fn each_configuration_fixes_one_worker_and_one_suite() {
        for terminator in ALL {
            let Some(config) = terminator.config else { continue };
            let config = config(&place());
            assert!(config.contains("TLS_AES_128_GCM_SHA256"), "{}", terminator.name);
            assert!(config.contains("TLSv1.3"), "{}", terminator.name);
            assert!(config.contains("X25519"), "{}", terminator.name);
            assert!(
                (terminator.command)(&place()).iter().any(|word| word.contains("/w/x/conf")),
                "{} reads its configuration",
                terminator.name
            );
        }
    }

    #[test]
    fn levada_is_called_as_operators_call_it() {
        let command = (named(OURS).unwrap().command)(&place()).join(" ");
        assert_eq!(
            command,
            "/t/program serve --listen tls://127.0.0.1:4001?cert=/w/a.crt&key=/w/a.key \
             --to tcp://127.0.0.1:4000 --max-handshakes 8192"
        );
    }
}

//! nginx, with a configuration of its own: what is uploaded to it, it keeps and hands out again, or it
//! hands requests on.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::process::Signal;

use super::command::{Command, Running};
use super::{Folder, Pki};

/// A web server that runs.
#[derive(Debug)]
pub(crate) struct Nginx {
    process: Running,
    folder: Folder,
    pub(crate) address: SocketAddr,
}

impl Nginx {
    /// One that keeps what is uploaded, under TLS if it has an identity.
    pub(crate) fn start(identity: Option<&Pki>) -> Self {
        // A client who goes first gets no close_notify from nginx, which is no clean end: nginx itself
        // goes first where it keeps no connection alive.
        Self::that(identity, "client_max_body_size 0; dav_methods PUT; keepalive_timeout 0;")
    }

    /// One that hands WebSockets on to this server.
    pub(crate) fn before(upstream: SocketAddr, identity: Option<&Pki>) -> Self {
        let fields = "proxy_set_header Upgrade $http_upgrade;
                      proxy_set_header Connection \"upgrade\";
                      proxy_set_header Host $host;";
        Self::handing_on(upstream, identity, fields)
    }

    /// One that hands requests on to this server, with these fields.
    pub(crate) fn handing_on(upstream: SocketAddr, identity: Option<&Pki>, fields: &str) -> Self {
        let location = format!(
            "location / {{ proxy_pass http://{upstream}; proxy_http_version 1.1; {fields} }}"
        );
        Self::that(identity, &location)
    }

    /// One that does this.
    fn that(identity: Option<&Pki>, what: &str) -> Self {
        let folder = Folder::new();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let at = folder.path().to_str().unwrap();
        let tls = identity.map_or_else(String::new, |pki| {
            format!("ssl_certificate {0}; ssl_certificate_key {0};", pki.localhost)
        });
        let ssl = if identity.is_some() { " ssl" } else { "" };
        let scratch: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|user| format!("{user}_temp_path {at}/{user};"))
            .concat();
        let configuration = format!(
            "daemon off; worker_processes 1; user root;
             pid {at}/pid; error_log stderr;
             events {{ worker_connections 64; }}
             http {{
                 access_log off; {scratch}
                 server {{
                     listen {address}{ssl}; {tls}
                     root {at}; {what}
                 }}
             }}\n"
        );
        let file = folder.write("nginx.conf", &configuration);
        // The user is that of a root's worker, who must own the folder; others stay who they are.
        // It takes over a listener whose number it finds in this variable, as it does in an upgrade:
        // so the system chooses the port, nobody can take it in between, and clients may come at once.
        let process = Command::new("nginx")
            .args(["-p", at, "-c", &file, "-e", "stderr"])
            .env("NGINX", "0;")
            .stdin(OwnedFd::from(listener))
            .start();
        Self { process, folder, address }
    }

    /// The file that holds what was uploaded by this name.
    pub(crate) fn stored(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its worker ends with it, unless it is killed.
        self.process.signal(Signal::TERM);
        self.process.join();
    }
}

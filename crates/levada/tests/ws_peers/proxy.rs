//! nginx between a client and a server of ours.

use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use levada::Party;
use levada_testkit::Folder;
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpListener;

use crate::{ask, closed, serve};

/// nginx as a proxy, with a folder of its own; both go with the test.
struct Proxy {
    child: Child,
    _folder: Folder,
    address: SocketAddr,
}

impl Proxy {
    fn to(upstream: SocketAddr) -> Self {
        let folder = Folder::new();
        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let at = folder.path().display();
        let scratch = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|user| format!("{user}_temp_path {at}/{user};"))
            .concat();
        let configuration = format!(
            "daemon off; worker_processes 1; user root; pid {at}/pid; error_log stderr;
             events {{ worker_connections 64; }}
             http {{
                 access_log off; {scratch}
                 server {{
                     listen {address};
                     location / {{
                         proxy_pass http://{upstream};
                         proxy_http_version 1.1;
                         proxy_set_header Upgrade $http_upgrade;
                         proxy_set_header Connection \"upgrade\";
                         proxy_set_header Host $host;
                     }}
                 }}
             }}\n"
        );
        let file = folder.write("nginx.conf", &configuration);
        // It takes over a listener whose number this variable names, as it does in an upgrade.
        let child = Command::new("nginx")
            .args(["-e", "stderr", "-p"])
            .arg(folder.path())
            .arg("-c")
            .arg(&file)
            .env("NGINX", "0;")
            .stdin(OwnedFd::from(listener))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, _folder: folder, address }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Its worker ends with it, unless it is killed.
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

/// B1, C1, C2, C6: the whole of it goes through, closes and their reasons too.
#[tokio::test]
async fn nginx_may_stand_in_between() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::to(listener.local_addr().unwrap());
    tokio::join!(serve(listener), ask(proxy.address, closed(4002, "für heute genug", Party::Peer)));
}

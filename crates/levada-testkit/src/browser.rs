//! A browser without a window, and a site with one page that it looks at.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use std::{env, fs, io, process, thread};

use rustix::process::{Pid, Signal, kill_process_group};

/// Chromium with a profile of its own; both go with the test.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    profile: PathBuf,
}

impl Browser {
    /// Opens the page at `url`, in a browser that has these flags beside those that it needs.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn open(url: &str, flags: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let profile = env::temp_dir().join(format!("levada-browser-{}-{number}", process::id()));
        fs::create_dir(&profile).expect("the profile has a folder");
        let child = Command::new("chromium-headless-shell")
            .args(["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update"])
            .arg("--disable-sync")
            // Without it the page is left as soon as it is loaded.
            .arg("--remote-debugging-port=0")
            .arg(format!("--user-data-dir={}", profile.display()))
            .args(flags)
            .arg(url)
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromium-headless-shell is installed");
        Self { child, profile }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its processes are a group.
        if let Some(group) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.profile);
    }
}

/// A site with one page, at every query of `/`, that posts to `/said` what it has to say.
#[derive(Debug)]
pub struct Site {
    /// Where it is.
    pub address: SocketAddr,
    said: Receiver<String>,
}

impl Site {
    /// Serves the page.
    ///
    /// # Panics
    ///
    /// When the system does not let it listen.
    pub fn new(page: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        let (say, said) = channel();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let say = say.clone();
                // A browser opens more connections than it uses.
                thread::spawn(move || answer(&client, page, &say));
            }
        });
        Self { address, said }
    }

    /// What the page has to say, once it does.
    ///
    /// # Panics
    ///
    /// When it says nothing for this long.
    pub fn said(&self, patience: Duration) -> String {
        self.said.recv_timeout(patience).expect("the page says what it has seen")
    }
}

/// Answers one request.
fn answer(mut client: &TcpStream, page: &str, say: &Sender<String>) -> io::Result<()> {
    let mut reader = BufReader::new(client);
    let (mut request, mut length) = (String::new(), 0);
    reader.read_line(&mut request)?;
    loop {
        let mut field = String::new();
        reader.read_line(&mut field)?;
        match field.trim().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap_or(0),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = String::new();
    reader.take(length).read_to_string(&mut body)?;
    let is_page = request.starts_with("GET /?");
    let (status, page) = if is_page { ("200 OK", page) } else { ("404 Not Found", "") };
    let length = page.len();
    write!(
        client,
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{page}"
    )?;
    if request.starts_with("POST /said") {
        // The test may have gone.
        let _ = say.send(body);
    }
    Ok(())
}

//! A browser, and the site whose pages it opens: what a page does is written in the page, and what it
//! has seen comes back as text.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

/// A browser with a profile of its own; both go with the test.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    profile: PathBuf,
    devtools: String,
}

impl Browser {
    /// Opens this page, with these flags beside those that every test needs.
    ///
    /// # Panics
    ///
    /// When there is no `chromium-headless-shell`.
    pub fn open(url: &str, flags: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("levada-browser-{}-{number}", std::process::id());
        let profile = std::env::temp_dir().join(name);
        fs::create_dir(&profile).expect("a folder can be made");
        let mut child = Command::new("chromium-headless-shell")
            .args(["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ])
            // Without it the page is left as soon as it is loaded.
            .arg("--remote-debugging-port=0")
            .arg(format!("--user-data-dir={}", profile.display()))
            .args(flags)
            .arg(url)
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("chromium-headless-shell runs");
        let mut errors = BufReader::new(child.stderr.take().expect("it is piped"));
        let devtools = loop {
            let mut line = String::new();
            let count = errors.read_line(&mut line).expect("it writes UTF-8");
            assert_ne!(count, 0, "it begins to listen before it ends");
            if let Some(url) = line.strip_prefix("DevTools listening on ") {
                break url.trim().to_owned();
            }
        };
        // What else it has to say is not for a test, but has to go somewhere.
        thread::spawn(move || io::copy(&mut errors, &mut io::sink()));
        Self { child, profile, devtools }
    }

    /// Where it can be driven: the WebSocket of its DevTools protocol.
    pub fn devtools(&self) -> &str {
        &self.devtools
    }

    /// The memory of its pages, in bytes: what their processes do not share, and their part of the rest.
    pub fn memory_of_pages(&self) -> u64 {
        let Ok(processes) = fs::read_dir("/proc") else { return 0 };
        let pages = processes.flatten().map(|process| process.path()).filter(|process| {
            let read = |name: &str| fs::read_to_string(process.join(name)).unwrap_or_default();
            // Behind the name in brackets: state, parent, group (proc_pid_stat(5)).
            let stat = read("stat");
            let group = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(2));
            group == Some(&*self.child.id().to_string())
                && read("cmdline").contains("--type=renderer")
        });
        pages
            .filter_map(|page| fs::read_to_string(page.join("smaps_rollup")).ok())
            .filter_map(|text| {
                let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
                line.split_whitespace().next()?.parse::<u64>().ok()
            })
            .sum::<u64>()
            * 1024
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

/// A file of a site: its name in the URL, its media type, and what is in it.
pub type File = (&'static str, &'static str, &'static str);

/// A web site for the pages of one test. Beside its files it takes what a page posts to `/said`, and
/// answers `/next` when the test says what.
#[derive(Debug)]
pub struct Site {
    address: SocketAddr,
    said: Receiver<String>,
    next: Sender<String>,
}

impl Site {
    /// A site with these files.
    ///
    /// # Panics
    ///
    /// When this machine has no port for it.
    pub fn new(files: &'static [File]) -> Self {
        Self::with_scripts(files, PathBuf::new())
    }

    /// A site with these files, and with the scripts in and below `folder`.
    ///
    /// # Panics
    ///
    /// When this machine has no port for it.
    pub fn with_scripts(files: &'static [File], folder: PathBuf) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let (say, said) = channel();
        let (next, orders) = channel();
        let orders = Arc::new(Mutex::new(orders));
        thread::spawn(move || {
            for page in listener.incoming().flatten() {
                let (say, orders, folder) = (say.clone(), Arc::clone(&orders), folder.clone());
                // A page that has gone needs no answer.
                thread::spawn(move || answer(page, files, &folder, &say, &orders).ok());
            }
        });
        Self { address, said, next }
    }

    /// Its origin, as a browser tells it.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What a page says next; `None` if it says nothing for so long.
    pub fn said(&self, patience: Duration) -> Option<String> {
        self.said.recv_timeout(patience).ok()
    }

    /// Lets a page go on that waits for `/next`.
    pub fn next(&self, what: &str) {
        // Its reader lives as long as the site.
        let _ = self.next.send(what.to_owned());
    }
}

fn answer(
    page: TcpStream,
    files: &[File],
    folder: &Path,
    say: &Sender<String>,
    orders: &Mutex<Receiver<String>>,
) -> io::Result<()> {
    let mut page = BufReader::new(page);
    let (mut request, mut length) = (String::new(), 0);
    page.read_line(&mut request)?;
    loop {
        let mut field = String::new();
        page.read_line(&mut field)?;
        match field.trim().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap_or(0),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    page.read_exact(&mut body)?;
    let target = request.split(' ').nth(1).unwrap_or_default();
    let name = target.split('?').next().unwrap_or_default();
    let file = files.iter().find(|file| file.0 == name);
    let (status, kind, text) = match (name, file) {
        (_, Some(file)) => ("200 OK", file.1, file.2.to_owned()),
        ("/said", None) => {
            // It fails once the test is over.
            let _ = say.send(String::from_utf8_lossy(&body).into_owned());
            ("200 OK", "text/plain", String::new())
        }
        ("/next", None) => {
            let orders = orders.lock().map_err(|_| io::ErrorKind::Other)?;
            ("200 OK", "text/plain", orders.recv().unwrap_or_default())
        }
        _ => match fs::read_to_string(folder.join(name.trim_start_matches('/'))) {
            Ok(script) if !folder.as_os_str().is_empty() => ("200 OK", "text/javascript", script),
            _ => ("404 Not Found", "text/plain", String::new()),
        },
    };
    let response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\nCache-Control: no-store\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    );
    page.get_mut().write_all(response.as_bytes())
}

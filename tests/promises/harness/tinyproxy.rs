//! tinyproxy: an HTTP proxy by others.

use std::sync::atomic::{AtomicU32, Ordering};

use super::Folder;
use super::command::{Command, Running};

/// A proxy that asks for the user `me` and the password `open-sesame`. Killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Tinyproxy {
    _process: Running,
    /// Where it listens.
    pub(crate) address: String,
    /// A file with the password.
    pub(crate) password: String,
    _folder: Folder,
}

impl Tinyproxy {
    #[track_caller]
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        // It does not tell which port it got. A loopback address of its own has every port free.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let [.., high, low] = std::process::id().to_be_bytes();
        let ip = format!("127.{}.{high}.{low}", 16 + number);
        let folder = Folder::new();
        let file = folder.write(
            "tinyproxy.conf",
            &format!(
                "Port 3128\nListen {ip}\nTimeout 60\nLogLevel Info\nBasicAuth me open-sesame\n"
            ),
        );
        let password = folder.write("password", "open-sesame\n");
        let mut process = Command::new("tinyproxy").args(["-d", "-c", &file]).start();
        loop {
            let line = process.stdout.line().expect("it starts");
            if line.contains("Accepting connections") {
                break;
            }
        }
        Self { _process: process, address: format!("{ip}:3128"), password, _folder: folder }
    }

    /// The words that lead through it.
    pub(crate) fn words(&self) -> [String; 4] {
        let proxy = format!("http://me@{}", self.address);
        ["--proxy".to_owned(), proxy, "--proxy-password-file".to_owned(), self.password.clone()]
    }
}

//! The foreign programs that tests talk to. A missing one is no reason to skip a test.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use crate::steps::{Done, Outcome, run, shown};

pub(crate) struct Peer {
    /// Its name, or the path of a file that is no program.
    pub(crate) program: &'static str,
    /// Debian's package that holds it.
    pub(crate) package: &'static str,
    pub(crate) purpose: &'static str,
}

const PEERS: &[Peer] = &[
    Peer {
        program: "openssl",
        package: "openssl",
        purpose: "the other end of TLS that shares no code with ours",
    },
    Peer {
        program: "gnutls-cli",
        package: "gnutls-bin",
        purpose: "a client by a second implementation of TLS, with half-close of its own",
    },
    Peer {
        program: "gnutls-serv",
        package: "gnutls-bin",
        purpose: "a server by a second implementation of TLS",
    },
    Peer {
        program: "curl",
        package: "curl",
        purpose: "the client that most of the world's transfers are made with",
    },
    Peer {
        program: "nginx",
        package: "nginx",
        purpose: "the server that most bridges stand in front of, with WebDAV to upload to",
    },
    Peer {
        program: "tinyproxy",
        package: "tinyproxy-bin",
        purpose: "an HTTP proxy, to be connected through",
    },
    Peer {
        program: "ip",
        package: "iproute2",
        purpose: "makes a network in which a name service never answers",
    },
    Peer {
        program: "chromium-headless-shell",
        package: "chromium-headless-shell",
        purpose: "a browser, whose WebSockets are what most servers have to speak with",
    },
    Peer { program: "lua5.4", package: "lua5.4", purpose: "runs the Lua module" },
    Peer { program: "luajit", package: "luajit", purpose: "runs the Lua module" },
    Peer {
        program: "/usr/share/doc/lua-luv/copyright",
        package: "lua-luv",
        purpose: "a loop of others, in which the Lua module has to run",
    },
    Peer {
        program: "/usr/lib/dovecot/imap",
        package: "dovecot-imapd",
        purpose: "a mail server, for sessions by STARTTLS and by TLS at once",
    },
    Peer {
        program: "mosquitto",
        package: "mosquitto",
        purpose: "an MQTT broker, as the devices that Telsa is for talk to",
    },
    Peer {
        program: "Xtigervnc",
        package: "tigervnc-standalone-server",
        purpose: "a VNC server with a desktop of its own, for a browser to see",
    },
    Peer {
        program: "/usr/include/uv.h",
        package: "libuv1-dev",
        purpose: "the event loop of many programs in C, in which the library for C has to run",
    },
    Peer {
        program: "valgrind",
        package: "valgrind",
        purpose: "accounts for every byte that a program in C uses",
    },
    Peer { program: "pkg-config", package: "pkg-config", purpose: "tells C where a library is" },
    Peer {
        program: "softhsm2-util",
        package: "softhsm2",
        purpose: "tokens made of files, by PKCS#11",
    },
    Peer {
        program: "pkcs11-tool",
        package: "opensc",
        purpose: "makes keys on tokens, with a spy on what is called of them",
    },
    Peer {
        program: "/usr/share/doc/p11-kit-modules/copyright",
        package: "p11-kit-modules",
        purpose: "the module that knows all modules of a machine",
    },
    Peer {
        program: "/usr/include/p11-kit-1/p11-kit/pkcs11.h",
        package: "libp11-kit-dev",
        purpose: "tells C what a module of tokens is, so that a test makes one",
    },
    Peer {
        program: "pinentry-tty",
        package: "pinentry-tty",
        purpose: "asks for a PIN as GnuPG has it done, on a line of the terminal",
    },
    Peer {
        program: "pinentry-curses",
        package: "pinentry-curses",
        purpose: "asks for a PIN as GnuPG has it done, on the whole terminal",
    },
    Peer {
        program: "db_load",
        package: "db-util",
        purpose: "makes databases as the ARPA2 TLS Pool has them",
    },
    Peer {
        program: "db_dump",
        package: "db-util",
        purpose: "dumps databases of the ARPA2 TLS Pool",
    },
    Peer { program: "python3", package: "python3-venv", purpose: "runs peers out of PyPI" },
    Peer { program: "node", package: "nodejs", purpose: "runs peers out of npm's registry" },
    Peer { program: "npm", package: "npm", purpose: "installs peers out of npm's registry" },
];

/// Makes sure that every peer is there, by installing it where we may.
pub(crate) fn ensure() -> Outcome {
    ensure_each(PEERS)?;
    Ok(Done::Ran(PEERS.iter().map(|peer| peer.program).collect::<Vec<_>>().join(", ")))
}

/// The same for other peers than those of the tests.
pub(crate) fn ensure_each(peers: &[Peer]) -> Result<(), String> {
    let missing: Vec<&Peer> = peers.iter().filter(|peer| find(peer.program).is_none()).collect();
    if !missing.is_empty() {
        for peer in &missing {
            println!("{} is missing: {}", peer.program, peer.purpose);
        }
        install(missing.iter().map(|peer| peer.package))?;
    }
    let absent: Vec<&str> =
        peers.iter().map(|peer| peer.program).filter(|program| find(program).is_none()).collect();
    if absent.is_empty() {
        Ok(())
    } else {
        Err(format!("still missing after the installation: {}", absent.join(", ")))
    }
}

fn install<'a>(packages: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut update = Command::new("apt-get");
    update.arg("update");
    let mut install = Command::new("apt-get");
    install.args(["install", "--yes", "--no-install-recommends"]).args(packages);
    if find("apt-get").is_none() || !is_root()? {
        return Err(format!("as root, on Debian: {} && {}", shown(&update), shown(&install)));
    }
    run(&mut update)?;
    run(install.env("DEBIAN_FRONTEND", "noninteractive"))
}

/// The file that runs when `program` is called by its bare name.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn is_root() -> Result<bool, String> {
    // A process's own folder belongs to its effective user.
    match fs::metadata("/proc/self") {
        Ok(own) => Ok(own.uid() == 0),
        Err(error) => Err(format!("cannot read /proc/self: {error}")),
    }
}

//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Backend,
    Relay,
    Down,
    Up,
    Handshakes,
    Trips,
    Hold,
    Stall,
    StartUp,
    Aead,
}

impl Mode {
    const ALL: [(&'static str, Self); 10] = [
        ("backend", Self::Backend),
        ("relay", Self::Relay),
        ("down", Self::Down),
        ("up", Self::Up),
        ("handshakes", Self::Handshakes),
        ("trips", Self::Trips),
        ("hold", Self::Hold),
        ("stall", Self::Stall),
        ("start-up", Self::StartUp),
        ("aead", Self::Aead),
    ];

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, mode)| *mode == self).map_or("", |(name, _)| name)
    }
}

/// How it is done. Each mode looks at what concerns it.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) mode: Mode,
    listen: Option<SocketAddr>,
    to: Option<SocketAddr>,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) connections: usize,
    pub(crate) bytes: u64,
    pub(crate) count: u64,
    pub(crate) depth: usize,
    pub(crate) resume: bool,
    /// How long to sleep before waiting for anything.
    pub(crate) pause: Duration,
    pub(crate) pid: Option<u32>,
    pub(crate) command: Vec<String>,
}

impl Options {
    pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut words = words.into_iter();
        let mode = words.next().ok_or("no MODE")?;
        let known = Mode::ALL.iter().find(|(name, _)| *name == mode);
        let mut options = Self {
            mode: known.ok_or_else(|| format!("no mode '{mode}'"))?.1,
            listen: None,
            to: None,
            ca: None,
            connections: 1,
            bytes: 1 << 30,
            count: 1000,
            depth: 1,
            resume: false,
            pause: Duration::ZERO,
            pid: None,
            command: Vec::new(),
        };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--listen" => options.listen = Some(value(&word, words.next())?),
                "--to" => options.to = Some(value(&word, words.next())?),
                "--ca" => options.ca = Some(value(&word, words.next())?),
                "--connections" => options.connections = value(&word, words.next())?,
                "--bytes" => options.bytes = value(&word, words.next())?,
                "--count" => options.count = value(&word, words.next())?,
                "--depth" => options.depth = value(&word, words.next())?,
                "--pid" => options.pid = Some(value(&word, words.next())?),
                "--pause" => options.pause = Duration::from_micros(value(&word, words.next())?),
                "--resume" => options.resume = true,
                "--" => options.command.extend(words.by_ref()),
                _ => return Err(format!("no option '{word}'")),
            }
        }
        if options.connections == 0 || options.depth == 0 {
            return Err("--connections and --depth are at least 1".to_owned());
        }
        Ok(options)
    }

    pub(crate) fn listen(&self) -> Result<SocketAddr, String> {
        self.listen.ok_or_else(|| format!("{} needs --listen", self.mode.name()))
    }

    pub(crate) fn to(&self) -> Result<SocketAddr, String> {
        self.to.ok_or_else(|| format!("{} needs --to", self.mode.name()))
    }

    /// The part of `total` for connection number `index`, so that all parts make the whole.
    pub(crate) fn share(&self, total: u64, index: usize) -> u64 {
        let (connections, index) = (self.connections as u64, index as u64);
        total / connections + u64::from(index < total % connections)
    }
}

fn value<T: FromStr>(option: &str, word: Option<String>) -> Result<T, String> {
    let word = word.ok_or_else(|| format!("{option} needs a value"))?;
    word.parse().map_err(|_| format!("{option} does not take '{word}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn every_mode_is_found_by_its_name() {
        for (name, mode) in Mode::ALL {
            assert_eq!(parse(name).unwrap().mode, mode);
            assert_eq!(mode.name(), name);
        }
    }

    #[test]
    fn what_stands_behind_two_dashes_is_the_command() {
        let options = parse("start-up --to 127.0.0.1:1 -- peer --to x").unwrap();
        assert_eq!(options.command, ["peer", "--to", "x"]);
        assert_eq!(options.to().unwrap().port(), 1);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in ["", "sideways", "down --fast", "down --bytes", "down --bytes x"] {
            parse(line).unwrap_err();
        }
        parse("down --connections 0").unwrap_err();
        assert_eq!(parse("down").unwrap().to().unwrap_err(), "down needs --to");
    }

    #[test]
    fn shares_make_the_whole() {
        let options = parse("down --connections 7").unwrap();
        let shares: Vec<u64> = (0..7).map(|index| options.share(100, index)).collect();
        assert_eq!(shares, [15, 15, 14, 14, 14, 14, 14]);
    }
}

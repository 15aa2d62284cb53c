//! Where and with what was measured.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::bench::terminators::ALL;

/// What has to be told with every number.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) date: String,
    pub(crate) commit: String,
}

impl Machine {
    /// # Errors
    ///
    /// When the system does not tell.
    pub(crate) fn look() -> Result<Self, String> {
        let read =
            |file: &str| fs::read_to_string(file).map_err(|error| format!("{file}: {error}"));
        let cpus = read("/proc/cpuinfo")?;
        let commit = said(&["git", "rev-parse", "--short=12", "HEAD"])?;
        let is_dirty = !said(&["git", "status", "--porcelain", "--untracked-files=no"])?.is_empty();
        Ok(Self {
            processor: processor(&cpus).unwrap_or("unknown").to_owned(),
            cores: cpus.lines().filter(|line| line.starts_with("processor")).count(),
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            date: said(&["date", "--utc", "+%F"])?,
            commit: if is_dirty { format!("{commit} with changes") } else { commit },
        })
    }

    /// When and where it was, as the first sentence of a block.
    pub(crate) fn measured(&self, rounds: usize) -> String {
        let Self { processor, cores, kernel, date, commit } = self;
        format!(
            "Measured on {date} at commit {commit}, in {rounds} rounds: {processor}, {cores} cores, \
             Linux {kernel}.\n"
        )
    }
}

/// The terminators that are there.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    /// Each of them by its name.
    pub(crate) terminators: Vec<(&'static str, String)>,
    /// OpenSSL's, which most of them are built on.
    pub(crate) openssl: String,
}

impl Versions {
    /// # Errors
    ///
    /// When a terminator does not say its version.
    pub(crate) fn look(target: &Path) -> Result<Self, String> {
        let mut terminators = Vec::new();
        for terminator in ALL {
            let version = match terminator.version {
                Some(words) => version(&said(words)?).unwrap_or_default(),
                None => "this commit".to_owned(),
            };
            if terminator.program(target).is_ok() {
                terminators.push((terminator.name, version));
            }
        }
        let openssl = version(&said(&["openssl", "version"])?).unwrap_or_default();
        Ok(Self { terminators, openssl })
    }
}

fn processor(cpuinfo: &str) -> Option<&str> {
    let (name, value) =
        cpuinfo.lines().find(|line| line.starts_with("model name"))?.split_once(':')?;
    let _ = name;
    Some(value.trim())
}

/// What a command prints, wherever it prints it.
pub(crate) fn said(words: &[&str]) -> Result<String, String> {
    let [program, words @ ..] = words else { return Err("no command".to_owned()) };
    let output = Command::new(program).args(words).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    let text = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&text).trim().to_owned())
}

/// The first word that looks like a version: `1.22.1` of `nginx version: nginx/1.22.1`.
fn version(text: &str) -> Option<String> {
    let words = text.split(|c: char| c.is_whitespace() || c == '/');
    let words = words.map(|word| word.strip_prefix("go").unwrap_or(word));
    let mut versions =
        words.filter(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'));
    versions.next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_the_peers_say() {
        let found = |text| version(text).unwrap();
        assert_eq!(found("nginx version: nginx/1.22.1"), "1.22.1");
        assert_eq!(found("HAProxy version 2.6.12-1 2023/03/28 - https://a.b/"), "2.6.12-1");
        assert_eq!(found("stunnel 5.68 on x86_64-pc-linux-gnu platform"), "5.68");
        assert_eq!(found("go version go1.19.8 linux/amd64"), "1.19.8");
        assert_eq!(version("no version here"), None);
    }

    #[test]
    fn the_processor_is_named() {
        let text = "processor\t: 0\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n";
        assert_eq!(processor(text), Some("AMD EPYC"));
        assert_eq!(processor(""), None);
    }
}

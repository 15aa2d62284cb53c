//! Foreign programs. Those that no Debian package holds are installed in `target/peers` by
//! `cargo xtask peers`, out of the registries of their languages.

use std::path::PathBuf;
use std::{env, fs};

/// Why a test that needs one of them does not run where they are not installed.
pub const MISSING: &str = "its peer is not installed: `cargo xtask peers` does that";

/// The interpreter of Python with the packages that tests need.
pub fn python() -> Option<PathBuf> {
    find("python/bin/python")
}

/// Autobahn's testsuite: the folder to be on Python's path.
pub fn autobahn() -> Option<PathBuf> {
    find("python/autobahn")
}

/// The folder in which Node finds the packages that tests need, for its `NODE_PATH`.
pub fn node_modules() -> Option<PathBuf> {
    find("node/node_modules")
}

/// The folder of one of these packages.
pub fn node_package(name: &str) -> Option<PathBuf> {
    find(&format!("node/node_modules/{name}"))
}

/// websocat, which only `cargo xtask peers --all` installs.
pub fn websocat() -> Option<PathBuf> {
    find("websocat/bin/websocat")
}

/// The port that a process listens at on IPv4, as the system tells it (proc_net_tcp(5)), once it does:
/// for programs that are given port 0 and do not say what they got.
pub fn listening_port(process: u32) -> Option<u16> {
    const LISTENING: &str = "0A";
    if !is_executed(process) {
        return None;
    }
    let held: Vec<String> = fs::read_dir(format!("/proc/{process}/fd"))
        .ok()?
        .filter_map(|file| fs::read_link(file.ok()?.path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.replace(']', "")))
        .collect();
    let table = fs::read_to_string(format!("/proc/{process}/net/tcp")).ok()?;
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let (_, port) = local.split_once(':')?;
        let ours = *state == LISTENING && held.iter().any(|held| held == inode);
        u16::from_str_radix(port, 16).ok().filter(|_| ours)
    })
}

/// Whether a child runs its program. Until it does, it holds what it has inherited, our listeners too, and
/// starting it does not wait for that: its command line is still ours, and then none for a moment.
fn is_executed(process: u32) -> bool {
    let words = |process: &str| fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    let theirs = words(&process.to_string());
    !theirs.is_empty() && theirs != words("self")
}

/// What lies there in `target/peers`.
fn find(name: &str) -> Option<PathBuf> {
    let program = env::current_exe().expect("a running program lies somewhere");
    program.ancestors().map(|above| above.join("peers").join(name)).find(|folder| folder.exists())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::OwnedFd;
    use std::process::{self, Command};

    use super::listening_port;

    #[test]
    fn a_process_listens_nowhere_before_its_program_runs() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(listening_port(process::id()), None, "as a child is that was only forked");
        let mut command = Command::new("sleep");
        let mut child = command.arg("600").stdin(OwnedFd::from(listener)).spawn().unwrap();
        while listening_port(child.id()) != Some(port) {
            assert_eq!(child.try_wait().unwrap(), None, "it runs");
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

//! What the system says that a process took, with its children: CPU time and memory.

use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use rustix::param::clock_ticks_per_second;

/// The line of `/proc/PID/stat`, as far as it concerns us.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// Clock ticks of user and system time: its own and of the children that it has waited for.
    ticks: u64,
}

/// A process and all that it started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tree {
    root: u32,
}

impl Tree {
    pub(crate) fn new(root: u32) -> Self {
        Self { root }
    }

    /// User and system time so far, to the system's clock tick, usually 10 ms.
    ///
    /// # Errors
    ///
    /// When the process is gone.
    pub(crate) fn cpu_time(self) -> io::Result<Duration> {
        let ticks: u64 = self.members()?.iter().map(|(_, stat)| stat.ticks).sum();
        Ok(Duration::from_millis(ticks * 1000 / clock_ticks_per_second()))
    }

    /// KiB of memory, what is shared with others divided among them (PSS).
    ///
    /// # Errors
    ///
    /// When the process is gone.
    pub(crate) fn memory_kib(self) -> io::Result<u64> {
        let mut sum = 0;
        for (pid, _) in self.members()? {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
            sum += pss(&text).ok_or_else(|| io::Error::other("no Pss in smaps_rollup"))?;
        }
        Ok(sum)
    }

    fn members(self) -> io::Result<Vec<(u32, Stat)>> {
        let mut all = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            // A process may end while we read about others.
            let text = fs::read_to_string(Path::new("/proc").join(name).join("stat"));
            if let Some(stat) = text.ok().as_deref().and_then(stat) {
                all.push((pid, stat));
            }
        }
        let members = descendants(self.root, all);
        if members.is_empty() {
            return Err(io::Error::other(format!("there is no process {}", self.root)));
        }
        Ok(members)
    }
}

/// The processes of `all` below `root`, itself first.
fn descendants(root: u32, mut all: Vec<(u32, Stat)>) -> Vec<(u32, Stat)> {
    let mut members: Vec<(u32, Stat)> = all.extract_if(.., |(pid, _)| *pid == root).collect();
    loop {
        let is_child =
            |(_, stat): &mut (u32, Stat)| members.iter().any(|(pid, _)| *pid == stat.parent);
        let children: Vec<(u32, Stat)> = all.extract_if(.., is_child).collect();
        if children.is_empty() {
            return members;
        }
        members.extend(children);
    }
}

/// Reads `/proc/PID/stat` (proc(5)). The name stands in parentheses and may hold some itself.
fn stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // The first field here is number 3, the state.
    let field = |number: usize| fields.get(number - 3);
    let ticks = (14..=17).map(|number| field(number)?.parse::<u64>().ok()).sum::<Option<u64>>()?;
    Some(Stat { parent: field(4)?.parse().ok()?, ticks })
}

fn pss(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "42 (a) b (c) S 7 42 42 0 -1 4194560 100 200 0 0 11 22 33 44 20 0 1 0 5\n";

    #[test]
    fn time_and_parent_are_read() {
        assert_eq!(stat(STAT), Some(Stat { parent: 7, ticks: 110 }));
        assert_eq!(stat("42 (cut) S 7 42"), None);
        assert_eq!(stat(""), None);
    }

    #[test]
    fn proportional_memory_is_read() {
        let text =
            "5 ---p 0 00:00 0 [rollup]\nRss:      900 kB\nPss:      345 kB\nPss_Anon: 1 kB\n";
        assert_eq!(pss(text), Some(345));
        assert_eq!(pss("Rss: 1 kB"), None);
    }

    #[test]
    fn children_of_children_belong_to_the_tree() {
        let all = [(9, 5), (1, 0), (5, 3), (3, 1), (4, 1)];
        let all = all.map(|(pid, parent)| (pid, Stat { parent, ticks: 0 })).into();
        let pids: Vec<u32> = descendants(3, all).iter().map(|(pid, _)| *pid).collect();
        assert_eq!(pids, [3, 5, 9]);
    }

    #[test]
    fn our_own_process_takes_time_and_memory() {
        let own = Tree::new(std::process::id());
        own.cpu_time().unwrap();
        assert!(own.memory_kib().unwrap() > 0);
    }
}

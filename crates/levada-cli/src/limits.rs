//! How many files this process may hold open, and how many streams fit into that.

use std::num::NonZeroUsize;
use std::thread::available_parallelism;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are nobody's stream: standard streams, listeners, the runtime's own, files that
/// are read.
const RESERVE: u64 = 64;

/// Descriptors of the pipes through which each thread passes plain bytes inside the kernel.
const PIPES: u64 = 32;

/// The most streams at once, where nobody says otherwise.
const MOST: usize = 16_384;

/// Raises the limit of open files as far as the system lets us, and gives what it is then.
pub(crate) fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        // Where it does not work, the old limit still holds, and is what counts below.
        let _ = setrlimit(Resource::Nofile, raised);
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// How many streams at once `open_files` descriptors are good for: each takes two.
pub(crate) fn default_connections(open_files: u64) -> usize {
    let threads = available_parallelism().map_or(1, NonZeroUsize::get) as u64;
    connections(open_files, threads)
}

fn connections(open_files: u64, threads: u64) -> usize {
    let reserve = RESERVE + PIPES * threads;
    let fit = usize::try_from(open_files.saturating_sub(reserve) / 2).unwrap_or(MOST);
    fit.clamp(1, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_descriptors_for_each_stream() {
        assert_eq!(connections(0, 1), 1);
        assert_eq!(connections(1024, 2), 448);
        assert_eq!(connections(u64::MAX, 64), MOST);
    }
}

//! How many files this process may hold open, and how many streams fit into that.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are nobody's stream: standard streams, listeners, the runtime's own, files that
/// are read.
const RESERVE: u64 = 64;

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
    let fit = usize::try_from(open_files.saturating_sub(RESERVE) / 2).unwrap_or(MOST);
    fit.clamp(1, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_descriptors_for_each_stream() {
        assert_eq!(default_connections(0), 1);
        assert_eq!(default_connections(1024), 480);
        assert_eq!(default_connections(u64::MAX), MOST);
    }
}

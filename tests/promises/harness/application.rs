//! An application of a pool in a process of its own, in Python with its standard library alone.

use super::{Command, Pool, Running};

impl Pool {
    /// An application that does what these words say, which `application.py` tells. `number` is its control
    /// key's; no session has the 0.
    #[track_caller]
    pub(crate) fn application(&self, number: usize, words: &[&str]) -> Running {
        Command::new("python3")
            .args(["-c", include_str!("application.py"), &self.socket, &number.to_string()])
            .args(words)
            .start()
    }
}

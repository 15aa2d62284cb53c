//! Making a process that holds secrets hard to read and hard to misuse.
//!
//! Each part answers with what was got, for the log: a kernel or a limit may stand in the way, and
//! then less protection is better than none, as long as it is told.

mod memory;
mod sandbox;
mod user;

pub use memory::{LockedMemory, hide_memory, lock_memory};
pub use sandbox::{FileAccess, Reach, restrict_calls, restrict_files};
pub use user::{Account, become_user};

/// Runs `child` of the tests in a process of its own, since what it does cannot be undone: the test
/// calls this with its own name, and the process with the variable set goes on to `child`.
#[cfg(test)]
fn in_a_process_of_its_own(test: &str, child: impl FnOnce()) {
    const VARIABLE: &str = "LEVADA_HARDENED_CHILD";
    if std::env::var_os(VARIABLE).is_some() {
        return child();
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(VARIABLE, "1")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("1 passed"), "{told}\n{wrong}");
}

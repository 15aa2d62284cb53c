//! The reasons for which a test may not run, so that no test is skipped in silence.
//!
//! `cargo xtask test` lists every skip in its summary. A missing program is no reason: it belongs
//! into xtask's table of peers, and a test that needs it fails without it. `#[ignore]` is not used,
//! since it says nothing about the machine that it runs on.

use std::env;
use std::fs::OpenOptions;
use std::io::Write as _;

/// Whether the slow suites run: soaks, long runs, big inputs. They are asked for with
/// `cargo xtask test --all`, which builds them in release mode.
///
/// ```no_run
/// // #[test]
/// fn a_day_of_key_updates() {
///     if !levada_testkit::skip::slow_runs("a_day_of_key_updates") {
///         return;
///     }
/// }
/// ```
///
/// # Panics
///
/// When the skip cannot be written down.
#[must_use]
pub fn slow_runs(test: &str) -> bool {
    let asked = env::var_os("LEVADA_ALL").is_some_and(|value| value == "1");
    if !asked {
        cannot_run(test, "slow: `cargo xtask test --all` runs it");
    }
    asked
}

/// Whether the kernel has TLS, for tests of that. `cargo xtask guest` runs them in kernels that have it,
/// with `LEVADA_KERNEL_TLS=must`.
///
/// # Panics
///
/// When it must have it and has not, or the skip cannot be written down.
#[must_use]
pub fn kernel_tls(test: &str) -> bool {
    let has = levada_sys::kernel_tls::is_supported();
    if !has {
        assert!(env::var_os("LEVADA_KERNEL_TLS").is_none(), "this kernel must have TLS");
        cannot_run(test, "this kernel has no TLS: `cargo xtask guest` runs it in one that has");
    }
    has
}

/// Notes that `test` returns early because this machine cannot have what it needs, such as a kernel
/// feature. Call it once in a test.
///
/// # Panics
///
/// When the skip cannot be written down.
pub fn cannot_run(test: &str, why: &str) {
    let line = format!("{test}: {why}\n");
    let Some(list) = env::var_os("LEVADA_SKIPS") else {
        eprint!("skipped: {line}");
        return;
    };
    let list = OpenOptions::new().append(true).create(true).open(list);
    // One write, since other test binaries append to the same file.
    list.and_then(|mut list| list.write_all(line.as_bytes())).expect("a skip is written down");
}

//! What holds for every text, good or bad. The fuzz target takes this file, too.

use std::path::Path;

use levada_pool_daemon::PolicyFile;

/// Panics unless `text` is read to a policy, or refused with faults that point into it and can be
/// shown.
pub(crate) fn check(text: &str) {
    let Err(faults) = PolicyFile::parse(text, Path::new("/etc/levada")) else { return };
    assert!(faults.iter().count() > 0);
    for fault in faults.iter() {
        let place = fault.place();
        assert!(text.get(place.clone()).is_some(), "{place:?} is no place in {text:?}");
    }
    let told = faults.in_file("pool.toml").to_string();
    assert!(!told.contains(|char: char| char.is_control() && char != '\n'), "{told:?}");
}

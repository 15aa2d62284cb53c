//! What holds for every dump of a database, good or bad. The fuzz target takes this file, too.

use std::path::Path;

use levada_pool_daemon::{Dumps, Import, PolicyFile};

/// Panics unless `dump` is refused in words, or read, as each of the databases, to a policy that can be
/// read.
pub(crate) fn check(dump: &[u8]) {
    for dumps in [
        Dumps { localid: dump, ..Dumps::default() },
        Dumps { disclose: dump, ..Dumps::default() },
        Dumps { trust: dump, ..Dumps::default() },
        Dumps { localid: dump, disclose: dump, trust: dump },
    ] {
        let told = match Import::from_dumps(dumps) {
            Err(error) => error.to_string(),
            Ok(import) => {
                let policy = import.policy();
                if let Err(faults) = PolicyFile::parse(policy, Path::new("")) {
                    panic!("{policy}\n{}", faults.in_file("pool.toml"));
                }
                let notes: Vec<_> = import.notes().iter().map(ToString::to_string).collect();
                notes.join("; ")
            }
        };
        assert!(!told.contains(char::is_control), "{told:?}");
    }
}

//! Memory that nobody else reads: no core, no debugger, no swap.

use std::fmt;
use std::io;

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};
use rustix::thread::{CapabilitySet, capabilities};

/// Keeps this process's memory from core files, and from every debugger that is not root's.
///
/// # Errors
///
/// The system's.
pub fn hide_memory() -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(())
}

/// How much of the memory is kept from swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockedMemory {
    /// All there is and all there will be.
    All,
    /// None: with this limit (`RLIMIT_MEMLOCK`, in bytes) the process would run out of memory that it
    /// may lock.
    Limited {
        /// The limit.
        limit: u64,
    },
    /// None, for the system's reason.
    Refused {
        /// The reason.
        why: String,
    },
}

impl fmt::Display for LockedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Limited { limit } => {
                write!(f, "none, the limit is {limit} bytes (raise it: LimitMEMLOCK=infinity)")
            }
            Self::Refused { why } => write!(f, "none: {why}"),
        }
    }
}

/// Keeps this process's memory from swap, all that there is and all that will be, if no limit stands in
/// the way. `stays` tells that the process goes on with the rights that it has now: whoever may lock
/// memory without limit (CAP_IPC_LOCK) is bound by it again as another user.
pub fn lock_memory(stays: bool) -> LockedMemory {
    let unlimited = Rlimit { current: None, maximum: None };
    if setrlimit(Resource::Memlock, unlimited).is_err()
        && let Some(limit) = getrlimit(Resource::Memlock).maximum
        && !(stays && is_beyond_the_limit())
    {
        // Locking a part would make allocations fail once the limit is reached.
        return LockedMemory::Limited { limit };
    }
    let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    match mlockall(flags) {
        Ok(()) => LockedMemory::All,
        Err(error) => LockedMemory::Refused { why: io::Error::from(error).to_string() },
    }
}

/// Whether the limit does not bind this process (capabilities(7), CAP_IPC_LOCK).
fn is_beyond_the_limit() -> bool {
    capabilities(None).is_ok_and(|has| has.effective.contains(CapabilitySet::IPC_LOCK))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harden::in_a_process_of_its_own;

    #[test]
    fn memory_is_hidden() {
        in_a_process_of_its_own("harden::memory::tests::memory_is_hidden", || {
            use rustix::process::dumpable_behavior;
            hide_memory().unwrap();
            assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
            let core = getrlimit(Resource::Core);
            assert_eq!((core.current, core.maximum), (Some(0), Some(0)));
        });
    }

    #[test]
    fn memory_is_locked_or_the_limit_is_told() {
        in_a_process_of_its_own(
            "harden::memory::tests::memory_is_locked_or_the_limit_is_told",
            || {
                let got = lock_memory(true);
                let status = std::fs::read_to_string("/proc/self/status").unwrap();
                let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
                let locked = locked.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
                assert_eq!(locked > 0, got == LockedMemory::All, "{got} of {status}");
            },
        );
    }
}

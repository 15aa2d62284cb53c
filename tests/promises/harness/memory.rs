//! What a process takes of memory, from one moment on.

use super::status;

const KIB: u64 = 1024;

/// The memory of a process from one moment on.
#[derive(Debug)]
pub(crate) struct Memory {
    process: u32,
    before: u64,
}

impl Memory {
    pub(crate) fn of(process: u32) -> Self {
        // Its peak is measured from here on: proc_pid_clear_refs(5).
        std::fs::write(format!("/proc/{process}/clear_refs"), "5").unwrap();
        Self { process, before: status(process, "VmRSS:") * KIB }
    }

    /// Bytes by which its peak lies above where it was, all pages counted.
    pub(crate) fn growth(&self) -> u64 {
        (status(self.process, "VmHWM:") * KIB).saturating_sub(self.before)
    }

    pub(crate) fn threads(&self) -> u64 {
        status(self.process, "Threads:")
    }
}

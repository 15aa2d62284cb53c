//! Rights that a process gives up: files by Landlock, calls by seccomp.

use std::fmt;
use std::io;
use std::path::PathBuf;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetStatus, Scope, path_beneath_rules,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// How far files are out of reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileAccess {
    /// As asked.
    Restricted,
    /// As far as this kernel can.
    PartlyRestricted,
    /// Not at all: this kernel has no Landlock, or it is off.
    Unrestricted,
}

impl fmt::Display for FileAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Restricted => "restricted",
            Self::PartlyRestricted => "restricted as far as this kernel can",
            Self::Unrestricted => "not restricted: this kernel has no Landlock",
        })
    }
}

/// What a process keeps within reach. Paths that are not there are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Below these files can be read.
    pub readable: Vec<PathBuf>,
    /// Below these files can be removed.
    pub removable: Vec<PathBuf>,
    /// Below these files can be read, made, written and removed.
    pub writable: Vec<PathBuf>,
    /// Whether connections by TCP can be made.
    pub connects: bool,
}

/// Leaves this thread, and all that it begins from now on, what is within `reach`; no other file can be
/// opened, no TCP port bound or connected to. What is open stays open.
///
/// # Errors
///
/// The system's, where it has Landlock and yet refuses.
pub fn restrict_files(reach: &Reach) -> io::Result<FileAccess> {
    let abi = ABI::V6;
    let net = if reach.connects { AccessNet::BindTcp.into() } else { AccessNet::from_all(abi) };
    let write = AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let restrict = || {
        Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(abi))?
            .handle_access(net)?
            .scope(Scope::Signal)?
            .create()?
            .add_rules(path_beneath_rules(&reach.readable, read))?
            .add_rules(path_beneath_rules(&reach.removable, AccessFs::RemoveFile))?
            .add_rules(path_beneath_rules(&reach.writable, read | write))?
            .restrict_self()
    };
    let status = restrict().map_err(io::Error::other)?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => FileAccess::Restricted,
        RulesetStatus::PartiallyEnforced => FileAccess::PartlyRestricted,
        RulesetStatus::NotEnforced => FileAccess::Unrestricted,
    })
}

/// Calls that a process has no use for that only moves bytes between descriptors: each fails with
/// `EPERM` from now on.
const NEEDLESS: &[libc::c_long] = &[
    // Other programs, and other processes' memory.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // The kernel itself.
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_personality,
    // Namespaces and mounts.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    // Keys that are the kernel's, and the clock.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
];

/// Has the kernel refuse calls that this process has no use for, in all its threads and for good:
/// other programs, other processes, the kernel, namespaces, mounts, and being dumped again. No
/// process can be begun; threads can.
///
/// # Errors
///
/// `Unsupported` where this kernel has no seccomp; else the system's.
pub fn restrict_calls() -> io::Result<()> {
    let refused = filter(refused_calls()?, libc::EPERM)?;
    // The C library takes this for an old kernel, and comes back with `clone`, whose flags show.
    let unknown = filter([(libc::SYS_clone3, Vec::new())].into(), libc::ENOSYS)?;
    for program in [refused, unknown] {
        seccompiler::apply_filter_all_threads(&program).map_err(|error| match error {
            seccompiler::Error::Seccomp(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                io::Error::new(io::ErrorKind::Unsupported, "this kernel has no seccomp filters")
            }
            other => io::Error::other(other),
        })?;
    }
    Ok(())
}

type Calls = std::collections::BTreeMap<libc::c_long, Vec<SeccompRule>>;

fn refused_calls() -> io::Result<Calls> {
    let rule = |conditions: &[(u8, SeccompCmpOp, u64)]| {
        let conditions = conditions.iter().map(|(argument, operator, value)| {
            let len = SeccompCmpArgLen::Qword;
            SeccompCondition::new(*argument, len, operator.clone(), *value)
        });
        let conditions = conditions.collect::<Result<_, _>>().map_err(io::Error::other)?;
        SeccompRule::new(conditions).map_err(io::Error::other)
    };
    let mut calls: Calls = NEEDLESS.iter().map(|&call| (call, Vec::new())).collect();
    let thread = u64::from(libc::CLONE_THREAD.cast_unsigned());
    calls.insert(libc::SYS_clone, vec![rule(&[(0, SeccompCmpOp::MaskedEq(thread), 0)])?]);
    let dumpable = u64::from(libc::PR_SET_DUMPABLE.cast_unsigned());
    let again = [(0, SeccompCmpOp::Eq, dumpable), (1, SeccompCmpOp::Ne, 0)];
    calls.insert(libc::SYS_prctl, vec![rule(&again)?]);
    Ok(calls)
}

fn filter(calls: Calls, errno: libc::c_int) -> io::Result<BpfProgram> {
    let architecture: TargetArch = std::env::consts::ARCH
        .try_into()
        .map_err(|error| io::Error::other(format!("{error:?}")))?;
    let refuse = SeccompAction::Errno(errno.cast_unsigned());
    let filter = SeccompFilter::new(calls, SeccompAction::Allow, refuse, architecture);
    filter.and_then(BpfProgram::try_from).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use rustix::process::{DumpableBehavior, set_dumpable_behavior};

    use super::*;
    use crate::harden::in_a_process_of_its_own;

    fn status(line: &str) -> String {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let found = status.lines().find_map(|found| found.strip_prefix(line));
        found.unwrap().trim_start_matches(':').trim().to_owned()
    }

    #[test]
    fn a_forbidden_file_cannot_be_opened() {
        in_a_process_of_its_own(
            "harden::sandbox::tests::a_forbidden_file_cannot_be_opened",
            || {
                let name = format!("levada-forbidden-{}", std::process::id());
                let (inside, outside) = (env!("CARGO_MANIFEST_DIR").into(), std::env::temp_dir());
                let file = outside.join(name);
                std::fs::write(&file, "text").unwrap();
                // Who has begun this process removes it.
                let number = std::os::unix::process::parent_id();
                let writable = outside.join(format!("levada-writable-{number}"));
                std::fs::create_dir(&writable).unwrap();
                let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
                let connect = || TcpStream::connect(listener.local_addr().unwrap());
                let mut reach = Reach {
                    readable: vec![inside],
                    removable: vec![outside],
                    writable: vec![writable.clone()],
                    connects: true,
                };
                let got = restrict_files(&reach).unwrap();
                connect().unwrap();
                assert_eq!(std::fs::write(writable.join("new"), "text").ok(), Some(()));
                assert_eq!(std::fs::read(writable.join("new")).unwrap(), b"text");
                std::fs::remove_file(writable.join("new")).unwrap();
                if got == FileAccess::Unrestricted {
                    assert_eq!(std::fs::read(&file).unwrap(), b"text");
                } else {
                    let error = std::fs::read(&file).unwrap_err();
                    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
                    assert!(std::fs::write(&file, "other").is_err());
                    assert!(
                        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).is_ok()
                    );
                    // A thread is bound as well as the one that began it.
                    let path = file.clone();
                    assert!(
                        std::thread::spawn(move || std::fs::read(path)).join().unwrap().is_err()
                    );
                }
                std::fs::remove_file(&file).unwrap();
                reach.connects = false;
                if restrict_files(&reach).unwrap() == FileAccess::Restricted {
                    assert_eq!(connect().unwrap_err().kind(), io::ErrorKind::PermissionDenied);
                }
            },
        );
        let made = format!("levada-writable-{}", std::process::id());
        let _ = std::fs::remove_dir(std::env::temp_dir().join(made));
    }

    #[test]
    fn calls_without_use_fail_and_threads_go_on() {
        in_a_process_of_its_own(
            "harden::sandbox::tests::calls_without_use_fail_and_threads_go_on",
            || {
                crate::harden::hide_memory().unwrap();
                restrict_calls().unwrap();
                assert_eq!((status("Seccomp"), status("NoNewPrivs")), ("2".into(), "1".into()));
                let error = std::process::Command::new("/bin/true").status().unwrap_err();
                assert_eq!(error.raw_os_error(), Some(libc::EPERM));
                assert!(set_dumpable_behavior(DumpableBehavior::Dumpable).is_err());
                assert_eq!(std::thread::spawn(|| 7).join().unwrap(), 7);
            },
        );
    }
}

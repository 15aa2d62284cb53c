//! From root to somebody who may less.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;

/// A user of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    name: CString,
    uid: u32,
    gid: u32,
}

impl Account {
    /// Looks a user up by name.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is none; else the system's.
    pub fn find(name: &str) -> io::Result<Self> {
        let name = CString::new(name)?;
        let mut entry = MaybeUninit::<libc::passwd>::uninit();
        let mut texts = vec![0; 16 * 1024];
        let mut found = std::ptr::null_mut();
        // SAFETY: the name ends with NUL; the entry and the texts are writable for as long as it
        // says, and live until the entry is read below.
        let status = unsafe {
            libc::getpwnam_r(
                name.as_ptr(),
                entry.as_mut_ptr(),
                texts.as_mut_ptr(),
                texts.len(),
                &raw mut found,
            )
        };
        if status != 0 {
            return Err(io::Error::from_raw_os_error(status));
        }
        if found.is_null() {
            let text = format!("this machine has no user {}", name.to_string_lossy());
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        }
        // SAFETY: it was found, so all of the entry is written.
        let entry = unsafe { entry.assume_init() };
        Ok(Self { name, uid: entry.pw_uid, gid: entry.pw_gid })
    }

    /// The user's number.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The number of the user's own group.
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// The user's name.
    pub fn name(&self) -> &CStr {
        &self.name
    }
}

/// Becomes `account` with its groups, for good: all threads, and no way back.
///
/// # Errors
///
/// `PermissionDenied` where the process is not root's; else the system's. After an error the process
/// may be half-way and has to end.
pub fn become_user(account: &Account) -> io::Result<()> {
    let done = |status: libc::c_int| match status {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    };
    // SAFETY: the name ends with NUL; the call reads it alone.
    done(unsafe { libc::initgroups(account.name.as_ptr(), account.gid) })?;
    // SAFETY: no memory is involved. The C library has all threads take part.
    done(unsafe { libc::setresgid(account.gid, account.gid, account.gid) })?;
    // SAFETY: as above.
    done(unsafe { libc::setresuid(account.uid, account.uid, account.uid) })?;
    // SAFETY: as above.
    if account.uid != 0 && unsafe { libc::setuid(0) } == 0 {
        return Err(io::Error::other("root could be regained"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rustix::process::{getegid, geteuid, getgroups};

    use super::*;
    use crate::harden::in_a_process_of_its_own;

    #[test]
    fn who_is_not_there_is_told() {
        let error = Account::find("levada-nobody-has-this-name").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert_eq!(Account::find("root").unwrap().uid(), 0);
    }

    #[test]
    fn privileges_are_gone_for_good() {
        in_a_process_of_its_own("harden::user::tests::privileges_are_gone_for_good", || {
            let account = Account::find("nobody").unwrap();
            if !geteuid().is_root() {
                assert_eq!(
                    become_user(&account).unwrap_err().kind(),
                    io::ErrorKind::PermissionDenied
                );
                return;
            }
            become_user(&account).unwrap();
            assert_eq!((geteuid().as_raw(), getegid().as_raw()), (account.uid(), account.gid()));
            assert!(getgroups().unwrap().iter().all(|gid| gid.as_raw() == account.gid()));
            assert!(std::fs::read("/etc/shadow").is_err());
            let root = Account::find("root").unwrap();
            assert_eq!(become_user(&root).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        });
    }
}

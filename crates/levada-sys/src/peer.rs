//! Who is at the other end of a Unix socket.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd};

/// Who connected a Unix stream socket, as the kernel noted it then: later changes of that process do
/// not show (`SO_PEERCRED` and `SO_PEERGROUPS`, unix(7)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCredentials {
    /// The process. `None` when it is not visible from our namespace. Good for a log, never for a
    /// decision: the number may by now name another process.
    pub pid: Option<u32>,
    /// The effective user.
    pub uid: u32,
    /// The effective group.
    pub gid: u32,
    /// The supplementary groups, in the kernel's order. A kernel before 4.13 tells none.
    pub groups: Vec<u32>,
}

impl PeerCredentials {
    /// Asks the kernel about the peer of `socket`.
    ///
    /// # Errors
    ///
    /// The system's: not a Unix stream or sequential packet socket, or not connected.
    pub fn of(socket: impl AsFd) -> io::Result<Self> {
        let socket = socket.as_fd();
        let mut raw = [0_u32; 3];
        const { assert!(size_of::<libc::ucred>() == size_of::<[u32; 3]>()) };
        if option(socket, libc::SO_PEERCRED, &mut raw)? != raw.len() {
            return Err(io::Error::other("the kernel told half of the peer's credentials"));
        }
        // The layout of `struct ucred`: pid, uid, gid.
        let [pid, uid, gid] = raw;
        // A socket without a peer answers with the overflow ids instead of an error.
        if pid == 0 && uid == u32::MAX && gid == u32::MAX {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let pid = Some(pid).filter(|&pid| pid != 0);
        Ok(Self { pid, uid, gid, groups: groups(socket)? })
    }
}

fn groups(socket: impl AsFd) -> io::Result<Vec<u32>> {
    // Enough for nearly everybody, then for as many as the kernel allows a process (NGROUPS_MAX).
    for room in [64, 65_536] {
        let mut groups = vec![0; room];
        match option(&socket, libc::SO_PEERGROUPS, &mut groups) {
            Ok(count) => {
                groups.truncate(count);
                return Ok(groups);
            }
            Err(error) if error.raw_os_error() == Some(libc::ERANGE) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(Vec::new())
}

/// Reads a socket option that is some 32-bit numbers, and returns how many.
fn option(socket: impl AsFd, name: libc::c_int, into: &mut [u32]) -> io::Result<usize> {
    let room = size_of_val(into);
    let mut len = libc::socklen_t::try_from(room).map_err(io::Error::other)?;
    // SAFETY: the descriptor is borrowed, hence open; `into` is writable for `len` bytes, of which
    // the kernel writes at most that many, and any bytes are a `u32`.
    let status = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            name,
            into.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(len as usize / size_of::<u32>())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use rustix::process::{getegid, geteuid, getgroups};

    use super::*;

    #[test]
    fn the_peer_of_a_pair_is_ourselves() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let peer = PeerCredentials::of(&ours).unwrap();
        assert_eq!(peer.pid, Some(std::process::id()));
        assert_eq!((peer.uid, peer.gid), (geteuid().as_raw(), getegid().as_raw()));
        let mut groups: Vec<_> = getgroups().unwrap().iter().map(|gid| gid.as_raw()).collect();
        let mut told = peer.groups;
        groups.sort_unstable();
        told.sort_unstable();
        assert_eq!(told, groups);
    }

    #[test]
    fn other_descriptors_have_no_peer() {
        let (reader, _writer) = io::pipe().unwrap();
        assert!(PeerCredentials::of(&reader).is_err());
        let lonely = rustix::net::socket(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::STREAM,
            None,
        );
        let error = PeerCredentials::of(lonely.unwrap()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotConnected);
    }
}

//! Signals, where this code is a guest in somebody else's process.

use std::io;
use std::ptr;

/// Keeps every signal from the calling thread, and from the threads that it starts: they go to the
/// others of the process. For threads of ours in a program that is not ours: its handlers stay with its
/// own threads, and a write to a connection that is gone is an error there, and no SIGPIPE that would
/// end the process.
///
/// # Errors
///
/// When the system refuses it.
pub fn keep_signals_from_this_thread() -> io::Result<()> {
    let mut all = std::mem::MaybeUninit::uninit();
    // SAFETY: sigfillset writes the whole of the set that it is given, and pthread_sigmask reads that
    // and, with the old set left out, writes nothing.
    let error = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), ptr::null_mut())
    };
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_signal_comes_to_such_a_thread() {
        let blocked = || {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("SigBlk:\t")).unwrap();
            u64::from_str_radix(line, 16).unwrap()
        };
        let thread = std::thread::spawn(move || {
            keep_signals_from_this_thread().unwrap();
            blocked()
        });
        let bits = [libc::SIGPIPE, libc::SIGINT, libc::SIGTERM].map(|signal| 1 << (signal - 1));
        let bits = bits.iter().fold(0, |all, bit| all | bit);
        assert_eq!(blocked() & bits, 0);
        assert_eq!(thread.join().unwrap() & bits, bits);
    }
}

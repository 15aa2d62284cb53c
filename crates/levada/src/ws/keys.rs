//! Masking keys and nonces: strong randomness, fetched for many frames at once.

use std::cell::RefCell;

use rustix::rand::{GetRandomFlags, getrandom};

/// Bytes fetched at once: 64 keys. The system gives so many whole or not at all.
const POOL: usize = 256;

struct Pool {
    bytes: [u8; POOL],
    /// How many of them are used.
    used: usize,
}

thread_local! {
    static KEYS: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; POOL], used: POOL }) };
}

/// A masking key that nobody can foresee (RFC 6455 §10.3), from the thread's pool.
pub(super) fn mask_key() -> [u8; 4] {
    KEYS.with_borrow_mut(|pool| {
        if pool.used == POOL {
            fill(&mut pool.bytes);
            pool.used = 0;
        }
        let mut key = [0; 4];
        let bytes = &mut pool.bytes[pool.used..pool.used + 4];
        key.copy_from_slice(bytes);
        // What was given out is nowhere to be found again.
        bytes.fill(0);
        pool.used += 4;
        key
    })
}

/// A nonce for an opening handshake, from the system itself.
pub(super) fn nonce() -> [u8; 16] {
    let mut nonce = [0; 16];
    fill(&mut nonce);
    nonce
}

fn fill(bytes: &mut [u8]) {
    let mut filled = 0;
    while filled < bytes.len() {
        match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            // Every kernel that we run on has it, and it needs no descriptor.
            Err(error) => unreachable!("the system gives no randomness: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn keys_do_not_come_twice() {
        let keys: HashSet<_> = (0..1000).map(|_| mask_key()).collect();
        // Two equal ones among a thousand of 2^32 come once in 8,600 runs; ten do not come.
        assert!(keys.len() > 990);
        assert_ne!(nonce(), nonce());
    }
}

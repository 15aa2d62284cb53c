//! Bytes that nobody else may see: wiped when dropped, never printed, compared without an early
//! exit.

use core::fmt;

use zeroize::Zeroize as _;

/// `N` secret bytes.
///
/// Wiped on drop. A move may leave a copy behind that this type cannot reach; a pool therefore
/// locks its whole memory and keeps it out of core dumps as well.
#[derive(Clone)]
pub struct Secret<const N: usize>([u8; N]);

impl<const N: usize> Secret<N> {
    /// Takes the bytes in.
    pub const fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// The bytes, for whoever has a right to them.
    pub const fn expose(&self) -> &[u8; N] {
        &self.0
    }

    pub(crate) const fn expose_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }

    /// Overwrites the bytes with zeros.
    pub fn wipe(&mut self) {
        self.0.zeroize();
    }
}

impl<const N: usize> Default for Secret<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> Drop for Secret<N> {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({N} bytes)")
    }
}

impl<const N: usize> PartialEq for Secret<N> {
    fn eq(&self, other: &Self) -> bool {
        let difference = self.0.iter().zip(&other.0).fold(0, |all, (a, b)| all | (a ^ b));
        core::hint::black_box(difference) == 0
    }
}

impl<const N: usize> Eq for Secret<N> {}

/// The 16-byte key to a protected session: who presents it may ask about the session, detach it
/// and attach it again.
///
/// All zeros is what a packet carries before the pool has made a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlKey(Secret<16>);

impl ControlKey {
    /// A key from its bytes. Whoever makes keys draws them from a cryptographic generator.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(Secret::new(bytes))
    }

    /// The bytes, for whoever has a right to them.
    pub const fn expose(&self) -> &[u8; 16] {
        self.0.expose()
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new(*b"hush")), "Secret(4 bytes)");
        assert_eq!(format!("{:?}", ControlKey::new([7; 16])), "ControlKey(Secret(16 bytes))");
    }

    #[test]
    fn equality_looks_at_every_byte() {
        let key = ControlKey::new([7; 16]);
        assert_eq!(key, key.clone());
        for at in 0..16 {
            let mut bytes = [7; 16];
            bytes[at] ^= 0x80;
            assert_ne!(key, ControlKey::new(bytes));
        }
    }

    #[test]
    fn wiping_leaves_zeros() {
        let mut secret = Secret::new([9; 8]);
        secret.wipe();
        assert_eq!(secret, Secret::default());
    }
}

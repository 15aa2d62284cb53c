//! What the crate takes as arguments: time and masking keys.

use core::time::Duration;

/// The time of a test in which time does not matter.
pub(crate) const NOW: Duration = Duration::ZERO;

/// Masking keys of a test: different in every frame, and known.
pub(crate) fn keys() -> impl FnMut() -> [u8; 4] {
    let mut last = 0_u32;
    move || {
        last = last.wrapping_mul(0x9e37_79b1).wrapping_add(0x7f4a_7c15);
        last.to_be_bytes()
    }
}

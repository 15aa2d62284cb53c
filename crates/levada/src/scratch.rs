//! Buffers that belong to the thread, not to the connection.

use std::cell::RefCell;

/// Bytes of each scratch buffer: the most that one call moves.
pub(crate) const SCRATCH: usize = 256 * 1024;

/// A buffer of [`SCRATCH`] bytes that every stream of a thread borrows for the length of one call.
pub(crate) struct Scratch(RefCell<Vec<u8>>);

impl Scratch {
    const fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    fn lend<R>(&self, work: impl FnOnce(&mut [u8]) -> R) -> R {
        let mut buffer = self.0.borrow_mut();
        if buffer.is_empty() {
            buffer.resize(SCRATCH, 0);
        }
        work(&mut buffer)
    }
}

thread_local! {
    static WIRE: Scratch = const { Scratch::new() };
    static PLAIN: Scratch = const { Scratch::new() };
}

/// Lends the buffer for bytes between a transport and its layer. Not to be borrowed twice.
pub(crate) fn with_wire<R>(work: impl FnOnce(&mut [u8]) -> R) -> R {
    WIRE.with(|scratch| scratch.lend(work))
}

/// Lends the buffer for bytes between two streams. Not to be borrowed twice.
pub(crate) fn with_plain<R>(work: impl FnOnce(&mut [u8]) -> R) -> R {
    PLAIN.with(|scratch| scratch.lend(work))
}

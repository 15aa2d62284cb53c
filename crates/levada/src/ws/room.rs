//! Buffers of the thread, taken for a while and given back.
//!
//! Unlike the [scratch](crate::scratch) of sockets they are taken out of their place, since a stream
//! may run over another of its kind: the inner one then gets a buffer of its own.

use std::cell::Cell;

/// Bytes that are read ahead for a reader of small pieces.
pub(super) const AHEAD: usize = 16 * 1024;

/// Plain bytes that are encoded at once where they have to be copied, and the frames' headers.
pub(super) const BURST: usize = 128 * 1024;
const BURST_WIRE: usize = BURST + 64;

/// A gathered frame, what may stand before it, and the headers.
pub(super) const GATHER: usize = 66 * 1024;

thread_local! {
    static READING: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static ENCODING: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static GATHERING: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Lends [`AHEAD`] bytes to read into.
pub(super) fn with_reading<R>(work: impl FnOnce(&mut [u8]) -> R) -> R {
    let mut room = READING.take();
    room.resize(AHEAD, 0);
    let result = work(&mut room);
    READING.set(room);
    result
}

/// Lends room for the frames of [`BURST`] plain bytes.
pub(super) fn with_encoding<R>(work: impl FnOnce(&mut [u8]) -> R) -> R {
    with_compressing(|room| {
        room.resize(BURST_WIRE, 0);
        work(room)
    })
}

/// Lends a vector for what a frame becomes.
pub(super) fn with_compressing<R>(work: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    let mut room = ENCODING.take();
    let result = work(&mut room);
    ENCODING.set(room);
    result
}

/// An empty vector with a capacity of at least [`GATHER`] bytes.
pub(super) fn take_gathering() -> Vec<u8> {
    let mut room = GATHERING.take();
    room.reserve(GATHER);
    room
}

/// Gives a vector back to the thread, of which it keeps one.
pub(super) fn give_gathering(mut room: Vec<u8>) {
    room.clear();
    GATHERING.set(room);
}

//! What was read, on its way to JavaScript: few bytes are copied there, many are handed over where they
//! are, in a slab that comes back when JavaScript has no more use for it.

use std::cell::RefCell;
use std::io;
use std::mem;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use napi::Env;
use napi::bindgen_prelude::{BufferSlice, Result};
use tokio::time::sleep;

use crate::runtime;

/// Bytes of a chunk at most, and of each slab.
const SLAB: usize = 128 * 1024;

/// From so many bytes on a slab is handed over. With less in it, whoever keeps the chunk would keep
/// memory that is mostly empty.
const WORTH_A_SLAB: usize = SLAB / 2;

/// Slabs at most that wait to be used again: 48 MiB. V8 collects the garbage when 32 MiB are in use.
const FREE: usize = 48 * 1024 * 1024 / SLAB;

/// How long a slab waits in vain before its memory is the system's again.
const PATIENCE: Duration = Duration::from_secs(1);

/// What was read at once; never nothing.
pub(crate) enum Chunk {
    Few(Vec<u8>),
    Many(Slab, usize),
}

impl Chunk {
    /// Has `poll_read` fill a chunk as far as it can at once; it says how many bytes each call has put
    /// there, and no bytes or an error again when it is called again. `None` is no bytes at all.
    pub(crate) fn poll_fill(
        mut poll_read: impl FnMut(&mut [u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<Option<Self>>> {
        thread_local! {
            /// Where the streams of this thread read: an idle one holds no buffer.
            static NEXT: RefCell<Option<Slab>> = const { RefCell::new(None) };
        }
        NEXT.with_borrow_mut(|next| {
            let mut slab = next.take().unwrap_or_else(Slab::find);
            let mut filled = 0;
            let end = loop {
                match poll_read(&mut slab.bytes[filled..]) {
                    Poll::Ready(Ok(count @ 1..)) => filled += count,
                    end => break end,
                }
                if filled == SLAB {
                    break Poll::Pending;
                }
            };
            if filled >= WORTH_A_SLAB {
                return Poll::Ready(Ok(Some(Self::Many(slab, filled))));
            }
            let slab = next.insert(slab);
            if filled > 0 {
                return Poll::Ready(Ok(Some(Self::Few(slab.bytes[..filled].to_vec()))));
            }
            end.map_ok(|_nothing| None)
        })
    }

    /// What JavaScript gets.
    ///
    /// # Errors
    ///
    /// Node's.
    pub(crate) fn into_buffer(self, env: &Env) -> Result<BufferSlice<'static>> {
        match self {
            Self::Few(bytes) => BufferSlice::copy_from(env, bytes),
            Self::Many(mut slab, count) => {
                let start = slab.bytes.as_mut_ptr();
                // SAFETY: `start` is where the slab's `count` initialised bytes begin, and more. The slab
                // is kept, and nobody looks into it, until JavaScript has dropped the buffer, the end of
                // its thread included.
                unsafe { BufferSlice::from_external(env, start, count, slab, |_, slab| drop(slab)) }
            }
        }
    }
}

/// [`SLAB`] bytes, which wait to be used again when they are dropped.
pub(crate) struct Slab {
    bytes: Vec<u8>,
}

impl Slab {
    fn find() -> Self {
        let bytes = with_shelf(|shelf| {
            let bytes = shelf.slabs.pop();
            shelf.unused = shelf.unused.min(shelf.slabs.len());
            bytes
        });
        Self { bytes: bytes.unwrap_or_else(|| vec![0; SLAB]) }
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        let bytes = mem::take(&mut self.bytes);
        let begins = with_shelf(|shelf| {
            if shelf.slabs.len() < FREE {
                shelf.slabs.push(bytes);
            }
            !mem::replace(&mut shelf.is_watched, true)
        });
        // Where there are no threads there was nothing to read.
        if begins && runtime::spawn(clear()).is_err() {
            with_shelf(|shelf| shelf.is_watched = false);
        }
    }
}

/// Where slabs wait, of all streams and all of Node's threads.
struct Shelf {
    slabs: Vec<Vec<u8>>,
    /// How many of them nobody has used since somebody last looked.
    unused: usize,
    /// Whether somebody looks from time to time.
    is_watched: bool,
}

fn with_shelf<R>(work: impl FnOnce(&mut Shelf) -> R) -> R {
    static SHELF: Mutex<Shelf> =
        Mutex::new(Shelf { slabs: Vec::new(), unused: 0, is_watched: false });
    work(&mut SHELF.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Gives back to the system what has waited in vain, until there is nothing more.
async fn clear() {
    loop {
        sleep(PATIENCE).await;
        let (given_back, is_empty) = with_shelf(|shelf| {
            let still_used = shelf.slabs.len() - shelf.unused;
            let given_back: Vec<_> = shelf.slabs.drain(..shelf.unused).collect();
            shelf.unused = still_used;
            shelf.is_watched = still_used > 0;
            (given_back, still_used == 0)
        });
        drop(given_back);
        if is_empty {
            return;
        }
    }
}

//! What is read, on its way to JavaScript.

use std::cell::RefCell;
use std::io;
use std::mem;
use std::task::{Poll, ready};

use napi::Env;
use napi::bindgen_prelude::{BufferSlice, Result};

/// Bytes of a chunk at most: as many as the crate takes from a transport at once.
const CHUNK: usize = 256 * 1024;

/// From so many bytes on a chunk is handed on in the buffer it was read into. With less in it, whoever
/// keeps the chunk would keep memory that is mostly empty.
const FULL_ENOUGH: usize = CHUNK / 2;

/// From so many bytes on the memory of a chunk is lent to JavaScript; fewer are copied sooner than lent.
const WORTH_LENDING: usize = 16 * 1024;

/// Has `poll_read` put bytes into a chunk; it says how many. An empty chunk is no bytes at all.
pub(crate) fn poll_fill(
    poll_read: impl FnOnce(&mut [u8]) -> Poll<io::Result<usize>>,
) -> Poll<io::Result<Vec<u8>>> {
    thread_local! {
        /// Where the streams of this thread read: an idle one holds no buffer.
        static ROOM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    ROOM.with_borrow_mut(|room| {
        if room.is_empty() {
            *room = vec![0; CHUNK];
        }
        let filled = ready!(poll_read(room))?;
        Poll::Ready(Ok(if filled < FULL_ENOUGH {
            room[..filled].to_vec()
        } else {
            let mut chunk = mem::take(room);
            chunk.truncate(filled);
            chunk
        }))
    })
}

/// The buffer that JavaScript gets for a chunk.
///
/// # Errors
///
/// Node's.
pub(crate) fn into_buffer(chunk: Vec<u8>, env: Env) -> Result<BufferSlice<'static>> {
    if chunk.len() < WORTH_LENDING {
        return BufferSlice::copy_from(&env, chunk);
    }
    // V8 finds out which young buffers are garbage when it makes one itself. If all are lent, they pile up
    // until it goes through its whole heap for them, which costs more than all else here.
    BufferSlice::copy_from(&env, [0])?;
    BufferSlice::from_data(&env, chunk)
}

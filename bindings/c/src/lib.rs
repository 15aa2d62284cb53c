//! The TLS pool for C and C++: what `include/levada_pool.h` declares, and nothing else.
//!
//! * here: the functions, each a line or two over the client of [`levada_pool::polled`];
//! * `border`: what comes from C becomes Rust, and the other way round;
//! * `types`: the structures and numbers of the header;
//! * `handle`: one client, and what it last told.
//!
//! A border to C cannot do without raw pointers, so this crate is the second that may hold `unsafe`, beside
//! `levada-sys`. Each function states what its caller owes in the header; each block says why it holds.
#![allow(unsafe_code, reason = "C hands over pointers, and checks nothing")]
#![deny(unsafe_op_in_unsafe_fn)]

mod border;
mod handle;
mod types;

use std::ffi::{c_char, c_int};

use levada_pool::PoolError;
use levada_pool::polled::{Asked, Client};
use levada_pool::wire::{ControlKey, Identity};

use crate::border::guarded;
pub use crate::handle::Pool;
pub use crate::types::*;

/// Connects to the pool that listens at `path`, a Unix socket; NULL is where a pool of this machine
/// listens unless it is told otherwise, or $LEVADA_POOL.
///
/// On success `*pool` is a handle, to be given to levada_pool_close(); else it is NULL.
///
/// # Safety
///
/// `path` is NULL or a text, `pool` NULL or the place of a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn levada_pool_open(
    path: *const c_char,
    pool: *mut *mut Pool,
) -> levada_pool_error {
    guarded(|| {
        // SAFETY: as the header has it.
        let (path, out) = unsafe { (border::text(path), border::place(pool)?) };
        out.write(std::ptr::null_mut());
        out.write(Box::into_raw(Box::new(Pool::open(path)?)));
        Ok(())
    })
}

/// Closes a handle: requests that are under way end untold, and so do its sessions, but for those that
/// are detached or forked. NULL is no handle, and does nothing.
///
/// # Safety
///
/// `pool` is NULL or a handle, which is one no longer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn levada_pool_close(pool: *mut Pool) {
    guarded(|| {
        // SAFETY: as the header has it; it comes from the box in levada_pool_open().
        drop((!pool.is_null()).then(|| unsafe { Box::from_raw(pool) }));
        Ok(())
    });
}

/// The descriptor to watch, for reading alone; it stays the same until the handle is closed, whose it is.
/// -1 for NULL.
///
/// # Safety
///
/// `pool` is NULL or a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn levada_pool_descriptor(pool: *const Pool) -> c_int {
    // SAFETY: as the header has it.
    unsafe { pool.as_ref() }.map_or(-1, Pool::descriptor)
}

/// Takes in what has come, and tells the next event: true, and `*event` is one, or false, and there is
/// none. Call it until it says false whenever the descriptor is readable.
///
/// It waits for an event for up to `timeout_ms` milliseconds; 0 does not wait, less than 0 for ever.
///
/// # Safety
///
/// `pool` is NULL or a handle, `event` NULL or the place of an event.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn levada_pool_process(
    pool: *mut Pool,
    timeout_ms: c_int,
    event: *mut levada_pool_event,
) -> bool {
    let mut found = false;
    guarded(|| {
        // SAFETY: as the header has it.
        let (pool, event) = unsafe { (border::handle(pool)?, border::place(event)?) };
        if let Some(next) = pool.process(timeout_ms)? {
            event.write(next);
            found = true;
        }
        Ok(())
    });
    found
}

/// Has the pool protect the connection of the socket `network`, and gives the number of the request. Then
/// comes LEVADA_POOL_PROTECTED or LEVADA_POOL_FAILED, before it LEVADA_POOL_QUESTION where `request` asks
/// for that.
///
/// `network` is the pool's from here on, whatever is returned: it is closed here.
///
/// # Safety
///
/// `pool` is NULL or a handle, `network` a descriptor of the caller's own, `request` NULL or a request,
/// `number` NULL or the place of a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn levada_pool_start(
    pool: *mut Pool,
    network: c_int,
    request: *const levada_pool_request,
    number: *mut u64,
) -> levada_pool_error {
    guarded(|| {
        // SAFETY: as the header has it.
        let network = unsafe { border::descriptor(network) };
        // SAFETY: the same.
        let (pool, number) = unsafe { (border::handle(pool)?, border::place(number)?) };
        // SAFETY: the same.
        let request = unsafe { border::request(request)? };
        let network = network?;
        number.write(pool.ask(|client| client.start_tls(network, &request))?);
        Ok(())
    })
}

/// Answers LEVADA_POOL_QUESTION: `local_id` is whom we stand for, NULL refuses, and the request fails.
///
/// # Safety
///
/// `pool` is NULL or a handle, `local_id` NULL or a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn levada_pool_answer(
    pool: *mut Pool,
    number: u64,
    local_id: *const c_char,
) -> levada_pool_error {
    guarded(|| {
        // SAFETY: as the header has it.
        let (pool, local_id) = unsafe { (border::handle(pool)?, border::text(local_id)) };
        Ok(pool.answer(number, local_id.map(Identity::new).transpose()?)?)
    })
}

/// Stops waiting for a request: nothing more is told of it, and what it has begun ends.
///
/// # Safety
///
/// `pool` is NULL or a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn levada_pool_cancel(pool: *mut Pool, number: u64) {
    guarded(|| {
        // SAFETY: as the header has it.
        unsafe { border::handle(pool)? }.cancel(number);
        Ok(())
    });
}

/// Has the pool protect the connection of the socket `network`, and waits until it has: `*session` is the
/// session then. The plaintext socket blocks. A question about our identity is refused.
///
/// `network` is the pool's from here on, whatever is returned: it is closed here.
/// LEVADA_POOL_BUSY while requests of levada_pool_start() and its like are under way.
///
/// # Safety
///
/// `pool` is NULL or a handle, `network` a descriptor of the caller's own, `request` NULL or a request,
/// `session` NULL or the place of a session.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn levada_pool_starttls(
    pool: *mut Pool,
    network: c_int,
    request: *const levada_pool_request,
    session: *mut levada_pool_session,
) -> levada_pool_error {
    guarded(|| {
        // SAFETY: as the header has it.
        let network = unsafe { border::descriptor(network) };
        // SAFETY: the same.
        let (pool, session) = unsafe { (border::handle(pool)?, border::place(session)?) };
        // SAFETY: the same.
        let request = unsafe { border::request(request)? };
        session.write(pool.start_and_wait(network?, &request)?);
        Ok(())
    })
}

/// Asks what is known about the session with this key, also after its end: LEVADA_POOL_REPORT.
///
/// # Safety
///
/// `pool` is NULL or a handle, `key` NULL or the key of a session, 16 bytes, `number` NULL or the place of a
/// number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn levada_pool_inspect(
    pool: *mut Pool,
    key: *const u8,
    number: *mut u64,
) -> levada_pool_error {
    // SAFETY: as the header has it.
    unsafe { about(pool, key, number, Client::report) }
}

/// Asks for the certificates that the peer of a living session has shown: LEVADA_POOL_CHAIN.
///
/// # Safety
///
/// As of levada_pool_inspect().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn levada_pool_chain(
    pool: *mut Pool,
    key: *const u8,
    number: *mut u64,
) -> levada_pool_error {
    // SAFETY: as the header has it.
    unsafe { about(pool, key, number, Client::peer_chain) }
}

/// Has `size` bytes (1 to 350) derived from the keys of a session (RFC 5705, RFC 8446 section 7.5) under
/// `label`: LEVADA_POOL_KEYS. `context` of `context_size` bytes may be NULL, which is none.
///
/// # Safety
///
/// As of levada_pool_inspect(); `label` is NULL or a text, `context` NULL or so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn levada_pool_export(
    pool: *mut Pool,
    key: *const u8,
    label: *const c_char,
    context: *const u8,
    context_size: usize,
    size: usize,
    number: *mut u64,
) -> levada_pool_error {
    let export = |client: &mut Client, key| {
        // SAFETY: as the header has it.
        let (label, context) =
            unsafe { (border::text(label), border::bytes(context, context_size)) };
        client.export(key, label.unwrap_or_default(), context, size)
    };
    // SAFETY: the same.
    unsafe { about(pool, key, number, export) }
}

/// Lets a session live on when this handle is closed: LEVADA_POOL_DONE.
///
/// # Safety
///
/// As of levada_pool_inspect().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn levada_pool_detach(
    pool: *mut Pool,
    key: *const u8,
    number: *mut u64,
) -> levada_pool_error {
    // SAFETY: as the header has it.
    unsafe { about(pool, key, number, Client::detach) }
}

/// Makes a detached session this handle's own: LEVADA_POOL_DONE.
///
/// # Safety
///
/// As of levada_pool_inspect().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn levada_pool_attach(
    pool: *mut Pool,
    key: *const u8,
    number: *mut u64,
) -> levada_pool_error {
    // SAFETY: as the header has it.
    unsafe { about(pool, key, number, Client::reattach) }
}

/// What `error` means, in words for a person: of the last call in this thread that failed so all that is
/// known, else what the number says. Good until the next call in this thread.
#[unsafe(no_mangle)]
pub extern "C" fn levada_pool_message(error: c_int) -> *const c_char {
    border::message(error)
}

/// Makes a request about the session with this key.
///
/// # Safety
///
/// As of levada_pool_inspect().
unsafe fn about(
    pool: *mut Pool,
    key: *const u8,
    number: *mut u64,
    ask: impl FnOnce(&mut Client, ControlKey) -> Result<Asked, PoolError>,
) -> levada_pool_error {
    guarded(|| {
        // SAFETY: as the header has it.
        let (pool, number) = unsafe { (border::handle(pool)?, border::place(number)?) };
        // SAFETY: the same.
        let key = unsafe { border::key(key)? };
        number.write(pool.ask(|client| ask(client, key))?);
        Ok(())
    })
}

//! The border itself: pointers become references that are checked for NULL, and failures become numbers.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int};
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use levada_pool::wire::{ControlKey, Role, StartTlsFlags, TextError};
use levada_pool::{PoolError, TlsRequest};

use crate::handle::Pool;
use crate::types::{levada_pool_error, levada_pool_request};

thread_local! {
    /// The last failure in this thread.
    static LAST: RefCell<(levada_pool_error, CString)> =
        RefCell::new((levada_pool_error::LEVADA_POOL_OK, CString::default()));
}

/// Why a call failed.
#[derive(Debug)]
pub(crate) struct Failed(levada_pool_error, String);

impl Failed {
    pub(crate) fn new(error: levada_pool_error, why: impl Into<String>) -> Self {
        Self(error, why.into())
    }

    fn invalid(why: impl Into<String>) -> Self {
        Self::new(levada_pool_error::LEVADA_POOL_INVALID, why)
    }
}

impl From<PoolError> for Failed {
    fn from(error: PoolError) -> Self {
        Self(levada_pool_error::of(&error), error.to_string())
    }
}

impl From<TextError> for Failed {
    fn from(error: TextError) -> Self {
        Self::invalid(error.to_string())
    }
}

/// Does what a call is for. No panic leaves it: who calls from C has nobody to catch it.
pub(crate) fn guarded(work: impl FnOnce() -> Result<(), Failed>) -> levada_pool_error {
    // A handle that has panicked half-way is one of Rust still: it can be used and closed.
    let failed = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => return levada_pool_error::LEVADA_POOL_OK,
        Ok(Err(failed)) => failed,
        Err(_) => {
            let error = levada_pool_error::LEVADA_POOL_INTERNAL;
            Failed(error, levada_pool_error::words(error as c_int).to_string_lossy().into())
        }
    };
    let Failed(error, why) = failed;
    // A thread that ends has nobody left to ask.
    let _ = LAST.try_with(|last| *last.borrow_mut() = (error, text_of(&why)));
    error
}

/// What an error means: see [`levada_pool_message`](crate::levada_pool_message).
pub(crate) fn message(error: c_int) -> *const c_char {
    let told = LAST.try_with(|last| {
        let (last, why) = &*last.borrow();
        (*last as c_int == error && !why.is_empty()).then(|| why.as_ptr())
    });
    told.ok().flatten().unwrap_or(levada_pool_error::words(error).as_ptr())
}

/// A text of ours for C; a NUL in it, which would end it, is shown.
pub(crate) fn text_of(text: &str) -> CString {
    CString::new(text.replace('\0', "\u{2400}")).unwrap_or_default()
}

/// # Safety
///
/// It is NULL or comes from `levada_pool_open`, is not closed, and nobody else uses it now.
pub(crate) unsafe fn handle<'a>(pool: *mut Pool) -> Result<&'a mut Pool, Failed> {
    // SAFETY: the caller's word.
    unsafe { pool.as_mut() }.ok_or_else(|| Failed::invalid("the handle is NULL"))
}

/// Where an answer goes.
///
/// # Safety
///
/// It is NULL or the place of such a value, which nobody else uses now.
pub(crate) unsafe fn place<'a, T>(place: *mut T) -> Result<&'a mut MaybeUninit<T>, Failed> {
    // SAFETY: the caller's word; what is there need not be such a value yet.
    unsafe { place.cast::<MaybeUninit<T>>().as_mut() }
        .ok_or_else(|| Failed::invalid("the place of the answer is NULL"))
}

/// # Safety
///
/// It is NULL or a text that a NUL ends, and that lives as long as what is made of it.
pub(crate) unsafe fn text<'a>(text: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: the caller's word.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// # Safety
///
/// It is NULL or so many bytes, which live as long as what is made of them.
pub(crate) unsafe fn bytes<'a>(bytes: *const u8, size: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's word.
    (!bytes.is_null()).then(|| unsafe { std::slice::from_raw_parts(bytes, size) })
}

/// # Safety
///
/// It is NULL or 16 bytes.
pub(crate) unsafe fn key(key: *const u8) -> Result<ControlKey, Failed> {
    // SAFETY: the caller's word. Bytes lie anywhere.
    let key = unsafe { key.cast::<[u8; 16]>().as_ref() };
    key.map(|key| ControlKey::new(*key)).ok_or_else(|| Failed::invalid("the key is NULL"))
}

/// Takes over a descriptor.
///
/// # Safety
///
/// It is no descriptor, or one that nobody else closes.
pub(crate) unsafe fn descriptor(fd: c_int) -> Result<OwnedFd, Failed> {
    if fd < 0 {
        return Err(Failed::invalid(format!("{fd} is no descriptor")));
    }
    // SAFETY: the caller's word.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// # Safety
///
/// It is NULL or a request, whose texts are NULL or texts, and whose protocols are NULL or texts with NULL
/// behind them.
pub(crate) unsafe fn request(asked: *const levada_pool_request) -> Result<TlsRequest, Failed> {
    // SAFETY: the caller's word.
    let asked = unsafe { asked.as_ref() }.ok_or_else(|| Failed::invalid("the request is NULL"))?;
    // SAFETY: the same.
    let [remote, local, service] =
        [asked.remote_id, asked.local_id, asked.service].map(|given| unsafe { text(given) });
    let flags = StartTlsFlags::from_bits(asked.flags);
    let role = flags.role().map_err(|code| Failed::invalid(format!("no role: {code}")))?;
    let request = match (role, remote) {
        (Role::Client, None | Some([])) => {
            return Err(Failed::invalid("a TLS client has to say whom it expects, in remote_id"));
        }
        (Role::Client, Some(remote)) => TlsRequest::client(remote)?,
        (Role::Server, remote) => TlsRequest::server()
            .without(StartTlsFlags::IGNORE_REMOTEID)
            .remote(remote.unwrap_or_default())?,
    };
    let request = request.with(flags).local(local.unwrap_or_default())?;
    let request = request.service(service.unwrap_or_default())?;
    // SAFETY: the same.
    let request = request.alpn(unsafe { texts(asked.alpn) });
    Ok(match asked.timeout_ms {
        0 => request,
        u32::MAX => request.timeout(None),
        time => request.timeout(Some(Duration::from_millis(time.into()))),
    })
}

/// # Safety
///
/// It is NULL or an array of texts with NULL behind them.
unsafe fn texts<'a>(mut texts: *const *const c_char) -> Vec<&'a [u8]> {
    let mut all = Vec::new();
    if texts.is_null() {
        return all;
    }
    // SAFETY: the caller's word: each is a text or the NULL behind them, where this ends.
    while let Some(next) = unsafe { text(*texts) } {
        all.push(next);
        // SAFETY: what was read was not the last.
        texts = unsafe { texts.add(1) };
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the last failure in this thread was.
    fn told(error: levada_pool_error) -> String {
        // SAFETY: a message is a text, and nothing has failed since.
        let words = unsafe { text(message(error as c_int)) };
        String::from_utf8(words.unwrap().to_vec()).unwrap()
    }

    #[test]
    fn no_panic_leaves_it_and_the_thread_goes_on() {
        let internal = levada_pool_error::LEVADA_POOL_INTERNAL;
        assert_eq!(guarded(|| panic!("on purpose")), internal);
        assert_eq!(told(internal), "a flaw of the library; please report it");
        assert_eq!(guarded(|| Ok(())), levada_pool_error::LEVADA_POOL_OK);
    }

    #[test]
    fn every_error_has_words_of_its_own_and_the_last_one_has_its_story() {
        let gone = levada_pool_error::LEVADA_POOL_GONE;
        let words: Vec<_> = (0..=11).map(levada_pool_error::words).collect();
        for (number, own) in words.iter().enumerate() {
            assert!(!words[..number].contains(own), "{own:?}");
        }
        assert_eq!(guarded(|| Err(Failed::new(gone, "it\0went"))), gone);
        assert_eq!(told(gone), "it\u{2400}went");
        assert_eq!(
            told(levada_pool_error::LEVADA_POOL_BUSY),
            "the handle waits for something else"
        );
        std::thread::spawn(move || assert!(told(gone).starts_with("the TLS pool went")))
            .join()
            .unwrap();
    }

    #[test]
    fn protocols_end_with_null() {
        let all = [c"h2".as_ptr(), c"imap".as_ptr(), std::ptr::null(), c"x".as_ptr()];
        // SAFETY: it has NULL behind the last that counts.
        assert_eq!(unsafe { texts(all.as_ptr()) }, [&b"h2"[..], b"imap"]);
        // SAFETY: NULL is none.
        assert!(unsafe { texts(std::ptr::null()) }.is_empty());
    }
}

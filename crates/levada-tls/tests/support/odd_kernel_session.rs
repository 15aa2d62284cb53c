//! What must hold of whatever is handed over as a session of the kernel's, and of whatever comes on it.
//! Shared by the tests and the fuzz target.

use levada_tls::{Duty, KernelSession, Permit};

/// Reads a session whose length is the first byte, and has it take the records behind it: a content type,
/// a length, and so many bytes each.
///
/// # Panics
///
/// When the session is not written as it was read, or its duties contradict themselves.
pub(crate) fn check(data: &[u8]) {
    let Some((&length, rest)) = data.split_first() else { return };
    let Some((session, mut records)) = rest.split_at_checked(usize::from(length)) else { return };
    let Ok(session) = KernelSession::from_bytes(session) else { return };
    assert_eq!(*session.to_bytes(), rest[..usize::from(length)]);
    let mut duties = session.duties();
    let mut ended = false;
    while let [content_type, length, behind @ ..] = records {
        let (content, behind) = behind.split_at(usize::from(*length).min(behind.len()));
        records = behind;
        let came = duties.received(*content_type, content);
        assert!(!ended || came.is_empty(), "nothing counts behind the end");
        ended |= came.iter().any(|duty| matches!(duty, Duty::End(_) | Duty::EndOfData));
        if !ended && matches!(duties.permit(1), Permit::Behind) {
            assert!(duties.outgoing().is_some());
            let _ = duties.sent();
        }
    }
}

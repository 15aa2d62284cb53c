//! Descriptors that travel over Unix sockets (`SCM_RIGHTS`, unix(7)).
//!
//! A descriptor goes with a byte, and the kernel hands it out with the read that takes this byte.
//! What a descriptor belongs to is therefore known only to a receiver that never reads past the end
//! of a message: ask for no more bytes than it still lacks.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::retry_on_intr;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// How many descriptors one call sends, and the fewest for which a receiver has room.
pub const MAX_DESCRIPTORS: usize = 4;

/// Bytes of control data for that many.
const CONTROL_SPACE: usize = rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS));

/// What one read took.
#[derive(Debug)]
pub struct Received {
    /// How many bytes. 0 is the end of the stream, unless the buffer was empty.
    pub bytes: usize,
    /// The descriptors that came with them, in the order in which they were sent, each closed on
    /// exec from the start. Whatever is not taken out closes itself.
    pub descriptors: Vec<OwnedFd>,
    /// Whether more descriptors were sent than came: there was no room for them, or this process
    /// may open no more. The kernel has closed those.
    pub truncated: bool,
}

/// Sends `bytes`, with `descriptors` bound to the first of them, and returns how many bytes went.
///
/// The descriptors are duplicated: the caller's stay open. A Unix stream socket takes a message of
/// less than a page whole or not at all. A receiver that is gone is an error, never a signal.
///
/// # Errors
///
/// `InvalidInput` for more than [`MAX_DESCRIPTORS`], or for descriptors without a byte to bind them
/// to, which would lose them; otherwise the system's error. `WouldBlock` when nothing went.
pub fn send(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    if descriptors.len() > MAX_DESCRIPTORS {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "{} descriptors with one message, {MAX_DESCRIPTORS} at most",
                descriptors.len()
            ),
        ));
    }
    if bytes.is_empty() && !descriptors.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a descriptor needs a byte to go with",
        ));
    }
    let mut space = [MaybeUninit::uninit(); CONTROL_SPACE];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        let pushed = control.push(SendAncillaryMessage::ScmRights(descriptors));
        debug_assert!(pushed, "the buffer has room for as many as were let through");
    }
    let sent = retry_on_intr(|| {
        sendmsg(&socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)
    })?;
    Ok(sent)
}

/// Reads up to `buffer.len()` bytes, and the descriptors that were sent with one of them.
///
/// # Errors
///
/// The system's; `WouldBlock` when nothing is there.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Received> {
    let mut space = [MaybeUninit::uninit(); CONTROL_SPACE];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let read = retry_on_intr(|| {
        let mut buffers = [IoSliceMut::new(&mut *buffer)];
        recvmsg(&socket, &mut buffers, &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    let descriptors = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        })
        .flatten()
        .collect();
    let truncated = read.flags.contains(ReturnFlags::CTRUNC);
    Ok(Received { bytes: read.bytes, descriptors, truncated })
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read, Write};
    use std::os::unix::net::UnixStream;

    use rustix::io::{FdFlags, fcntl_getfd};

    use super::*;

    fn pipes(count: usize) -> (Vec<PipeReader>, Vec<OwnedFd>) {
        let pipe = |_| {
            let (reader, writer) = io::pipe().unwrap();
            (reader, OwnedFd::from(writer))
        };
        (0..count).map(pipe).unzip()
    }

    fn borrowed(descriptors: &[OwnedFd]) -> Vec<BorrowedFd<'_>> {
        descriptors.iter().map(AsFd::as_fd).collect()
    }

    /// Whether nobody can write to this pipe any more. It blocks while somebody can.
    fn is_closed(mut pipe: PipeReader) -> bool {
        matches!(pipe.read(&mut [0]), Ok(0))
    }

    #[test]
    fn a_descriptor_comes_with_its_first_byte_and_closes_on_exec() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        assert_eq!(send(&ours, b"packet", &[writer.as_fd()]).unwrap(), 6);
        drop(writer);

        let mut buffer = [0; 3];
        let first = receive(&theirs, &mut buffer).unwrap();
        assert_eq!((first.bytes, &buffer, first.truncated), (3, b"pac", false));
        let rest = receive(&theirs, &mut buffer).unwrap();
        assert_eq!((rest.bytes, &buffer, rest.descriptors.len()), (3, b"ket", 0));

        let [received] = <[OwnedFd; 1]>::try_from(first.descriptors).unwrap();
        assert!(fcntl_getfd(&received).unwrap().contains(FdFlags::CLOEXEC));
        std::fs::File::from(received).write_all(b"through").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    }

    #[test]
    fn several_come_in_order() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (readers, writers) = pipes(MAX_DESCRIPTORS);
        send(&ours, b"x", &borrowed(&writers)).unwrap();
        drop(writers);
        let received = receive(&theirs, &mut [0; 8]).unwrap();
        assert_eq!((received.bytes, received.truncated), (1, false));
        for (mut reader, writer) in readers.into_iter().zip(received.descriptors) {
            let mut writer = std::fs::File::from(writer);
            writer.write_all(b"mine").unwrap();
            drop(writer);
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            assert_eq!(text, "mine");
        }
    }

    #[test]
    fn what_has_no_room_is_closed_and_reported() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (readers, writers) = pipes(64);
        // More than `send` lets through, as a stranger may.
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let many = borrowed(&writers);
        assert!(control.push(SendAncillaryMessage::ScmRights(&many)));
        sendmsg(&ours, &[IoSlice::new(b"x")], &mut control, SendFlags::empty()).unwrap();
        drop(many);
        drop(writers);

        let received = receive(&theirs, &mut [0; 8]).unwrap();
        assert!(received.truncated);
        let kept = received.descriptors.len();
        assert!((MAX_DESCRIPTORS..64).contains(&kept), "{kept}");
        let mut readers = readers.into_iter();
        let first: Vec<_> = readers.by_ref().take(kept).collect();
        assert!(readers.all(is_closed));
        drop(received);
        assert!(first.into_iter().all(is_closed));
    }

    #[test]
    fn a_read_that_nobody_looks_into_leaks_nothing() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (readers, writers) = pipes(2);
        send(&ours, b"x", &borrowed(&writers)).unwrap();
        drop(writers);
        drop(receive(&theirs, &mut [0; 1]).unwrap());
        assert!(readers.into_iter().all(is_closed));
    }

    #[test]
    fn the_end_of_the_stream_is_no_bytes() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let nothing = receive(&theirs, &mut [0; 8]).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        drop(ours);
        assert_eq!(receive(&theirs, &mut [0; 8]).unwrap().bytes, 0);
    }

    #[test]
    fn a_receiver_that_is_gone_is_an_error() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        assert_eq!(send(&ours, b"x", &[]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn what_would_lose_a_descriptor_is_refused() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let (_readers, writers) = pipes(MAX_DESCRIPTORS + 1);
        let descriptors = borrowed(&writers);
        for (bytes, descriptors) in [(&b"x"[..], &descriptors[..]), (b"", &descriptors[..1])] {
            let error = send(&ours, bytes, descriptors).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }
}

//! What waits to be sent: sealed frames, and behind them one frame that still grows.

use levada_ws::frame::{Header, MAX_FRAME_PAYLOAD, MAX_HEADER, Mask};

use super::room;

/// A buffer up to this size is kept by the stream; a larger one goes back to the thread.
const KEPT: usize = 1024;

/// Wire bytes that have not left, and the plain bytes of the frame that is being gathered.
///
/// The open frame is written in place: room for its header, then its payload. Sealing it fills in
/// the header and masks the payload where it stands.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    /// How much has left.
    sent: usize,
    /// How much is frames; behind it stands the open one, if there is one.
    sealed: usize,
    /// Where the last data frame ends that is sealed.
    data: usize,
    /// Whether payload was dropped that the carrier did not take.
    lost: bool,
}

impl Outbox {
    /// Wire bytes to send.
    pub(super) fn wire(&self) -> &[u8] {
        &self.bytes[self.sent..self.sealed]
    }

    /// Payload of the open frame, in bytes.
    pub(super) fn gathered(&self) -> usize {
        self.bytes.len().saturating_sub(self.sealed + MAX_HEADER)
    }

    /// Whether payload that was accepted has not left: control frames do not count.
    pub(super) fn owes_data(&self) -> bool {
        self.lost || self.data > self.sent || self.gathered() > 0
    }

    /// How many plain bytes can be gathered before something has to leave.
    pub(super) fn room(&self) -> usize {
        MAX_FRAME_PAYLOAD.saturating_sub(self.wire().len() + self.gathered())
    }

    /// Adds plain bytes to the open frame; the caller keeps to [`room`](Self::room).
    pub(super) fn gather(&mut self, plain: &[u8]) {
        let begins = self.bytes.len() == self.sealed;
        self.reserve(plain.len() + if begins { MAX_HEADER } else { 0 });
        if begins {
            self.bytes.extend_from_slice(&[0; MAX_HEADER]);
        }
        self.bytes.extend_from_slice(plain);
    }

    /// Puts what `convert` makes of the payload of the open frame in its place, if it does so.
    pub(super) fn replace(&mut self, convert: impl FnOnce(&[u8], &mut Vec<u8>) -> bool) -> bool {
        let payload = self.sealed + MAX_HEADER;
        room::with_compressing(|out| {
            out.clear();
            let is_converted = convert(&self.bytes[payload..], out);
            if is_converted {
                self.bytes.truncate(payload);
                self.bytes.extend_from_slice(out);
            }
            is_converted
        })
    }

    /// Makes the open frame ready to send, with this header.
    pub(super) fn seal(&mut self, header: Header) {
        let payload = self.sealed + MAX_HEADER;
        if let Some(key) = header.mask {
            Mask::new(key).apply(&mut self.bytes[payload..]);
        }
        let head = header.encode();
        let start = payload - head.len();
        self.bytes[start..payload].copy_from_slice(&head);
        // Close the gap between what waits already and the header.
        let waiting = self.sealed - self.sent;
        self.bytes.copy_within(self.sent..self.sealed, start - waiting);
        self.sent = start - waiting;
        self.sealed = self.bytes.len();
        self.data = self.sealed;
    }

    /// Adds what is left of data frames, as [`push`](Self::push) does.
    pub(super) fn push_data(&mut self, frames: &[u8]) {
        self.push(frames);
        self.data = self.sealed;
    }

    /// Adds whole frames behind what is sealed, in front of the open frame.
    pub(super) fn push(&mut self, frames: &[u8]) {
        self.reserve(frames.len());
        if self.bytes.len() == self.sealed {
            self.bytes.extend_from_slice(frames);
        } else {
            self.bytes.splice(self.sealed..self.sealed, frames.iter().copied());
        }
        self.sealed += frames.len();
    }

    /// This many wire bytes have left.
    pub(super) fn advance(&mut self, count: usize) {
        self.sent += count;
        if self.sent == self.bytes.len() {
            self.clear();
        }
    }

    /// Drops everything, since the carrier takes nothing any more.
    pub(super) fn lose(&mut self) {
        self.lost = self.owes_data();
        self.clear();
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        (self.sent, self.sealed, self.data) = (0, 0, 0);
        self.bytes.clear();
        // An idle connection owns state, not buffers.
        if self.bytes.capacity() > KEPT {
            room::give_gathering(std::mem::take(&mut self.bytes));
        }
    }

    fn reserve(&mut self, more: usize) {
        if self.sent > 0 && self.bytes.capacity() - self.bytes.len() < more {
            self.bytes.drain(..self.sent);
            self.sealed -= self.sent;
            self.data = self.data.saturating_sub(self.sent);
            self.sent = 0;
        }
        let len = self.bytes.len() + more;
        if len > KEPT && self.bytes.capacity() < room::GATHER {
            let mut room = room::take_gathering();
            room.extend_from_slice(&self.bytes);
            self.bytes = room;
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_ws::frame::Opcode;

    fn header(len: usize, mask: Option<[u8; 4]>) -> Header {
        Header { fin: true, compressed: false, opcode: Opcode::Binary, mask, len: len as u64 }
    }

    #[test]
    fn frames_stand_without_gaps_whatever_is_put_between() {
        let mut outbox = Outbox::default();
        outbox.gather(b"on");
        outbox.gather(b"e");
        outbox.push(b"[pong]");
        assert_eq!(outbox.gathered(), 3);
        assert!(outbox.owes_data());
        outbox.seal(header(3, None));
        outbox.gather(b"two");
        outbox.seal(header(3, Some([1, 1, 1, 1])));
        let wire = b"[pong]\x82\x03one\x82\x83\x01\x01\x01\x01\x75\x76\x6e".as_slice();
        assert_eq!(outbox.wire(), wire);
        outbox.advance(9);
        outbox.gather(b"three");
        assert_eq!(outbox.wire(), &wire[9..]);
        outbox.seal(header(5, None));
        assert_eq!(outbox.wire(), [&wire[9..], b"\x82\x05three"].concat());
        outbox.advance(outbox.wire().len());
        assert_eq!((outbox.wire().len(), outbox.room()), (0, MAX_FRAME_PAYLOAD));
        assert!(!outbox.owes_data());
    }

    #[test]
    fn what_is_gathered_can_be_converted_where_it_stands() {
        let mut outbox = Outbox::default();
        outbox.push(b"[pong]");
        outbox.gather(b"aaaaaaaa");
        assert!(outbox.replace(|plain, out| {
            out.extend_from_slice(format!("{}a", plain.len()).as_bytes());
            true
        }));
        assert!(!outbox.replace(|_, _| false));
        assert_eq!(outbox.gathered(), 2);
        outbox.seal(header(2, None));
        assert_eq!(outbox.wire(), b"[pong]\x82\x028a");
    }

    #[test]
    fn control_frames_are_no_data() {
        let mut outbox = Outbox::default();
        outbox.push(b"[ping]");
        assert!(!outbox.owes_data());
        outbox.push_data(b"rest");
        outbox.push(b"[close]");
        outbox.advance(6);
        assert!(outbox.owes_data());
        outbox.advance(4);
        assert!(!outbox.owes_data());
        assert_eq!(outbox.wire(), b"[close]");
    }

    #[test]
    fn the_bound_counts_what_waits_and_a_large_buffer_is_given_back() {
        let mut outbox = Outbox::default();
        outbox.gather(&vec![7; 40_000]);
        outbox.seal(header(40_000, None));
        outbox.gather(&vec![7; 20_000]);
        assert_eq!(outbox.room(), MAX_FRAME_PAYLOAD - 60_000 - 4);
        outbox.seal(header(20_000, None));
        outbox.advance(60_008);
        assert_eq!(outbox.bytes.capacity(), 0);
    }
}

//! Records on their way out.

use std::cell::Cell;
use std::io;
use std::mem;

/// The largest buffer that a thread keeps, in bytes: what is sealed at once fits in.
const MOST_SPARE: usize = 256 * 1024;

thread_local! {
    /// A buffer that no session has. Each takes it to seal, and gives it back once all is written.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Records that wait to be written. While there are none it owns no buffer.
#[derive(Default)]
pub(crate) struct Outgoing {
    /// Longer than what waits: it was zeroed once, and not for each record.
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
}

impl Outgoing {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[self.begin..self.end]
    }

    pub(crate) const fn len(&self) -> usize {
        self.end - self.begin
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.begin == self.end
    }

    /// Has `fill` write up to `most` bytes behind those that wait, and tell how many those are: whether
    /// it could.
    pub(crate) fn append(
        &mut self,
        most: usize,
        fill: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> bool {
        if self.buffer.is_empty() {
            self.buffer = SPARE.take();
        }
        let room = self.end..self.end + most;
        if self.buffer.len() < room.end {
            self.buffer.resize(room.end, 0);
        }
        let filled = fill(&mut self.buffer[room]);
        match filled {
            Some(filled) => self.end += filled,
            None if self.is_empty() => self.settle(),
            None => {}
        }
        filled.is_some()
    }

    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.append(bytes.len(), |room| {
            room.copy_from_slice(bytes);
            Some(bytes.len())
        });
    }

    /// Writes what waits with one call of `transport`; how much that took.
    pub(crate) fn write(&mut self, transport: &mut dyn io::Write) -> io::Result<usize> {
        let written = transport.write(self.bytes());
        self.begin += *written.as_ref().unwrap_or(&0);
        self.settle();
        written
    }

    /// Gives back room that is of no use: what cannot be written at once waits in a buffer of its own
    /// size.
    pub(crate) fn settle(&mut self) {
        if self.len() + self.len() / 4 < self.buffer.len() {
            let rest = self.bytes().to_vec();
            self.replace(rest);
        }
    }

    /// All that waits.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let all = self.bytes().to_vec();
        self.replace(Vec::new());
        all
    }

    /// Puts `front` before what waits.
    pub(crate) fn put_back(&mut self, mut front: Vec<u8>) {
        front.extend_from_slice(self.bytes());
        self.replace(front);
    }

    /// Goes on with `buffer`, all of which waits; the one from before is the next one's.
    fn replace(&mut self, buffer: Vec<u8>) {
        (self.begin, self.end) = (0, buffer.len());
        let before = mem::replace(&mut self.buffer, buffer);
        if (1..=MOST_SPARE).contains(&before.len()) {
            SPARE.set(before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_written_in_order_however_little_is_taken() {
        let mut outgoing = Outgoing::default();
        let all: Vec<u8> = (0..=255).collect();
        for piece in all.chunks(100) {
            outgoing.extend(piece);
        }
        assert!(!outgoing.append(1000, |_| None), "what cannot be filled is not sent");
        outgoing.settle();
        assert_eq!(outgoing.buffer.len(), all.len());
        let mut written = Vec::new();
        while !outgoing.is_empty() {
            let mut room = [0; 7];
            let count = outgoing.write(&mut &mut room[..]).unwrap();
            written.extend_from_slice(&room[..count]);
            assert_eq!(outgoing.len(), all.len() - written.len());
        }
        assert_eq!(written, all);
        assert!(outgoing.buffer.is_empty(), "it owns no buffer");
    }

    #[test]
    fn what_has_to_wait_takes_no_more_room_than_it_needs() {
        let mut outgoing = Outgoing::default();
        outgoing.append(100_000, |_| Some(100_000));
        let written = outgoing.write(&mut &mut vec![0; 90_000][..]).unwrap();
        assert_eq!((written, outgoing.buffer.capacity()), (90_000, 10_000));
        outgoing.put_back(vec![1; 3]);
        let all = outgoing.take();
        assert_eq!((all.len(), &all[..4]), (10_003, &[1, 1, 1, 0][..]));
    }
}

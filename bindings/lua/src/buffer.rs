//! Bytes that have come and wait for the script.

/// A queue of bytes. What is read moves a mark; the room in front of it is given back from time to time.
#[derive(Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(crate) fn push(&mut self, bytes: Vec<u8>) {
        if self.len() == 0 {
            *self = Self { bytes, start: 0 };
            return;
        }
        if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(&bytes);
    }

    /// The first `most` bytes, or all.
    pub(crate) fn peek(&self, most: Option<usize>) -> &[u8] {
        let waiting = &self.bytes[self.start..];
        &waiting[..most.unwrap_or(waiting.len()).min(waiting.len())]
    }

    /// The bytes up to the first line end, that included, and without one all; `most` of them at most.
    pub(crate) fn peek_line(&self, most: Option<usize>) -> &[u8] {
        let waiting = self.peek(most);
        let line = waiting.iter().position(|&byte| byte == b'\n');
        line.map_or(waiting, |end| &waiting[..=end])
    }

    pub(crate) fn has_line(&self) -> bool {
        self.peek(None).contains(&b'\n')
    }

    /// Takes off what was looked at.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start += count;
        if self.len() == 0 {
            *self = Self::default();
        }
    }
}

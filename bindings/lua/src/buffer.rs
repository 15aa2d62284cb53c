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

    /// How many bytes there are, `most` of them at most.
    pub(crate) fn some(&self, most: Option<usize>) -> usize {
        most.map_or(self.len(), |most| most.min(self.len()))
    }

    /// How many bytes there are up to the first line end, that included, and without one all; `most` of
    /// them at most.
    pub(crate) fn line(&self, most: Option<usize>) -> usize {
        let count = self.some(most);
        let end = self.peek(count).iter().position(|&byte| byte == b'\n');
        end.map_or(count, |end| end + 1)
    }

    pub(crate) fn has_line(&self) -> bool {
        self.peek(self.len()).contains(&b'\n')
    }

    /// The first `count` bytes, of which there are so many.
    pub(crate) fn peek(&self, count: usize) -> &[u8] {
        &self.bytes[self.start..self.start + count]
    }

    /// Takes the first `count` bytes, of which there are so many.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        if count == self.bytes.len() {
            return std::mem::take(&mut self.bytes);
        }
        let bytes = self.peek(count).to_vec();
        self.start += count;
        if self.len() == 0 {
            *self = Self::default();
        }
        bytes
    }
}

//! Reading what TLS writes: numbers, and vectors with their length before them (RFC 8446 section 3.4).

/// Bytes that are taken from the front. `None` where there are too few.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(front)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// A vector whose length is one byte.
    pub(crate) fn vector8(&mut self) -> Option<Self> {
        let length = self.u8()?;
        self.take(usize::from(length)).map(Self)
    }

    /// A vector whose length is two bytes.
    pub(crate) fn vector16(&mut self) -> Option<Self> {
        let length = self.u16()?;
        self.take(usize::from(length)).map(Self)
    }

    /// A handshake message, header and all: what it is, and what is in it.
    pub(crate) fn message(&mut self) -> Option<(u8, Self)> {
        let kind = self.u8()?;
        let length = self.take(3)?;
        let length = u32::from_be_bytes([0, length[0], length[1], length[2]]);
        Some((kind, Self(self.take(length as usize)?)))
    }

    /// An extension of a hello: which it is, and what is in it.
    pub(crate) fn extension(&mut self) -> Option<(u16, Self)> {
        Some((self.u16()?, self.vector16()?))
    }

    /// All of it, as numbers of two bytes.
    pub(crate) fn numbers(self) -> Option<Vec<u16>> {
        let whole = self.0.len().is_multiple_of(2);
        let number = |pair: &[u8]| u16::from_be_bytes([pair[0], pair[1]]);
        whole.then(|| self.0.chunks_exact(2).map(number).collect())
    }
}

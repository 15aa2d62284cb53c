//! Packets, each with its descriptor, from a byte stream that is read in any pieces.

use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

use crate::codec::PacketBytes;
use crate::layout::PACKET_SIZE;

/// Puts packets together. `D` is a received descriptor: an owned one closes itself when dropped.
///
/// A stream socket keeps no borders between packets, and one read past a border could glue a
/// packet without a descriptor to one that has one. So a receiver reads into
/// [`Reassembler::unfilled`], which never reaches past the border, and reports what came with
/// [`Reassembler::advance`].
///
/// Bounds: one packet, at most one descriptor.
///
/// Source: TLS Pool protocol V2, transport and framing, descriptor passing.
#[derive(Debug)]
pub struct Reassembler<D> {
    buffer: PacketBytes,
    filled: usize,
    descriptor: Option<D>,
}

/// What came of one read.
#[derive(Debug, PartialEq, Eq)]
pub struct Progress<D> {
    /// The packet, once it is whole.
    pub packet: Option<Framed<D>>,
    /// Descriptors that belong to no packet: more than one with a first byte, or any with a
    /// later byte. To be closed; no more of them than the read had room for.
    pub extras: Vec<D>,
}

/// The bytes of one packet, with the descriptor that came with the first of them.
#[derive(Debug, PartialEq, Eq)]
pub struct Framed<D> {
    /// The packet, not yet decoded.
    pub bytes: PacketBytes,
    /// Its descriptor.
    pub descriptor: Option<D>,
}

impl<D> Reassembler<D> {
    /// A stream from which nothing was read yet.
    pub fn new() -> Self {
        Self { buffer: PacketBytes::default(), filled: 0, descriptor: None }
    }

    /// Where the next bytes go, and by its length how many to ask for: 1 to 388.
    pub fn unfilled(&mut self) -> &mut [u8] {
        &mut self.buffer.expose_mut()[self.filled..]
    }

    /// Whether the stream stands between two packets, where it may end.
    pub const fn is_between_packets(&self) -> bool {
        self.filled == 0
    }

    /// Takes note of one read: `count` bytes now stand in [`Reassembler::unfilled`], and
    /// `descriptors` came with them.
    ///
    /// The first descriptor is bound to the packet if the read holds its first byte.
    ///
    /// # Errors
    ///
    /// [`Overrun`] when there was no room for `count` bytes; nothing has changed then.
    pub fn advance(
        &mut self,
        count: usize,
        descriptors: impl IntoIterator<Item = D>,
    ) -> Result<Progress<D>, Overrun<D>> {
        let room = PACKET_SIZE - self.filled;
        let mut descriptors = descriptors.into_iter();
        if count > room {
            return Err(Overrun { count, room, descriptors: descriptors.collect() });
        }
        if self.is_between_packets() && count > 0 {
            self.descriptor = descriptors.next();
        }
        self.filled += count;
        let packet = (self.filled == PACKET_SIZE).then(|| {
            self.filled = 0;
            let bytes = core::mem::take(&mut self.buffer);
            Framed { bytes, descriptor: self.descriptor.take() }
        });
        Ok(Progress { packet, extras: descriptors.collect() })
    }

    /// The stream has ended.
    ///
    /// # Errors
    ///
    /// [`Truncated`] when it ended inside a packet.
    pub fn finish(self) -> Result<(), Truncated<D>> {
        if self.is_between_packets() {
            return Ok(());
        }
        Err(Truncated { received: self.filled, descriptor: self.descriptor })
    }
}

impl<D> Default for Reassembler<D> {
    fn default() -> Self {
        Self::new()
    }
}

/// A receiver claims more bytes than it was given room for: a fault in the receiver.
#[derive(Debug, PartialEq, Eq)]
pub struct Overrun<D> {
    /// The bytes that it claims.
    pub count: usize,
    /// The room that there was.
    pub room: usize,
    /// The descriptors of that read, to be closed.
    pub descriptors: Vec<D>,
}

impl<D> fmt::Display for Overrun<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes read with room for {}", self.count, self.room)
    }
}

impl<D: fmt::Debug> Error for Overrun<D> {}

/// A stream that ended inside a packet.
#[derive(Debug, PartialEq, Eq)]
pub struct Truncated<D> {
    /// How many of the packet's bytes came.
    pub received: usize,
    /// The descriptor that came with them, to be closed.
    pub descriptor: Option<D>,
}

impl<D> fmt::Display for Truncated<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the stream ended after {} of {PACKET_SIZE} bytes of a packet", self.received)
    }
}

impl<D: fmt::Debug> Error for Truncated<D> {}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    /// Reads `count` bytes of value `byte`, with these descriptors.
    fn read(
        stream: &mut Reassembler<u32>,
        byte: u8,
        count: usize,
        descriptors: &[u32],
    ) -> Progress<u32> {
        stream.unfilled()[..count].fill(byte);
        stream.advance(count, descriptors.iter().copied()).unwrap()
    }

    #[test]
    fn a1_a_receiver_is_never_given_room_past_the_border() {
        let stream = &mut Reassembler::new();
        assert_eq!(stream.unfilled().len(), 388);
        assert_eq!(read(stream, 1, 387, &[]).packet, None);
        assert_eq!(stream.unfilled().len(), 1);
        let bytes = read(stream, 1, 1, &[]).packet.unwrap().bytes;
        assert_eq!(bytes, PacketBytes::new([1; 388]));
        assert_eq!(stream.unfilled(), [0; 388], "nothing of the packet stays behind");
    }

    #[test]
    fn a6_the_first_descriptor_of_the_first_byte_is_bound_and_extras_are_reported() {
        let stream = &mut Reassembler::new();
        assert_eq!(read(stream, 1, 1, &[7, 8, 9]).extras, vec![8, 9]);
        assert_eq!(read(stream, 1, 10, &[10]).extras, vec![10], "not with the first byte");
        let packet = read(stream, 1, 377, &[]).packet.unwrap();
        assert_eq!(packet.descriptor, Some(7));
        assert_eq!(read(stream, 2, 388, &[]).packet.unwrap().descriptor, None);
    }

    #[test]
    fn descriptors_without_bytes_belong_to_no_packet() {
        let stream = &mut Reassembler::new();
        assert_eq!(read(stream, 0, 0, &[7]).extras, vec![7]);
        assert_eq!(read(stream, 1, 388, &[8]).packet.unwrap().descriptor, Some(8));
    }

    #[test]
    fn a_receiver_that_claims_too_much_gets_its_descriptors_back() {
        let mut stream = Reassembler::new();
        read(&mut stream, 1, 380, &[7]);
        let overrun = stream.advance(9, [8]).unwrap_err();
        assert_eq!(overrun, Overrun { count: 9, room: 8, descriptors: vec![8] });
        assert_eq!(stream.finish(), Err(Truncated { received: 380, descriptor: Some(7) }));
    }

    #[test]
    fn a_stream_may_end_between_packets() {
        let mut stream = Reassembler::<u32>::new();
        read(&mut stream, 1, 388, &[7]);
        assert_eq!(stream.finish(), Ok(()));
    }
}

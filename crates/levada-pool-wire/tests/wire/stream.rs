//! The reassembler on a model of a Unix stream socket with descriptors.

use std::collections::VecDeque;

use levada_pool_wire::{PACKET_SIZE, Reassembler};
use proptest::collection::vec;
use proptest::prelude::*;

/// What one `sendmsg` left in the socket.
#[derive(Debug)]
struct Piece {
    bytes: VecDeque<u8>,
    /// Delivered with the first byte that is read of the piece.
    descriptors: Vec<u32>,
}

/// A stream socket as the kernel keeps it: one read may take several pieces, but ends before one
/// with descriptors once it has taken any.
#[derive(Debug, Default)]
struct Socket {
    pieces: VecDeque<Piece>,
}

impl Socket {
    fn send(&mut self, bytes: &[u8], descriptors: Vec<u32>) {
        self.pieces.push_back(Piece { bytes: bytes.iter().copied().collect(), descriptors });
    }

    fn receive(&mut self, room: &mut [u8]) -> (usize, Vec<u32>) {
        let (mut count, mut descriptors) = (0, Vec::new());
        while let Some(piece) = self.pieces.front_mut() {
            if !piece.descriptors.is_empty() && !descriptors.is_empty() {
                break;
            }
            descriptors.append(&mut piece.descriptors);
            while count < room.len() {
                let Some(byte) = piece.bytes.pop_front() else { break };
                room[count] = byte;
                count += 1;
            }
            if !piece.bytes.is_empty() {
                break;
            }
            self.pieces.pop_front();
            if count == room.len() {
                break;
            }
        }
        (count, descriptors)
    }
}

/// One packet on its way: how many descriptors it has, and where its sender cuts it.
fn sent() -> impl Strategy<Value = (usize, Vec<usize>)> {
    (0..3_usize, vec(1..PACKET_SIZE, 0..3))
}

#[test]
fn a6_a_descriptor_that_comes_with_a_later_byte_is_an_extra() {
    let mut stream = Reassembler::new();
    assert!(stream.advance(100, []).unwrap().extras.is_empty());
    assert_eq!(stream.advance(100, [7]).unwrap().extras, [7]);
    assert_eq!(stream.advance(188, [8]).unwrap().packet.unwrap().descriptor, None);
}

proptest! {
    #[test]
    fn a6_every_packet_keeps_its_own_descriptor_however_it_is_cut_and_read(
        sent in vec(sent(), 1..8),
        reads in vec(1..500_usize, 1..64),
    ) {
        let (mut socket, mut next, mut wanted, mut extra) = (Socket::default(), 0, vec![], vec![]);
        for (tag, (count, mut cuts)) in (1_u8..).zip(sent) {
            let descriptors: Vec<u32> = (next..).take(count).collect();
            next += count as u32;
            wanted.push((tag, descriptors.first().copied()));
            extra.extend(descriptors.iter().skip(1));
            cuts.extend([0, PACKET_SIZE]);
            cuts.sort_unstable();
            cuts.dedup();
            let mut with_first = Some(descriptors);
            for cut in cuts.windows(2) {
                let bytes = vec![tag; cut[1] - cut[0]];
                socket.send(&bytes, with_first.take().unwrap_or_default());
            }
        }

        let mut stream = Reassembler::new();
        let (mut packets, mut extras) = (vec![], vec![]);
        for most in reads.iter().cycle() {
            let room = stream.unfilled();
            let most = room.len().min(*most);
            let (count, descriptors) = socket.receive(&mut room[..most]);
            if count == 0 {
                break;
            }
            let progress = stream.advance(count, descriptors).unwrap();
            extras.extend(progress.extras);
            packets.extend(progress.packet);
        }

        let whole = |tag: u8| [tag; PACKET_SIZE];
        let got: Vec<_> = packets.iter().map(|p| (p.bytes.expose()[0], p.descriptor)).collect();
        prop_assert_eq!(got, wanted);
        prop_assert!(packets.iter().all(|p| *p.bytes.expose() == whole(p.bytes.expose()[0])));
        prop_assert_eq!(extras, extra);
        prop_assert!(stream.finish().is_ok());
    }
}

//! Random byte streams: frames as a peer would send them, and often one thing wrong with them.

use levada_ws::Role;

/// A generator of which a seed makes always the same (splitmix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(crate) fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    /// Characters of one to four octets.
    pub(crate) fn text(&mut self, chars: usize) -> String {
        (0..chars).map(|_| self.of(&['a', '\0', 'é', '€', '\u{d7ff}', '𝄞', '\u{10ffff}'])).collect()
    }
}

/// A frame to be written.
struct Frame {
    first: u8,
    payload: Vec<u8>,
    /// How its length is written: in 0, 2 or 8 octets behind the first one.
    width: usize,
    masked: bool,
}

/// Who sends it, and the stream.
pub(crate) fn random(seed: u64) -> (Role, Vec<u8>) {
    let mut random = Random::new(seed);
    let sender = random.of(&[Role::Client, Role::Server]);
    let mut frames = Vec::new();
    for _ in 0..random.below(5) {
        let is_text = random.below(2) == 0;
        let len = random.of(&[0, 1, 5, 60, 125, 126, 300]);
        let payload = if is_text { random.text(len / 2).into_bytes() } else { random.bytes(len) };
        fragments(&mut random, sender, if is_text { 1 } else { 2 }, &payload, &mut frames);
    }
    if random.below(2) == 0 {
        // Not 1014, which is registered and which wsproto does not know.
        let code: u16 = random.of(&[1000, 1001, 1009, 1011, 1012, 3000, 4999]);
        let body = [&code.to_be_bytes()[..], random.text(9).as_bytes()].concat();
        let len = random.of(&[0, 2, body.len()]);
        frames.push(frame(sender, 0x88, &body[..len]));
    }
    let damage = random.below(18);
    let mut hit = frames.len().checked_sub(1).map(|last| &mut frames[random.below(last + 1)]);
    if let Some(frame) = &mut hit {
        break_frame(&mut random, damage, frame);
    }
    let mut wire = Vec::new();
    for frame in &frames {
        put(&mut random, frame, &mut wire);
    }
    match damage {
        10 => wire.truncate(random.below(wire.len() + 1)),
        11 if !wire.is_empty() => {
            let at = random.below(wire.len());
            wire[at] ^= 1 << random.below(8);
        }
        12 => {
            let len = random.below(20);
            wire.extend(random.bytes(len));
        }
        _ => {}
    }
    (sender, wire)
}

/// A message in random fragments, with control frames between them.
fn fragments(random: &mut Random, sender: Role, opcode: u8, payload: &[u8], to: &mut Vec<Frame>) {
    let (mut rest, mut opcode) = (payload, opcode);
    loop {
        let len = if random.below(2) == 0 { rest.len() } else { random.below(rest.len() + 1) };
        let (piece, behind) = rest.split_at(len);
        let is_last = behind.is_empty() && random.below(4) > 0;
        to.push(frame(sender, opcode | if is_last { 0x80 } else { 0 }, piece));
        if random.below(4) == 0 {
            let len = random.of(&[0, 4, 125]);
            let payload = random.bytes(len);
            to.push(frame(sender, random.of(&[0x89, 0x8a]), &payload));
        }
        if is_last {
            return;
        }
        (rest, opcode) = (behind, 0);
    }
}

fn frame(sender: Role, first: u8, payload: &[u8]) -> Frame {
    let width = match payload.len() {
        0..126 => 0,
        126..65_536 => 2,
        _ => 8,
    };
    Frame { first, payload: payload.to_vec(), width, masked: sender == Role::Client }
}

/// One breach of the protocol, or what may be one.
fn break_frame(random: &mut Random, damage: usize, frame: &mut Frame) {
    match damage {
        0 => frame.first |= 0x10 << random.below(3),
        1 => frame.first = frame.first & 0xf0 | random.below(16) as u8,
        2 => frame.first ^= 0x80,
        3 => frame.masked = !frame.masked,
        4 => frame.width = random.of(&[2, 8]),
        5 => {
            // A control frame that is too long, or a data frame that is not.
            frame.first = random.of(&[0x88, 0x89, 0x8a, 0x82]);
            frame.payload = random.bytes(126);
            frame.width = 2;
        }
        6 => {
            let code: u16 = random.of(&[
                0, 999, 1002, 1004, 1005, 1006, 1012, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
            ]);
            frame.first = 0x88;
            frame.payload = code.to_be_bytes().to_vec();
            frame.width = 0;
        }
        7 => (frame.first, frame.payload, frame.width) = (0x88, vec![3], 0),
        // No text, and no reason of a close.
        8 => {
            let bad: &[u8] = random.of(&[
                b"\xff",
                b"\xc0\x80",
                b"\xed\xa0\x80",
                b"\xf4\x90\x80\x80",
                b"\xe2\x82",
            ]);
            (frame.first, frame.payload, frame.width) = (0x81, bad.to_vec(), 0);
        }
        9 => (frame.first, frame.payload, frame.width) = (0x88, b"\x03\xe8ok\xff".to_vec(), 0),
        _ => {}
    }
}

fn put(random: &mut Random, frame: &Frame, wire: &mut Vec<u8>) {
    let mask = if frame.masked { 0x80 } else { 0 };
    let len = frame.payload.len() as u64;
    wire.push(frame.first);
    wire.push(mask | [len as u8, 0, 126, 0, 0, 0, 0, 0, 127][frame.width]);
    wire.extend_from_slice(&len.to_be_bytes()[8 - frame.width..]);
    if frame.masked {
        let key = random.bytes(4);
        wire.extend_from_slice(&key);
        wire.extend(frame.payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    } else {
        wire.extend_from_slice(&frame.payload);
    }
}

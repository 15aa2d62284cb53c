//! How fast the codec is in memory, in GiB of payload a second: `cargo bench -p levada-ws`.
//!
//! A plain program with the median of some rounds, because a benchmark library would be most of
//! what this crate's tests have to build. Figures compare only within one run.

use std::hint::black_box;
use std::time::Duration;

use levada_ws::Role;
use levada_ws::connection::{Config, Connection, Event};
use levada_ws::frame::Mask;

const ROUNDS: usize = 15;
/// The payload of one round in bytes.
const ROUND: u32 = 64 << 20;
const SIZES: [usize; 4] = [1 << 10, 16 << 10, 64 << 10, 1 << 20];
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn main() {
    println!("GiB/s, median of {ROUNDS}     1 KiB    16 KiB    64 KiB     1 MiB");
    row("mask in place", |size| {
        let mut data = vec![1; size];
        move || Mask::new(KEY).apply(black_box(&mut data))
    });
    row("mask by copy", |size| {
        let (from, mut to) = (vec![1; size], vec![0; size]);
        move || Mask::new(KEY).copy(black_box(&from), &mut to)
    });
    for role in [Role::Client, Role::Server] {
        row(&format!("{role:?} encodes"), |size| encoder(role, size));
        row(&format!("{role:?}'s decoded"), |size| decoder(role, size));
    }
}

/// One call encodes one write of `size` bytes.
fn encoder(role: Role, size: usize) -> impl FnMut() {
    let (data, mut out) = (vec![1; size], vec![0; size + 256]);
    let mut connection = Connection::new(role, Config::default(), Duration::ZERO);
    move || {
        let encoded = connection.encode(black_box(&data), &mut out, &mut || KEY);
        assert_eq!(encoded.expect("it is open").taken, size);
    }
}

/// One call decodes what one write of `size` bytes puts on the wire.
fn decoder(sender: Role, size: usize) -> impl FnMut() {
    let (data, mut wire) = (vec![1; size], vec![0; size + 256]);
    let mut peer = Connection::new(sender, Config::default(), Duration::ZERO);
    let encoded = peer.encode(&data, &mut wire, &mut || KEY).expect("it is open");
    wire.truncate(encoded.written);
    let mut connection = Connection::new(sender.peer(), Config::default(), Duration::ZERO);
    move || {
        // The payload is masked and unmasked in turn; its headers stay as they are.
        let mut rest = &mut wire[..];
        let mut read = 0;
        loop {
            let received = connection.handle_wire(Duration::ZERO, black_box(rest));
            match received.event {
                Some(Event::Data(chunk)) => read += chunk.payload.len(),
                Some(event) => panic!("{event:?}"),
                None => break,
            }
            rest = &mut rest[received.consumed..];
        }
        assert_eq!(read, size);
    }
}

fn row<F: FnMut()>(name: &str, make: impl Fn(usize) -> F) {
    print!("{name:<18}");
    for size in SIZES {
        let mut call = make(size);
        time(ROUND as usize / size, &mut call);
        let mut rounds: Vec<_> =
            (0..ROUNDS).map(|_| time(ROUND as usize / size, &mut call)).collect();
        rounds.sort();
        let gib = f64::from(ROUND) / f64::from(1 << 30);
        print!("{:>10.1}", gib / rounds[ROUNDS / 2].as_secs_f64());
    }
    println!();
}

#[expect(clippy::disallowed_types, reason = "a benchmark measures the real clock, outside tokio")]
fn time(calls: usize, call: &mut impl FnMut()) -> Duration {
    let start = std::time::Instant::now();
    for _ in 0..calls {
        call();
    }
    start.elapsed()
}

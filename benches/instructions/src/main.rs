//! Takes one step of the data path as often as it is told: `levada-instructions STEP COUNT`.
//!
//! `cargo xtask bench instructions` runs each step under callgrind, twice, and counts what one more of
//! it takes. That does not drift with the machine, so CI can hold it to the counts in `counts.json`.

mod packet;
mod record;
mod relay;
mod websocket;

use std::error::Error;
use std::process::ExitCode;

/// A step, by its name: what it does `count` times.
type Step = fn(count: u64) -> Result<(), Box<dyn Error>>;

const STEPS: &[(&str, Step)] = &[
    ("record", record::run),
    ("relay", relay::run),
    ("ws-masked", websocket::masked),
    ("ws-unmasked", websocket::unmasked),
    ("pool-packet", packet::run),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let asked = match words.as_slice() {
        [name, count] => STEPS.iter().find(|step| step.0 == name).zip(count.parse().ok()),
        _ => None,
    };
    let Some(((_, step), count)) = asked else {
        let names: Vec<_> = STEPS.iter().map(|step| step.0).collect();
        eprintln!("usage: levada-instructions STEP COUNT\nsteps: {}", names.join(", "));
        return ExitCode::from(2);
    };
    match step(count) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("levada-instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

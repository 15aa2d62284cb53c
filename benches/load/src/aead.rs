//! One pass of AES-128-GCM over records in memory: what no terminator can do without, and so the
//! other half of the limit.

use std::time::Duration;

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

use crate::Outcome;
use crate::options::Options;

/// Plaintext bytes of a full record.
const RECORD: usize = 16 * 1024;

pub(crate) fn run(options: &Options) -> Outcome {
    let key = UnboundKey::new(&AES_128_GCM, &[7; 16])
        .map_err(|Unspecified| "AES-128-GCM does not take the key")?;
    let key = LessSafeKey::new(key);
    let mut record = vec![0; RECORD];
    let before = cpu_time();
    for number in 0..options.bytes / RECORD as u64 {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&number.to_be_bytes());
        let _tag = key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from([0x17, 3, 3, 0x40, 0x11]),
                &mut record,
            )
            .map_err(|Unspecified| "AES-128-GCM does not take the record")?;
    }
    let cpu = cpu_time().saturating_sub(before).as_secs_f64();
    let bytes = options.bytes / RECORD as u64 * RECORD as u64;
    Ok(json!({ "mode": options.mode.name(), "bytes": bytes, "cpu_seconds": cpu }))
}

/// Of this process, to the nanosecond.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).expect("the clock begins at zero")
}

//! A datagram as channel data.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../judges/turn.rs"]
mod judge;

fuzz_target!(|data: &[u8]| judge::judge(data));

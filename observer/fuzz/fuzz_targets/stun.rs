//! A datagram as STUN.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../judges/stun.rs"]
mod judge;

fuzz_target!(|data: &[u8]| judge::judge(data));

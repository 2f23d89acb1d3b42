//! A datagram as DTLS.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../judges/dtls.rs"]
mod judge;

fuzz_target!(|data: &[u8]| judge::judge(data));

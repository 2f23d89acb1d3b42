//! A datagram as RTCP.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../judges/rtcp.rs"]
mod judge;

fuzz_target!(|data: &[u8]| judge::judge(data));

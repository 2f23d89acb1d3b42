//! A TCP stream as one of datagrams.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../judges/framing.rs"]
mod judge;

fuzz_target!(|data: &[u8]| judge::judge(data));

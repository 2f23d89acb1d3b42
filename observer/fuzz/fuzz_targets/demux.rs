//! Datagrams of a path.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../judges/demux.rs"]
mod judge;

fuzz_target!(|data: &[u8]| judge::judge(data));

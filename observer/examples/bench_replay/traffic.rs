//! A capture of calls, made by arithmetic: the same bytes each time.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

/// Calls at once.
pub(crate) const FLOWS: u32 = 500;

/// Where all of them go, so that tshark can be told that it is RTP.
pub(crate) const PORT: u16 = 5_004;

/// 20 ms of G.711, in ticks and in bytes.
const TICKS: u32 = 160;
const PAYLOAD: usize = 160;

/// Time from one packet of a call to its next, in µs.
const STEP_US: u64 = 20_000;

/// Of 1,000 packets, so many are lost, and so many come after their successor.
const LOST: u64 = 10;
const LATE: u64 = 5;

/// Packets at the beginning and at the end of a call that all come, one after another: a
/// flow begins with two in a row, and tshark takes the last packet for the highest number.
const WHOLE: u32 = 5;

/// Ethernet, IPv4, UDP, RTP.
const HEADERS: usize = 14 + 20 + 8 + 12;

/// Writes `packets` of RTP as pcap with times in µs: [`FLOWS`] calls at once, each with
/// loss, jitter of up to 2 ms, and packets that overtake another.
pub(crate) fn write(path: &Path, packets: u64) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for word in [0xa1b2_c3d4_u32, 2 | 4 << 16, 0, 0, 65_535, 1] {
        out.write_all(&word.to_le_bytes())?;
    }
    let mut left = packets;
    // What has been sent and has not arrived: (when, call, number).
    let mut on_the_way: Vec<(u64, u32, u32)> = Vec::new();
    let mut number = 0;
    while left > 0 {
        let begins = u64::from(number) * STEP_US;
        let is_whole = number < WHOLE || left < u64::from(FLOWS * WHOLE);
        for call in 0..FLOWS {
            let random = mixed(u64::from(call) << 32 | u64::from(number));
            let fate = if is_whole { 1_000 } else { random % 1_000 };
            if fate >= LOST {
                let delay = if fate < LOST + LATE { STEP_US * 5 / 4 } else { 0 };
                let sent = begins + u64::from(call) * STEP_US / u64::from(FLOWS);
                on_the_way.push((sent + delay + (random >> 32) % 2_000, call, number));
            }
        }
        on_the_way.sort_unstable();
        let arrived = on_the_way.partition_point(|(at, ..)| *at < begins + STEP_US);
        for (at, call, number) in on_the_way.drain(..arrived).take(left as usize) {
            out.write_all(&record(at, call, number))?;
            left -= 1;
        }
        number += 1;
    }
    out.flush()
}

/// `SplitMix64`, which makes neighbours strangers.
const fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

/// A packet of a call, as it arrived at `at_us`.
fn record(at_us: u64, call: u32, number: u32) -> Vec<u8> {
    const BEGIN_S: u64 = 1_700_000_000;
    let length = HEADERS + PAYLOAD;
    let mut record = Vec::with_capacity(16 + length);
    let time = [BEGIN_S + at_us / 1_000_000, at_us % 1_000_000].map(|part| part as u32);
    for word in [time[0], time[1], length as u32, length as u32] {
        record.extend(word.to_le_bytes());
    }
    record.extend([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]);
    let ip_length = (length - 14) as u16;
    record.extend([0x45, 0]);
    record.extend(ip_length.to_be_bytes());
    record.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
    record.extend((10 << 24 | 1 << 16 | call).to_be_bytes());
    record.extend([10, 2, 0, 1]);
    record.extend((20_000 + 2 * call as u16).to_be_bytes());
    record.extend(PORT.to_be_bytes());
    record.extend((ip_length - 20).to_be_bytes());
    record.extend([0, 0, 0x80, 8]);
    // Sequence numbers of half of the calls wrap early.
    let first = if call.is_multiple_of(2) { 65_500 } else { call };
    record.extend((first.wrapping_add(number) as u16).to_be_bytes());
    record.extend(number.wrapping_mul(TICKS).to_be_bytes());
    record.extend((0x5eed_0000 | call).to_be_bytes());
    record.resize(16 + length, 0xd5);
    record
}

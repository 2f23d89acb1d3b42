//! How late packets come: one-way delay above the least of late.
//!
//! Without the sender's clock there is no one-way delay. But its changes can be seen, and
//! a jitter buffer asks for no more: how much later than the quickest did this packet come?

/// Upper bounds of the classes that are counted, in ms; the first and the last class, of
/// packets that come sooner or later than all of them, have one bound each. 50, 200 and
/// 500 ms are the jitter buffers that are judged.
pub const EDGES_MS: [u64; 8] = [10, 20, 30, 50, 100, 200, 300, 500];

/// Classes, that of packets below the first bound left out.
pub const LATE_CLASSES: usize = EDGES_MS.len();

/// 2^34 ns, some 17 s: how fast the least delay is forgotten. WebRTC's `NetEq` looks back
/// for 2 s (`packet_arrival_history.h`); a fixed jitter buffer never forgets. In between
/// lies a clock that runs away, which in this time moves by less than 2 ms at 100 ppm.
const MEMORY_SHIFT: u32 = 34;

/// Where a packet stands above the least delay, in ns, that came `arrival_ns` after one
/// that stood at `excess_ns`, and whose transit took so much longer than that one's, or
/// shorter by a negative `change_ns`.
#[inline(always)]
#[must_use]
pub const fn advance(excess_ns: u64, change_ns: i64, arrival_ns: u64) -> u64 {
    // In two halves, so that the product fits. One of them may lose bits: below 65 µs of
    // delay, and below 0.26 ms of time.
    let forgotten = (excess_ns >> 16).wrapping_mul(arrival_ns >> (MEMORY_SHIFT - 16));
    let excess_ns = excess_ns.saturating_sub(forgotten);
    if change_ns < 0 {
        excess_ns.saturating_sub(change_ns.unsigned_abs())
    } else {
        excess_ns.saturating_add(change_ns.unsigned_abs())
    }
}

/// Whether a delay is beyond the first bound.
#[inline(always)]
#[must_use]
pub const fn is_late(excess_ns: u64) -> bool {
    excess_ns >= EDGES_MS[0] * 1_000_000
}

/// Class of a late delay: 0 to [`LATE_CLASSES`] − 1.
#[inline(always)]
#[must_use]
pub const fn class(excess_ns: u64) -> usize {
    let ms = excess_ns / 1_000_000;
    let mut class = 0;
    let mut at = 1;
    while at < LATE_CLASSES {
        class += (ms >= EDGES_MS[at]) as usize;
        at += 1;
    }
    class
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn classes_begin_at_their_bounds() {
        for (at, edge) in EDGES_MS.into_iter().enumerate() {
            assert!(is_late(edge * MS));
            assert_eq!(class(edge * MS), at);
            assert_eq!(class(edge * MS - 1), at.saturating_sub(1));
        }
        assert!(!is_late(10 * MS - 1));
        assert_eq!(class(u64::MAX), LATE_CLASSES - 1);
    }

    #[test]
    fn the_quickest_packet_is_the_measure() {
        let excess = advance(0, 30 * MS as i64, 20 * MS);
        assert_eq!(excess, 30 * MS);
        assert_eq!(advance(excess, -40 * MS as i64, 20 * MS), 0);
    }

    #[test]
    fn a_delay_that_stays_is_forgotten_in_time_and_not_in_packets() {
        for spacing_ms in [1, 20, 400] {
            let mut excess = 100 * MS;
            for _ in 0..17_180 / spacing_ms {
                excess = advance(excess, 0, spacing_ms * MS);
            }
            let left = excess as f64 / (100 * MS) as f64;
            assert!((0.33..0.47).contains(&left), "{spacing_ms} ms apart: {left}");
        }
        assert_eq!(advance(100 * MS, 0, u64::MAX / 2), 0);
    }
}

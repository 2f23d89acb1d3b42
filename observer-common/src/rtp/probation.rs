//! Is it RTP at all? No port says so, and one packet proves nothing.

use super::{Header, flow::Flow};

/// Largest step between the timestamps of two consecutive packets that still
/// looks like RTP, in clock ticks: almost six minutes at 48 kHz, longer than any
/// silence that a sender spans without a packet, and one random 32-bit number
/// in 128.
const MAX_TIMESTAMP_STEP: u32 = 1 << 24;

/// Whether `next` proves that the one packet of `candidate` and itself are a flow.
///
/// A flow begins with two packets of consecutive sequence numbers (RFC 3550
/// appendix A.1, `MIN_SEQUENTIAL`) that share the payload type and whose
/// timestamps are near. The candidate then goes on with [`Flow::advance`], so both
/// packets count, and a flow that loses nothing at its start has every packet in
/// its figures.
#[inline(always)]
#[must_use]
pub const fn confirms(candidate: &Flow, next: &Header) -> bool {
    let step = next.timestamp.wrapping_sub(candidate.timestamp);
    let near = step < MAX_TIMESTAMP_STEP || step.wrapping_neg() < MAX_TIMESTAMP_STEP;
    near && next.sequence == (candidate.highest as u16).wrapping_add(1)
        && next.payload_type == candidate.payload_type
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(sequence: u16, timestamp: u32) -> Header {
        Header { payload_type: 8, marker: false, sequence, timestamp, ssrc: 1 }
    }

    #[test]
    fn two_consecutive_packets_make_a_flow_and_both_count() {
        let mut flow = Flow::new(&header(u16::MAX, 160), 172, 1_000_000);
        let second = header(0, 320);
        assert!(confirms(&flow, &second));
        flow.advance(&second, 172, 21_000_000);
        assert_eq!((flow.packets, flow.bytes, flow.expected(), flow.lost()), (2, 344, 2, 0));
        assert_eq!((flow.first_ns, flow.last_ns), (1_000_000, 21_000_000));
    }

    #[test]
    fn a_gap_a_repeat_or_a_strange_timestamp_proves_nothing() {
        let first = Flow::new(&header(7, 160), 172, 0);
        assert!(!confirms(&first, &header(9, 320)));
        assert!(!confirms(&first, &header(7, 160)));
        assert!(!confirms(&first, &header(6, 0)));
        assert!(!confirms(&first, &header(8, 0x4000_0000)));
        let other = Header { payload_type: 0, ..header(8, 320) };
        assert!(!confirms(&first, &other));
    }

    #[test]
    fn video_may_step_back_in_time() {
        let first = Flow::new(&header(7, 3000), 172, 0);
        assert!(confirms(&first, &header(8, 0)));
    }
}

//! Is it RTP at all? No port says so, and one packet proves nothing.

use super::{Header, flow::Flow};

/// Largest step between the timestamps of two consecutive packets that still
/// looks like RTP, in clock ticks: almost six minutes at 48 kHz, longer than any
/// silence that a sender spans without a packet, and one random 32-bit number
/// in 128.
const MAX_TIMESTAMP_STEP: u32 = 1 << 24;

/// The last packet of an SSRC that has not proved itself.
///
/// A flow begins with two packets of consecutive sequence numbers (RFC 3550
/// appendix A.1, `MIN_SEQUENTIAL`) that share the payload type and whose
/// timestamps are near. Both are counted, so a flow that loses nothing at its
/// start has every packet in its figures.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct Candidate {
    /// Arrival, in ns of the caller's clock.
    pub time_ns: u64,
    /// RTP timestamp, in ticks.
    pub timestamp: u32,
    /// Length of the RTP packet in bytes.
    pub length: u32,
    /// Sequence number.
    pub sequence: u16,
    /// Payload type.
    pub payload_type: u8,
    /// Zero.
    pub reserved: [u8; 5],
}

const _: () = assert!(size_of::<Candidate>() == 24);

impl Candidate {
    /// A first packet of `length` bytes that arrived at `now_ns`.
    #[inline(always)]
    #[must_use]
    pub const fn new(header: &Header, length: u32, now_ns: u64) -> Self {
        Self {
            time_ns: now_ns,
            timestamp: header.timestamp,
            length,
            sequence: header.sequence,
            payload_type: header.payload_type,
            reserved: [0; 5],
        }
    }

    /// Puts a later packet in this one's place.
    #[inline(always)]
    pub const fn replace(&mut self, header: &Header, length: u32, now_ns: u64) {
        self.time_ns = now_ns;
        self.timestamp = header.timestamp;
        self.length = length;
        self.sequence = header.sequence;
        self.payload_type = header.payload_type;
    }

    /// Whether `next` proves that this packet and itself begin a flow.
    #[inline(always)]
    #[must_use]
    pub const fn is_confirmed_by(&self, next: &Header) -> bool {
        let step = next.timestamp.wrapping_sub(self.timestamp);
        let near = step < MAX_TIMESTAMP_STEP || step.wrapping_neg() < MAX_TIMESTAMP_STEP;
        near && next.sequence == self.sequence.wrapping_add(1)
            && next.payload_type == self.payload_type
    }

    /// The flow of this one packet: what [`Candidate::is_confirmed_by`] has proved
    /// goes on with [`Flow::advance`].
    #[inline(always)]
    #[must_use]
    pub const fn flow(&self) -> Flow {
        Flow::new(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(sequence: u16, timestamp: u32) -> Header {
        Header { payload_type: 8, marker: false, sequence, timestamp, ssrc: 1 }
    }

    #[test]
    fn two_consecutive_packets_make_a_flow_and_both_count() {
        let first = Candidate::new(&header(u16::MAX, 160), 172, 1_000_000);
        let second = header(0, 320);
        assert!(first.is_confirmed_by(&second));
        let mut flow = first.flow();
        flow.advance(&second, 172, 21_000_000);
        assert_eq!((flow.packets, flow.bytes, flow.expected(), flow.lost()), (2, 344, 2, 0));
        assert_eq!((flow.first_ns, flow.last_ns), (1_000_000, 21_000_000));
    }

    #[test]
    fn a_gap_a_repeat_or_a_strange_timestamp_proves_nothing() {
        let first = Candidate::new(&header(7, 160), 172, 0);
        assert!(!first.is_confirmed_by(&header(9, 320)));
        assert!(!first.is_confirmed_by(&header(7, 160)));
        assert!(!first.is_confirmed_by(&header(6, 0)));
        assert!(!first.is_confirmed_by(&header(8, 0x4000_0000)));
        let mut other = header(8, 320);
        other.payload_type = 0;
        assert!(!first.is_confirmed_by(&other));
    }

    #[test]
    fn video_may_step_back_in_time() {
        let first = Candidate::new(&header(7, 3000), 172, 0);
        assert!(first.is_confirmed_by(&header(8, 0)));
    }
}

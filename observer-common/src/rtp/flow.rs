//! One RTP stream: what came, what is missing, how evenly it came.

use super::{Header, clock_rate, is_comfort_noise};

/// A step forward of fewer sequence numbers than this is loss, of more a jump
/// (RFC 3550 appendix A.1).
pub const MAX_DROPOUT: u16 = 3_000;
/// A step back of fewer sequence numbers than this is reordering or duplication,
/// of more a jump (RFC 3550 appendix A.1).
pub const MAX_MISORDER: u16 = 100;
/// A change of transit time beyond this many ns is a timestamp that was set
/// anew, not a delay: it is no sample of jitter.
const MAX_TRANSIT_CHANGE_NS: u64 = 5_000_000_000;
/// [`Flow::resync`] when no jump is being watched.
const NO_RESYNC: u32 = 1 << 16;
/// [`Flow::payload_type`] has just changed: the next difference means nothing.
const TIMING_BROKEN: u8 = 1;

/// The state of one stream, kept up by [`Flow::advance`].
///
/// Sequence numbers are extended to 64 bits with a first cycle of 1, so that a
/// packet from before the first one has a number too.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct Flow {
    /// Packets that belong to the sequence, duplicates and late ones among them.
    pub packets: u64,
    /// Their length and that of the strays: RTP header and payload, in bytes.
    pub bytes: u64,
    /// Packets that came a second time, within the last 128 sequence numbers.
    pub duplicates: u64,
    /// Packets that came after a later one (RFC 4737 section 3).
    pub reordered: u64,
    /// Single packets far from the sequence, which began no new one.
    pub strays: u64,
    /// Packets expected in the sequences before the last jump.
    pub expected_before: u64,
    /// Arrival of the first packet, in ns of the caller's clock.
    pub first_ns: u64,
    /// Arrival of the last packet of the sequence, in ns of the caller's clock.
    pub last_ns: u64,
    /// Lowest extended sequence number since the last jump.
    pub base: u64,
    /// Highest extended sequence number.
    pub highest: u64,
    /// Which of the last 128 sequence numbers came: bit 0 of the first word is
    /// [`Flow::highest`].
    pub window: [u64; 2],
    /// Interarrival jitter (RFC 3550 appendix A.8) in 1/16 ns. In time and not in
    /// ticks, because a tick of 8 kHz is 125 µs, longer than the jitter of a
    /// local network.
    pub jitter_q4_ns: u64,
    /// Sum of the jitter after each sample, in ns.
    pub jitter_sum_ns: u64,
    /// Samples in [`Flow::jitter_sum_ns`].
    pub jitter_samples: u64,
    /// Largest jitter after a sample, in ns.
    pub jitter_max_ns: u64,
    /// Longest time between two packets, in ns.
    pub delta_max_ns: u64,
    /// Timestamp of the last packet, in ticks.
    pub timestamp: u32,
    /// Ticks a second.
    pub clock_rate: u32,
    /// Sequence number that would confirm a jump; 2^16 when none would.
    pub resync: u32,
    /// Times the sequence jumped and went on from there.
    pub restarts: u32,
    /// Payload type of the last packet.
    pub payload_type: u8,
    /// Bit 0: the next difference in timing means nothing.
    pub flags: u8,
    /// Zero.
    pub reserved: [u8; 6],
}

const _: () = assert!(size_of::<Flow>() == 160);

impl Flow {
    /// A flow of one packet of `length` bytes that arrived at `now_ns`.
    #[inline(always)]
    #[must_use]
    pub const fn new(first: &Header, length: u32, now_ns: u64) -> Self {
        let base = (1 << 16) | first.sequence as u64;
        Self {
            packets: 1,
            bytes: length as u64,
            duplicates: 0,
            reordered: 0,
            strays: 0,
            expected_before: 0,
            first_ns: now_ns,
            last_ns: now_ns,
            base,
            highest: base,
            window: [1, 0],
            jitter_q4_ns: 0,
            jitter_sum_ns: 0,
            jitter_samples: 0,
            jitter_max_ns: 0,
            delta_max_ns: 0,
            timestamp: first.timestamp,
            clock_rate: clock_rate(first.payload_type),
            resync: NO_RESYNC,
            restarts: 0,
            payload_type: first.payload_type,
            flags: 0,
            reserved: [0; 6],
        }
    }

    /// Takes in the next packet of `length` bytes, which arrived at `now_ns`.
    #[inline(always)]
    pub fn advance(&mut self, packet: &Header, length: u32, now_ns: u64) {
        self.bytes += u64::from(length);
        let ahead = packet.sequence.wrapping_sub(self.highest as u16);
        let behind = ahead.wrapping_neg();
        if ahead != 0 && ahead < MAX_DROPOUT {
            self.move_window(u32::from(ahead));
            self.highest += u64::from(ahead);
            self.packets += 1;
            self.time(packet, now_ns, true);
        } else if behind < MAX_MISORDER {
            self.packets += 1;
            if self.fill(u32::from(behind)) {
                self.reordered += 1;
                self.base = self.base.min(self.highest - u64::from(behind));
            } else {
                self.duplicates += 1;
            }
            self.time(packet, now_ns, false);
        } else if self.resync == u32::from(packet.sequence) {
            self.restart(packet, now_ns);
        } else {
            self.resync = u32::from(packet.sequence.wrapping_add(1));
            self.strays += 1;
        }
    }

    /// Packets that the sequence numbers call for.
    #[must_use]
    pub const fn expected(&self) -> u64 {
        self.expected_before + (self.highest - self.base) + 1
    }

    /// Packets expected that did not come. A duplicate makes up for nothing.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.packets - self.duplicates)
    }

    /// Interarrival jitter in ns (RFC 3550 section 6.4.1).
    #[must_use]
    pub const fn jitter_ns(&self) -> u64 {
        self.jitter_q4_ns >> 4
    }

    /// Two packets in a row, far from the rest: the sender began anew (RFC 3550
    /// appendix A.1). The first of them was taken for a stray.
    #[inline(always)]
    fn restart(&mut self, packet: &Header, now_ns: u64) {
        self.expected_before = self.expected();
        self.strays -= 1;
        self.packets += 2;
        self.restarts += 1;
        self.base = (1 << 16) + u64::from(packet.sequence.wrapping_sub(1));
        self.highest = self.base + 1;
        self.window = [0b11, 0];
        self.resync = NO_RESYNC;
        self.flags |= TIMING_BROKEN;
        self.time(packet, now_ns, true);
    }

    #[inline(always)]
    fn move_window(&mut self, by: u32) {
        let [recent, old] = self.window;
        self.window = match by {
            1..64 => [recent << by | 1, old << by | recent >> (64 - by)],
            64 => [1, recent],
            65..128 => [1, recent << (by - 64)],
            _ => [1, 0],
        };
    }

    /// Marks the packet `behind` the highest one as come; false when it had.
    #[inline(always)]
    fn fill(&mut self, behind: u32) -> bool {
        let bit = 1 << (behind & 63);
        let word = if behind < 64 { &mut self.window[0] } else { &mut self.window[1] };
        let fills = *word & bit == 0;
        *word |= bit;
        fills
    }

    /// RFC 3550 appendix A.8, in ns. Jitter follows every packet; its mean and
    /// maximum, and the longest gap, leave out what tshark leaves out, so that
    /// both can be compared: packets out of order and the first of a talkspurt.
    #[inline(always)]
    fn time(&mut self, packet: &Header, now_ns: u64, in_order: bool) {
        let arrival = now_ns.saturating_sub(self.last_ns);
        let step = packet.timestamp.wrapping_sub(self.timestamp) as i32;
        let same_clock = packet.payload_type == self.payload_type;
        let broken = self.flags & TIMING_BROKEN != 0;
        let noise = is_comfort_noise(packet.payload_type);
        self.last_ns = now_ns;
        self.timestamp = packet.timestamp;
        if !same_clock {
            self.payload_type = packet.payload_type;
            self.clock_rate = clock_rate(packet.payload_type);
        }
        self.flags = 0;
        let talks = in_order && !packet.marker && !noise && same_clock && !broken;
        if talks && arrival > self.delta_max_ns {
            self.delta_max_ns = arrival;
        }
        let media = ticks_to_ns(step.unsigned_abs(), self.clock_rate);
        // A capture's clock may leap to the end of time.
        let change = if step < 0 { arrival.saturating_add(media) } else { arrival.abs_diff(media) };
        if !same_clock || broken || change > MAX_TRANSIT_CHANGE_NS {
            return;
        }
        self.jitter_q4_ns = self.jitter_q4_ns + change - ((self.jitter_q4_ns + 8) >> 4);
        if talks {
            let jitter = self.jitter_ns();
            self.jitter_sum_ns += jitter;
            self.jitter_samples += 1;
            if jitter > self.jitter_max_ns {
                self.jitter_max_ns = jitter;
            }
        }
    }
}

/// `ticks` of a clock of `rate` Hz in ns. The product fits: 2^31 × 10^9 < 2^61. No
/// clock stands still, but a division that could panic keeps the verifier out.
#[inline(always)]
fn ticks_to_ns(ticks: u32, rate: u32) -> u64 {
    (u64::from(ticks) * 1_000_000_000).checked_div(u64::from(rate)).unwrap_or(0)
}

#[cfg(test)]
mod tests;

//! What is known of a stream from the reports of who receives it.

use super::Block;
use crate::path::Times;

/// Sender reports of which the time is kept: a receiver may answer the one before the last.
const KEPT: usize = 2;

/// When a sender report went out.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct Sent {
    /// When, in ns of the caller's clock; 0 when none did.
    pub at_ns: u64,
    /// What it calls that time: [`super::middle_of_ntp`].
    pub middle: u32,
    /// Zero.
    pub reserved: u32,
}

impl Sent {
    const NONE: Self = Self { at_ns: 0, middle: 0, reserved: 0 };
}

/// The reports on one stream, as its sender gets them.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct Report {
    /// The last sender reports.
    pub sent: [Sent; KEPT],
    /// Round trips by RFC 3550 section 6.4.1: from a sender report to the report that names
    /// it, less the time that the receiver kept it.
    pub round_trip: Times,
    /// The last report in either direction, in ns of the caller's clock.
    pub last_ns: u64,
    /// Report blocks that came.
    pub blocks: u64,
    /// Packets lost by the last block, as [`Block::lost`].
    pub lost: i32,
    /// [`Block::highest`] of the last block.
    pub highest: u32,
    /// Packets lost by the first block.
    pub first_lost: i32,
    /// [`Block::highest`] of the first block.
    pub first_highest: u32,
    /// [`Block::jitter`] of the last block, in ticks.
    pub jitter: u32,
    /// [`Block::fraction`] of the last block, in 1/256.
    pub fraction: u8,
    /// Which of [`Report::sent`] is the older.
    pub older: u8,
    /// Zero.
    pub reserved: [u8; 2],
}

const _: () = assert!(size_of::<Report>() == 112);

impl Report {
    /// Nothing is known.
    pub const NONE: Self = Self {
        sent: [Sent::NONE; KEPT],
        round_trip: Times::NONE,
        last_ns: 0,
        blocks: 0,
        lost: 0,
        highest: 0,
        first_lost: 0,
        first_highest: 0,
        jitter: 0,
        fraction: 0,
        older: 0,
        reserved: [0; 2],
    };

    /// The sender sends a report.
    #[inline(always)]
    pub fn send(&mut self, middle: u32, now_ns: u64) {
        let place = usize::from(self.older) % KEPT;
        self.sent[place] = Sent { at_ns: now_ns, middle, reserved: 0 };
        self.older = (place as u8 + 1) % KEPT as u8;
        self.last_ns = now_ns;
    }

    /// A report on the sender's stream comes in.
    #[inline(always)]
    pub fn receive(&mut self, block: &Block, now_ns: u64) {
        if self.blocks == 0 {
            self.first_lost = block.lost;
            self.first_highest = block.highest;
        }
        self.blocks += 1;
        self.lost = block.lost;
        self.highest = block.highest;
        self.jitter = block.jitter;
        self.fraction = block.fraction;
        self.last_ns = now_ns;
        let sent_ns = if self.sent[0].middle == block.last_report {
            self.sent[0].at_ns
        } else if self.sent[1].middle == block.last_report {
            self.sent[1].at_ns
        } else {
            0
        };
        // A receiver that overstates its delay gives a round trip below 0, which is none.
        let then = sent_ns.saturating_add((u64::from(block.delay) * 1_000_000_000) >> 16);
        if block.last_report != 0 && sent_ns != 0 && then <= now_ns {
            self.round_trip.add(now_ns - then);
        }
    }

    /// Share of the packets that the receiver missed from its first report to its last, or
    /// before its only one; `None` without a report. Duplicates do not make it negative.
    #[must_use]
    pub fn loss_ratio(&self) -> Option<f64> {
        let expected = self.highest.wrapping_sub(self.first_highest);
        let lost = self.lost.wrapping_sub(self.first_lost).max(0);
        match self.blocks {
            0 => None,
            _ if expected == 0 || expected > u32::MAX / 2 => Some(f64::from(self.fraction) / 256.0),
            _ => Some((f64::from(lost) / f64::from(expected)).min(1.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn block(last_report: u32, delay: u32) -> Block {
        Block { ssrc: 1, fraction: 0, lost: 0, highest: 1, jitter: 0, last_report, delay }
    }

    /// The example of RFC 3550 section 6.4.1, figure 2: 6.125 s.
    #[test]
    fn the_round_trip_of_the_standard() {
        let mut report = Report::NONE;
        let sent = u64::from(0xb44d_b705_u32 - 0xb44a_0000) * SECOND / 65_536;
        report.send(0xb44d_b705, sent);
        let came = u64::from(0xb710_8000_u32 - 0xb44a_0000) * SECOND / 65_536;
        report.receive(&block(0xb44d_b705, 0x0005_4000), came);
        let expected = u64::from(0xb710_8000_u32 - 0x0005_4000 - 0xb44d_b705) * SECOND / 65_536;
        assert!(report.round_trip.last_ns.abs_diff(expected) < 2, "{report:?}");
    }

    #[test]
    fn the_report_before_the_last_is_known_and_a_strange_one_is_not() {
        let mut report = Report::NONE;
        report.send(10, SECOND);
        report.send(20, 2 * SECOND);
        report.receive(&block(10, 65_536), 3 * SECOND);
        assert_eq!((report.round_trip.count, report.round_trip.last_ns), (1, SECOND));
        report.send(30, 3 * SECOND);
        report.receive(&block(10, 0), 4 * SECOND);
        report.receive(&block(0, 0), 4 * SECOND);
        report.receive(&block(30, 2 * 65_536), 4 * SECOND);
        assert_eq!((report.round_trip.count, report.blocks), (1, 4));
    }

    #[test]
    fn loss_is_that_between_reports() {
        let mut report = Report::NONE;
        assert_eq!(report.loss_ratio(), None);
        let came = |lost, highest, fraction| Block { lost, highest, fraction, ..block(0, 0) };
        report.receive(&came(7, 1_000, 64), 1);
        assert_eq!(report.loss_ratio(), Some(0.25));
        report.receive(&came(12, 1_100, 0), 2);
        assert_eq!(report.loss_ratio(), Some(0.05));
        report.receive(&came(5, 1_200, 0), 3);
        assert_eq!(report.loss_ratio(), Some(0.0));
    }
}

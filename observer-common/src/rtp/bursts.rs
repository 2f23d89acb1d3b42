//! Bursts and gaps of loss (RFC 3611 section 4.7.2).

/// Packets received in a row that end a burst: Gmin as RFC 3611 section 4.7.2
/// recommends it.
pub const GMIN: u64 = 16;

/// The transition counters of RFC 3611 appendix A.2, as far as losses are settled.
///
/// The algorithm there counts the packets that come between two losses one by one. Here
/// the sequence numbers of the losses say it, so a packet that comes costs nothing.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct Bursts {
    /// Extended sequence number of the last loss, and before there was one a number so far
    /// before the first packet that a gap lies between: section 4.7.2 assumes as much.
    pub last_loss: u64,
    /// Packets received in gaps, and those that are assumed.
    pub c11: u64,
    /// Losses that began after a gap, where the loss before it was of a burst or there was
    /// none.
    pub c13: u32,
    /// Losses that began after a gap, where the loss before it stood alone.
    pub c14: u32,
    /// Packets received within a burst after another one that was received.
    pub c22: u32,
    /// Losses within a burst after a packet that was received.
    pub c23: u32,
    /// Losses within a burst right after a loss.
    pub c33: u32,
    /// Losses since the last gap.
    pub run: u32,
}

const _: () = assert!(size_of::<Bursts>() == 40);

/// The transition counters of a stream to its end: see [`Bursts`] for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transitions {
    /// Packets received in gaps, those after the last loss among them: section 4.7.2 assumes
    /// that enough for a gap will follow.
    pub c11: u64,
    /// See [`Bursts::c13`].
    pub c13: u64,
    /// See [`Bursts::c14`].
    pub c14: u64,
    /// See [`Bursts::c22`].
    pub c22: u64,
    /// See [`Bursts::c23`].
    pub c23: u64,
    /// See [`Bursts::c33`].
    pub c33: u64,
    /// See [`Bursts::run`].
    pub run: u64,
}

impl Bursts {
    /// Of a stream whose first packet has the extended sequence number `base`.
    #[inline(always)]
    #[must_use]
    pub const fn new(base: u64) -> Self {
        let last_loss = base - 1 - GMIN;
        Self { last_loss, c11: 0, c13: 0, c14: 0, c22: 0, c23: 0, c33: 0, run: 0 }
    }

    /// Takes in `count` losses in a row, at least one, from `sequence` on. They come in
    /// ascending order.
    #[inline(always)]
    pub fn lose(&mut self, sequence: u64, count: u32) {
        let received = sequence.wrapping_sub(self.last_loss).wrapping_sub(1);
        if received >= GMIN {
            if self.run == 1 {
                self.c14 += 1;
            } else {
                self.c13 += 1;
            }
            self.run = 0;
            self.c11 = self.c11.wrapping_add(received);
        } else if received == 0 {
            self.c33 += 1;
        } else {
            self.c23 += 1;
            self.c22 += received as u32 - 1;
        }
        self.run = self.run.wrapping_add(count);
        self.c33 = self.c33.wrapping_add(count - 1);
        self.last_loss = sequence + u64::from(count) - 1;
    }

    /// Goes on where the sequence jumped from `highest` to `base`: what was received on
    /// both sides of the jump was received in a row.
    #[inline(always)]
    pub const fn jump(&mut self, highest: u64, base: u64) {
        let received = highest.wrapping_sub(self.last_loss);
        self.last_loss = base.wrapping_sub(1).wrapping_sub(received);
    }

    /// Moves the beginning of the stream from `base` to a packet before it.
    #[inline(always)]
    pub const fn widen(&mut self, base: u64, to: u64) {
        if self.last_loss == base - 1 - GMIN {
            self.last_loss = to - 1 - GMIN;
        }
    }

    /// The counters of a stream that ends with `highest`.
    #[must_use]
    pub const fn transitions(&self, highest: u64) -> Transitions {
        let received = highest.wrapping_sub(self.last_loss);
        Transitions {
            c11: self.c11.wrapping_add(received).wrapping_sub(GMIN),
            c13: self.c13 as u64,
            c14: self.c14 as u64,
            c22: self.c22 as u64,
            c23: self.c23 as u64,
            c33: self.c33 as u64,
            run: self.run as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 3611 appendix A.2 as it stands there, a packet at a time, after the packets that
    /// section 4.7.2 assumes.
    fn appendix(received: &[bool]) -> Transitions {
        let (mut counts, mut lost, mut pkt) = (Transitions::default(), 0_u64, GMIN);
        for came in received {
            if *came {
                pkt += 1;
                continue;
            }
            if pkt >= GMIN {
                if lost == 1 {
                    counts.c14 += 1;
                } else {
                    counts.c13 += 1;
                }
                lost = 1;
                counts.c11 += pkt;
            } else {
                lost += 1;
                if pkt == 0 {
                    counts.c33 += 1;
                } else {
                    counts.c23 += 1;
                    counts.c22 += pkt - 1;
                }
            }
            pkt = 0;
        }
        Transitions { c11: counts.c11 + pkt - GMIN, run: lost, ..counts }
    }

    /// The same by runs of losses.
    fn by_runs(received: &[bool]) -> Transitions {
        let first = 1 << 16;
        let mut bursts = Bursts::new(first);
        let mut at = 0;
        while at < received.len() {
            let run = received[at..].iter().take_while(|came| !**came).count();
            if run > 0 {
                bursts.lose(first + at as u64, run as u32);
            }
            at += run.max(1);
        }
        bursts.transitions(first + received.len() as u64 - 1)
    }

    #[test]
    fn a_loss_between_gaps_stands_alone() {
        let mut received = [true; 60];
        received[20] = false;
        received[40] = false;
        let counts = by_runs(&received);
        assert_eq!((counts.c13, counts.c14, counts.c11), (1, 1, 20 + 19 + 19));
    }

    #[test]
    fn a_loss_near_the_start_or_the_end_stands_alone_too() {
        let mut received = [true; 60];
        received[3] = false;
        received[57] = false;
        let counts = by_runs(&received);
        assert_eq!((counts.c13, counts.c14, counts.run), (1, 1, 1));
        assert_eq!((counts.c22 + counts.c23 + counts.c33, counts.c11), (0, 58));
    }

    #[test]
    fn a_jump_leaves_a_gap_whole() {
        let mut bursts = Bursts::new(1 << 16);
        bursts.lose((1 << 16) + 1, 1);
        bursts.jump((1 << 16) + 11, 5_000);
        bursts.lose(5_006, 1);
        assert_eq!((bursts.c14, bursts.c23), (1, 0));
        assert_eq!(bursts.transitions(5_006).c11, 1 + 16);
    }

    proptest! {
        #[test]
        fn runs_of_losses_count_as_the_appendix_counts_packets(
            pieces in proptest::collection::vec((0_usize..40, 0_usize..5), 1..60),
        ) {
            let mut received = std::vec::Vec::new();
            for (came, lost) in pieces {
                received.extend(std::iter::repeat_n(true, came));
                received.extend(std::iter::repeat_n(false, lost));
            }
            received.push(true);
            prop_assert_eq!(by_runs(&received), appendix(&received));
        }
    }
}

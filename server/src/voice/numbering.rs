//! Sequence numbers of what is passed on. They are the sender's own, as are gaps that were
//! on its way; but what the server holds back must not look lost to who listens, so after
//! that numbers go on where they were.

/// Numbers of one stream, extended beyond 16 bits (RFC 3550, A.1).
#[derive(Debug, Default)]
pub(super) struct Numbering {
    /// The sender's number less ours.
    shift: u64,
    /// The first number, of the sender's, that `shift` is for.
    from: u64,
    /// The last number of the sender's, passed on or not.
    last: Option<u64>,
    /// The last number of ours.
    passed: Option<u64>,
    /// Whether what came last was held back.
    holds: bool,
}

impl Numbering {
    /// Our number of a packet that is passed on; none for one that comes too late, from
    /// before something was held back.
    pub(super) fn pass(&mut self, number: u64) -> Option<u64> {
        if self.last.is_none() {
            self.from = number;
        } else if self.holds {
            if self.last.is_some_and(|last| number <= last) {
                return None;
            }
            self.from = number;
            if let Some(passed) = self.passed {
                self.shift = number - passed - 1;
            }
        }
        if number < self.from {
            return None;
        }
        self.holds = false;
        self.last = self.last.max(Some(number));
        let ours = number - self.shift;
        self.passed = self.passed.max(Some(ours));
        Some(ours)
    }

    /// A packet is held back.
    pub(super) fn hold(&mut self, number: u64) {
        self.holds = true;
        self.last = self.last.max(Some(number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_senders_with_its_gaps_and_its_order() {
        let mut numbering = Numbering::default();
        let ours: Vec<_> =
            [7, 8, 10, 9, 13].into_iter().map(|number| numbering.pass(number)).collect();
        assert_eq!(ours, [7, 8, 10, 9, 13].map(Some));
        assert_eq!(numbering.pass(6), None, "listeners begin with the first packet");
    }

    #[test]
    fn what_is_held_back_leaves_no_gap() {
        let mut numbering = Numbering::default();
        assert_eq!(numbering.pass(100), Some(100));
        (101..150).for_each(|number| numbering.hold(number));
        assert_eq!(numbering.pass(148), None, "it is from before");
        assert_eq!(numbering.pass(150), Some(101));
        assert_eq!(numbering.pass(152), Some(103), "a gap of the sender's stays one");
        assert_eq!(numbering.pass(151), Some(102));
        assert_eq!(numbering.pass(149), None);
        numbering.hold(153);
        assert_eq!(numbering.pass(154), Some(104));
    }

    #[test]
    fn a_stream_that_begins_held_back_begins_with_what_is_passed_on() {
        let mut numbering = Numbering::default();
        (1..=9).for_each(|number| numbering.hold(number));
        assert_eq!(numbering.pass(10), Some(10));
    }
}

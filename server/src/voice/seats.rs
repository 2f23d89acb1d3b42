//! Who of a room is heard: as many as have a seat, and whoever talks takes that of the one
//! who has been silent longest.

use std::time::{Duration, Instant};

/// How long a seat is its holder's from the last word on.
const HOLD: Duration = Duration::from_millis(600);

/// The seats of a room.
#[derive(Debug)]
pub(super) struct Seats {
    holders: Vec<Holder>,
    most: usize,
}

#[derive(Debug)]
struct Holder {
    who: usize,
    /// When the holder was last heard to talk, or took the seat.
    spoke: Instant,
}

/// What came of asking for a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It had one.
    Held,
    /// It has one from here on, that of another if one had to give way.
    Taken(Option<usize>),
    /// There is none to be had.
    Refused,
}

impl Seats {
    /// For so many.
    pub(super) const fn new(most: usize) -> Self {
        Self { holders: Vec::new(), most }
    }

    /// Who has one.
    pub(super) fn holders(&self) -> impl Iterator<Item = usize> {
        self.holders.iter().map(|holder| holder.who)
    }

    /// Somebody has something to be heard, words or less.
    pub(super) fn claim(&mut self, who: usize, talks: bool, now: Instant) -> Claim {
        if let Some(holder) = self.holders.iter_mut().find(|holder| holder.who == who) {
            if talks {
                holder.spoke = now;
            }
            return Claim::Held;
        }
        if self.holders.len() < self.most {
            self.holders.push(Holder { who, spoke: now });
            return Claim::Taken(None);
        }
        let quietest = self.holders.iter_mut().min_by_key(|holder| holder.spoke);
        match quietest {
            Some(holder) if talks && now.saturating_duration_since(holder.spoke) >= HOLD => {
                let before = std::mem::replace(holder, Holder { who, spoke: now });
                Claim::Taken(Some(before.who))
            }
            _ => Claim::Refused,
        }
    }

    /// Somebody is gone. Says whether there was a seat.
    pub(super) fn leave(&mut self, who: usize) -> bool {
        let before = self.holders.len();
        self.holders.retain(|holder| holder.who != who);
        self.holders.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn while_there_are_seats_even_the_silent_are_heard() {
        let (mut seats, start) = (Seats::new(2), Instant::now());
        assert_eq!(seats.claim(1, false, start), Claim::Taken(None));
        assert_eq!(seats.claim(2, true, start), Claim::Taken(None));
        assert_eq!(seats.claim(1, false, at(start, 20)), Claim::Held);
        assert_eq!(seats.claim(3, false, at(start, 60_000)), Claim::Refused);
    }

    #[test]
    fn whoever_talks_takes_the_seat_of_the_one_silent_longest() {
        let (mut seats, start) = (Seats::new(2), Instant::now());
        seats.claim(1, true, start);
        seats.claim(2, true, at(start, 100));
        assert_eq!(seats.claim(3, true, at(start, 500)), Claim::Refused, "both were just heard");
        assert_eq!(seats.claim(2, false, at(start, 650)), Claim::Held);
        assert_eq!(seats.claim(3, true, at(start, 650)), Claim::Taken(Some(1)));
        assert_eq!(seats.claim(1, true, at(start, 670)), Claim::Refused);
        assert_eq!(seats.claim(1, true, at(start, 700)), Claim::Taken(Some(2)));
        assert_eq!(seats.holders().collect::<Vec<_>>(), [3, 1]);
    }

    #[test]
    fn a_seat_is_free_when_its_holder_leaves() {
        let (mut seats, start) = (Seats::new(1), Instant::now());
        seats.claim(1, true, start);
        assert!(!seats.leave(2));
        assert!(seats.leave(1));
        assert_eq!(seats.claim(2, false, start), Claim::Taken(None));
    }

    /// Whatever happens, nobody has two seats and there are never too many.
    #[test]
    fn no_order_of_acts_breaks_the_seats() {
        let start = Instant::now();
        for mut acts in 0..8_u32.pow(6) {
            let mut seats = Seats::new(2);
            for step in 0..6 {
                let (who, act) = ((acts % 4) as usize, acts % 8 / 4);
                acts /= 8;
                match act {
                    0 => {
                        seats.claim(who, true, at(start, step * 700));
                    }
                    _ => {
                        seats.leave(who);
                    }
                }
                let mut holders: Vec<_> = seats.holders().collect();
                assert!(holders.len() <= 2);
                holders.sort_unstable();
                holders.dedup();
                assert_eq!(holders.len(), seats.holders().count());
            }
        }
    }
}

//! What one bot hears of the others while it is in a room: every stream, held against what
//! was sent.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{
    figures::Figures,
    sent::{Roll, Sent},
    stream::Stream,
};

/// What is sent so soon after both are connected may be heard or not: the server learns of it
/// a little later than they do.
const GRACE: Duration = Duration::from_secs(1);

/// What is sent so shortly before somebody leaves need not arrive.
const FLIGHT: Duration = Duration::from_millis(500);

/// Packets dropped on purpose that are remembered of a stream, till a later one arrives.
const DROPS: usize = 1_024;

/// What one bot hears, from joining to leaving.
#[derive(Debug)]
pub(super) struct Hearing {
    roll: Arc<Roll>,
    user: i64,
    room: i64,
    begun: Duration,
    /// Whether it has a slot for everybody who speaks.
    hears_all: bool,
    streams: HashMap<u32, Heard>,
    /// Streams that ended, and what was to be said of them is.
    reviewed: HashSet<u32>,
    figures: Figures,
}

#[derive(Debug)]
struct Heard {
    stream: Stream,
    sent: Option<Arc<Sent>>,
    slot: Slot,
    dropped: VecDeque<u16>,
}

/// Whether a slot carries the stream, as far as the server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Has,
    Lost,
    HasAgain,
}

impl Hearing {
    /// Nothing is heard yet.
    #[must_use]
    pub(super) fn new(
        roll: Arc<Roll>,
        user: i64,
        room: i64,
        begun: Duration,
        hears_all: bool,
    ) -> Self {
        Self {
            roll,
            user,
            room,
            begun,
            hears_all,
            streams: HashMap::new(),
            reviewed: HashSet::new(),
            figures: Figures::default(),
        }
    }

    /// A packet was decrypted.
    pub(super) fn hear(&mut self, ssrc: u32, sequence: u16, timestamp: u32, at: Duration) {
        let Self { roll, user, room, streams, figures, reviewed, .. } = self;
        if reviewed.contains(&ssrc) {
            // Of somebody who left a while ago.
            figures.misdelivered += 1;
            return;
        }
        let heard = streams.entry(ssrc).or_insert_with(|| Heard::new(roll.find(ssrc)));
        // A server may forward it under an SSRC of its own.
        heard.sent = heard.sent.take().or_else(|| roll.trace(*room, timestamp));
        if heard.sent.as_ref().is_some_and(|sent| sent.user == *user || sent.room != *room) {
            figures.misdelivered += 1;
            return;
        }
        if heard.slot != Slot::Has && heard.stream.gap(sequence) > 0 {
            heard.stream.rest();
        }
        if heard.slot == Slot::HasAgain {
            heard.slot = Slot::Has;
        }
        let Heard { stream, sent, dropped, .. } = heard;
        let departure = sent.as_ref().and_then(|sent| sent.find(timestamp));
        let shift = departure.map_or(0, |it| it.sequence.wrapping_sub(sequence));
        stream.arrive(sequence, timestamp, at, |skipped| {
            let number = skipped.wrapping_add(shift);
            dropped.contains(&skipped) || sent.as_ref().is_some_and(|sent| sent.has_dropped(number))
        });
        if let Some(departure) = departure {
            figures.delays.add(at.saturating_sub(departure.at));
        }
    }

    /// A packet arrived and was dropped on purpose.
    pub(super) fn drop_one(&mut self, ssrc: u32, sequence: u16) {
        self.figures.received_dropped += 1;
        let roll = &self.roll;
        let heard = self.streams.entry(ssrc).or_insert_with(|| Heard::new(roll.find(ssrc)));
        heard.dropped.truncate(DROPS - 1);
        heard.dropped.push_front(sequence);
    }

    /// A packet arrived, and nothing came of it.
    pub(super) fn refuse(&mut self, ssrc: u32, sequence: u16) {
        let heard = self.streams.get(&ssrc);
        if heard.is_some_and(|heard| heard.stream.has(sequence)) {
            self.figures.tally.duplicates += 1;
        } else {
            self.figures.unreadable += 1;
        }
    }

    /// The server says who is on a slot.
    pub(super) fn assign(&mut self, users: &HashSet<i64>) {
        for heard in self.streams.values_mut() {
            let Some(sent) = &heard.sent else { continue };
            heard.slot = match (users.contains(&sent.user), heard.slot) {
                (false, _) => Slot::Lost,
                (true, Slot::Lost) => Slot::HasAgain,
                (true, slot) => slot,
            };
        }
    }

    /// Sees to the streams that ended a while ago.
    pub(super) fn review(&mut self, now: Duration) {
        for (ssrc, sent) in self.roll.room(self.room) {
            if sent.ended().saturating_add(GRACE) < now && !self.reviewed.contains(&ssrc) {
                self.conclude(ssrc, &sent, now);
                self.reviewed.insert(ssrc);
                if let Some(heard) = self.streams.remove(&ssrc) {
                    self.figures.take(&heard);
                }
            }
        }
    }

    /// The bot leaves: what it heard.
    #[must_use]
    pub(super) fn finish(mut self, now: Duration) -> Figures {
        self.review(now);
        for (ssrc, sent) in self.roll.room(self.room) {
            if !self.reviewed.contains(&ssrc) {
                self.conclude(ssrc, &sent, now);
            }
        }
        for heard in self.streams.values() {
            self.figures.take(heard);
        }
        self.figures
    }

    /// Counts what was sent after the last packet that arrived, or though none did.
    fn conclude(&mut self, ssrc: u32, sent: &Sent, now: Duration) {
        if sent.user == self.user || !self.hears_all {
            return;
        }
        let heard = self.streams.get(&ssrc);
        if heard.is_some_and(|heard| heard.slot == Slot::Lost) {
            return;
        }
        let from = self.begun.max(sent.begun) + GRACE;
        let until = now.min(sent.ended()).saturating_sub(FLIGHT);
        let newest = heard.and_then(|heard| heard.stream.newest());
        let mut left = sent.left(from, until, newest);
        if let Some(heard) = heard {
            left.retain(|sequence| !heard.dropped.contains(sequence));
        }
        self.figures.unheard += left.len() as u64;
        self.figures.streams_missed += u64::from(newest.is_none() && !left.is_empty());
    }
}

impl Heard {
    fn new(sent: Option<Arc<Sent>>) -> Self {
        Self { stream: Stream::default(), sent, slot: Slot::Has, dropped: VecDeque::new() }
    }
}

impl Figures {
    fn take(&mut self, heard: &Heard) {
        let tally = heard.stream.tally();
        self.streams_heard += u64::from(tally.received > 0);
        self.tally.add(&tally);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::sent::Departure, *};

    const ME: i64 = 1;
    const ADA: i64 = 2;
    const ROOM: i64 = 7;
    const SSRC: u32 = 99;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Ada speaks for 4 s from 0, and packet n leaves at 20·n ms; what she drops is dropped.
    fn ada(roll: &Roll, dropped: &[u16]) -> Arc<Sent> {
        let sent = Arc::new(Sent::new(ADA, ROOM, ms(0)));
        roll.add(SSRC, Arc::clone(&sent));
        for sequence in 0..200 {
            let at = ms(20) * u32::from(sequence);
            let timestamp = u32::from(sequence) * 960;
            let was_dropped = dropped.contains(&sequence);
            sent.note(Departure { sequence, timestamp, at, was_dropped });
        }
        sent
    }

    fn me(roll: &Arc<Roll>) -> Hearing {
        Hearing::new(Arc::clone(roll), ME, ROOM, ms(0), true)
    }

    /// Packet n arrives 3 ms after it left.
    fn hear(hearing: &mut Hearing, sequences: impl IntoIterator<Item = u16>) {
        for sequence in sequences {
            let at = ms(20) * u32::from(sequence) + ms(3);
            hearing.hear(SSRC, sequence, u32::from(sequence) * 960, at);
        }
    }

    #[test]
    fn who_hears_everything_is_well_and_knows_the_delay() {
        let roll = Arc::default();
        ada(&roll, &[]);
        let mut hearing = me(&roll);
        hear(&mut hearing, 0..200);
        let figures = hearing.finish(ms(5_000));
        assert!(figures.is_well(), "{figures:?}");
        assert_eq!((figures.tally.received, figures.streams_heard), (200, 1));
        assert_eq!(figures.delays.max(), Some(ms(3)));
    }

    #[test]
    fn what_was_dropped_on_purpose_at_either_end_is_no_fault() {
        let roll = Arc::default();
        ada(&roll, &[50, 199]);
        let mut hearing = me(&roll);
        hear(&mut hearing, 0..50);
        hear(&mut hearing, 51..80);
        hearing.drop_one(SSRC, 80);
        hear(&mut hearing, 81..198);
        hearing.drop_one(SSRC, 198);
        let figures = hearing.finish(ms(5_000));
        assert!(figures.is_well(), "{figures:?}");
        assert_eq!((figures.tally.lost, figures.tally.lost_on_purpose), (2, 2));
        assert_eq!(figures.received_dropped, 2);
    }

    #[test]
    fn what_the_server_lost_is_a_fault() {
        let roll = Arc::default();
        ada(&roll, &[]);
        let mut hearing = me(&roll);
        hear(&mut hearing, (0..200).filter(|number| *number != 50));
        let figures = hearing.finish(ms(5_000));
        assert!(!figures.is_well());
        assert_eq!((figures.tally.lost, figures.tally.lost_on_purpose), (1, 0));
    }

    #[test]
    fn a_stream_that_breaks_off_or_never_comes_is_a_fault() {
        let roll = Arc::default();
        ada(&roll, &[]);
        let mut hearing = me(&roll);
        hear(&mut hearing, 0..100);
        let figures = hearing.finish(ms(3_600));
        // 100 to 154, which left 0.5 s before I did.
        assert_eq!((figures.unheard, figures.streams_missed), (55, 0));
        let figures = me(&roll).finish(ms(5_000));
        // 50 to 199: from 1 s on.
        assert_eq!((figures.unheard, figures.streams_missed), (150, 1));
        let deaf = Hearing::new(Arc::clone(&roll), ME, ROOM, ms(0), false);
        assert!(deaf.finish(ms(5_000)).is_well(), "there are others on its slots");
    }

    #[test]
    fn who_left_is_reviewed_once_and_heard_no_more() {
        let roll = Arc::default();
        let sent = ada(&roll, &[]);
        let mut hearing = me(&roll);
        hear(&mut hearing, 0..150);
        sent.end(ms(4_000));
        hearing.review(ms(4_500));
        assert!(hearing.reviewed.is_empty(), "too early to say");
        hearing.review(ms(5_500));
        hear(&mut hearing, [199]);
        let figures = hearing.finish(ms(6_000));
        assert_eq!((figures.tally.received, figures.streams_heard), (150, 1));
        // 150 to 174 left before 3.5 s.
        assert_eq!((figures.unheard, figures.misdelivered), (25, 1));
    }

    #[test]
    fn a_stream_that_had_no_slot_begins_anew() {
        let roll = Arc::default();
        ada(&roll, &[]);
        let mut hearing = me(&roll);
        hear(&mut hearing, 0..50);
        hearing.assign(&HashSet::new());
        hear(&mut hearing, [50]);
        hearing.assign(&HashSet::from([ADA]));
        hear(&mut hearing, 100..150);
        hear(&mut hearing, 151..200);
        let figures = hearing.finish(ms(5_000));
        assert_eq!((figures.tally.received, figures.tally.lost), (150, 1), "150 is lost");
    }

    #[test]
    fn an_echo_and_another_room_are_misdelivered() {
        let roll = Arc::default();
        ada(&roll, &[]);
        for (user, room) in [(ADA, ROOM), (ME, ROOM + 1)] {
            let mut hearing = Hearing::new(Arc::clone(&roll), user, room, ms(0), true);
            hear(&mut hearing, 0..3);
            let figures = hearing.finish(ms(10));
            assert_eq!((figures.misdelivered, figures.tally.received), (3, 0));
        }
    }

    #[test]
    fn a_server_may_name_and_number_a_stream_anew() {
        let roll = Arc::default();
        ada(&roll, &[60]);
        // Not all are heard: else nothing would be known of the stream's own name.
        let mut hearing = Hearing::new(Arc::clone(&roll), ME, ROOM, ms(0), false);
        for number in (50..100_u16).filter(|number| *number != 60) {
            let at = ms(20) * u32::from(number) + ms(4);
            hearing.hear(SSRC + 1, number + 1_000, u32::from(number) * 960, at);
        }
        let figures = hearing.finish(ms(5_000));
        assert!(figures.is_well(), "{figures:?}");
        assert_eq!((figures.tally.lost, figures.tally.lost_on_purpose), (1, 1));
        assert_eq!(figures.delays.max(), Some(ms(4)));
    }

    #[test]
    fn a_packet_of_which_nothing_came_is_a_duplicate_or_unreadable() {
        let roll = Arc::default();
        ada(&roll, &[]);
        let mut hearing = me(&roll);
        hear(&mut hearing, 0..10);
        hearing.refuse(SSRC, 9);
        hearing.refuse(SSRC, 10);
        hearing.refuse(SSRC + 1, 0);
        let figures = hearing.finish(ms(10));
        assert_eq!((figures.tally.duplicates, figures.unreadable), (1, 2));
    }
}

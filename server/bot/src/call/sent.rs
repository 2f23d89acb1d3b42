//! What was sent, and when: one process has both ends of every stream, so it knows the delay
//! of a packet and whether a missing one ever left.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicU64,
            Ordering::{Acquire, Release},
        },
    },
    time::Duration,
};

use super::speech::FRAME_SAMPLES;

/// Frames that are remembered of each stream, sent or not: 41 s.
const REMEMBERED: usize = 2_048;

/// How long a stream is remembered after its end.
const AFTERMATH: Duration = Duration::from_secs(60);

/// One bot's stream, from joining to leaving.
#[derive(Debug)]
pub(super) struct Sent {
    /// Whose it is.
    pub(super) user: i64,
    /// Where: the channel.
    pub(super) room: i64,
    /// When its sender was connected.
    pub(super) begun: Duration,
    ended_us: AtomicU64,
    /// By timestamp, which a server leaves as it is even where it numbers packets anew.
    departures: Mutex<Box<[Option<Departure>]>>,
}

/// One packet that was sent, or dropped instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Departure {
    /// Of RTP.
    pub(super) sequence: u16,
    /// Of RTP.
    pub(super) timestamp: u32,
    /// When.
    pub(super) at: Duration,
    /// Whether it was dropped on purpose.
    pub(super) was_dropped: bool,
}

/// All streams of a run, by SSRC.
#[derive(Debug, Default)]
pub(super) struct Roll {
    streams: Mutex<HashMap<u32, Arc<Sent>>>,
}

impl Sent {
    /// Nothing is sent yet.
    #[must_use]
    pub(super) fn new(user: i64, room: i64, begun: Duration) -> Self {
        let departures = Mutex::new(vec![None; REMEMBERED].into());
        Self { user, room, begun, ended_us: AtomicU64::new(u64::MAX), departures }
    }

    /// A packet leaves, or is dropped instead.
    pub(super) fn note(&self, departure: Departure) {
        self.departures()[place(departure.timestamp)] = Some(departure);
    }

    /// What is known of the packet with this timestamp; nothing if it was never sent, or long
    /// ago.
    #[must_use]
    pub(super) fn find(&self, timestamp: u32) -> Option<Departure> {
        self.departures()[place(timestamp)].filter(|it| it.timestamp == timestamp)
    }

    /// Whether a packet was dropped on purpose.
    #[must_use]
    pub(super) fn has_dropped(&self, sequence: u16) -> bool {
        let departures = self.departures();
        departures.iter().flatten().any(|it| it.sequence == sequence && it.was_dropped)
    }

    /// The numbers of the packets that left between two moments, of those after number `after`.
    #[must_use]
    pub(super) fn left(&self, from: Duration, until: Duration, after: Option<u16>) -> Vec<u16> {
        let is_after = |sequence: u16| {
            after.is_none_or(|after| sequence.wrapping_sub(after).cast_signed() > 0)
        };
        let departures = self.departures();
        let left = departures.iter().flatten().filter(|it| {
            !it.was_dropped && (from..until).contains(&it.at) && is_after(it.sequence)
        });
        left.map(|it| it.sequence).collect()
    }

    /// The sender leaves.
    pub(super) fn end(&self, at: Duration) {
        self.ended_us.store(at.as_micros() as u64, Release);
    }

    /// When the sender left, if it did.
    #[must_use]
    pub(super) fn ended(&self) -> Duration {
        Duration::from_micros(self.ended_us.load(Acquire))
    }

    fn departures(&self) -> MutexGuard<'_, Box<[Option<Departure>]>> {
        self.departures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Roll {
    /// A stream begins; those that ended long ago are forgotten.
    pub(super) fn add(&self, ssrc: u32, sent: Arc<Sent>) {
        let mut streams = self.streams();
        streams.retain(|_, other| other.ended().saturating_add(AFTERMATH) > sent.begun);
        streams.insert(ssrc, sent);
    }

    /// Of that SSRC.
    #[must_use]
    pub(super) fn find(&self, ssrc: u32) -> Option<Arc<Sent>> {
        self.streams().get(&ssrc).cloned()
    }

    /// The stream of a room that has a packet with this timestamp, whatever its SSRC.
    #[must_use]
    pub(super) fn trace(&self, room: i64, timestamp: u32) -> Option<Arc<Sent>> {
        let streams = self.streams();
        let mut in_room = streams.values().filter(|sent| sent.room == room);
        in_room.find(|sent| sent.find(timestamp).is_some()).cloned()
    }

    /// All streams of a room.
    #[must_use]
    pub(super) fn room(&self, room: i64) -> Vec<(u32, Arc<Sent>)> {
        let streams = self.streams();
        let in_room = streams.iter().filter(|(_, sent)| sent.room == room);
        in_room.map(|(ssrc, sent)| (*ssrc, Arc::clone(sent))).collect()
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<u32, Arc<Sent>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn place(timestamp: u32) -> usize {
    (timestamp / FRAME_SAMPLES) as usize % REMEMBERED
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frame `number` of somebody who sends all of them, from number 65,530 and a timestamp
    /// short of its wrap.
    fn frame(number: u32) -> Departure {
        Departure {
            sequence: (65_530 + number) as u16,
            timestamp: (u32::MAX - 2_000).wrapping_add(number * FRAME_SAMPLES),
            at: Duration::from_millis(20) * number,
            was_dropped: number == 7,
        }
    }

    fn sent(frames: u32) -> Sent {
        let sent = Sent::new(1, 2, Duration::ZERO);
        (0..frames).for_each(|number| sent.note(frame(number)));
        sent
    }

    #[test]
    fn the_last_packets_are_remembered_and_no_others() {
        let last = REMEMBERED as u32 + 100;
        let sent = sent(last);
        for number in 110..last {
            assert_eq!(sent.find(frame(number).timestamp), Some(frame(number)));
        }
        assert_eq!(sent.find(frame(90).timestamp), None, "its place is another's");
        assert_eq!(sent.find(frame(last).timestamp), None);
        assert_eq!(sent.find(frame(last - 1).timestamp + 1), None);
    }

    #[test]
    fn what_left_after_a_packet_is_found_across_a_wrap() {
        let sent = sent(12);
        let ms = Duration::from_millis;
        let left = |from, until, after| {
            let mut left = sent.left(ms(from), ms(until), after);
            left.sort_unstable();
            left
        };
        assert_eq!(left(0, 1_000, None).len(), 11);
        assert_eq!(left(0, 1_000, Some(65_535)), [0, 2, 3, 4, 5]);
        assert_eq!(left(0, 200, Some(65_535)), [0, 2, 3]);
        assert_eq!(left(220, 1_000, None), [5]);
        assert!(sent.has_dropped(1) && !sent.has_dropped(2) && !sent.has_dropped(900));
    }

    #[test]
    fn streams_that_ended_long_ago_are_forgotten() {
        let roll = Roll::default();
        let stream = |seconds| Arc::new(Sent::new(1, 2, Duration::from_secs(seconds)));
        let (old, lasting) = (stream(0), stream(0));
        roll.add(1, Arc::clone(&old));
        roll.add(2, lasting);
        old.end(Duration::from_secs(10));
        roll.add(3, stream(69));
        assert_eq!(roll.room(2).len(), 3);
        roll.add(4, stream(71));
        assert!(roll.find(1).is_none() && roll.find(2).is_some());
        assert!(roll.room(3).is_empty());
    }

    #[test]
    fn a_stream_under_another_name_is_traced_by_its_timestamps() {
        let roll = Roll::default();
        roll.add(1, Arc::new(sent(12)));
        assert!(roll.trace(2, frame(3).timestamp).is_some());
        assert!(roll.trace(2, frame(12).timestamp).is_none());
        assert!(roll.trace(3, frame(3).timestamp).is_none(), "that is another room");
    }
}

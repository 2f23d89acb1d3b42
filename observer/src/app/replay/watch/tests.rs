use super::*;
use crate::track::voice::interruption::Reason;

const MS: u64 = 1_000_000;
const PATIENCE: Patience =
    Patience { silence: Duration::from_secs(2), one_way: Duration::from_secs(4) };

/// One of both ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Caller,
    Callee,
}

use End::{Callee, Caller};

/// A capture on its way in.
struct Tape {
    flows: CaptureFlows,
    watch: Watch,
    now_ms: u64,
}

impl Tape {
    fn new() -> Self {
        Self { flows: CaptureFlows::new(16, 16), watch: Watch::new(PATIENCE), now_ms: 0 }
    }

    fn datagram(&mut self, from: End, payload: &[u8]) {
        let ends = if from == Caller { [1, 2] } else { [2, 1] };
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
        ends.iter().for_each(|end| packet.extend([10, 0, 0, *end]));
        packet.extend([0x13, 0x8c, 0x13, 0x8c, 0, 0, 0, 0]);
        packet.extend(payload);
        self.watch.advance(&self.flows, self.now_ms * MS);
        self.flows.advance(&packet, packet.len() as u32, self.now_ms * MS);
    }

    fn media(&mut self, from: End) {
        let sequence = (self.now_ms / 20) as u16;
        let mut packet = vec![0x80, 8];
        packet.extend(sequence.to_be_bytes());
        packet.extend((u32::from(sequence) * 160).to_be_bytes());
        packet.extend(if from == Caller { [0, 0, 0, 7] } else { [0, 0, 0, 8] });
        packet.extend([0; 160]);
        self.datagram(from, &packet);
    }

    /// A check of the caller's, and the answer to it.
    fn check(&mut self) {
        for (from, kind) in [(Caller, [0, 1]), (Callee, [1, 1])] {
            let mut message = Vec::from(kind);
            message.extend([0, 12, 0x21, 0x12, 0xa4, 0x42]);
            message.extend([(self.now_ms / 20 % 256) as u8; 12]);
            message.extend([0, 6, 0, 8]);
            message.extend(b"far:near");
            self.datagram(from, &message);
        }
    }

    /// Lets the time pass in which these send, a packet each 20 ms.
    fn run(&mut self, senders: &[End], seconds: u64) {
        for _ in 0..seconds * 50 {
            senders.iter().for_each(|from| self.media(*from));
            self.now_ms += 20;
        }
    }

    /// Of each flow the count, the seconds and whether it is so at the end.
    fn end(self, reason: Reason) -> Vec<(u64, u64, bool)> {
        let Self { flows, watch, now_ms } = self;
        let interrupted = watch.finish(&flows, now_ms * MS);
        let told = |flow: &VoiceFlow| {
            let known = interrupted.of(flow);
            let lapses = known.by(reason);
            (lapses.count, lapses.time.as_secs(), known.current().is_some())
        };
        flows.flows().iter().map(told).collect()
    }
}

#[test]
fn who_stops_while_the_other_goes_on_is_interrupted_until_he_is_back() {
    let mut tape = Tape::new();
    tape.run(&[Caller, Callee], 6);
    tape.run(&[Caller], 9);
    assert_eq!(tape.end(Reason::OneWay), [(0, 0, false), (1, 9, true)]);

    let mut tape = Tape::new();
    tape.run(&[Caller, Callee], 6);
    tape.run(&[Callee], 9);
    tape.run(&[Caller, Callee], 6);
    let told = tape.end(Reason::OneWay);
    assert!(matches!(told[..], [(1, 7..=9, false), (0, 0, false)]), "away for 9 s: {told:?}");
}

#[test]
fn a_capture_of_one_direction_misses_nothing() {
    let mut tape = Tape::new();
    tape.run(&[Caller], 20);
    assert_eq!(tape.end(Reason::OneWay), [(0, 0, false)]);
}

#[test]
fn both_ends_that_rest_at_once_are_not_one_way() {
    let mut tape = Tape::new();
    tape.run(&[Caller, Callee], 6);
    tape.run(&[Caller], 1);
    tape.now_ms += 60_000;
    tape.run(&[Caller, Callee], 1);
    assert_eq!(tape.end(Reason::OneWay), [(0, 0, false); 2]);
}

#[test]
fn who_is_mute_answers_checks() {
    let mut tape = Tape::new();
    tape.run(&[Caller, Callee], 6);
    for _ in 0..5 {
        tape.check();
        tape.run(&[Caller], 2);
    }
    assert_eq!(tape.end(Reason::OneWay), [(0, 0, false); 2]);
}

#[test]
fn a_silence_is_as_long_as_its_packets_were_away() {
    let mut tape = Tape::new();
    tape.run(&[Caller, Callee], 3);
    tape.run(&[Callee], 3);
    tape.run(&[Caller, Callee], 3);
    tape.run(&[Callee], 1);
    tape.run(&[Caller, Callee], 3);
    assert_eq!(tape.end(Reason::Silence), [(1, 3, false), (0, 0, false)], "1 s is not counted");
}

#[test]
fn a_clock_that_leaps_and_comes_back_does_not_blind_it() {
    let mut tape = Tape::new();
    tape.now_ms = 1_000_000;
    tape.datagram(Caller, b"something else");
    tape.now_ms = 0;
    tape.run(&[Caller, Callee], 6);
    tape.run(&[Caller], 9);
    let told = tape.end(Reason::OneWay);
    assert_eq!(told[1], (1, 9, true), "{told:?}");
}

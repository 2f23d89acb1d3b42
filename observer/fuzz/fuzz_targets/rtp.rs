//! A stream of RTP headers: every figure against a model that keeps sets.
#![no_main]

use std::collections::BTreeSet;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use observer_common::rtp::{
    Header, clock_rate,
    flow::{Flow, MAX_DROPOUT, MAX_MISORDER},
};

/// Largest interarrival jitter that a stream can come to, in ns: the change of transit
/// time beyond which a difference is no sample.
const MAX_JITTER_NS: u64 = 5_000_000_000;

#[derive(Arbitrary, Debug)]
struct Input {
    sequence: u16,
    timestamp: u32,
    payload_type: u8,
    packets: Vec<Packet>,
}

#[derive(Arbitrary, Debug)]
struct Packet {
    place: Place,
    ticks: Ticks,
    after: After,
    payload_type: Option<u8>,
    marker: bool,
    length: u16,
}

/// Where its sequence number is, from the highest one so far.
#[derive(Arbitrary, Debug)]
enum Place {
    Next,
    Near(i8),
    Ahead(u16),
    Anywhere(u16),
}

#[derive(Arbitrary, Debug)]
enum Ticks {
    /// 20 ms of the payload type's clock further for each sequence number.
    Even,
    Anything(u32),
}

/// When it came, from the packet before.
#[derive(Arbitrary, Debug)]
enum After {
    Even,
    Ns(u32),
    Anything(u64),
    Back(u32),
}

const FRAME_NS: u64 = 20_000_000;

fuzz_target!(|input: Input| {
    let first = Header {
        payload_type: input.payload_type & 0x7f,
        marker: false,
        sequence: input.sequence,
        timestamp: input.timestamp,
        ssrc: 1,
    };
    let mut flow = Flow::new(&first, 12, 0);
    let mut model = Model::new(input.sequence);
    let mut jitter = Some(Jitter { last: first, last_ns: 0, value: 0.0 });
    let (mut last, mut now, mut fed, mut bytes) = (first, 0_u64, 1, 12);
    for packet in &input.packets {
        let highest = flow.highest as u16;
        let sequence = match packet.place {
            Place::Next => highest.wrapping_add(1),
            Place::Near(by) => highest.wrapping_add_signed(by.into()),
            Place::Ahead(by) => highest.wrapping_add(by % MAX_DROPOUT),
            Place::Anywhere(sequence) => sequence,
        };
        let payload_type = packet.payload_type.map_or(last.payload_type, |kind| kind & 0x7f);
        let frame = clock_rate(payload_type) / 50;
        let step = u32::from(sequence.wrapping_sub(last.sequence));
        let timestamp = match packet.ticks {
            Ticks::Even => last.timestamp.wrapping_add(step.wrapping_mul(frame)),
            Ticks::Anything(ticks) => ticks,
        };
        now = match packet.after {
            After::Even => now.saturating_add(FRAME_NS),
            After::Ns(ns) => now.saturating_add(ns.into()),
            After::Anything(at) => at,
            After::Back(ns) => now.saturating_sub(ns.into()),
        };
        last = Header { payload_type, marker: packet.marker, sequence, timestamp, ssrc: 1 };
        let (restarts, strays) = (flow.restarts, flow.strays);
        flow.advance(&last, packet.length.into(), now);
        model.advance(sequence);
        if flow.strays <= strays {
            jitter = jitter
                .filter(|_| flow.restarts == restarts && flow.clock.corrections == 0)
                .and_then(|jitter| jitter.advance(last, now));
        }
        fed += 1;
        bytes += u64::from(packet.length);

        check(&flow, fed, bytes);
        model.check(&flow);
        if let Some(jitter) = &jitter {
            // The sample loses less than 1 ns to its division, the filter half of one to
            // its sixteenths, and the figure less than one.
            let figure = flow.jitter_ns() as f64;
            assert!((figure - jitter.value).abs() < 3.0, "{figure} ns, not {}", jitter.value);
        }
    }
});

/// What holds whatever came.
fn check(flow: &Flow, fed: u64, bytes: u64) {
    assert_eq!(flow.packets + flow.strays, fed);
    assert_eq!(flow.bytes, bytes);
    assert!(flow.packets - flow.duplicates <= flow.expected());
    assert!(flow.lost() <= flow.expected());
    assert!(flow.reordered + flow.duplicates < flow.packets);
    assert!(flow.base <= flow.highest);
    assert_eq!(flow.window[0] & 1, 1, "the highest packet has come");
    assert!(flow.jitter_ns() <= MAX_JITTER_NS);
    assert!(flow.jitter_max_ns <= MAX_JITTER_NS);
    assert!(flow.jitter_sum_ns <= flow.jitter_samples * flow.jitter_max_ns);
    assert!(flow.jitter_samples < flow.packets);
    assert_eq!(flow.delays().iter().sum::<u64>(), flow.packets - flow.untimed);
    let bursts = flow.transitions();
    // A packet that came after its loss was settled is no loss, and stays one of a burst.
    assert!(bursts.c13 + bursts.c14 + bursts.c23 + bursts.c33 >= flow.lost());
}

/// Interarrival jitter as the formula of RFC 3550 section 6.4.1 has it, in ns, for as long
/// as the stream has one clock and one sequence. Packets far from the rest are no part of it.
struct Jitter {
    last: Header,
    last_ns: u64,
    value: f64,
}

impl Jitter {
    fn advance(mut self, packet: Header, now: u64) -> Option<Self> {
        if packet.payload_type != self.last.payload_type || now < self.last_ns {
            return None;
        }
        let rate = i128::from(clock_rate(packet.payload_type));
        let step = packet.timestamp.wrapping_sub(self.last.timestamp) as i32;
        let arrival = i128::from(now - self.last_ns);
        let difference = (arrival * rate - i128::from(step) * 1_000_000_000) as f64 / rate as f64;
        let beyond = difference.abs() - MAX_JITTER_NS as f64;
        if beyond.abs() < 2.0 {
            return None; // rounding decides whether it is a sample
        }
        if beyond < 0.0 {
            self.value += (difference.abs() - self.value) / 16.0;
        }
        (self.last, self.last_ns) = (packet, now);
        Some(self)
    }
}

/// The stream as RFC 3550 appendix A.1 describes it, kept as sets of extended sequence
/// numbers, one set from each jump to the next.
struct Model {
    ended: Vec<BTreeSet<i64>>,
    came: BTreeSet<i64>,
    stray: Option<u16>,
    duplicates: u64,
    reordered: u64,
    strays: u64,
}

impl Model {
    fn new(sequence: u16) -> Self {
        Self {
            ended: Vec::new(),
            came: BTreeSet::from([sequence.into()]),
            stray: None,
            duplicates: 0,
            reordered: 0,
            strays: 0,
        }
    }

    fn highest(&self) -> i64 {
        *self.came.last().expect("a stream has a packet")
    }

    fn advance(&mut self, sequence: u16) {
        let ahead = i64::from(sequence.wrapping_sub(self.highest() as u16) as i16);
        // `MAX_DROPOUT` and `MAX_MISORDER` are far below half of the number space.
        if (1 - i64::from(MAX_MISORDER)..i64::from(MAX_DROPOUT)).contains(&ahead) {
            let fills = self.came.insert(self.highest() + ahead);
            self.duplicates += u64::from(!fills);
            self.reordered += u64::from(fills && ahead < 0);
        } else if self.stray.is_some_and(|stray| stray.wrapping_add(1) == sequence) {
            let before = i64::from(sequence) - 1;
            let began = BTreeSet::from([before, before + 1]);
            self.ended.push(std::mem::replace(&mut self.came, began));
            self.strays -= 1;
            self.stray = None;
        } else {
            self.stray = Some(sequence);
            self.strays += 1;
        }
    }

    fn check(&self, flow: &Flow) {
        let all = || self.ended.iter().chain([&self.came]);
        let distinct: u64 = all().map(|came| came.len() as u64).sum();
        let expected: u64 =
            all().map(|came| (came.last().unwrap() - came.first().unwrap() + 1) as u64).sum();
        assert_eq!(flow.packets, distinct + self.duplicates);
        assert_eq!(flow.expected(), expected);
        assert_eq!(flow.lost(), expected - distinct);
        assert_eq!(
            (flow.duplicates, flow.reordered, flow.strays),
            (self.duplicates, self.reordered, self.strays)
        );
        assert_eq!(flow.restarts as usize, self.ended.len());
    }
}

use std::time::Duration;

use observer_common::rtp::{Header, flow::Flow};

use super::*;
use crate::{
    model::{ServiceId, SocketCookie, VoiceKey},
    quality::{delay::Source, emodel::Model, score::Vantage},
    track::voice::{Point, VoiceTracker},
};

const PCMA: u8 = 8;
const OPUS: u8 = 111;

/// A call of packets of 20 ms, and the tracker that reads it once a second.
struct Call {
    tracker: VoiceTracker,
    direction: Direction,
    payload_type: u8,
    sequence: u16,
    now_ns: u64,
    stream: Option<Flow>,
}

impl Call {
    fn new(payload_type: u8, direction: Direction) -> Self {
        let tracker = VoiceTracker::new(Duration::from_secs(60));
        Self { tracker, direction, payload_type, sequence: 0, now_ns: 0, stream: None }
    }

    /// A second of it: `came` says of each of its packets how many ms it was under way, if
    /// it came at all.
    fn second(&mut self, came: impl Fn(usize) -> Option<u64>) -> Option<Point> {
        let ticks = if self.payload_type == OPUS { 960 } else { 160 };
        let mut arrivals = Vec::new();
        for at in 0..50 {
            self.sequence = self.sequence.wrapping_add(1);
            self.now_ns += 20_000_000;
            let header = Header {
                payload_type: self.payload_type,
                marker: false,
                sequence: self.sequence,
                timestamp: u32::from(self.sequence) * ticks,
                ssrc: 7,
            };
            arrivals.extend(came(at).map(|ms| (self.now_ns + ms * 1_000_000, header)));
        }
        arrivals.sort_by_key(|(arrival_ns, _)| *arrival_ns);
        for (arrival_ns, header) in arrivals {
            match &mut self.stream {
                Some(stream) => stream.advance(&header, 172, arrival_ns),
                none => *none = Some(Flow::new(&header, 172, arrival_ns)),
            }
        }
        self.read()
    }

    fn flow(&self) -> VoiceFlow {
        let key = VoiceKey {
            socket: SocketCookie(1),
            peer: "10.0.0.1:5004".parse().unwrap(),
            ssrc: 7,
            direction: self.direction,
        };
        VoiceFlow::new(key, "10.0.0.2:5004".parse().unwrap(), self.stream.unwrap())
    }

    fn read(&mut self) -> Option<Point> {
        let flow = self.flow();
        let mut update = self.tracker.begin(self.now_ns);
        update.take(flow);
        let reading = update.finish();
        let interval = reading.services.get(&ServiceId::UNKNOWN)?;
        let [point] = interval.points[..] else { panic!("one point") };
        Some(point)
    }

    fn mos_now(&self) -> Option<f64> {
        self.tracker.flows().next().unwrap().1.mos
    }

    fn whole(&self, at: At) -> Sound {
        Sound::of(&self.flow(), &self.tracker.assumptions(), at)
    }
}

fn mos(point: Option<Point>) -> f64 {
    point.unwrap().sound.score.unwrap().rating.mos
}

#[test]
fn each_interval_has_a_score_of_its_own() {
    let mut call = Call::new(PCMA, Direction::Receive);
    let well = call.second(|_| Some(0)).unwrap();
    assert_eq!(well.sound.late_ratios, Some([0.0; 3]));
    assert_eq!(well.sound.burst_ratio, None);
    let score = well.sound.score.unwrap();
    assert_eq!((score.equipment.model, score.vantage), (Model::Narrowband, Vantage::Receiver));
    assert_eq!(score.delay_source, Source::Assumed);
    let badly = call.second(|at| (at % 5 != 2).then_some(0)).unwrap();
    assert!((badly.loss_ratio - 0.2).abs() < 1e-9);
    assert_eq!(badly.sound.burst_ratio, Some(1.0), "four packets are no gap");
    let [well, badly] = [well, badly].map(|point| mos(Some(point)));
    assert!(well > 4.2 && badly < 2.8, "{well} {badly}");
    assert_eq!(call.mos_now(), Some(badly));
    let again = mos(call.second(|_| Some(0)));
    assert!(again > 4.2, "{again}");
    let whole = call.whole(At::Socket).score.unwrap();
    assert!((whole.path.loss.get() - 100.0 * 10.0 / 150.0).abs() < 1e-9, "{whole:?}");
}

#[test]
fn ten_seconds_of_nothing_are_unknown_and_then_as_bad_as_can_be() {
    let mut call = Call::new(PCMA, Direction::Receive);
    assert!(mos(call.second(|_| Some(0))) > 4.2);
    for _ in 0..10 {
        assert!(call.second(|_| None).is_none(), "no packet, no point");
        assert_eq!(call.mos_now(), None);
    }
    let after = call.second(|at| (at > 40).then_some(0)).unwrap();
    assert!(after.loss_ratio > 0.98);
    assert!(mos(Some(after)) < 1.05, "{after:?}");
    assert_eq!(after.sound.burst_ratio, Some(1.0));
    let whole = call.whole(At::Socket).score.unwrap();
    assert!(whole.rating.mos < 1.2 && whole.path.burst_ratio > 50.0, "{whole:?}");
}

#[test]
fn packets_too_late_for_a_buffer_count_as_lost() {
    let mut call = Call::new(PCMA, Direction::Receive);
    call.second(|_| Some(0));
    let point = call.second(|at| Some(if at % 5 == 0 { 80 } else { 0 })).unwrap();
    assert_eq!(point.sound.late_ratios, Some([0.2, 0.0, 0.2]));
    let score = point.sound.score.unwrap();
    assert!((score.path.loss.get() - 20.0).abs() < 1e-9, "{score:?}");
    // An adaptive buffer learns, and what it waits for it plays.
    for _ in 0..30 {
        call.second(|at| Some(if at % 5 == 0 { 80 } else { 0 }));
    }
    let point = call.second(|at| Some(if at % 5 == 0 { 80 } else { 0 })).unwrap();
    assert_eq!(point.sound.late_ratios, Some([0.2, 0.0, 0.0]));
    let learnt = point.sound.score.unwrap();
    assert_eq!(learnt.path.delay - score.path.delay, Duration::from_millis(80));
    assert!(learnt.rating.mos > 4.2, "{learnt:?}");
    // The whole flow is judged by a buffer that knew it from the start.
    let whole = call.whole(At::Socket).late_ratios.unwrap();
    assert!((whole[0] - 0.2).abs() < 0.01 && whole[1..] == [0.0; 2], "{whole:?}");
}

#[test]
fn what_is_sent_has_no_score_as_long_as_nobody_reports_it() {
    let mut call = Call::new(PCMA, Direction::Transmit);
    let point = call.second(|_| Some(0)).unwrap();
    assert_eq!(point.sound.score, Err(Unknown::NotReported));
    assert_eq!(call.mos_now(), None);
    assert_eq!(call.whole(At::Capture).score.unwrap().vantage, Vantage::Capture);
}

#[test]
fn a_dynamic_type_is_scored_once_its_clock_tells_sound_from_video() {
    let mut call = Call::new(OPUS, Direction::Receive);
    let point = call.second(|_| Some(0)).unwrap();
    assert_eq!((point.sound.score, point.sound.late_ratios), (Err(Unknown::Media), None));
    let mut scores = (0..5).map(|_| call.second(|_| Some(0)).unwrap().sound.score);
    let score = scores.find_map(Result::ok).unwrap();
    assert_eq!(score.equipment.model, Model::CodecUnknown);
}

#[test]
fn a_codec_that_is_named_is_scored_by_its_own_model() {
    let mut call = Call::new(OPUS, Direction::Receive);
    let codecs = serde_json::from_str(r#"{"111": "opus"}"#).unwrap();
    call.tracker.assume(Assumptions { codecs, ..Assumptions::default() });
    let score = call.second(|_| Some(0)).unwrap().sound.score.unwrap();
    assert_eq!(score.equipment.model, Model::Fullband);
    let flow = call.flow();
    let mut update = call.tracker.begin(call.now_ns);
    update.take(flow);
    let reading = update.finish();
    let (_, kind) = reading.standing.first_key_value().unwrap().0;
    assert_eq!((kind.codec, kind.media), ("opus", "audio"));
}

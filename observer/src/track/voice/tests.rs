use observer_common::rtp::{Header, flow::Flow};

use super::{interruption::Reason, *};
use crate::model::SocketCookie;

const SECOND: u64 = 1_000_000_000;

fn packet(sequence: u16) -> Header {
    packet_of(8, sequence)
}

fn packet_of(payload_type: u8, sequence: u16) -> Header {
    let timestamp = u32::from(sequence) * 160;
    Header { payload_type, marker: false, sequence, timestamp, ssrc: 7 }
}

fn flow(sequences: &[u16]) -> VoiceFlow {
    let mut stream = Flow::new(&packet(sequences[0]), 172, 0);
    for (at, sequence) in (1..).zip(&sequences[1..]) {
        stream.advance(&packet(*sequence), 172, at * 20_000_000);
    }
    let key = VoiceKey {
        socket: SocketCookie(1),
        peer: "10.0.0.1:5004".parse().unwrap(),
        ssrc: 7,
        direction: Direction::Receive,
    };
    VoiceFlow::new(key, "10.0.0.2:5004".parse().unwrap(), stream)
}

fn read(tracker: &mut VoiceTracker, flows: Vec<VoiceFlow>, now_ns: u64) -> VoiceReading {
    let mut update = tracker.begin(now_ns);
    for flow in flows {
        update.take(flow);
    }
    update.finish()
}

fn counts(reading: &VoiceReading) -> Counts {
    let interval = reading.services.get(&ServiceId::UNKNOWN);
    let counts = interval.and_then(|one| one.counts.get(&(Direction::Receive, "audio")));
    counts.copied().unwrap_or_default()
}

#[test]
fn each_interval_has_its_own_counts() {
    let mut tracker = VoiceTracker::new(Duration::from_secs(60));
    let first = read(&mut tracker, vec![flow(&[0, 1, 3])], SECOND);
    assert_eq!(first.began.len(), 1);
    assert_eq!(counts(&first).packets, 3);
    assert_eq!(counts(&first).lost, 1);
    let second = read(&mut tracker, vec![flow(&[0, 1, 3, 4, 4])], 2 * SECOND);
    assert_eq!(second.began.len(), 0);
    let expected = Counts { packets: 2, lost: 0, duplicates: 1, reordered: 0, bytes: 344 };
    assert_eq!(counts(&second), expected);
    let points = &second.services[&ServiceId::UNKNOWN].points;
    assert!((points[0].loss_ratio).abs() < f64::EPSILON);
}

#[test]
fn a_loss_taken_back_by_a_late_packet_is_not_reported_twice() {
    let mut tracker = VoiceTracker::new(Duration::from_secs(60));
    let mut lost = counts(&read(&mut tracker, vec![flow(&[0, 1, 3])], SECOND)).lost;
    lost += counts(&read(&mut tracker, vec![flow(&[0, 1, 3, 2])], SECOND)).lost;
    lost += counts(&read(&mut tracker, vec![flow(&[0, 1, 3, 2, 5])], SECOND)).lost;
    assert_eq!(lost, 1);
}

/// Readings with a last packet of each payload type, and what is said of the flow.
fn media(payload_types: &[u8]) -> Vec<(&'static str, &'static str)> {
    let mut tracker = VoiceTracker::new(Duration::from_secs(60));
    let mut stream = flow(&[0]).stream;
    let mut said = Vec::new();
    for (sequence, payload_type) in (1..).zip(payload_types) {
        stream.advance(&packet_of(*payload_type, sequence), 172, SECOND);
        let reading = VoiceFlow::new(flow(&[0]).key, flow(&[0]).local, stream);
        let mut interval = read(&mut tracker, vec![reading], SECOND);
        let interval = interval.services.remove(&ServiceId::UNKNOWN).unwrap();
        let ((_, medium), counts) = interval.counts.first_key_value().unwrap();
        assert_eq!((interval.counts.len(), counts.duplicates), (1, 0));
        let latest = tracker.flows().next().unwrap().0;
        assert_eq!(latest.media(), *medium);
        said.push((*medium, latest.codec()));
    }
    said
}

#[test]
fn an_interval_that_ends_with_an_event_or_noise_is_that_of_the_codec() {
    let pcma = ("audio", "pcma");
    assert_eq!(media(&[8, 101, 13, 19, 8]), [pcma; 5]);
    assert_eq!(media(&[8, 0, 101]), [pcma, ("audio", "pcmu"), ("audio", "pcmu")]);
}

#[test]
fn silence_ends_a_flow_once() {
    let mut tracker = VoiceTracker::new(Duration::from_secs(60));
    read(&mut tracker, vec![flow(&[0, 1])], SECOND);
    let ended = read(&mut tracker, Vec::new(), 62 * SECOND).ended;
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].stream.packets, 2);
    assert!(read(&mut tracker, Vec::new(), 63 * SECOND).ended.is_empty());
    assert_eq!(tracker.flows().count(), 0);
}

#[test]
fn a_flow_that_moves_is_counted_once_and_with_what_was_lost_between() {
    let mut tracker = VoiceTracker::new(Duration::from_secs(60));
    let old = flow(&[0, 1, 3]);
    let mut new = flow(&[6, 7]);
    new.key.socket = SocketCookie(2);
    let mut whole = flow(&[0, 1, 3, 6, 7]);
    (whole.key, whole.moves) = (new.key, 1);
    assert_eq!(counts(&read(&mut tracker, vec![old], SECOND)).lost, 1);

    let mut update = tracker.begin(2 * SECOND);
    assert_eq!(update.latest(&old.key), Some(old));
    update.join(Some(old.key), new, whole);
    let joined = update.finish();
    assert_eq!((counts(&joined).packets, counts(&joined).lost), (2, 0));
    assert_eq!(joined.standing.values().sum::<i64>(), 1);

    let mut later = flow(&[0, 1, 3, 6, 7, 8]);
    (later.key, later.moves) = (whole.key, 1);
    let read_later = read(&mut tracker, vec![later], 3 * SECOND);
    assert_eq!((counts(&read_later).packets, counts(&read_later).lost), (1, 2));
    assert!(read_later.began.is_empty());

    // Back on the first path.
    let mut back = flow(&[0, 1, 3, 6, 7, 8, 9, 10]);
    (back.key, back.moves) = (old.key, 1);
    let mut update = tracker.begin(4 * SECOND);
    update.join(Some(later.key), old, back);
    let back = update.finish();
    assert_eq!((counts(&back).packets, counts(&back).lost), (2, 0));
    assert_eq!(tracker.flows().map(|(flow, _)| flow.key).collect::<Vec<_>>(), [old.key]);
}

#[test]
fn a_part_that_was_counted_alone_is_no_flow_beside_the_whole() {
    let mut tracker = VoiceTracker::new(Duration::from_secs(60));
    let old = flow(&[0, 1, 3]);
    let mut new = flow(&[4, 5]);
    new.key.socket = SocketCookie(2);
    assert_eq!(counts(&read(&mut tracker, vec![old, new], SECOND)).packets, 5);

    // The session is known late, and the first path still carries the last packets.
    let mut whole = flow(&[0, 1, 3, 4, 5]);
    whole.moves = 1;
    let mut update = tracker.begin(2 * SECOND);
    update.join(None, new, whole);
    let joined = update.finish();
    assert_eq!(counts(&joined).packets, 0);
    assert_eq!(joined.standing.values().sum::<i64>(), 1);
    assert_eq!(tracker.flows().map(|(flow, _)| flow.key).collect::<Vec<_>>(), [old.key]);

    let mut later = flow(&[0, 1, 3, 4, 5, 6]);
    later.moves = 1;
    let mut update = tracker.begin(3 * SECOND);
    update.join(None, old, later);
    assert_eq!(counts(&update.finish()).packets, 1);
}

/// Packets each 20 ms from `first_ns`; a sequence number that is left out takes its time.
fn heard(direction: Direction, first_ns: u64, sequences: &[u16]) -> VoiceFlow {
    let at = |sequence: u16| first_ns + u64::from(sequence) * 20_000_000;
    let mut stream = Flow::new(&packet(sequences[0]), 172, at(sequences[0]));
    for sequence in &sequences[1..] {
        stream.advance(&packet(*sequence), 172, at(*sequence));
    }
    let mut heard = flow(&[0]);
    heard.key.direction = direction;
    heard.stream = stream;
    heard
}

fn interruptions(tracker: &VoiceTracker, direction: Direction) -> Interruptions {
    let mut flows = tracker.flows().filter(|(flow, _)| flow.key.direction == direction);
    flows.next().unwrap().1.interruptions
}

#[test]
fn silences_of_a_flow_add_up_in_number_and_time() {
    let silences = |tracker: &VoiceTracker| {
        let silences = interruptions(tracker, Direction::Receive).by(Reason::Silence);
        (silences.count, silences.time.as_millis())
    };
    let mut tracker = VoiceTracker::new(Duration::from_secs(60));
    let mut sequences: Vec<u16> = (0..50).collect();
    for (from, until, expected) in
        [(125, 150, (0, 0)), (250, 300, (1, 2_020)), (500, 550, (2, 6_040)), (550, 560, (2, 6_040))]
    {
        sequences.extend(from..until);
        let flow = heard(Direction::Receive, 0, &sequences);
        read(&mut tracker, vec![flow], flow.stream.last_ns);
        assert_eq!(silences(&tracker), expected, "{until}");
    }

    // What was known of a part goes on in the whole.
    let mut part = heard(Direction::Receive, 0, &sequences);
    part.key.socket = SocketCookie(2);
    let mut whole = heard(Direction::Receive, 0, &sequences);
    (whole.moves, whole.stream.silences) = (1, 6);
    read(&mut tracker, vec![part], part.stream.last_ns);
    let mut update = tracker.begin(part.stream.last_ns);
    update.join(None, part, whole);
    let _reading = update.finish();
    assert_eq!(silences(&tracker).0, 2 + 3);
}

#[test]
fn a_flow_that_stopped_is_interrupted_until_it_goes_on() {
    let mut tracker = VoiceTracker::new(Duration::from_secs(60));
    let mut look = |seconds: u64, stops: u16, goes_on: Option<u16>| {
        let until = (seconds * 50) as u16;
        let sent = heard(Direction::Transmit, 0, &(0..=until).collect::<Vec<_>>());
        let stopped = (0..=stops).chain(goes_on.into_iter().flat_map(|from| from..=until));
        let stopped = heard(Direction::Receive, 0, &stopped.collect::<Vec<_>>());
        read(&mut tracker, vec![sent, stopped], seconds * SECOND);
        let _counts = tracker.one_way(seconds * SECOND, |_| FarEnd::Unknown);
        let sent = interruptions(&tracker, Direction::Transmit);
        assert_eq!((sent.by(Reason::OneWay).count, sent.current()), (0, None));
        let stopped = interruptions(&tracker, Direction::Receive);
        let lapses = stopped.by(Reason::OneWay);
        (lapses.count, lapses.time.as_secs(), stopped.current())
    };
    assert_eq!(look(20, 1_000, None), (0, 0, None));
    assert_eq!(look(30, 1_000, None), (0, 0, None));
    assert_eq!(look(36, 1_000, None), (1, 16, Some(Reason::OneWay)));
    assert_eq!(look(37, 1_000, None), (1, 16, Some(Reason::OneWay)), "not yet time to look");
    assert_eq!(look(46, 1_000, None), (1, 26, Some(Reason::OneWay)));
    assert_eq!(look(50, 1_000, Some(2_400)), (1, 26, None));
}

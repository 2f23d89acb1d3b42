use observer_common::rtp::{Header, flow::Flow};

use super::*;
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

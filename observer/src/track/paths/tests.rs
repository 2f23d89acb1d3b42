use observer_common::{
    abi::{RECEIVE, TRANSMIT},
    demux::{Seen, What},
    path::Path,
    rtcp::Block,
    rtp::{Header, flow::Flow},
    stun::{Name, Span},
};

use super::*;
use crate::model::{FlowReport, VoiceKey};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

fn end(text: &str) -> Endpoint {
    text.parse().unwrap()
}

/// A path that takes in what happens to it.
struct Call {
    key: PathKey,
    path: Path,
}

impl Call {
    fn new(socket: u64) -> Self {
        let key = PathKey { socket: SocketCookie(socket), peer: end("10.0.0.2:4000") };
        Self { key, path: Path::NONE }
    }

    fn take(&mut self, seen: Seen, user: &str, direction: u8, now_ns: u64) {
        let mut bytes = vec![0; 4];
        bytes.extend(user.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        let name = Name::read(&bytes.as_slice(), Span { at: 4, length: user.len() as u32 });
        self.path.take(&seen, &name, false, direction, now_ns);
    }

    /// A check, which is answered after a while.
    fn check(&mut self, user: &str, direction: u8, now_ns: u64, answered_after: u64) {
        let transaction = (now_ns / 1_000) as u32;
        let is_yes = direction == TRANSMIT;
        let asks = Seen { is_yes, transaction, ..Seen::new(What::Check) };
        self.take(asks, user, direction, now_ns);
        let answer = Seen { is_yes: true, transaction, ..Seen::new(What::Answer) };
        self.take(answer, "", direction ^ 1, now_ns + answered_after);
    }

    fn seen(&self) -> VoicePath {
        VoicePath::new(self.key, end("10.0.0.1:4000"), self.path)
    }

    fn media(&self, direction: Direction, first_ns: u64) -> VoiceFlow {
        let header = Header { payload_type: 8, marker: false, sequence: 1, timestamp: 0, ssrc: 7 };
        let key = VoiceKey { socket: self.key.socket, peer: self.key.peer, ssrc: 7, direction };
        VoiceFlow::new(key, end("10.0.0.1:4000"), Flow::new(&header, 172, first_ns))
    }
}

fn read(
    tracker: &mut PathTracker,
    paths: &[VoicePath],
    reports: &[FlowReport],
    media: &[VoiceFlow],
    now_ns: u64,
) -> PathReading {
    let mut update = tracker.begin(now_ns);
    paths.iter().for_each(|path| update.take(*path));
    reports.iter().for_each(|report| update.take_report(*report));
    update.finish(media.iter())
}

fn interval(reading: &mut PathReading) -> PathInterval {
    reading.services.remove(&ServiceId::UNKNOWN).unwrap_or_default()
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn each_interval_has_its_own_points() {
    let mut tracker = PathTracker::new(Duration::from_secs(60));
    let mut call = Call::new(1);
    call.check("far:near", TRANSMIT, 10 * MS, 20 * MS);
    call.check("far:near", TRANSMIT, 40 * MS, 40 * MS);
    call.check("near:far", RECEIVE, 90 * MS, 5 * MS);
    let mut first = read(&mut tracker, &[call.seen()], &[], &[], SECOND);
    let first = interval(&mut first);
    assert_eq!(first.round_trips, [(RttSource::Stun, ms(30))]);
    assert_eq!(first.stalls, [ms(5)]);
    let mut none = read(&mut tracker, &[call.seen()], &[], &[], 2 * SECOND);
    assert_eq!(interval(&mut none), PathInterval::default());
    call.check("near:far", RECEIVE, 2_000 * MS, MS);
    call.check("near:far", RECEIVE, 2_100 * MS, 300 * MS);
    let mut later = read(&mut tracker, &[call.seen()], &[], &[], 3 * SECOND);
    assert_eq!(interval(&mut later).stalls, [ms(300)], "the longest, not the mean");
    call.check("near:far", RECEIVE, 3_000 * MS, 2 * MS);
    call.check("near:far", RECEIVE, 3_100 * MS, 4 * MS);
    let mut last = read(&mut tracker, &[call.seen()], &[], &[], 4 * SECOND);
    assert_eq!(interval(&mut last).stalls, [ms(3)]);
    let figures = tracker.figures(&call.media(Direction::Receive, 0));
    assert_eq!(figures.rtt, Some((RttSource::Stun, ms(40))));
    assert_eq!((figures.stall, figures.stall_max), (Some(ms(4)), Some(ms(300))));
}

#[test]
fn phases_are_told_once_as_they_end_over_all_paths_of_a_call() {
    let mut tracker = PathTracker::new(Duration::from_secs(60));
    let (mut first, mut second) = (Call::new(1), Call::new(2));
    first.check("far:near", TRANSMIT, 10 * MS, 20 * MS);
    let mut reading = read(&mut tracker, &[first.seen()], &[], &[], SECOND);
    assert_eq!(interval(&mut reading).setups, [(Phase::Ice, ms(20))]);
    first.take(Seen::new(What::Hello), "", TRANSMIT, 37 * MS);
    second.check("far:near", TRANSMIT, 50 * MS, 10 * MS);
    let media = [second.media(Direction::Receive, 99 * MS)];
    let paths = [first.seen(), second.seen()];
    let mut reading = read(&mut tracker, &paths, &[], &media, 2 * SECOND);
    assert_eq!(interval(&mut reading).setups, [(Phase::Dtls, ms(7)), (Phase::Media, ms(62))]);
    let mut reading = read(&mut tracker, &paths, &[], &media, 3 * SECOND);
    assert_eq!(interval(&mut reading).setups, []);
    let figures = tracker.figures(&media[0]);
    assert_eq!(figures.setup, [Some(ms(20)), Some(ms(7)), Some(ms(62))]);
}

#[test]
fn a_call_that_was_under_way_has_no_set_up() {
    let mut tracker = PathTracker::new(Duration::from_secs(60));
    let mut call = Call::new(1);
    call.check("far:near", TRANSMIT, 10 * MS, 20 * MS);
    let media = [call.media(Direction::Transmit, 5 * MS)];
    let mut reading = read(&mut tracker, &[call.seen()], &[], &media, SECOND);
    assert_eq!(interval(&mut reading).setups, []);
    assert_eq!(tracker.figures(&media[0]).setup, [None; 3]);
}

#[test]
fn both_ends_of_a_call_on_one_host_are_two_calls() {
    let (mut near, mut far) = (Call::new(1), Call::new(2));
    near.check("far:near", TRANSMIT, 10 * MS, MS);
    far.check("far:near", RECEIVE, 10 * MS, MS);
    assert!(near.seen().session().is_some());
    assert_ne!(near.seen().session(), far.seen().session());
    let mut other = Call::new(3);
    other.check("near:far", RECEIVE, 10 * MS, MS);
    assert_eq!(near.seen().session(), other.seen().session(), "one end, asked and asking");
}

#[test]
fn a_path_ends_when_it_is_silent_and_carries_nothing() {
    let mut tracker = PathTracker::new(Duration::from_secs(60));
    let mut call = Call::new(1);
    call.check("far:near", TRANSMIT, SECOND, MS);
    let media = [call.media(Direction::Receive, 2 * SECOND)];
    let paths = [call.seen()];
    assert_eq!(read(&mut tracker, &paths, &[], &media, 100 * SECOND).ended, []);
    assert_eq!(read(&mut tracker, &paths, &[], &[], 60 * SECOND).ended, []);
    assert_eq!(read(&mut tracker, &paths, &[], &[], 62 * SECOND).ended, [call.key]);
    assert_eq!(tracker.figures(&media[0]), PathFigures::default());
}

#[test]
fn rtcp_of_its_own_port_is_that_of_the_flow_one_port_below() {
    let mut tracker = PathTracker::new(Duration::from_secs(60));
    let call = Call::new(1);
    let flow = call.media(Direction::Transmit, 1);
    let key = PathKey { socket: SocketCookie(9), peer: end("10.0.0.2:4001") };
    let path = VoicePath::new(
        key,
        end("10.0.0.1:4001"),
        Path { rtcp: 3, last_ns: 2 * SECOND, ..Path::NONE },
    );
    let mut report = Report::NONE;
    report.send(10, SECOND);
    let block = Block {
        ssrc: 7,
        fraction: 64,
        lost: 1,
        highest: 4,
        jitter: 80,
        last_report: 10,
        delay: 32_768,
    };
    report.receive(&block, 2 * SECOND);
    let flow_of_report = VoiceKey { socket: key.socket, peer: key.peer, ..flow.key };
    let report = FlowReport { flow: flow_of_report, report };
    let mut reading = read(&mut tracker, &[path], &[report], &[], 3 * SECOND);
    assert_eq!(interval(&mut reading).round_trips, [(RttSource::Rtcp, ms(500))]);
    let figures = tracker.figures(&flow);
    assert_eq!(figures.rtt, Some((RttSource::Rtcp, ms(500))));
    assert_eq!(
        (figures.far_loss.map(|loss| loss.whole), figures.far_jitter_ticks),
        (Some(0.25), Some(80))
    );
    let received = tracker.figures(&call.media(Direction::Receive, 1));
    assert_eq!((received.rtcp, received.far_loss), (Some(3), None));
    let mut recent = |report: FlowReport, now_ns| {
        read(&mut tracker, &[path], &[report], &[], now_ns);
        let loss = tracker.figures(&flow).far_loss.expect("it has reported");
        assert!(loss.whole > 0.0, "what it said stands");
        loss.recent
    };
    assert_eq!(recent(report, 27 * SECOND), Some(0.25));
    assert_eq!(recent(report, 28 * SECOND), None, "a far end that is gone says nothing");
    let mut again = report;
    again.report.receive(&block, 29 * SECOND);
    assert_eq!(recent(again, 30 * SECOND), Some(0.25));
    let silent = read(&mut tracker, &[path], &[report], &[], 63 * SECOND);
    assert_eq!(silent.ended_reports, [report]);
}

#[test]
fn a_call_is_being_set_up_until_its_first_media_and_on_one_of_its_paths() {
    let mut tracker = PathTracker::new(Duration::from_secs(60));
    let waits = |tracker: &PathTracker| {
        let known = tracker.setting_up();
        known.iter().map(|one| (one.key.socket.0, one.phase, one.since_ns / MS)).collect::<Vec<_>>()
    };
    let [mut one, mut other] = [1, 2].map(Call::new);
    one.check("near:far", RECEIVE, 10 * MS, MS);
    other.check("near:far", RECEIVE, 20 * MS, MS);
    read(&mut tracker, &[one.seen(), other.seen()], &[], &[], SECOND);
    assert_eq!(waits(&tracker), [(2, Phase::Ice, 10)], "the path that was used last");
    one.check("far:near", TRANSMIT, 1_100 * MS, MS);
    read(&mut tracker, &[one.seen(), other.seen()], &[], &[], 2 * SECOND);
    assert_eq!(waits(&tracker), [(1, Phase::Dtls, 10)]);
    one.take(Seen::new(What::Hello), "", RECEIVE, 2_100 * MS);
    read(&mut tracker, &[one.seen(), other.seen()], &[], &[], 3 * SECOND);
    assert_eq!(waits(&tracker), [(1, Phase::Media, 10)]);
    let media = [one.media(Direction::Transmit, 3_100 * MS)];
    read(&mut tracker, &[one.seen(), other.seen()], &[], &media, 4 * SECOND);
    assert_eq!(waits(&tracker), []);
    read(&mut tracker, &[one.seen(), other.seen()], &[], &[], 5 * SECOND);
    assert_eq!(waits(&tracker), [], "its media has ended, its checks go on");
}

#[test]
fn what_is_not_watched_or_was_under_way_is_not_being_set_up() {
    let mut tracker = PathTracker::new(Duration::from_secs(60));
    let mut call = Call::new(1);
    call.check("near:far", RECEIVE, 5_000 * MS, MS);
    let other = VoicePath { service: None, ..call.seen() };
    read(&mut tracker, &[other], &[], &[], 6 * SECOND);
    assert_eq!(tracker.setting_up(), []);
    let media = [call.media(Direction::Receive, MS)];
    read(&mut tracker, &[call.seen()], &[], &media, 7 * SECOND);
    assert_eq!(tracker.setting_up(), []);
}

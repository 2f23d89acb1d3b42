use observer_common::rtp::Header;

use super::*;
use crate::model::SocketCookie;

const FRAME_NS: u64 = 20_000_000;

/// What is known of flows, as a tracker knows it.
#[derive(Default)]
struct Known {
    moves: Moves<u32>,
    flows: HashMap<VoiceKey, VoiceFlow>,
}

impl Known {
    fn take(&mut self, flow: &VoiceFlow, session: Option<u32>) -> Option<Whole> {
        let whole = self.moves.take(flow, || session, |key| self.flows.get(key).copied());
        self.flows.insert(flow.key, *flow);
        whole
    }
}

/// A stream on the path of one socket, of whatever numbers it is given.
struct Path {
    key: VoiceKey,
    stream: Option<Flow>,
}

impl Path {
    fn new(socket: u64) -> Self {
        let peer = format!("10.0.0.{socket}:5004").parse().unwrap();
        let key =
            VoiceKey { socket: SocketCookie(socket), peer, ssrc: 7, direction: Direction::Receive };
        Self { key, stream: None }
    }

    fn carry(&mut self, numbers: impl IntoIterator<Item = u32>) -> VoiceFlow {
        for number in numbers {
            let header = Header {
                payload_type: 8,
                marker: false,
                sequence: number as u16,
                timestamp: number * 160,
                ssrc: 7,
            };
            let now = u64::from(number) * FRAME_NS;
            match &mut self.stream {
                Some(stream) => stream.advance(&header, 172, now),
                None => self.stream = Some(Flow::new(&header, 172, now)),
            }
        }
        let local = "10.0.0.100:5004".parse().unwrap();
        VoiceFlow::new(self.key, local, self.stream.unwrap())
    }
}

/// Packets, expected, lost, duplicates, moves.
fn figures(whole: Option<Whole>) -> (u64, u64, u64, u64, u32) {
    let flow = whole.unwrap().flow;
    let stream = flow.stream;
    (stream.packets, stream.expected(), stream.lost(), stream.duplicates, flow.moves)
}

#[test]
fn a_stream_that_moves_is_one_flow_with_what_was_lost_between() {
    let mut moves = Known::default();
    let (mut old, mut new) = (Path::new(1), Path::new(2));
    assert_eq!(moves.take(&old.carry(65_500..65_530), Some(1)), None);
    let whole = moves.take(&new.carry(65_533..65_600), Some(1));
    let Whole { flow, was } = whole.unwrap();
    assert_eq!((flow.key, was), (new.key, Some(old.key)));
    assert_eq!(figures(whole), (97, 100, 3, 0, 1));
    assert_eq!(flow.stream.first_ns, 65_500 * FRAME_NS);
    let later = moves.take(&new.carry(65_600..65_700), Some(1));
    assert_eq!(figures(later), (197, 200, 3, 0, 1));
    assert_eq!(later.unwrap().was, None);
}

#[test]
fn packets_that_go_both_ways_meanwhile_are_neither_lost_nor_twice() {
    let mut moves = Known::default();
    let (mut old, mut new) = (Path::new(1), Path::new(2));
    moves.take(&old.carry((0..100).chain([102, 104])), Some(1));
    let whole = moves.take(&new.carry([101, 103].into_iter().chain(105..200)), Some(1));
    assert_eq!(figures(whole), (199, 200, 1, 0, 1));
}

#[test]
fn a_stream_that_moves_back_goes_on() {
    let mut moves = Known::default();
    let (mut old, mut new) = (Path::new(1), Path::new(2));
    moves.take(&old.carry(0..1_000), Some(1));
    moves.take(&new.carry(1_000..2_000), Some(1));
    moves.take(&old.carry(2_000..3_000), Some(1));
    let whole = moves.take(&new.carry([]), Some(1));
    assert_eq!(figures(whole), (3_000, 3_000, 0, 0, 1));
    assert_eq!(whole.unwrap().flow.key, old.key);
    // After 3,000 numbers and more elsewhere its own entry takes it for a jump.
    moves.take(&new.carry(3_000..7_000), Some(1));
    let whole = moves.take(&old.carry(7_000..8_000), Some(1));
    assert_eq!(figures(whole), (8_000, 8_000, 0, 0, 1));
}

#[test]
fn a_long_call_after_a_move_keeps_its_place() {
    let mut moves = Known::default();
    let (mut old, mut new) = (Path::new(1), Path::new(2));
    moves.take(&old.carry(0..100), Some(1));
    for part in 0..30 {
        let whole = moves.take(&new.carry(100 + part * 10_000..100 + (part + 1) * 10_000), Some(1));
        let expected = 100 + u64::from(part + 1) * 10_000;
        assert_eq!(figures(whole), (expected, expected, 0, 0, 1));
    }
}

#[test]
fn another_sequence_on_another_path_loses_nothing_between() {
    let mut moves = Known::default();
    let (mut old, mut new) = (Path::new(1), Path::new(2));
    moves.take(&old.carry(0..100), Some(1));
    let whole = moves.take(&new.carry((40_000..40_100).chain(40_110..40_200)), Some(1));
    assert_eq!(figures(whole), (290, 300, 10, 0, 1));
    let whole = moves.take(&new.carry(40_200..40_300), Some(1));
    assert_eq!(figures(whole), (390, 400, 10, 0, 1));
}

#[test]
fn without_one_session_two_calls_with_one_ssrc_are_two() {
    let mut moves = Known::default();
    let (mut one, mut other) = (Path::new(1), Path::new(2));
    assert_eq!(moves.take(&one.carry(0..10), None), None);
    assert_eq!(moves.take(&other.carry(10..20), None), None);
    assert_eq!(moves.take(&one.carry(20..30), Some(1)), None);
    assert_eq!(moves.take(&other.carry(30..40), Some(2)), None);
    assert_eq!(moves.moves.end(&other.key), [other.key]);
}

#[test]
fn a_session_that_is_known_late_joins_what_was_two() {
    let mut moves = Known::default();
    let (mut old, mut new) = (Path::new(1), Path::new(2));
    moves.take(&old.carry(0..10), None);
    assert_eq!(moves.take(&new.carry(10..20), None), None);
    assert_eq!(moves.take(&old.carry([]), Some(1)), None);
    let whole = moves.take(&new.carry(20..30), Some(1));
    assert_eq!(figures(whole), (30, 30, 0, 0, 1));
    let mut ended = moves.moves.end(&new.key);
    ended.sort_unstable_by_key(|key| key.socket);
    assert_eq!(ended, [old.key, new.key]);
    let Moves { first, known, moved } = moves.moves;
    assert!(first.is_empty() && known.is_empty() && moved.is_empty());
}

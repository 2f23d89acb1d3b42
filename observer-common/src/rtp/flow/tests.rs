use super::*;
use proptest::prelude::*;
use std::collections::HashSet;
use std::vec::Vec;

const FRAME_NS: u64 = 20_000_000;

fn packet(sequence: u16, timestamp: u32) -> Header {
    Header { payload_type: 8, marker: false, sequence, timestamp, ssrc: 7 }
}

fn start(sequence: u16) -> Flow {
    Flow::new(&packet(sequence, 0), 172, 0)
}

/// A flow that has seen `sequences`, 20 ms apart, each with its proper timestamp.
fn follow(sequences: &[u16]) -> Flow {
    let mut flow = start(sequences[0]);
    for (index, sequence) in (1..).zip(&sequences[1..]) {
        let ticks = 160 * u32::from(sequence.wrapping_sub(sequences[0]));
        flow.advance(&packet(*sequence, ticks), 172, index * FRAME_NS);
    }
    flow
}

fn counts(flow: &Flow) -> (u64, u64, u64, u64, u64) {
    (flow.packets, flow.expected(), flow.lost(), flow.duplicates, flow.reordered)
}

#[test]
fn loss_burst_across_sequence_wrap() {
    let flow = follow(&[65_533, 65_534, 3, 4]);
    assert_eq!(counts(&flow), (4, 8, 4, 0, 0));
}

#[test]
fn duplicates_make_up_for_no_loss() {
    let flow = follow(&[1, 2, 2, 2, 4]);
    assert_eq!(counts(&flow), (5, 4, 1, 2, 0));
}

#[test]
fn a_late_packet_is_reordered_once_and_then_a_duplicate() {
    let flow = follow(&[1, 2, 4, 3, 3]);
    assert_eq!(counts(&flow), (5, 4, 0, 1, 1));
}

#[test]
fn a_packet_from_before_the_first_widens_the_sequence() {
    let flow = follow(&[0, 1, 65_535]);
    assert_eq!(counts(&flow), (3, 3, 0, 0, 1));
}

#[test]
fn the_window_remembers_to_max_misorder() {
    let mut sequences: Vec<u16> = (0..150).filter(|s| *s != 50).collect();
    sequences.push(50);
    assert_eq!(counts(&follow(&sequences)), (150, 150, 0, 0, 1));
    sequences.push(50);
    assert_eq!(counts(&follow(&sequences)), (151, 150, 0, 1, 1));
}

#[test]
fn every_width_of_gap_leaves_the_window_right() {
    for gap in 1..300 {
        let mut flow = follow(&[1_000, 1_001, 1_001 + gap]);
        let again = packet(1_001, 0);
        flow.advance(&again, 172, 3 * FRAME_NS);
        let behind = u64::from(gap < MAX_MISORDER);
        assert_eq!((flow.duplicates, flow.strays), (behind, 1 - behind), "gap {gap}");
    }
}

#[test]
fn a_jump_needs_two_in_a_row() {
    let lone = follow(&[1, 2, 40_000, 3]);
    assert_eq!((counts(&lone), lone.strays, lone.restarts), ((3, 3, 0, 0, 0), 1, 0));

    let jump = follow(&[1, 2, 40_000, 40_001, 40_003]);
    assert_eq!((counts(&jump), jump.strays, jump.restarts), ((5, 6, 1, 0, 0), 0, 1));
}

#[test]
fn a_jump_that_comes_twice_is_no_restart() {
    let flow = follow(&[1, 2, 40_000, 40_000, 3]);
    assert_eq!((flow.packets, flow.strays, flow.lost()), (3, 2, 0));
}

#[test]
fn even_arrival_has_no_jitter() {
    let flow = follow(&(0..200).collect::<Vec<_>>());
    assert_eq!((flow.jitter_ns(), flow.jitter_max_ns, flow.delta_max_ns), (0, 0, FRAME_NS));
}

/// 1 ms early and late in turn: every difference is 2 ms, and J tends to it.
#[test]
fn jitter_tends_to_the_mean_difference() {
    let mut flow = start(0);
    for index in 1..2_000_u64 {
        let late = if index % 2 == 0 { 0 } else { 2_000_000 };
        flow.advance(&packet(index as u16, index as u32 * 160), 172, index * FRAME_NS + late);
    }
    assert!(flow.jitter_ns().abs_diff(2_000_000) < 20, "{}", flow.jitter_ns());
}

/// Each packet again 30 ms later: half of the differences are 30 ms, as RFC 3550
/// counts whatever arrives.
#[test]
fn duplicates_are_samples_of_jitter() {
    let mut flow = start(0);
    for index in 1..400_u64 {
        let timestamp = index as u32 * 160;
        flow.advance(&packet(index as u16, timestamp), 172, index * 2 * FRAME_NS);
        flow.advance(&packet(index as u16, timestamp), 172, index * 2 * FRAME_NS + 30_000_000);
    }
    // Spacing 10 ms for 20 ms of media, then 30 ms for none: 10 and 30 in turn.
    assert!((18_000_000..22_000_000).contains(&flow.jitter_ns()), "{}", flow.jitter_ns());
}

#[test]
fn a_stray_leaves_jitter_alone() {
    let mut flow = follow(&(0..100).collect::<Vec<_>>());
    flow.advance(&packet(40_000, 7), 172, 100 * FRAME_NS - 5_000_000);
    flow.advance(&packet(100, 16_000), 172, 100 * FRAME_NS);
    assert_eq!((flow.strays, flow.jitter_ns(), flow.jitter_max_ns), (1, 0, 0));
}

fn of(payload_type: u8, sequence: u16, timestamp: u32) -> Header {
    Header { payload_type, ..packet(sequence, timestamp) }
}

#[test]
fn a_change_of_codec_takes_its_clock_and_gives_no_sample() {
    let mut flow = follow(&[0, 1, 2]);
    flow.advance(&of(10, 3, 1_000_000), 172, 3 * FRAME_NS);
    assert_eq!((flow.payload_type, flow.clock_rate, flow.jitter_ns()), (10, 44_100, 0));
    flow.advance(&of(10, 4, 1_000_882), 172, 4 * FRAME_NS);
    assert_eq!((flow.jitter_ns(), flow.jitter_samples), (0, 3));
}

#[test]
fn a_dynamic_type_is_a_codec_once_it_goes_on_in_time() {
    let mut flow = follow(&[0, 1, 2]);
    for index in 3..12_u16 {
        flow.advance(&of(111, index, u32::from(index) * 960), 172, u64::from(index) * FRAME_NS);
        let is_codec = index >= 10;
        assert_eq!(flow.payload_type == 111, is_codec, "{index}");
    }
    assert_eq!((flow.clock_rate, flow.jitter_samples, flow.untimed), (48_000, 3, 8));
}

#[test]
fn a_telephone_event_is_no_jitter_no_delay_and_no_codec() {
    let mut flow = follow(&(0..50).collect::<Vec<_>>());
    let begun = 50 * 160;
    // Two seconds of one key (RFC 4733 section 2.5.1.2): the timestamp stands still.
    for index in 50..150_u16 {
        flow.advance(&of(101, index, begun), 16, u64::from(index) * FRAME_NS);
    }
    for index in 150..200_u16 {
        let header = packet(index, 160 * u32::from(index));
        flow.advance(&header, 172, u64::from(index) * FRAME_NS);
    }
    assert_eq!((flow.payload_type, flow.clock_rate), (8, 8_000));
    assert_eq!((flow.jitter_ns(), flow.jitter_max_ns, flow.lost()), (0, 0, 0));
    assert_eq!((flow.late, flow.delta_max_ns), ([0; 8], FRAME_NS));
    assert_eq!((flow.untimed, flow.delays()[0]), (101, 99));
}

#[test]
fn comfort_noise_is_no_jitter_and_no_loss() {
    let mut flow = follow(&(0..50).collect::<Vec<_>>());
    for index in 50..60_u16 {
        let at = 50 + u64::from(index - 50) * 10;
        flow.advance(&of(13, index, at as u32 * 160), 13, at * FRAME_NS + 7_000_000);
    }
    flow.advance(&packet(60, 150 * 160), 172, 150 * FRAME_NS);
    flow.advance(&packet(61, 151 * 160), 172, 151 * FRAME_NS);
    assert_eq!((flow.payload_type, flow.jitter_max_ns, flow.lost()), (8, 0, 0));
    assert_eq!(flow.late, [0; 8]);
}

#[test]
fn a_stream_that_begins_with_noise_or_an_event_has_the_codec_that_follows() {
    for first in [13, 101] {
        let mut flow = Flow::new(&of(first, 0, 0), 13, 0);
        flow.advance(&packet(1, 160), 172, FRAME_NS);
        assert_eq!((flow.payload_type, flow.clock_rate), (8, 8_000), "{first}");
    }
    let mut flow = Flow::new(&of(13, 0, 0), 13, 0);
    flow.advance(&of(111, 1, 960), 172, FRAME_NS);
    assert_eq!((flow.payload_type, flow.clock_rate), (111, 48_000));
}

/// A stream of a dynamic type, 20 ms a packet, for some seconds.
fn dynamic(rate: u32, seconds: u32, delay: impl Fn(u32) -> u64) -> Flow {
    let mut flow = Flow::new(&of(96, 0, 0), 172, delay(0));
    for index in 1..seconds * 50 {
        let now = u64::from(index) * FRAME_NS + delay(index);
        flow.advance(&of(96, index as u16, index * (rate / 50)), 172, now);
    }
    flow
}

#[test]
fn the_clock_of_a_dynamic_type_is_found_and_what_it_spoilt_is_gone() {
    for rate in [8_000, 16_000, 24_000, 32_000, 44_100, 48_000, 90_000] {
        // Up to 20 ms of delay that follows no rule.
        let flow = dynamic(rate, 5, |index| u64::from(index.wrapping_mul(2_654_435_761) >> 8));
        assert!(flow.is_clock_known());
        assert_eq!(flow.clock_rate, rate);
        assert_eq!(flow.clock.corrections, u32::from(rate != 48_000));
        assert!((3_000_000..9_000_000).contains(&flow.jitter_ns()), "{rate}: {}", flow.jitter_ns());
        assert!(flow.jitter_max_ns < 20_000_000, "{rate}: {}", flow.jitter_max_ns);
        assert_eq!(flow.packets, 250);
        assert_eq!(flow.late[1..], [0; 7]);
    }
}

#[test]
fn opus_that_rests_keeps_its_clock_and_has_no_jitter() {
    // Opus DTX: a packet each 400 ms, the timestamp goes on.
    let mut flow = Flow::new(&of(111, 0, 0), 80, 0);
    for index in 1..200_u32 {
        let frame = if index < 100 { index } else { 100 + (index - 100) * 20 };
        let now = u64::from(frame) * FRAME_NS;
        flow.advance(&of(111, index as u16, frame * 960), 80, now);
    }
    assert_eq!((flow.clock_rate, flow.clock.corrections), (48_000, 0));
    assert_eq!((flow.jitter_ns(), flow.lost(), flow.late), (0, 0, [0; 8]));
}

#[test]
fn late_packets_are_counted_by_how_late_they_are() {
    // Every 100th packet is held up, and holds up those behind it.
    let held_ms = [15, 25, 49, 99, 150, 250, 400, 900];
    let late_ms = |index: u32| {
        let held = (index as usize / 100).checked_sub(1).map_or(0, |at| held_ms[at]);
        u32::saturating_sub(held, 20 * (index % 100))
    };
    let flow = dynamic(48_000, 18, |index| u64::from(late_ms(index)) * 1_000_000);
    let mut expected = [0; delay::LATE_CLASSES + 1];
    for index in 0..900 {
        let edges = delay::EDGES_MS.iter().filter(|edge| u64::from(late_ms(index)) >= **edge);
        expected[edges.count()] += 1;
    }
    assert_eq!(flow.delays(), expected);
    assert!(expected.iter().all(|count| *count > 0), "{expected:?}");
}

/// A second of speech, a time without packets, and more speech with other numbers.
fn interrupted(silent_ms: u64, lost: u16) -> Flow {
    let mut flow = follow(&(0..50).collect::<Vec<_>>());
    let begun = 49 * FRAME_NS + silent_ms * 1_000_000;
    for index in 0..50_u16 {
        let timestamp = 49 * 160 + silent_ms as u32 * 8 + u32::from(index) * 160;
        let header = packet(50 + lost + index, timestamp);
        flow.advance(&header, 172, begun + u64::from(index) * FRAME_NS);
    }
    flow
}

#[test]
fn an_outage_is_a_silence_and_its_length_is_known() {
    let flow = interrupted(10_000, 499);
    assert_eq!((flow.silences, flow.silent_ms, flow.lost()), (1, 10_000, 499));
}

#[test]
fn who_rests_is_not_interrupted() {
    for (silent_ms, lost) in [(10_000, 0), (10_000, 24), (999, 48), (400, 0)] {
        let flow = interrupted(silent_ms, lost);
        assert_eq!((flow.silences, flow.lost()), (0, lost.into()), "{silent_ms} ms, {lost} lost");
    }
}

#[test]
fn a_repeat_is_not_late() {
    let mut flow = follow(&(0..50).collect::<Vec<_>>());
    flow.advance(&packet(49, 49 * 160), 172, 100 * FRAME_NS);
    assert_eq!((flow.late, flow.untimed), ([0; 8], 1));
}

#[test]
fn a_timestamp_set_anew_is_not_an_hour_of_jitter() {
    let mut flow = follow(&[0, 1, 2]);
    flow.advance(&packet(3, 1 << 30), 172, 3 * FRAME_NS);
    assert_eq!(flow.jitter_ns(), 0);
}

#[test]
fn a_clock_that_leaps_to_the_end_of_time_gives_no_sample() {
    let mut flow = Flow::new(&packet(0, 160), 172, 0);
    flow.advance(&packet(1, 0), 172, u64::MAX);
    assert_eq!((flow.jitter_ns(), flow.jitter_samples, flow.last_ns), (0, 0, u64::MAX));
}

#[test]
fn timestamps_wrap() {
    let mut flow = Flow::new(&packet(0, u32::MAX - 79), 172, 0);
    flow.advance(&packet(1, 80), 172, FRAME_NS);
    assert_eq!((flow.jitter_ns(), flow.jitter_samples), (0, 1));
}

#[test]
fn abi_round_trip() {
    use zerocopy::{FromBytes, IntoBytes};
    let flow = follow(&[1, 2, 4, 3]);
    assert_eq!(Flow::read_from_bytes(flow.as_bytes()).unwrap(), flow);
}

proptest! {
    /// Any order of a sequence with losses and repeats, as long as nothing strays
    /// further than the window: counted as a set of numbers would count it.
    #[test]
    fn counts_equal_those_of_a_set(
        first in any::<u16>(),
        events in proptest::collection::vec((0_u16..30, any::<bool>()), 2..400),
    ) {
        let mut sequences = std::vec![first, first.wrapping_add(1)];
        let mut top = 1_u16;
        for (jitter, forward) in events {
            if forward {
                top += 1 + jitter % 3;
                sequences.push(first.wrapping_add(top));
            } else {
                sequences.push(first.wrapping_add(top.saturating_sub(jitter)));
            }
        }
        let flow = follow(&sequences);
        let distinct: HashSet<u16> = sequences.iter().copied().collect();
        let expected = u64::from(top) + 1;
        prop_assert_eq!(flow.expected(), expected);
        prop_assert_eq!(flow.lost(), expected - distinct.len() as u64);
        prop_assert_eq!(flow.duplicates, (sequences.len() - distinct.len()) as u64);
        prop_assert_eq!(flow.packets, sequences.len() as u64);
        prop_assert_eq!(flow.strays, 0);
    }

    /// Bursts and gaps are those of the numbers that came, whatever their order: RFC 3611
    /// appendix A.2, run over the whole stream.
    #[test]
    fn transitions_are_those_of_the_whole_stream(
        first in any::<u16>(),
        steps in proptest::collection::vec((0_u32..100, 0_usize..60), 2..600),
    ) {
        let mut sequences = std::vec![0_u32, 1];
        for (step, _) in &steps {
            let top = sequences[sequences.len() - 1];
            // One step in ten leaves out a few, one in a hundred a hundred.
            sequences.push(top + if *step == 99 { 101 } else { 1 + step.saturating_sub(89) % 5 });
        }
        let last = sequences[sequences.len() - 1];
        let came: HashSet<u32> = sequences.iter().copied().collect();
        // Some change places with one of the next few, none by more than the window holds.
        for (at, (_, by)) in steps.iter().enumerate() {
            let other = (at + 2 + by / 12).min(sequences.len() - 1);
            if by % 12 == 0 && sequences[other].abs_diff(sequences[at + 2]) < 20 {
                sequences.swap(at + 2, other);
            }
        }
        let sequences: Vec<u16> =
            sequences.iter().map(|sequence| first.wrapping_add(*sequence as u16)).collect();
        let flow = follow(&sequences);
        let mut bursts = Bursts::new(1 << 16);
        for sequence in (0..=last).filter(|sequence| !came.contains(sequence)) {
            bursts.lose((1 << 16) + u64::from(sequence), 1);
        }
        prop_assert_eq!(flow.transitions(), bursts.transitions((1 << 16) + u64::from(last)));
        let by_kind = flow.transitions();
        let lost = by_kind.c13 + by_kind.c14 + by_kind.c23 + by_kind.c33;
        prop_assert_eq!(lost, flow.lost());
    }

    #[test]
    fn no_packets_break_the_sums(
        packets in proptest::collection::vec(any::<(u16, u32, u8, bool, u32)>(), 1..500),
    ) {
        let mut flow = start(0);
        let mut now = 0;
        for (sequence, timestamp, payload_type, marker, gap) in &packets {
            now += u64::from(*gap);
            let header = Header {
                payload_type: payload_type & 0x7f,
                marker: *marker,
                ..packet(*sequence, *timestamp)
            };
            flow.advance(&header, 100, now);
        }
        prop_assert_eq!(flow.packets + flow.strays, packets.len() as u64 + 1);
        prop_assert!(flow.packets - flow.duplicates <= flow.expected());
        prop_assert!(flow.jitter_ns() <= MAX_TRANSIT_CHANGE_NS);
        prop_assert_eq!(flow.delays().iter().sum::<u64>(), flow.packets - flow.untimed);
    }
}

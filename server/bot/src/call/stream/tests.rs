//! Of streams, packet by packet.

use super::*;

/// Each 20 ms after the one before, by their numbers, unless they say otherwise.
fn arrive(stream: &mut Stream, sequence: u16) -> Arrival {
    arrive_but(stream, sequence, &[])
}

fn arrive_but(stream: &mut Stream, sequence: u16, dropped: &[u16]) -> Arrival {
    let timestamp = u32::from(sequence) * 960;
    let at = Duration::from_millis(20) * u32::from(sequence);
    stream.arrive(sequence, timestamp, at, |number| dropped.contains(&number))
}

fn of(sequences: impl IntoIterator<Item = u16>) -> Stream {
    let mut stream = Stream::default();
    for sequence in sequences {
        arrive(&mut stream, sequence);
    }
    stream
}

fn counts(stream: &Stream) -> [u64; 5] {
    let it = stream.tally();
    [it.received, it.expected, it.lost, it.duplicates, it.reordered]
}

#[test]
fn a_stream_without_loss_begins_with_its_first_packet() {
    assert_eq!(counts(&of(40..50)), [10, 10, 0, 0, 0]);
    assert_eq!(counts(&Stream::default()), [0; 5]);
}

#[test]
fn loss_across_a_wrap_is_counted_once() {
    let stream = of([65_533, 65_534, 2, 3]);
    assert_eq!(counts(&stream), [4, 7, 3, 0, 0]);
    assert_eq!(stream.newest(), Some(3));
}

#[test]
fn many_wraps_lose_nothing() {
    let stream = of((0..200_000_u32).map(|number| number as u16));
    assert_eq!(counts(&stream), [200_000, 200_000, 0, 0, 0]);
}

#[test]
fn a_packet_that_comes_late_is_no_loss() {
    let mut stream = of([65_534, 65_535, 1, 2]);
    assert_eq!(counts(&stream), [4, 5, 1, 0, 0]);
    assert_eq!(arrive(&mut stream, 0), Arrival::Late);
    assert_eq!(counts(&stream), [5, 5, 0, 0, 1]);
    assert_eq!(arrive(&mut stream, 0), Arrival::Duplicate, "once");
}

#[test]
fn a_stream_begins_before_its_first_packet_if_an_older_one_comes() {
    let mut stream = of([10, 11]);
    assert_eq!(arrive(&mut stream, 7), Arrival::Late);
    assert_eq!(counts(&stream), [3, 5, 2, 0, 1], "8 and 9 are missing");
    assert_eq!(arrive(&mut stream, 8), Arrival::Late);
    assert_eq!(counts(&stream), [4, 5, 1, 0, 2]);
}

#[test]
fn duplicates_are_neither_received_nor_expected() {
    let mut stream = of([5, 6, 6, 7]);
    assert_eq!(arrive(&mut stream, 5), Arrival::Duplicate);
    assert_eq!(counts(&stream), [3, 3, 0, 2, 0]);
}

#[test]
fn a_sender_that_begins_again_loses_nothing_and_keeps_what_was_lost() {
    let mut stream = of([100, 101, 103]);
    assert_eq!(arrive(&mut stream, 40_000), Arrival::Stray);
    assert_eq!(arrive(&mut stream, 40_001), Arrival::Restart);
    assert_eq!(arrive(&mut stream, 40_002), Arrival::Newest);
    assert_eq!(counts(&stream), [6, 7, 1, 0, 0]);
    assert_eq!(stream.tally().stray, 0);
}

#[test]
fn one_packet_far_off_changes_nothing() {
    let mut stream = of([1_000, 1_001]);
    assert_eq!(arrive(&mut stream, 1_001 - MAX_MISORDER), Arrival::Stray);
    assert_eq!(arrive(&mut stream, 1_002), Arrival::Newest);
    assert_eq!(arrive(&mut stream, 1_002 - MAX_MISORDER), Arrival::Stray, "forgotten meanwhile");
    assert_eq!(counts(&stream), [3, 3, 0, 0, 0]);
    assert_eq!(stream.tally().stray, 2);
}

#[test]
fn a_long_dropout_is_loss_and_a_longer_one_a_restart() {
    let mut stream = of([0]);
    assert_eq!(arrive(&mut stream, MAX_DROPOUT - 1), Arrival::Newest);
    assert_eq!(stream.tally().lost, u64::from(MAX_DROPOUT) - 2);
    assert_eq!(arrive(&mut stream, 2 * MAX_DROPOUT - 1), Arrival::Stray);
}

#[test]
fn what_was_dropped_on_purpose_is_told_apart() {
    let mut stream = of([1]);
    arrive_but(&mut stream, 5, &[2, 4, 5]);
    let tally = stream.tally();
    assert_eq!((tally.lost, tally.lost_on_purpose), (3, 2));
    // By another way it arrives after all.
    arrive(&mut stream, 4);
    let tally = stream.tally();
    assert_eq!((tally.lost, tally.lost_on_purpose), (2, 1));
}

#[test]
fn what_was_not_forwarded_is_not_missed() {
    let mut stream = of([1, 2, 4]);
    stream.rest();
    assert_eq!(stream.newest(), None);
    assert_eq!(arrive(&mut stream, 500), Arrival::Newest);
    assert_eq!(arrive(&mut stream, 501), Arrival::Newest);
    assert_eq!(counts(&stream), [5, 6, 1, 0, 0]);
}

#[test]
fn even_packets_have_no_jitter_and_pauses_none_either() {
    let stream = of([1, 2, 3, 60, 61]);
    assert!(stream.tally().jitter_max_ms < 0.01, "{:?}", stream.tally());
    assert_eq!(stream.tally().jitter_samples, 5);
}

#[test]
fn jitter_follows_rfc_3550_across_a_wrap_of_the_timestamp() {
    let mut stream = Stream::default();
    let mut at = Duration::from_secs(100);
    let mut timestamp = u32::MAX - 1_000;
    let (mut plain, mut transit) = (0.0_f64, 0.0_f64);
    for number in 0..200_u16 {
        let late_ms = f64::from(number % 7);
        stream.arrive(
            number,
            timestamp,
            at + Duration::from_micros((late_ms * 1e3) as u64),
            |_| false,
        );
        // The same in floating point and milliseconds.
        if number > 0 {
            plain += ((late_ms - transit).abs() - plain) / 16.0;
        }
        transit = late_ms;
        at += Duration::from_millis(20);
        timestamp = timestamp.wrapping_add(960);
    }
    let tally = stream.tally();
    let last = stream.jitter.now / 48.0;
    assert!((last - plain).abs() < 0.001, "{last} is not {plain}");
    assert!(tally.jitter_max_ms >= last && tally.jitter_max_ms < 6.0);
}

#[test]
fn a_stream_knows_what_it_has_and_what_it_would_skip() {
    let stream = of([65_534, 65_535, 1]);
    assert!(stream.has(65_534) && stream.has(1));
    assert!(!stream.has(0) && !stream.has(2) && !stream.has(20_000));
    assert_eq!([2, 3, 1, 0, 65_535].map(|number| stream.gap(number)), [0, 1, 0, 0, 0]);
}

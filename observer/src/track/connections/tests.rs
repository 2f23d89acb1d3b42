use std::{num::NonZeroU64, ops::Deref};

use super::*;

const SECOND: u64 = 1_000_000_000;

fn connection(cookie: u64) -> Connection {
    Connection {
        socket: SocketCookie(cookie),
        listener: None,
        service: Some(ServiceId::UNKNOWN),
        local: Some("10.0.0.1:40000".parse().unwrap()),
        remote: Some("10.0.0.2:80".parse().unwrap()),
        role: Role::Client,
        adopted: false,
        opened_ns: NonZeroU64::new(100),
        established_ns: NonZeroU64::new(5_100),
        closed_ns: None,
        close_reason: None,
        srtt: Some(Duration::from_micros(50)),
        min_rtt: None,
        retransmits: 1,
        bytes_received: 10,
        bytes_acked: 20,
        before: Totals::default(),
    }
}

fn tracker() -> ConnectionTracker {
    ConnectionTracker::new(Duration::from_secs(900))
}

fn close(tracker: &mut ConnectionTracker, closed: Connection) -> ConnectionInterval {
    let mut reading = ConnectionReading::default();
    tracker.close(closed, &mut reading);
    reading.services.remove(&ServiceId::UNKNOWN).unwrap_or_default()
}

fn read(
    tracker: &mut ConnectionTracker,
    connections: Vec<Connection>,
    now_ns: u64,
) -> ConnectionReading {
    let mut update = tracker.begin(now_ns);
    for connection in connections {
        update.take(connection);
    }
    update.finish()
}

/// A reading in which all connections are of one service.
struct One {
    interval: ConnectionInterval,
    unseen_ends: u64,
    done: Vec<ConnectionKey>,
}

impl Deref for One {
    type Target = ConnectionInterval;

    fn deref(&self) -> &ConnectionInterval {
        &self.interval
    }
}

fn interval(tracker: &mut ConnectionTracker, connections: Vec<Connection>, now_ns: u64) -> One {
    let ConnectionReading { mut services, unseen_ends, done, .. } =
        read(tracker, connections, now_ns);
    let interval = services.remove(&ServiceId::UNKNOWN).unwrap_or_default();
    assert!(services.is_empty(), "{services:?}");
    One { interval, unseen_ends, done }
}

fn ended(connection: Connection, reason: CloseReason) -> Connection {
    Connection { closed_ns: NonZeroU64::new(9_000), close_reason: Some(reason), ..connection }
}

/// Adopted when it had received `before` bytes, and `bytes` since.
fn adopted(before: u64, bytes: u64) -> Connection {
    Connection {
        adopted: true,
        role: Role::Unknown,
        opened_ns: None,
        established_ns: None,
        retransmits: 0,
        bytes_received: bytes,
        bytes_acked: 0,
        before: Totals { retransmits: 5, bytes_received: before, bytes_acked: 6 },
        ..connection(1)
    }
}

#[test]
fn a_connection_is_counted_once_from_handshake_to_close() {
    let mut tracker = tracker();
    let first = interval(&mut tracker, vec![connection(1)], SECOND);
    let handshake = (Role::Client, Outcome::Success, Duration::from_nanos(5_000));
    assert_eq!(first.handshakes, [handshake]);
    assert_eq!((first.retransmits, first.bytes_received, first.bytes_acked), (1, 10, 20));
    let second = interval(&mut tracker, vec![connection(1)], 2 * SECOND);
    assert!(second.handshakes.is_empty() && second.round_trips.is_empty());
    assert_eq!((second.retransmits, second.bytes_acked), (0, 0));
    let last = Connection { bytes_acked: 25, ..connection(1) };
    let third = close(&mut tracker, ended(last, CloseReason::FinSent));
    assert_eq!((third.closed.len(), third.bytes_acked, third.handshakes.len()), (1, 5, 0));
    assert_eq!(tracker.open().count(), 0);
}

#[test]
fn a_connection_that_came_and_went_between_two_readings_is_whole() {
    let interval = close(&mut tracker(), ended(connection(1), CloseReason::FinReceived));
    assert_eq!((interval.handshakes.len(), interval.closed.len()), (1, 1));
    assert_eq!((interval.bytes_received, interval.round_trips.len()), (10, 1));
}

#[test]
fn failed_attempts_have_their_outcome() {
    for (reason, outcome) in
        [(CloseReason::Refused, Outcome::Refused), (CloseReason::ConnectTimeout, Outcome::Timeout)]
    {
        let attempt = Connection { established_ns: None, srtt: None, ..connection(1) };
        let interval = close(&mut tracker(), ended(attempt, reason));
        let expected = (Role::Client, outcome, Duration::from_nanos(8_900));
        assert_eq!(interval.handshakes, [expected]);
    }
}

/// The second connection of a socket, which is in the table when the first one's end
/// is in the ring.
fn second() -> Connection {
    Connection {
        opened_ns: NonZeroU64::new(20_000),
        established_ns: NonZeroU64::new(21_000),
        retransmits: 0,
        bytes_received: 1,
        bytes_acked: 2,
        ..connection(1)
    }
}

#[test]
fn a_socket_that_connects_again_is_two_connections() {
    let mut tracker = tracker();
    interval(&mut tracker, vec![connection(1)], SECOND);
    let last = Connection { bytes_acked: 25, ..connection(1) };
    let first = close(&mut tracker, ended(last, CloseReason::FinSent));
    let again = interval(&mut tracker, vec![second()], 2 * SECOND);
    assert_eq!((first.bytes_acked, again.bytes_acked), (5, 2));
    let handshake = (Role::Client, Outcome::Success, Duration::from_nanos(1_000));
    assert_eq!((first.handshakes.len(), &again.handshakes[..]), (0, &[handshake][..]));
    assert_eq!(tracker.open().count(), 1);
}

#[test]
fn an_end_may_come_after_the_reading_that_has_the_next_connection() {
    let mut tracker = tracker();
    interval(&mut tracker, vec![connection(1)], SECOND);
    let again = interval(&mut tracker, vec![second()], 2 * SECOND);
    let first = close(&mut tracker, ended(connection(1), CloseReason::FinSent));
    let after = interval(&mut tracker, vec![second()], 3 * SECOND);
    assert_eq!((again.bytes_acked, first.bytes_acked, after.bytes_acked), (2, 0, 0));
    assert_eq!((again.handshakes.len(), first.handshakes.len()), (1, 0));
    assert_eq!((first.closed.len(), after.unseen_ends, tracker.open().count()), (1, 0, 1));
}

#[test]
fn a_refused_attempt_and_the_one_after_it_have_an_outcome_each() {
    let mut tracker = tracker();
    let refused = Connection { established_ns: None, srtt: None, ..connection(1) };
    let attempt = close(&mut tracker, ended(refused, CloseReason::Refused));
    let reading = interval(&mut tracker, vec![second()], SECOND);
    assert_eq!(attempt.handshakes[0].1, Outcome::Refused);
    assert_eq!(reading.handshakes[0].1, Outcome::Success);
    assert_eq!((attempt.handshakes.len(), reading.handshakes.len()), (1, 1));
}

#[test]
fn an_end_without_room_in_the_ring_is_reported_from_the_table_once() {
    let mut tracker = tracker();
    interval(&mut tracker, vec![connection(1)], SECOND);
    let closed = ended(connection(1), CloseReason::FinSent);
    let first = interval(&mut tracker, vec![closed], 2 * SECOND);
    assert!(first.closed.is_empty() && first.done.is_empty(), "the ring may have it yet");
    let second = interval(&mut tracker, vec![closed], 3 * SECOND);
    assert_eq!((second.closed.len(), second.done), (1, vec![connection(1).key()]));
    let late = close(&mut tracker, closed);
    assert_eq!((late.closed.len(), late.bytes_acked, late.handshakes.len()), (0, 0, 0));
    let third = interval(&mut tracker, vec![], 4 * SECOND);
    assert_eq!((third.closed.len(), third.unseen_ends), (0, 0));
}

/// The program sets the time of the end, puts it into the ring and removes the entry,
/// and a reading may fall between any two of these.
#[test]
fn an_end_that_is_in_table_and_ring_counts_once() {
    let closed = ended(Connection { bytes_acked: 25, ..connection(1) }, CloseReason::Timeout);
    let unfinished = ended(connection(1), CloseReason::FinSent);
    for ring_first in [true, false] {
        let mut tracker = tracker();
        interval(&mut tracker, vec![connection(1)], SECOND);
        let mut both = ConnectionReading::default();
        if ring_first {
            tracker.close(closed, &mut both);
        }
        let table = interval(&mut tracker, vec![unfinished], 2 * SECOND);
        if !ring_first {
            tracker.close(closed, &mut both);
        }
        let after = interval(&mut tracker, vec![], 3 * SECOND);
        let both = both.services.remove(&ServiceId::UNKNOWN).unwrap();
        assert_eq!((both.closed, both.bytes_acked), (vec![closed], 5));
        assert_eq!((table.closed.len(), after.closed.len(), after.unseen_ends), (0, 0, 0));
    }
}

#[test]
fn a_connection_that_vanishes_is_counted_as_such() {
    let mut tracker = tracker();
    interval(&mut tracker, vec![connection(1)], SECOND);
    assert_eq!(interval(&mut tracker, vec![second()], 2 * SECOND).unseen_ends, 0);
    assert_eq!(interval(&mut tracker, vec![second()], 3 * SECOND).unseen_ends, 1);
    assert_eq!(tracker.open().count(), 1);
}

#[test]
fn an_adopted_connection_counts_from_its_adoption_and_may_idle_away() {
    let mut tracker = tracker();
    let first = interval(&mut tracker, vec![adopted(1_000, 200)], SECOND);
    assert_eq!((first.bytes_received, first.bytes_acked, first.retransmits), (200, 0, 0));
    let second = interval(&mut tracker, vec![adopted(1_000, 700)], 2 * SECOND);
    assert_eq!(second.bytes_received, 500);
    assert!(interval(&mut tracker, vec![adopted(1_000, 700)], 800 * SECOND).done.is_empty());
    let last = interval(&mut tracker, vec![adopted(1_000, 700)], 902 * SECOND);
    assert_eq!(last.done, [adopted(1_000, 700).key()]);
    assert_eq!(tracker.open().count(), 0);
}

#[test]
fn an_adopted_connection_that_ends_before_a_reading_counts_from_its_adoption() {
    let interval = close(&mut tracker(), ended(adopted(1_000, 30), CloseReason::FinSent));
    assert_eq!((interval.bytes_received, interval.retransmits), (30, 0));
}

/// It is adopted again by the packet after the one that came before it was removed.
#[test]
fn an_adopted_connection_that_comes_back_goes_on_from_where_it_was() {
    let mut tracker = tracker();
    interval(&mut tracker, vec![adopted(1_000, 0)], SECOND);
    interval(&mut tracker, vec![adopted(1_000, 0)], 902 * SECOND);
    let back = interval(&mut tracker, vec![adopted(1_100, 200)], 903 * SECOND);
    assert_eq!(back.bytes_received, 300);
    let next = interval(&mut tracker, vec![adopted(1_100, 201)], 904 * SECOND);
    assert_eq!(next.bytes_received, 1);
}

#[test]
fn what_is_kept_of_dropped_connections_is_bounded() {
    let mut dropped = Dropped::default();
    for cookie in 0..=DROPPED as u64 {
        dropped.keep(SocketCookie(cookie), Totals::default());
    }
    assert_eq!((dropped.totals.len(), dropped.order.len()), (DROPPED, DROPPED));
    assert!(dropped.take(SocketCookie(0)).is_none());
    assert!(dropped.take(SocketCookie(1)).is_some());
}

#[test]
fn what_is_not_watched_is_not_counted_until_it_is() {
    let mut tracker = tracker();
    let of = |service, bytes_acked| Connection { service, bytes_acked, ..connection(1) };
    let nobody = read(&mut tracker, vec![of(None, 100)], SECOND);
    assert!(nobody.services.is_empty());
    assert_eq!(tracker.open().count(), 0);
    let watched = Some(ServiceId(7));
    let mut somebody = read(&mut tracker, vec![of(watched, 130)], 2 * SECOND);
    let interval = somebody.services.remove(&ServiceId(7)).unwrap();
    assert_eq!((interval.bytes_acked, interval.handshakes.len()), (30, 0));
    assert_eq!((somebody.services.len(), tracker.open().count()), (0, 1));
    let again = read(&mut tracker, vec![of(None, 150)], 3 * SECOND);
    assert!(again.services.is_empty() && again.unseen_ends == 0);
    tracker.close(ended(of(None, 160), CloseReason::FinSent), &mut ConnectionReading::default());
    assert_eq!(read(&mut tracker, vec![], 5 * SECOND).unseen_ends, 0);
}

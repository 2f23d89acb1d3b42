use super::*;

const SECOND: u64 = 1_000_000_000;

fn connection(cookie: u64) -> Connection {
    Connection {
        socket: SocketCookie(cookie),
        local: Some("10.0.0.1:40000".parse().unwrap()),
        remote: Some("10.0.0.2:80".parse().unwrap()),
        role: Role::Client,
        adopted: false,
        opened_ns: Some(100),
        established_ns: Some(5_100),
        closed_ns: None,
        close_reason: None,
        srtt: Some(Duration::from_micros(50)),
        min_rtt: None,
        retransmits: 1,
        bytes_received: 10,
        bytes_acked: 20,
    }
}

fn tracker() -> ConnectionTracker {
    ConnectionTracker::new(Duration::from_secs(900))
}

#[test]
fn a_connection_is_counted_once_from_handshake_to_close() {
    let mut tracker = tracker();
    let first = tracker.update(vec![connection(1)], vec![], SECOND);
    let handshake = (Role::Client, Outcome::Success, Duration::from_nanos(5_000));
    assert_eq!(first.handshakes, [handshake]);
    assert_eq!((first.retransmits, first.bytes_received, first.bytes_acked), (1, 10, 20));
    let second = tracker.update(vec![connection(1)], vec![], 2 * SECOND);
    assert!(second.handshakes.is_empty() && second.round_trips.is_empty());
    assert_eq!((second.retransmits, second.bytes_acked), (0, 0));
    let closed = Connection {
        closed_ns: Some(9_000),
        close_reason: Some(CloseReason::FinSent),
        bytes_acked: 25,
        ..connection(1)
    };
    let third = tracker.update(vec![], vec![closed], 3 * SECOND);
    assert_eq!((third.closed.len(), third.bytes_acked, third.handshakes.len()), (1, 5, 0));
    assert_eq!(tracker.open().count(), 0);
}

#[test]
fn a_connection_that_came_and_went_between_two_readings_is_whole() {
    let closed = Connection {
        closed_ns: Some(9_000),
        close_reason: Some(CloseReason::FinReceived),
        ..connection(1)
    };
    let interval = tracker().update(vec![], vec![closed], SECOND);
    assert_eq!((interval.handshakes.len(), interval.closed.len()), (1, 1));
    assert_eq!((interval.bytes_received, interval.round_trips.len()), (10, 1));
}

#[test]
fn failed_attempts_have_their_outcome() {
    let attempt = |reason| Connection {
        established_ns: None,
        closed_ns: Some(1_100),
        close_reason: Some(reason),
        srtt: None,
        ..connection(1)
    };
    for (reason, outcome) in
        [(CloseReason::Refused, Outcome::Refused), (CloseReason::ConnectTimeout, Outcome::Timeout)]
    {
        let interval = tracker().update(vec![], vec![attempt(reason)], SECOND);
        let expected = (Role::Client, outcome, Duration::from_nanos(1_000));
        assert_eq!(interval.handshakes, [expected]);
    }
}

#[test]
fn an_adopted_connection_begins_at_zero_and_may_idle_away() {
    let adopted = |bytes| Connection {
        adopted: true,
        role: Role::Unknown,
        opened_ns: None,
        established_ns: None,
        bytes_received: bytes,
        ..connection(1)
    };
    let mut tracker = tracker();
    let first = tracker.update(vec![adopted(1_000)], vec![], SECOND);
    assert_eq!((first.bytes_received, first.retransmits), (0, 0));
    let second = tracker.update(vec![adopted(1_500)], vec![], 2 * SECOND);
    assert_eq!(second.bytes_received, 500);
    assert!(tracker.update(vec![adopted(1_500)], vec![], 800 * SECOND).idle.is_empty());
    let last = tracker.update(vec![adopted(1_500)], vec![], 902 * SECOND);
    assert_eq!(last.idle, [SocketCookie(1)]);
    assert_eq!(tracker.open().count(), 0);
}

//! The life and the figures of TCP connections.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use observer::model::{CloseReason, Connection, Endpoint, Role};

use crate::support::{
    machine::volume,
    observation::{Observation, figure},
    socket::cookie,
    stream::Ends,
};

/// What each end wrote.
const REQUEST: usize = 1_000;
const RESPONSE: usize = 70_000;

fn assert_ends(seen: &[Connection], client: SocketAddr, server: SocketAddr, took: Duration) {
    let [client, server] = [client, server].map(Endpoint::from);
    let [ours, theirs] = seen else { panic!("two ends wanted, not {seen:?}") };
    assert_eq!((ours.role, ours.local, ours.remote), (Role::Client, Some(client), Some(server)));
    assert_eq!(
        (theirs.role, theirs.local, theirs.remote),
        (Role::Server, Some(server), Some(client))
    );
    for end in seen {
        assert!(!end.adopted);
        let handshake = end.handshake().expect("its beginning was seen");
        assert!(!handshake.is_zero() && handshake < took, "{handshake:?} of {took:?}");
        assert!(end.srtt.is_some_and(|srtt| !srtt.is_zero()), "{end:?}");
        assert!(end.min_rtt.is_some(), "{end:?}");
    }
}

/// One connection from `to` to its listener; both know each other as `at`.
fn one_connection(name: &str, listen: IpAddr, to: IpAddr, at: IpAddr) {
    let mut observation = Observation::shared();
    let listener = TcpListener::bind((listen, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut ends = Ends::meet(&listener, (to, port).into());
    ends.talk(REQUEST, RESPONSE);
    let client = SocketAddr::new(at, ends.client.local_addr().unwrap().port());
    let (cookies, took) = (ends.cookies(), ends.took);
    let open = observation.connections(&cookies);
    assert_ends(&open, client, (at, port).into(), took);
    assert!(open.iter().all(Connection::is_open));
    assert!(open.iter().all(|end| end.close_reason.is_none()));

    ends.client_closes();
    let closed = observation.all_closed(cookies);
    assert_ends(&closed, client, (at, port).into(), took);
    assert_bytes(&closed, name);
    assert_eq!(closed[0].close_reason, Some(CloseReason::FinSent));
    assert_eq!(closed[1].close_reason, Some(CloseReason::FinReceived));
    assert!(closed.iter().all(|end| end.lifetime().is_some_and(|life| !life.is_zero())));
    assert_eq!(observation.connections(&cookies), []);
    observation.assert_clean();
}

/// The kernel counts sequence numbers: the FIN of the far end is one byte received; our
/// own FIN is one acknowledged, and so is the SYN of whoever connected. The server's SYN
/// is acknowledged before its socket exists.
fn assert_bytes(closed: &[Connection; 2], name: &str) {
    let [client, server] = closed;
    assert_eq!(client.bytes_received, RESPONSE as u64 + 1);
    assert_eq!(server.bytes_received, REQUEST as u64 + 1);
    assert_eq!(client.bytes_acked, REQUEST as u64 + 2);
    assert_eq!(server.bytes_acked, RESPONSE as u64 + 1);
    for end in closed {
        let name = format!("tcp_{name}_{}", end.role.as_str());
        figure(&format!("{name}_received"), end.bytes_received);
        figure(&format!("{name}_acked"), end.bytes_acked);
    }
}

#[test]
fn a_connection_over_ipv4() {
    let at = IpAddr::V4(Ipv4Addr::LOCALHOST);
    one_connection("v4", at, at, at);
}

#[test]
fn a_connection_over_ipv6() {
    let at = IpAddr::V6(Ipv6Addr::LOCALHOST);
    one_connection("v6", at, at, at);
}

#[test]
fn a_dual_stack_listener_is_known_by_its_ipv4_address() {
    let (any, v4) = (IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::LOCALHOST));
    one_connection("to_dual_stack", any, v4, v4);
    one_connection("mapped", any, IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped()), v4);
}

#[test]
fn a_connection_older_than_the_observer_is_adopted() {
    let mut ends = Ends::v4();
    ends.talk(10, 10);
    let cookies = ends.cookies();
    let mut observation = Observation::start();
    assert_eq!(observation.connections(&cookies), []);
    ends.talk(10, 10);
    let [client, server] =
        [&ends.client, &ends.server].map(|end| Endpoint::from(end.local_addr().unwrap()));
    let seen = observation.connections(&cookies);
    let seen: [_; 2] = seen.try_into().expect("both ends are there");
    for end in &seen {
        assert!(end.adopted && end.is_open());
        assert_eq!((end.role, end.handshake()), (Role::Unknown, None));
        assert!(end.srtt.is_some());
    }
    assert_eq!((seen[0].local, seen[0].remote), (Some(client), Some(server)));
    assert_eq!((seen[1].local, seen[1].remote), (Some(server), Some(client)));
    // What each had received before is not ours to count.
    assert_eq!(seen.map(|end| end.bytes_received), [10, 10]);
}

#[test]
fn a_thousand_quick_connections_leave_two_thousand_records_and_nothing_else() {
    let mut observation = Observation::shared();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let to = listener.local_addr().unwrap();
    let mut cookies = Vec::new();
    for _ in 0..1_000 {
        let mut ends = Ends::meet(&listener, to);
        ends.talk(10, 10);
        cookies.extend(ends.cookies());
        ends.client_closes();
    }
    let listening = cookie(&listener);
    for cookie in &cookies {
        let [closed] = observation.all_closed([*cookie]);
        assert_eq!(closed.bytes_received, 11);
    }
    assert_eq!(observation.connections(&cookies), []);
    assert_eq!(observation.connections(&[listening]), []);
    observation.assert_clean();
    figure("tcp_quick_records", cookies.len());
}

#[test]
fn retransmissions_and_loss_are_none_on_loopback() {
    let mut observation = Observation::shared();
    let mut ends = Ends::v4();
    for _ in 0..volume(100, 20) {
        ends.talk(1_000, 1_000);
    }
    for end in observation.connections(&ends.cookies()) {
        assert_eq!(end.retransmits, 0);
        assert!(end.min_rtt <= end.srtt, "{end:?}");
    }
    observation.assert_clean();
}

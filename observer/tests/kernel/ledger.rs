//! Full maps: what does not fit is counted, what was there goes on.

use std::time::Instant;

use observer::{
    model::{Direction, Role, VoiceFlow},
    source::ebpf::load::Limits,
};

use crate::support::{
    observation::{LIMITS, Observation, Shared, await_some, figure},
    path::Path,
    rtp::Stream,
    socket::PATIENCE,
    stream::Ends,
};

/// Room for four flows is room for the two ends of two streams.
const FLOWS: Limits = Limits { flows: 4, ..LIMITS };
const SOCKETS: Limits = Limits { sockets: 4, ..LIMITS };
/// Room for a thousand in probation.
const CANDIDATES: Limits = Limits { candidates: 1_000, ..LIMITS };
/// A page, the least there is.
const RING: Limits = Limits { ring_bytes: 4_096, ..LIMITS };

/// Runs a scenario again when somebody else's traffic took the room it counts on.
fn undisturbed(name: &str, scenario: impl Fn() -> bool) {
    let begun = Instant::now();
    while !scenario() {
        if begun.elapsed() > PATIENCE {
            println!("skipped: {name}: other traffic of this host fills a table of four");
            return;
        }
    }
}

#[test]
fn flows_beyond_the_table_are_counted_and_the_others_stay_exact() {
    undisturbed("flows_beyond_the_table", || {
        let mut witness = Observation::shared();
        let last = |flow: &VoiceFlow| flow.stream.last_ns;
        let begun = witness.kernel.flows().unwrap().iter().map(last).max().unwrap_or(0);
        let mut observation = Observation::with(FLOWS, false);
        let path = Path::v4();
        let streams: Vec<_> = (41..46).map(Stream::pcmu).collect();
        for number in 0..10 {
            streams[..2].iter().for_each(|stream| path.carry(&stream.packet(number)));
        }
        for number in 0..10 {
            streams[2..].iter().for_each(|stream| path.carry(&stream.packet(number)));
        }
        for number in 10..20 {
            streams.iter().for_each(|stream| path.carry(&stream.packet(number)));
        }
        let seen = witness.kernel.flows().unwrap();
        if seen.iter().filter(|flow| last(flow) > begun).count() != 2 * streams.len() {
            return false;
        }
        for stream in &streams[..2] {
            let (ours, theirs) = (Direction::Transmit, Direction::Receive);
            for (socket, direction) in [(&path.sender, ours), (&path.receiver, theirs)] {
                let seen = observation.flow(socket, stream.ssrc, direction).stream;
                assert_eq!((seen.packets, seen.lost()), (20, 0));
            }
        }
        assert_eq!(observation.kernel.flows().unwrap().len(), 4);
        // Of a stream without room every packet is uncounted that would have been in a
        // flow: all but the one in probation, at each end.
        let losses = observation.losses();
        assert_eq!(losses.get(&("voice", "table_full")), Some(&(3 * 2 * 19)), "{losses:?}");
        assert_eq!(losses.len(), 1, "{losses:?}");
        witness.assert_clean();
        figure("ledger_flow_table_full", losses[&("voice", "table_full")]);
        true
    });
}

#[test]
fn flows_pushed_out_of_probation_are_counted() {
    const STREAMS: u32 = 5_000;
    let _shared = Shared::detached();
    let mut observation = Observation::with(CANDIDATES, false);
    let path = Path::v4();
    (0..STREAMS).for_each(|ssrc| path.carry(&Stream::pcmu(0x6100_0000 + ssrc).packet(0)));
    // Each came in at both ends. The table may keep a little less than it has room for.
    let evicted = observation.losses().remove(&("voice", "candidate_evicted")).unwrap_or(0);
    let both = 2 * u64::from(STREAMS);
    assert!((both - 1_000..both).contains(&evicted), "{evicted} of {both}");
    assert_eq!(observation.flows(&path.sender).len(), 0);
}

#[test]
fn connections_beyond_the_table_are_counted_and_the_others_stay_exact() {
    undisturbed("connections_beyond_the_table", || {
        let mut observation = Observation::with(SOCKETS, false);
        let mut kept = [Ends::v4(), Ends::v4()];
        let cookies: Vec<_> = kept.iter().flat_map(Ends::cookies).collect();
        if observation.connections(&cookies).len() != 4 {
            return false;
        }
        observation.assert_clean();
        let mut beyond = [Ends::v4(), Ends::v4(), Ends::v4()];
        for ends in kept.iter_mut().chain(&mut beyond) {
            ends.talk(500, 600);
        }
        for ends in &beyond {
            assert_eq!(observation.connections(&ends.cookies()), []);
        }
        let losses = observation.losses();
        // Each attempt to find room counts, and each packet of such a connection is one.
        assert!(losses.get(&("tcp", "table_full")) >= Some(&6), "{losses:?}");
        assert_eq!(losses.len(), 1, "{losses:?}");

        let [one, other] = kept;
        one.client_closes();
        other.client_closes();
        for cookie in cookies {
            let [closed] = observation.all_closed([cookie]);
            let payload = if closed.role == Role::Client { 600 } else { 500 };
            assert_eq!(closed.bytes_received, payload + 1);
        }
        true
    });
}

#[test]
fn connections_that_close_without_room_in_the_ring_stay_in_the_table() {
    let mut observation = Observation::with(RING, false);
    let mut cookies = Vec::new();
    for _ in 0..100 {
        let mut ends = Ends::v4();
        ends.talk(1, 1);
        cookies.extend(ends.cookies());
        ends.client_closes();
    }
    let in_table = await_some("the end of every connection", || {
        let table = observation.connections(&cookies);
        table.iter().all(|one| one.closed_ns.is_some()).then_some(table)
    });
    for one in &in_table {
        assert!(one.close_reason.is_some() && !one.is_open());
        assert_eq!(one.bytes_received, 2);
    }
    // Each record has 104 bytes and a header of 8; the ring keeps one byte free.
    let in_ring = cookies.iter().filter(|cookie| observation.closed(**cookie).is_some()).count();
    assert!((1..=36).contains(&in_ring), "{in_ring}");
    assert_eq!(in_ring + in_table.len(), cookies.len());
    let full = observation.losses()[&("tcp", "ring_full")];
    assert!(full >= in_table.len() as u64);

    // Reading makes room again, in the table and in the ring. Another connection of the
    // same socket is not meant.
    for one in &in_table {
        observation.kernel.remove_connection(&(one.socket, None)).unwrap();
        assert_eq!(observation.connections(&[one.socket]), [*one]);
        observation.kernel.remove_connection(&one.key()).unwrap();
    }
    assert_eq!(observation.connections(&cookies), []);
    let ends = Ends::v4();
    let later = ends.cookies();
    ends.server_closes();
    observation.all_closed(later);
}

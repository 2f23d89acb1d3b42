//! TCP across network namespaces: what the kernel side says of a connection against
//! `ss`, against the clock of the program that connects, and against what was done
//! to the connection.

mod peers {
    pub(crate) mod device;
    pub(crate) mod ends;
    pub(crate) mod firewall;
    pub(crate) mod namespace;
    pub(crate) mod observed;
    pub(crate) mod pair;
    pub(crate) mod patience;
    pub(crate) mod ss;
    pub(crate) mod tool;
    #[expect(dead_code, reason = "segments stay in their order here")]
    pub(crate) mod tunnel;
}

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{sleep, spawn},
    time::{Duration, Instant},
};

use observer::model::{Connection, Role};

use peers::{
    ends::{DEVICE, Ends},
    firewall::Firewall,
    observed,
    pair::{PORT, Pair, closed, get},
    patience::until,
    ss, tool,
    tunnel::Tunnel,
};

const TOOLS: [&str; 4] = ["ip", "nft", "ss", "/dev/net/tun"];
/// How far from the judge's a time may lie: a share, or so much if that is more.
const SHARE: f64 = 0.1;
const LEAST: Duration = Duration::from_micros(50);
/// Samples of a round trip.
const SAMPLES: usize = 30;

/// Whether ours, so far `apart` from `theirs`, is near enough.
fn is_near(apart: Duration, theirs: Duration) -> bool {
    apart <= theirs.mul_f64(SHARE).max(LEAST)
}

/// How far the judge's figure is from two of ours that were read before and after it.
fn distance(ours: [Option<Duration>; 2], theirs: Duration) -> Duration {
    let [before, after] = ours.map(|ours| ours.expect("data was acknowledged"));
    if before.min(after) <= theirs && theirs <= before.max(after) {
        return Duration::ZERO;
    }
    before.abs_diff(theirs).min(after.abs_diff(theirs))
}

/// Compares the round trips of a connection that asks and answers. The observer has
/// what the kernel knew at the last packet, and what that packet acknowledged it
/// learns with the next: a single sample may be one step of the mean apart, which is
/// an eighth of what a busy host held a packet up.
fn round_trips_agree(name: &str, ends: &Ends, to: IpAddr) {
    let mut kernel = observed::kernel();
    let pair = Pair::new(ends, to);
    let (client, server) = (pair.client_address(), pair.server_address());
    let Pair { client: mut questions, server: mut answers } = pair;
    let answering = spawn(move || {
        let mut byte = [0];
        while answers.read_exact(&mut byte).is_ok() && answers.write_all(&byte).is_ok() {}
    });
    let enough = Arc::new(AtomicBool::new(false));
    let watch = Arc::clone(&enough);
    let asking = spawn(move || {
        let mut byte = [0];
        while !watch.load(Ordering::Relaxed) {
            questions.write_all(&byte).expect("it is open");
            questions.read_exact(&mut byte).expect("it is open");
            sleep(Duration::from_millis(5));
        }
    });
    sleep(Duration::from_millis(200));
    let mut samples = Vec::new();
    let begun = Instant::now();
    while samples.len() < SAMPLES && begun.elapsed() < Duration::from_secs(20) {
        sleep(Duration::from_millis(30));
        let begun = Instant::now();
        let before = get(&mut kernel, client, server);
        let shown = ss::connection(&ends.near, client, server);
        let after = get(&mut kernel, client, server);
        if begun.elapsed() > Duration::from_millis(100) {
            continue; // not of one moment
        }
        assert_eq!(before.socket.0, shown.cookie, "{name}: the socket's cookie, ours and ss's");
        let apart = distance([before.min_rtt, after.min_rtt], shown.min_rtt);
        assert!(
            is_near(apart, shown.min_rtt),
            "{name}: smallest round trip {:?}, ss's {:?}",
            after.min_rtt,
            shown.min_rtt
        );
        samples.push((distance([before.srtt, after.srtt], shown.srtt), after, shown));
    }
    enough.store(true, Ordering::Relaxed);
    asking.join().expect("the questions were answered");
    answering.join().expect("the answers ended with the questions");
    assert_eq!(samples.len(), SAMPLES, "{name}: samples of one moment");
    let far = samples.iter().filter(|(apart, _, shown)| !is_near(*apart, shown.srtt)).count();
    samples.sort_by_key(|(apart, ..)| *apart);
    let (median, ours, theirs) = samples[SAMPLES / 2];
    println!(
        "{name}: {median:?} apart in the middle of {SAMPLES} samples, srtt {:?} (ss {:?}); \
         min rtt {:?} (ss {:?}); {far} samples too far apart",
        ours.srtt, theirs.srtt, ours.min_rtt, theirs.min_rtt,
    );
    assert!(is_near(median, theirs.srtt), "{name}: srtt {:?}, ss's {:?}", ours.srtt, theirs.srtt);
}

#[test]
fn round_trip_on_a_cable() {
    let name = "round_trip_on_a_cable";
    if tool::all_there(name, &TOOLS) {
        let ends = Ends::by_cable();
        round_trips_agree(name, &ends, ends.far_v4);
    }
}

/// From 20 to 30 ms.
#[test]
fn round_trip_on_a_long_and_uneven_path() {
    let name = "round_trip_on_a_long_and_uneven_path";
    if tool::all_there(name, &TOOLS) {
        let uneven = |number| Duration::from_micros(10_000 + u64::from(number) * 997 % 5_000);
        let tunnel = Tunnel::new(uneven);
        round_trips_agree(name, &tunnel.ends, tunnel.ends.far_v6);
    }
}

/// Bytes of the transfer whose segments are dropped.
const TRANSFER: usize = 4 << 20;

#[test]
fn retransmissions_and_bytes_of_a_transfer_with_loss() {
    let name = "retransmissions_and_bytes_of_a_transfer_with_loss";
    if !tool::all_there(name, &TOOLS) {
        return;
    }
    let mut kernel = observed::kernel();
    let ends = Ends::by_cable();
    // One segment a packet, so that there are enough of them to drop.
    ends.near.run(&["ip", "link", "set", DEVICE, "gso_max_segs", "1"]);
    let rules = format!(
        "tcp dport {PORT} meta length > 500 counter name seen numgen random mod 100 < 2 jump lose"
    );
    let firewall = Firewall::new(&ends.far, "prerouting", &[rules]);
    let pair = Pair::new(&ends, ends.far_v4);
    let (client, server) = (pair.client_address(), pair.server_address());
    let Pair { client: mut sender, server: mut receiver } = pair;
    let receiving = spawn(move || {
        let mut all = vec![0; TRANSFER];
        receiver.read_exact(&mut all).expect("all of it arrives");
        receiver.write_all(b"thanks").expect("it is open");
        receiver
    });
    sender.write_all(&vec![0; TRANSFER]).expect("it is open");
    let mut thanks = [0; 6];
    sender.read_exact(&mut thanks).expect("it is open");
    // What a packet acknowledges, the observer learns with the next one; the
    // acknowledgement of the thanks is the client's last.
    let mut shown = [ss::Shown::default(); 2];
    until(Duration::from_secs(5), "a quiet moment", || {
        let before = shown;
        sleep(Duration::from_millis(300));
        shown =
            [ss::connection(&ends.near, client, server), ss::connection(&ends.far, server, client)];
        before == shown
    });
    let ours = [get(&mut kernel, client, server), get(&mut kernel, server, client)];
    let dropped = firewall.count("dropped");
    for (end, ours, shown) in [("client", ours[0], shown[0]), ("server", ours[1], shown[1])] {
        println!(
            "{name}: {end}: retransmissions {} (ss {}, {dropped} dropped), acknowledged {} (ss {}), \
             received {} (ss {})",
            ours.retransmits,
            shown.retransmits,
            ours.bytes_acked,
            shown.bytes_acked,
            ours.bytes_received,
            shown.bytes_received,
        );
        assert_eq!(ours.socket.0, shown.cookie, "{name}: {end}: cookie, ours and ss's");
        assert_eq!(ours.retransmits, shown.retransmits, "{name}: {end}: retransmissions");
        assert_eq!(ours.bytes_received, shown.bytes_received, "{name}: {end}: bytes received");
    }
    assert_eq!(ours[0].bytes_acked, shown[0].bytes_acked, "{name}: client: bytes acknowledged");
    assert!(ours[0].retransmits > 0 && dropped > 0, "{name}: segments were dropped");
    // The server's last packet came in, so its end tells the rest.
    drop(sender);
    drop(receiving.join().expect("the receiver ended well"));
    let is_it = |one: &Connection| ours.iter().any(|ours| ours.socket == one.socket);
    let mut ends: [_; 2] = closed(&mut kernel, is_it);
    ends.sort_by_key(|one| one.role);
    let [client, server] = ends;
    // A SYN and a FIN count as a byte each where the kernel counts what is acknowledged,
    // and a FIN where it counts what is received. A client whose FIN is acknowledged
    // does not wait for the server's, so that one may count or not.
    let transfer = TRANSFER as u64;
    assert_eq!(client.bytes_acked, transfer + 2, "{name}: the client's bytes, and SYN and FIN");
    assert_eq!(server.bytes_received, transfer + 1, "{name}: the same, as the server has them");
    assert_eq!(server.bytes_acked, 6 + 1, "{name}: the thanks, and FIN");
    assert_eq!(client.retransmits, ours[0].retransmits, "{name}: retransmissions at the end");
}

/// What the path of the handshakes takes, one way.
const WAY: Duration = Duration::from_millis(10);
/// Connections of each address family.
const HANDSHAKES: usize = 9;

fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort();
    durations[durations.len() / 2]
}

/// Every handshake has known bounds; how near it is to the time that connect took is
/// judged in the middle of several, for a busy host wakes a program late.
#[test]
fn handshakes_on_a_long_path() {
    let name = "handshakes_on_a_long_path";
    if !tool::all_there(name, &TOOLS) {
        return;
    }
    let mut kernel = observed::kernel();
    let tunnel = Tunnel::new(|_| WAY);
    let ends = &tunnel.ends;
    for (to, family) in [(ends.far_v4, "IPv4"), (ends.far_v6, "IPv6")] {
        let listener = ends.far.enter(|| TcpListener::bind((to, PORT)).expect("the port is free"));
        let [mut connects, mut clients, mut servers] = [(); 3].map(|()| Vec::new());
        for _ in 0..HANDSHAKES {
            let (stream, took) = ends.near.enter(|| {
                let begun = Instant::now();
                let stream = TcpStream::connect((to, PORT)).expect("it listens");
                (stream, begun.elapsed())
            });
            let _accepted = listener.accept().expect("it has connected");
            let client = stream.local_addr().expect("it is bound");
            let server = stream.peer_addr().expect("it is connected");
            let [client, server] = [(Role::Client, client, server), (Role::Server, server, client)]
                .map(|(role, local, remote)| {
                    let one = get(&mut kernel, local, remote);
                    assert_eq!(one.role, role, "{name}: role of {one:?}");
                    let took = one.handshake().expect("its beginning was seen");
                    assert!(took >= 2 * WAY, "{name}: {role:?}: {took:?} on a path of 2 × {WAY:?}");
                    took
                });
            assert!(client <= took, "{name}: client {client:?}, connect took {took:?}");
            connects.push(took);
            clients.push(client);
            servers.push(server);
        }
        let [connect, client, server] = [connects, clients, servers].map(median);
        println!("{name}: {family}: client {client:?}, server {server:?}, connect {connect:?}");
        for (role, ours) in [("client", client), ("server", server)] {
            assert!(
                ours.abs_diff(connect) <= connect.mul_f64(SHARE) + Duration::from_millis(1),
                "{name}: {family}: {role} {ours:?}, connect took {connect:?}"
            );
        }
    }
}

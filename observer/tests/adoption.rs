//! Connections that are older than the observer, in a network namespace of their own.

mod peers {
    pub(crate) mod namespace;
    pub(crate) mod observed;
    pub(crate) mod patience;
    pub(crate) mod ss;
    pub(crate) mod tool;
}

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use observer::{
    model::{Connection, Role},
    source::ebpf::read::Kernel,
    track::connections::ConnectionTracker,
};
use peers::{namespace::Namespace, observed, patience::until, ss, tool};

const TOOLS: [&str; 2] = ["ip", "ss"];
/// Bytes of each part of a transfer: another number for each, to tell them apart.
const PARTS: [usize; 4] = [300_001, 200_003, 70_007, 500_009];

/// One test at a time: what another sends would be counted too.
static TURN: Mutex<()> = Mutex::new(());

/// Both ends of a connection.
struct Pair {
    client: TcpStream,
    server: TcpStream,
}

impl Pair {
    fn new(namespace: &Namespace, at: SocketAddr) -> Self {
        namespace.enter(|| {
            let listener = TcpListener::bind(at).expect("a port is free");
            let to = listener.local_addr().expect("it is bound");
            let client = TcpStream::connect(to).expect("it listens");
            let (server, _) = listener.accept().expect("it has connected");
            Self { client, server }
        })
    }

    fn ends(&self) -> (SocketAddr, SocketAddr) {
        let local = self.client.local_addr().expect("it is bound");
        (local, self.client.peer_addr().expect("it is connected"))
    }

    /// The client sends, the server reads it all and thanks, and the client knows.
    fn carry(&mut self, bytes: usize) {
        std::thread::scope(|scope| {
            scope.spawn(|| self.client.write_all(&vec![7; bytes]).expect("it is open"));
            let mut all = vec![0; bytes];
            self.server.read_exact(&mut all).expect("all of it arrives");
        });
        self.server.write_all(b"thanks").expect("it is open");
        let mut thanks = [0; 6];
        self.client.read_exact(&mut thanks).expect("it is thanked");
    }
}

fn get(kernel: &mut Kernel, (local, remote): (SocketAddr, SocketAddr)) -> Option<Connection> {
    let all = kernel.connections().expect("the map can be read");
    all.into_iter().find(|one| one.local == Some(local.into()) && one.remote == Some(remote.into()))
}

#[test]
fn an_idle_connection_is_listed_at_once() {
    let name = "an_idle_connection_is_listed_at_once";
    if !tool::all_there(name, &TOOLS) {
        return;
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let namespace = Namespace::new("idle");
    for at in [(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()] {
        let mut pair = Pair::new(&namespace, at);
        pair.carry(PARTS[0]);
        let (client, server) = pair.ends();
        let mut kernel = observed::kernel();
        assert_eq!(get(&mut kernel, (client, server)), None, "{name}: nothing has said so yet");
        let adoption = kernel.adopt();
        println!("{name}: {}: {adoption:?}", namespace.name());
        assert!(adoption.connections >= 2, "{name}: {adoption:?}");
        for (local, remote) in [(client, server), (server, client)] {
            let shown = ss::connection(&namespace, local, remote);
            let ours = get(&mut kernel, (local, remote)).expect("it is adopted");
            println!("{name}: srtt {:?} (ss {:?})", ours.srtt, shown.srtt);
            assert_eq!((ours.adopted, ours.role), (true, Role::Unknown), "{name}");
            assert!(ours.is_open(), "{name}: {ours:?}");
            assert_eq!(ours.socket.0, shown.cookie, "{name}: cookie, ours and ss's");
            assert_eq!(ours.srtt, Some(shown.srtt), "{name}: srtt, ours and ss's");
            assert_eq!(ours.min_rtt, Some(shown.min_rtt), "{name}: least round trip");
            assert_eq!((ours.bytes_received, ours.bytes_acked, ours.retransmits), (0, 0, 0));
            assert_eq!(ours.totals().bytes_received, shown.bytes_received, "{name}: received");
            assert_eq!(ours.totals().bytes_acked, shown.bytes_acked, "{name}: acknowledged");
        }
        assert_eq!(kernel.adopt().connections, 0, "{name}: they are known");
    }
}

/// What the observer counts of one connection until `bytes` have been received.
fn counted(kernel: &mut Kernel, ends: (SocketAddr, SocketAddr), bytes: u64) -> u64 {
    let mut tracker = ConnectionTracker::new(Duration::from_secs(900));
    let (mut sum, mut now) = (0, 0);
    let mut read = || {
        now += 1_000_000_000;
        let one = get(kernel, ends).expect("it is adopted");
        let mut update = tracker.begin(now);
        update.take(one);
        let services = update.finish().services;
        sum += services.values().map(|interval| interval.bytes_received).sum::<u64>();
        sum
    };
    until(Duration::from_secs(5), "the bytes to be counted", || read() >= bytes);
    read()
}

#[test]
fn a_transfer_is_counted_from_the_start_and_never_twice() {
    let name = "a_transfer_is_counted_from_the_start_and_never_twice";
    if !tool::all_there(name, &TOOLS) {
        return;
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let namespace = Namespace::new("transfer");
    let mut pair = Pair::new(&namespace, (Ipv4Addr::LOCALHOST, 0).into());
    let (client, server) = pair.ends();
    pair.carry(PARTS[0]);
    let mut kernel = observed::kernel();
    kernel.adopt();
    // It goes on before the first reading.
    pair.carry(PARTS[1]);
    let first = counted(&mut kernel, (server, client), PARTS[1] as u64);
    drop(kernel);
    pair.carry(PARTS[2]);
    let mut kernel = observed::kernel();
    kernel.adopt();
    pair.carry(PARTS[3]);
    let second = counted(&mut kernel, (server, client), PARTS[3] as u64);
    let losses = observed::losses(&mut kernel);
    println!(
        "{name}: uncounted {losses:?}; {first} of {}, then {second} of {}",
        PARTS[1], PARTS[3]
    );
    assert_eq!([first, second], [PARTS[1] as u64, PARTS[3] as u64], "{name}");
}

#[test]
fn connections_beyond_the_table_are_in_the_ledger() {
    const ROOM: u64 = 8;
    let name = "connections_beyond_the_table_are_in_the_ledger";
    if !tool::all_there(name, &TOOLS) {
        return;
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let namespace = Namespace::new("full");
    let pairs: Vec<_> =
        (0..ROOM).map(|_| Pair::new(&namespace, (Ipv4Addr::LOCALHOST, 0).into())).collect();
    let mut kernel = observed::kernel_with_room(ROOM as u32);
    let adoption = kernel.adopt();
    println!("{name}: {adoption:?}");
    // Other connections of the host want room too, so not all that is there is of the test.
    let lost = adoption.losses.get(&("adoption", "table_full")).copied().unwrap_or_default();
    assert!(adoption.connections <= ROOM, "{name}: {adoption:?}");
    assert!(adoption.connections + lost >= 2 * pairs.len() as u64, "{name}: {adoption:?}");
}

//! How TCP connections end, and attempts that come to nothing, across network namespaces.

mod peers {
    pub(crate) mod ends;
    pub(crate) mod firewall;
    pub(crate) mod namespace;
    pub(crate) mod observed;
    pub(crate) mod pair;
    pub(crate) mod patience;
    pub(crate) mod tool;
}

use std::{
    fs,
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsRawFd as _, FromRawFd as _},
    path::Path,
    time::{Duration, Instant},
};

use observer::{
    model::{CloseReason, Role, ServiceId},
    track::connections::{ConnectionReading, ConnectionTracker, Outcome},
};

use peers::{
    ends::Ends,
    firewall::Firewall,
    observed,
    pair::{PORT, Pair, closed, get},
    tool,
};

const TOOLS: [&str; 2] = ["ip", "nft"];
/// How far from what was done a time may lie.
const SHARE: f64 = 0.1;

/// Sets how long unacknowledged data may be waited for.
fn set_user_timeout(stream: &TcpStream, timeout: Duration) {
    let ms = timeout.as_millis() as libc::c_uint;
    // SAFETY: the option is a number, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_USER_TIMEOUT,
            (&raw const ms).cast(),
            size_of_val(&ms) as libc::socklen_t,
        )
    };
    assert_eq!(result, 0, "TCP_USER_TIMEOUT: {}", std::io::Error::last_os_error());
}

#[test]
fn a_path_that_is_cut_ends_in_a_timeout() {
    let name = "a_path_that_is_cut_ends_in_a_timeout";
    if !tool::all_there(name, &TOOLS) {
        return;
    }
    let mut kernel = observed::kernel();
    let ends = Ends::by_cable();
    let mut pair = Pair::new(&ends, ends.far_v4);
    let socket = get(&mut kernel, pair.client_address(), pair.server_address()).socket;
    set_user_timeout(&pair.client, Duration::from_millis(700));
    let cut = Firewall::new(&ends.far, "prerouting", &["counter name seen jump lose".to_owned()]);
    let begun = Instant::now();
    pair.client.write_all(b"anyone there?").expect("it is open");
    let error = pair.client.read(&mut [0]).expect_err("nobody answers");
    let took = begun.elapsed();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{name}: what the program is told");
    let [one] = closed(&mut kernel, |one| one.socket == socket);
    println!("{name}: {:?} after {took:?}, {} dropped", one.close_reason, cut.count("dropped"));
    assert_eq!(one.close_reason, Some(CloseReason::Timeout), "{name}: {one:?}");
}

#[test]
fn a_port_without_a_listener_refuses() {
    let name = "a_port_without_a_listener_refuses";
    if !tool::all_there(name, &TOOLS) {
        return;
    }
    let mut kernel = observed::kernel();
    let ends = Ends::by_cable();
    for to in [ends.far_v4, ends.far_v6] {
        let to = SocketAddr::from((to, PORT));
        let error = ends.near.enter(|| TcpStream::connect(to)).expect_err("nobody listens");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{name}: what the program is told");
        let [one] = closed(&mut kernel, |one| one.remote == Some(to.into()));
        println!("{name}: {:?}", one.close_reason);
        assert_eq!(one.close_reason, Some(CloseReason::Refused), "{name}: {one:?}");
        assert_eq!((one.role, one.established_ns), (Role::Client, None), "{name}: {one:?}");
    }
}

#[test]
fn a_handshake_that_nobody_answers_ends_in_a_connect_timeout() {
    let name = "a_handshake_that_nobody_answers_ends_in_a_connect_timeout";
    if !tool::all_there(name, &TOOLS) {
        return;
    }
    let mut kernel = observed::kernel();
    let ends = Ends::by_cable();
    for (setting, value) in [("tcp_syn_retries", "1"), ("tcp_syn_linear_timeouts", "0")] {
        let path = format!("/proc/sys/net/ipv4/{setting}");
        // Kernels before 6.5 have no linear timeouts.
        let write = || Path::new(&path).exists().then(|| fs::write(&path, value));
        ends.near.enter(write).transpose().expect("the setting is the namespace's own");
    }
    let cut = Firewall::new(&ends.far, "prerouting", &["counter name seen jump lose".to_owned()]);
    let to = SocketAddr::from((ends.far_v4, PORT));
    let begun = Instant::now();
    let error = ends.near.enter(|| TcpStream::connect(to)).expect_err("nobody answers");
    let took = begun.elapsed();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{name}: what the program is told");
    let [one] = closed(&mut kernel, |one| one.remote == Some(to.into()));
    let lasted = one.duration().expect("both ends were seen");
    println!(
        "{name}: {:?} after {lasted:?} (connect took {took:?}), {} dropped",
        one.close_reason,
        cut.count("dropped")
    );
    assert_eq!(one.close_reason, Some(CloseReason::ConnectTimeout), "{name}: {one:?}");
    assert_eq!((one.role, one.established_ns), (Role::Client, None), "{name}: {one:?}");
    assert!(
        lasted.abs_diff(took) <= took.mul_f64(SHARE),
        "{name}: lasted {lasted:?}, connect took {took:?}"
    );
}

/// A TCP socket for IPv4 that is not connected yet.
fn unconnected() -> TcpStream {
    // SAFETY: the call has no preconditions.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    assert!(socket >= 0, "a socket: {}", std::io::Error::last_os_error());
    // SAFETY: the descriptor is ours, and nobody else's.
    unsafe { TcpStream::from_raw_fd(socket) }
}

/// Connects a socket, or without an address ends its connection.
fn connect(socket: &TcpStream, to: Option<SocketAddr>) -> std::io::Result<()> {
    let mut address = libc::sockaddr_in {
        sin_family: libc::AF_UNSPEC as libc::sa_family_t,
        sin_port: 0,
        sin_addr: libc::in_addr { s_addr: 0 },
        sin_zero: [0; 8],
    };
    if let Some(SocketAddr::V4(to)) = to {
        address.sin_family = libc::AF_INET as libc::sa_family_t;
        address.sin_port = to.port().to_be();
        address.sin_addr.s_addr = u32::from(*to.ip()).to_be();
    }
    let length = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the address lives for the call and is as long as is said.
    let result = unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), length) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// One socket, refused once, then connected twice. Each time the end of one connection
/// is in the ring when the next is in the table.
#[test]
fn a_socket_that_connects_again_is_counted_anew() {
    let name = "a_socket_that_connects_again_is_counted_anew";
    if !tool::all_there(name, &TOOLS) {
        return;
    }
    let mut kernel = observed::kernel();
    let ends = Ends::by_cable();
    let to = SocketAddr::from((ends.far_v4, PORT));
    let mut socket = ends.near.enter(unconnected);
    let error = connect(&socket, Some(to)).expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{name}: what the program is told");
    let listener = ends.far.enter(|| TcpListener::bind(to).expect("the port is free"));
    let mut tracker = ConnectionTracker::new(Duration::from_secs(900));
    let (mut acked, mut handshakes, mut reasons) = (0, Vec::new(), Vec::new());
    let mut take = |mut reading: ConnectionReading| {
        let interval = reading.services.remove(&ServiceId::UNKNOWN).unwrap_or_default();
        acked += interval.bytes_acked;
        handshakes
            .extend(interval.handshakes.into_iter().map(|(role, outcome, _)| (role, outcome)));
        reasons.extend(interval.closed.into_iter().map(|closed| closed.close_reason));
    };
    for length in [100_000, 1_000] {
        connect(&socket, Some(to)).expect("it listens");
        let (mut accepted, _) = listener.accept().expect("it has connected");
        let (local, remote) =
            (socket.local_addr().expect("it is bound"), socket.peer_addr().expect("connected"));
        socket.write_all(&vec![0; length]).expect("it is open");
        accepted.read_exact(&mut vec![0; length]).expect("all of it arrives");
        // What a packet acknowledges is known with the next one.
        accepted.write_all(b"thanks").expect("it is open");
        socket.read_exact(&mut [0; 6]).expect("it is open");
        let one = get(&mut kernel, local, remote);
        let mut reading = ConnectionReading::default();
        while let Some(closed) = kernel.next_closed() {
            if closed.socket == one.socket {
                tracker.close(closed, &mut reading);
            }
        }
        take(reading);
        let mut update = tracker.begin(1);
        update.take(one);
        take(update.finish());
        connect(&socket, None).expect("it was connected");
    }
    let [last] = closed(&mut kernel, |one| one.remote == Some(to.into()));
    let mut reading = ConnectionReading::default();
    tracker.close(last, &mut reading);
    take(reading);
    println!("{name}: {acked} acknowledged, {handshakes:?}, {reasons:?}");
    let expected = [Outcome::Refused, Outcome::Success, Outcome::Success];
    assert_eq!(handshakes, expected.map(|outcome| (Role::Client, outcome)), "{name}: handshakes");
    assert_eq!(reasons.len(), 3, "{name}: {reasons:?}");
    assert_eq!(acked, 100_000 + 1_000 + 2, "{name}: the bytes, and two SYN");
}

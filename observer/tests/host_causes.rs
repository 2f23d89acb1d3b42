//! What the host itself does to traffic, as `nstat` and the kernel's files have it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod peers {
    pub(crate) mod namespace;
    pub(crate) mod patience;
    #[expect(dead_code, reason = "each test binary uses a part of it")]
    pub(crate) mod process;
    pub(crate) mod quota;
    pub(crate) mod tool;
}

use std::{
    collections::BTreeSet,
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsRawFd as _,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use observer::{
    model::{HostCauses, ListenDrops, Throttling, UdpErrors},
    source::{
        cause::{
            CauseError, Causes,
            network::{Network, Places},
            throttle::Throttles,
        },
        ebpf::namespace::NamespaceId,
    },
};
use peers::{namespace::Namespace, patience::until, process::Process, quota::Quota, tool};

const TOOLS: [&str; 2] = ["ip", "nstat"];
const DATAGRAMS: u64 = 400;

fn id(namespace: &Namespace) -> NamespaceId {
    NamespaceId::at(&Path::new("/run/netns").join(namespace.name())).unwrap()
}

/// What there is to find of `ids`: others of this host count too, and would be in the way.
fn places(ids: &[NamespaceId]) -> Places {
    let mut places = Places::find().unwrap();
    places.found.retain(|place| ids.contains(&place.id()));
    places
}

/// A counter of a namespace, as `nstat` has it.
fn nstat(namespace: &Namespace, name: &str) -> u64 {
    let text = namespace.run(&["nstat", "-a", "-s", "-z", name]);
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Sends more to a socket than it has room for, and reads none of it.
fn overflow(namespace: &Namespace, at: IpAddr) {
    namespace.enter(|| {
        let full = UdpSocket::bind((at, 0)).unwrap();
        let room = 2_304_i32;
        // SAFETY: the kernel reads no more than the number.
        let result = unsafe {
            libc::setsockopt(
                full.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_RCVBUF,
                (&raw const room).cast(),
                size_of_val(&room) as libc::socklen_t,
            )
        };
        assert_eq!(result, 0, "SO_RCVBUF: {}", io::Error::last_os_error());
        let sender = UdpSocket::bind((at, 0)).unwrap();
        for _ in 0..DATAGRAMS {
            sender.send_to(&[7; 500], full.local_addr().unwrap()).unwrap();
        }
    });
}

#[test]
fn a_full_receive_buffer_is_counted_as_nstat_counts_it() {
    let name = "a_full_receive_buffer_is_counted_as_nstat_counts_it";
    if !tool::all_there(name, &TOOLS) {
        return;
    }
    // Nobody is in the one, a process in the other.
    let (mounted, inhabited) = (Namespace::new("mounted"), Namespace::new("inhabited"));
    let _inhabitant = Process::start(inhabited.command("sleep").arg("60"));
    let ids = [id(&mounted), id(&inhabited)];
    until(Duration::from_secs(10), "a process in the namespace", || {
        let shown = format!("{:?}", places(&ids));
        shown.contains("/proc/") && shown.contains(mounted.name())
    });
    // What was before the first reading is not counted.
    overflow(&mounted, Ipv4Addr::LOCALHOST.into());
    let before = [nstat(&mounted, "UdpRcvbufErrors"), nstat(&mounted, "Udp6RcvbufErrors")];
    assert!(before[0] > DATAGRAMS / 2, "{name}: {before:?}");
    let places = places(&ids);
    let mut network = Network::default();
    assert!(network.update(&places).is_empty());
    assert_eq!(network.udp(), UdpErrors::default());
    for (namespace, at) in [
        (&mounted, IpAddr::from(Ipv4Addr::LOCALHOST)),
        (&mounted, Ipv6Addr::LOCALHOST.into()),
        (&inhabited, Ipv4Addr::LOCALHOST.into()),
    ] {
        overflow(namespace, at);
    }
    assert!(network.update(&places).is_empty());
    let told = nstat(&mounted, "UdpRcvbufErrors") - before[0]
        + nstat(&mounted, "Udp6RcvbufErrors")
        + nstat(&inhabited, "UdpRcvbufErrors");
    println!("{name}: ours {:?}, nstat's {told}", network.udp());
    assert!(told > 3 * DATAGRAMS / 2);
    assert_eq!(network.udp(), UdpErrors { buffer_full: told, ..UdpErrors::default() });
}

#[test]
fn a_listener_that_does_not_accept_is_counted_as_nstat_counts_it() {
    let name = "a_listener_that_does_not_accept_is_counted_as_nstat_counts_it";
    if !tool::all_there(name, &TOOLS) {
        return;
    }
    let namespace = Namespace::new("listener");
    let places = places(&[id(&namespace)]);
    let mut network = Network::default();
    assert!(network.update(&places).is_empty());
    namespace.enter(|| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        // SAFETY: the descriptor is open; listening once more sets the length of the queue.
        assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
        let at: SocketAddr = listener.local_addr().unwrap();
        let tries: Vec<_> =
            (0..5).map(|_| TcpStream::connect_timeout(&at, Duration::from_millis(100))).collect();
        assert!(tries.iter().any(Result::is_ok) && tries.iter().any(Result::is_err));
    });
    assert!(network.update(&places).is_empty());
    let told = ["TcpExtListenOverflows", "TcpExtListenDrops"].map(|one| nstat(&namespace, one));
    println!("{name}: ours {:?}, nstat's {told:?}", network.listen());
    assert!(told[0] >= 3, "{name}: {told:?}");
    let [queue_full, all] = told;
    assert_eq!(network.listen(), ListenDrops { queue_full, other: all - queue_full });
}

#[test]
fn a_namespace_that_goes_leaves_the_sum_as_it_is() {
    let name = "a_namespace_that_goes_leaves_the_sum_as_it_is";
    if !tool::all_there(name, &TOOLS) {
        return;
    }
    let (stays, goes) = (Namespace::new("stays"), Namespace::new("goes"));
    let ids = [id(&stays), id(&goes)];
    let mut network = Network::default();
    let first = places(&ids);
    assert!(network.update(&first).is_empty());
    overflow(&stays, Ipv4Addr::LOCALHOST.into());
    overflow(&goes, Ipv4Addr::LOCALHOST.into());
    assert!(network.update(&first).is_empty());
    let sum = network.udp();
    assert_eq!(sum.buffer_full, nstat(&stays, "UdpRcvbufErrors") + nstat(&goes, "UdpRcvbufErrors"));
    let path = Path::new("/run/netns").join(goes.name());
    drop(goes);
    assert!(!path.exists());
    // At first nobody knows that it is gone, then it is looked for.
    assert!(network.update(&first).is_empty());
    assert_eq!(network.udp(), sum);
    let second = places(&ids[..1]);
    assert!(network.update(&second).is_empty());
    assert_eq!(network.udp(), sum);
    // The next one may get the number of the last, and has had errors of its own.
    let comes = Namespace::new("comes");
    overflow(&comes, Ipv4Addr::LOCALHOST.into());
    println!("{name}: {:?}, then {:?}", ids[1], id(&comes));
    let third = places(&[ids[0], id(&comes)]);
    assert!(network.update(&third).is_empty());
    assert_eq!(network.udp(), sum);
    let had = nstat(&comes, "UdpRcvbufErrors");
    overflow(&comes, Ipv4Addr::LOCALHOST.into());
    assert!(network.update(&third).is_empty());
    let added = nstat(&comes, "UdpRcvbufErrors") - had;
    assert_eq!(network.udp().buffer_full, sum.buffer_full + added);
}

#[test]
fn the_whole_host_counts_what_one_namespace_does() {
    let name = "the_whole_host_counts_what_one_namespace_does";
    if !tool::all_there(name, &TOOLS) {
        return;
    }
    let namespace = Namespace::new("whole");
    let mut causes = Causes::default();
    let begun = Instant::now();
    let (first, failures) = causes.read(begun, BTreeSet::new);
    assert_eq!(first, HostCauses::default(), "{name}");
    // In a container, process 1 may be a stranger; a failure that lasts is named once.
    let hidden = CauseError::Hidden.to_string();
    assert!(failures.iter().all(|failure| *failure == hidden), "{name}: {failures:?}");
    overflow(&namespace, Ipv6Addr::LOCALHOST.into());
    let reading = Instant::now();
    let (causes, failures) = causes.read(begun, BTreeSet::new);
    println!("{name}: {causes:?}, read in {:?}", reading.elapsed());
    assert!(failures.is_empty(), "{name}: {failures:?}");
    assert!(causes.udp.buffer_full >= nstat(&namespace, "Udp6RcvbufErrors"), "{name}");
}

#[test]
fn a_quota_costs_what_the_cgroup_says() {
    let name = "a_quota_costs_what_the_cgroup_says";
    if !tool::all_there(name, &[]) {
        return;
    }
    let quota = match Quota::new() {
        Ok(quota) => quota,
        Err(reason) => {
            println!("skipped: {name}: {reason}");
            return;
        }
    };
    let busy = Process::start(Command::new("sh").args(["-c", "while :; do :; done"]));
    quota.take_in(busy.id());
    let cgroup = fs::read_to_string(format!("/proc/{}/cgroup", busy.id())).unwrap();
    let mut throttles = Throttles::default();
    until(Duration::from_secs(20), "the quota to be used up", || quota.periods() > 2);
    assert!(throttles.observe(&BTreeSet::from([cgroup])).is_empty());
    let (lower, first) = (quota.periods(), quota.time());
    assert!(throttles.update().is_empty());
    assert_eq!(throttles.sum(), Throttling::default(), "{name}: it counts from here on");
    let upper = quota.periods();
    until(Duration::from_secs(20), "the quota to be used up again", || quota.periods() > upper + 5);
    drop(busy);
    // Nobody is left to be held back, so the figures stand still.
    let last = (quota.periods(), quota.time());
    assert!(throttles.update().is_empty());
    let sum = throttles.sum();
    println!("{name}: ours {sum:?}; {lower} to {upper}, then {last:?}");
    assert!((last.0 - upper..=last.0 - lower).contains(&sum.periods), "{name}");
    assert!(sum.time > Duration::ZERO && sum.time <= last.1 - first, "{name}: {sum:?}");
    // The cgroup goes, and what it had cost stays.
    drop(quota);
    assert!(throttles.update().is_empty());
    assert_eq!(throttles.sum(), sum, "{name}");
}

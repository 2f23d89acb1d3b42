//! The probes: which program stands behind which metrics.

/// A program and the metrics that need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// As `observer.probe.up` names it.
    pub name: &'static str,
    /// The programs in the object that do it, the best first: of each kernel the first
    /// that it accepts.
    pub programs: &'static [&'static str],
    /// The hook.
    pub hook: Hook,
    /// Instruments that are absent without it, or an attribute that is less often known.
    pub metrics: &'static [&'static str],
}

/// Where a program attaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Packets received, at the root of the cgroup hierarchy.
    CgroupIngress,
    /// Packets sent, at the root of the cgroup hierarchy.
    CgroupEgress,
    /// TCP life-cycle callbacks, at the root of the cgroup hierarchy.
    SockOps,
    /// Sockets as they are made, at the root of the cgroup hierarchy.
    SockCreate,
    /// Sockets as they are closed, at the root of the cgroup hierarchy.
    SockRelease,
}

impl Hook {
    /// The kernel's name for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CgroupIngress => "cgroup_skb/ingress",
            Self::CgroupEgress => "cgroup_skb/egress",
            Self::SockOps => "sock_ops",
            Self::SockCreate => "cgroup/sock_create",
            Self::SockRelease => "cgroup/sock_release",
        }
    }
}

/// Every probe, in the order in which they attach.
pub const PROBES: [Probe; 5] = [
    Probe {
        name: "ingress",
        programs: &["ingress", "ingress_locked"],
        hook: Hook::CgroupIngress,
        metrics: &[
            "observer.voice.flows{receive}",
            "observer.voice.packets{receive}",
            "observer.voice.lost_packets{receive}",
            "observer.voice.duplicate_packets{receive}",
            "observer.voice.reordered_packets{receive}",
            "observer.voice.io{receive}",
            "observer.voice.jitter{receive}",
            "observer.voice.loss.ratio{receive}",
            "observer.voice.late.ratio{receive}",
            "observer.voice.burst.ratio{receive}",
            "observer.voice.mos",
            "observer.voice.interruptions{receive}",
            "observer.voice.rtt",
            "observer.voice.stall.duration",
            "observer.voice.setup.duration",
        ],
    },
    Probe {
        name: "egress",
        programs: &["egress", "egress_locked"],
        hook: Hook::CgroupEgress,
        metrics: &[
            "observer.voice.flows{transmit}",
            "observer.voice.packets{transmit}",
            "observer.voice.lost_packets{transmit}",
            "observer.voice.duplicate_packets{transmit}",
            "observer.voice.reordered_packets{transmit}",
            "observer.voice.io{transmit}",
            "observer.voice.jitter{transmit}",
            "observer.voice.loss.ratio{transmit}",
            "observer.voice.late.ratio{transmit}",
            "observer.voice.burst.ratio{transmit}",
            "observer.voice.mos{transmit}",
            "observer.voice.hop.delay",
            "observer.voice.interruptions{transmit}",
            "observer.voice.rtt",
            "observer.voice.stall.duration",
            "observer.voice.setup.duration",
            "observer.tcp.rtt",
            "observer.tcp.retransmissions",
            "observer.tcp.io",
        ],
    },
    Probe {
        name: "lifecycle",
        programs: &["lifecycle"],
        hook: Hook::SockOps,
        metrics: &[
            "observer.tcp.connections",
            "observer.tcp.connect.duration",
            "observer.tcp.accept.duration",
            "observer.tcp.closes",
        ],
    },
    Probe {
        name: "socket_create",
        programs: &["socket_create"],
        hook: Hook::SockCreate,
        metrics: &["service.name{short-lived processes}"],
    },
    Probe {
        name: "socket_release",
        programs: &["socket_release"],
        hook: Hook::SockRelease,
        metrics: &["service.name{accepted sockets that soon close}"],
    },
];

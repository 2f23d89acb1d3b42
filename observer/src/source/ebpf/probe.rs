//! The probes: which program stands behind which metrics.

/// A program and the metrics that need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// As `observer.probe.up` names it.
    pub name: &'static str,
    /// The program in the object.
    pub program: &'static str,
    /// The hook.
    pub hook: Hook,
    /// Instruments that are absent without it.
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
}

impl Hook {
    /// The kernel's name for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CgroupIngress => "cgroup_skb/ingress",
            Self::CgroupEgress => "cgroup_skb/egress",
            Self::SockOps => "sock_ops",
        }
    }
}

/// Every probe, in the order in which they attach.
pub const PROBES: [Probe; 3] = [
    Probe {
        name: "ingress",
        program: "ingress",
        hook: Hook::CgroupIngress,
        metrics: &[
            "observer.voice.flows{receive}",
            "observer.voice.packets{receive}",
            "observer.voice.lost_packets{receive}",
            "observer.voice.duplicate_packets{receive}",
            "observer.voice.reordered_packets{receive}",
            "observer.voice.io{receive}",
            "observer.voice.jitter{receive}",
        ],
    },
    Probe {
        name: "egress",
        program: "egress",
        hook: Hook::CgroupEgress,
        metrics: &[
            "observer.voice.flows{transmit}",
            "observer.voice.packets{transmit}",
            "observer.voice.io{transmit}",
            "observer.tcp.rtt",
            "observer.tcp.retransmissions",
            "observer.tcp.io",
        ],
    },
    Probe {
        name: "lifecycle",
        program: "lifecycle",
        hook: Hook::SockOps,
        metrics: &[
            "observer.tcp.connections",
            "observer.tcp.connect.duration",
            "observer.tcp.accept.duration",
        ],
    },
];

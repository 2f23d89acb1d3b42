//! Every instrument: the one place where a metric has its name, unit, attributes,
//! boundaries and meaning. `docs/metrics.md` is made from this.

pub mod path;
mod voice;

pub use voice::{
    VOICE_BURST_RATIO, VOICE_DUPLICATES, VOICE_FLOWS, VOICE_HOP_DELAY, VOICE_INTERRUPTIONS,
    VOICE_IO, VOICE_JITTER, VOICE_LATE_RATIO, VOICE_LOSS_RATIO, VOICE_LOST, VOICE_MOS,
    VOICE_PACKETS, VOICE_REORDERED,
};

/// How figures of an instrument add up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A sum that only grows.
    Counter,
    /// A sum that grows and shrinks.
    UpDownCounter,
    /// What is at a moment.
    Gauge,
    /// A distribution, with the upper bounds of its buckets.
    Histogram(&'static [f64]),
}

/// An attribute, and all the values it can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// `OpenTelemetry` name.
    pub name: &'static str,
    /// The values, in words.
    pub values: &'static str,
}

/// One instrument.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Instrument {
    /// `OpenTelemetry` name.
    pub name: &'static str,
    /// How its figures add up.
    pub kind: Kind,
    /// Unit in UCUM, as `OpenTelemetry` writes it: `s`, `By`, `1`, or a noun in braces.
    pub unit: &'static str,
    /// What tells its series apart.
    pub attributes: &'static [Attribute],
    /// What it counts.
    pub meaning: &'static str,
}

impl Instrument {
    /// The Prometheus name, by `OpenTelemetry`'s translation: dots become underscores, the
    /// unit is spelled out, counters end in `_total` and gauges of unit 1 in `_ratio`.
    #[must_use]
    pub fn prometheus_name(&self) -> String {
        let mut name = underscored(self.name);
        let unit = match (self.unit, self.kind) {
            ("s", _) => "_seconds",
            ("By", _) => "_bytes",
            ("1", Kind::Gauge) => "_ratio",
            _ => "",
        };
        name.push_str(unit);
        if self.kind == Kind::Counter {
            name.push_str("_total");
        }
        name
    }

    /// The Prometheus names of its attributes, but of the service, which each service's
    /// registry adds.
    #[must_use]
    pub fn labels(&self) -> Vec<String> {
        let own = self.attributes.iter().filter(|attribute| **attribute != SERVICE);
        own.map(Attribute::label).collect()
    }
}

impl Attribute {
    /// Its Prometheus name.
    #[must_use]
    pub fn label(&self) -> String {
        underscored(self.name)
    }
}

fn underscored(name: &str) -> String {
    name.replace('.', "_")
}

/// Boundaries of durations on a network, in s, chosen to be even on a logarithmic scale
/// from 10 µs, as on loopback, to 10 s. Among them are 150 and 400 ms, up to which
/// ITU-T G.114 finds a one-way delay good and bearable.
const LATENCY: &[f64] = &[
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.02,
    0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0,
];

/// Boundaries of the time that one reading takes, in s: even on a logarithmic scale from
/// 100 µs, for a table that is empty, to 10 s, the longest usual interval.
const READING: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0,
    2.5, 5.0, 10.0,
];

/// Which service a figure is of. In OTLP it is an attribute of the resource.
pub const SERVICE: Attribute = Attribute {
    name: "service.name",
    values: "of whom it is: what a rule of `targets` says, or the environment, unit, container or name of the process; `unknown_service` where no process is known, `overflow` beyond `max_services`",
};
const DIRECTION: Attribute = Attribute {
    name: "network.io.direction",
    values: "`receive` or `transmit`, as the observed process sees it",
};
const ROLE: Attribute = Attribute {
    name: "tcp.role",
    values: "`client`, `server`, or `unknown` for a connection older than the observer",
};
const OUTCOME: Attribute =
    Attribute { name: "outcome", values: "`success`, `refused` or `timeout`" };
const REASON: Attribute = Attribute {
    name: "reason",
    values: "`fin_sent`, `fin_received`, `reset_received`, `reset_sent`, `timeout`, `refused` or `connect_timeout`",
};
const STAGE: Attribute =
    Attribute { name: "stage", values: "where it was lost: see the ledger in the architecture" };
const WHY: Attribute =
    Attribute { name: "reason", values: "why it was lost: see the ledger in the architecture" };
const PROBE: Attribute = Attribute {
    name: "probe",
    values: "`ingress`, `egress`, `lifecycle`, `socket_create` or `socket_release`",
};
const MAP: Attribute = Attribute { name: "map", values: "`flows` or `sockets`" };
const UDP_REASON: Attribute =
    Attribute { name: "reason", values: "`buffer_full`, `checksum`, `memory` or `other`" };
const LISTEN_REASON: Attribute = Attribute {
    name: "reason",
    values: "`queue_full`, when the application accepts too slowly, or `other`",
};
const MODE: Attribute = Attribute { name: "cpu.mode", values: "`user` or `system`" };

/// Connections that stand.
pub const TCP_CONNECTIONS: Instrument = Instrument {
    name: "observer.tcp.connections",
    kind: Kind::UpDownCounter,
    unit: "{connection}",
    attributes: &[SERVICE, ROLE],
    meaning: "TCP connections that are established",
};
/// Connecting.
pub const TCP_CONNECT: Instrument = Instrument {
    name: "observer.tcp.connect.duration",
    kind: Kind::Histogram(LATENCY),
    unit: "s",
    attributes: &[SERVICE, OUTCOME],
    meaning: "From the call of connect to the end of the handshake",
};
/// Accepting.
pub const TCP_ACCEPT: Instrument = Instrument {
    name: "observer.tcp.accept.duration",
    kind: Kind::Histogram(LATENCY),
    unit: "s",
    attributes: &[SERVICE, OUTCOME],
    meaning: "From the SYN that came in to the end of the handshake; always a success",
};
/// Round trips.
pub const TCP_RTT: Instrument = Instrument {
    name: "observer.tcp.rtt",
    kind: Kind::Histogram(LATENCY),
    unit: "s",
    attributes: &[SERVICE],
    meaning: "Smoothed round trip (RFC 6298), a point per interval and connection with new acknowledgements",
};
/// Segments sent again.
pub const TCP_RETRANSMISSIONS: Instrument = Instrument {
    name: "observer.tcp.retransmissions",
    kind: Kind::Counter,
    unit: "{segment}",
    attributes: &[SERVICE],
    meaning: "TCP segments sent again",
};
/// Ends.
pub const TCP_CLOSES: Instrument = Instrument {
    name: "observer.tcp.closes",
    kind: Kind::Counter,
    unit: "{connection}",
    attributes: &[SERVICE, ROLE, REASON],
    meaning: "TCP connections and attempts that ended",
};
/// Bytes of TCP.
pub const TCP_IO: Instrument = Instrument {
    name: "observer.tcp.io",
    kind: Kind::Counter,
    unit: "By",
    attributes: &[SERVICE, DIRECTION],
    meaning: "Bytes received, and bytes sent and acknowledged",
};
/// Datagrams that came to the host and not to a process.
pub const UDP_RECEIVE_ERRORS: Instrument = Instrument {
    name: "observer.host.udp.receive.errors",
    kind: Kind::Counter,
    unit: "{packet}",
    attributes: &[UDP_REASON],
    meaning: "Received datagrams that the host gave up, in any network namespace",
};
/// Datagrams that no device got.
pub const UDP_SEND_ERRORS: Instrument = Instrument {
    name: "observer.host.udp.send.errors",
    kind: Kind::Counter,
    unit: "{packet}",
    attributes: &[],
    meaning: "Datagrams that were not sent for want of buffer or memory, in any network namespace",
};
/// Connection attempts that nobody took.
pub const LISTEN_DROPS: Instrument = Instrument {
    name: "observer.host.tcp.listen.drops",
    kind: Kind::Counter,
    unit: "{connection}",
    attributes: &[LISTEN_REASON],
    meaning: "Segments of handshakes that a listener gave up, in any network namespace; a client tries again",
};
/// Packets beyond the backlog.
pub const SOFTNET_DROPS: Instrument = Instrument {
    name: "observer.host.softnet.drops",
    kind: Kind::Counter,
    unit: "{packet}",
    attributes: &[],
    meaning: "Received packets for which a CPU's backlog had no room (net.core.netdev_max_backlog)",
};
/// Packets that waited.
pub const SOFTNET_SQUEEZES: Instrument = Instrument {
    name: "observer.host.softnet.squeezes",
    kind: Kind::Counter,
    unit: "{squeeze}",
    attributes: &[],
    meaning: "Times that a CPU stopped with received packets left (net.core.netdev_budget, netdev_budget_usecs)",
};
/// How long quotas held cgroups back.
pub const THROTTLED_TIME: Instrument = Instrument {
    name: "observer.cgroup.cpu.throttled.time",
    kind: Kind::Counter,
    unit: "s",
    attributes: &[],
    meaning: "Time for which CPU quotas held back observed cgroups, added up over CPUs",
};
/// How often quotas held cgroups back.
pub const THROTTLED_PERIODS: Instrument = Instrument {
    name: "observer.cgroup.cpu.throttled.periods",
    kind: Kind::Counter,
    unit: "{period}",
    attributes: &[],
    meaning: "Periods of CPU quotas in which an observed cgroup was held back",
};
/// The ledger.
pub const EVENTS_LOST: Instrument = Instrument {
    name: "observer.events.lost",
    kind: Kind::Counter,
    unit: "{event}",
    attributes: &[STAGE, WHY],
    meaning: "What could not be counted, by where and why",
};
/// How whole the figures are.
pub const COMPLETENESS: Instrument = Instrument {
    name: "observer.completeness",
    kind: Kind::Gauge,
    unit: "1",
    attributes: &[],
    meaning: "Share of what was to be counted that was",
};
/// Whether a probe is attached.
pub const PROBE_UP: Instrument = Instrument {
    name: "observer.probe.up",
    kind: Kind::Gauge,
    unit: "{probe}",
    attributes: &[PROBE],
    meaning: "1 where a probe is attached, else 0",
};
/// How often a program ran.
pub const PROBE_RUNS: Instrument = Instrument {
    name: "observer.probe.runs",
    kind: Kind::Counter,
    unit: "{run}",
    attributes: &[PROBE],
    meaning: "Runs of a probe's program, while the kernel counts them (sysctl kernel.bpf_stats_enabled)",
};
/// How long a program ran.
pub const PROBE_TIME: Instrument = Instrument {
    name: "observer.probe.time",
    kind: Kind::Counter,
    unit: "s",
    attributes: &[PROBE],
    meaning: "Time in a probe's program, while the kernel counts it; counting adds some 50 ns to a run",
};
/// How long a reading takes.
pub const READING_DURATION: Instrument = Instrument {
    name: "observer.reading.duration",
    kind: Kind::Histogram(READING),
    unit: "s",
    attributes: &[],
    meaning: "From the first look into the kernel's maps to the last figure, once an interval",
};
/// What is in a map.
pub const MAP_ENTRIES: Instrument = Instrument {
    name: "observer.map.entries",
    kind: Kind::UpDownCounter,
    unit: "{entry}",
    attributes: &[MAP],
    meaning: "Entries of a kernel map at the last reading",
};
/// What a map has room for.
pub const MAP_LIMIT: Instrument = Instrument {
    name: "observer.map.limit",
    kind: Kind::UpDownCounter,
    unit: "{entry}",
    attributes: &[MAP],
    meaning: "Entries that a kernel map has room for: max_flows, max_connections",
};
/// The observer's own CPU time.
pub const PROCESS_CPU: Instrument = Instrument {
    name: "process.cpu.time",
    kind: Kind::Counter,
    unit: "s",
    attributes: &[MODE],
    meaning: "CPU time of the observer itself; its programs run in the time of whoever sends or receives",
};
/// The observer's own memory.
pub const PROCESS_MEMORY: Instrument = Instrument {
    name: "process.memory.usage",
    kind: Kind::UpDownCounter,
    unit: "By",
    attributes: &[],
    meaning: "Physical memory of the observer itself, without its kernel maps",
};
/// The observer's own descriptors.
pub const PROCESS_DESCRIPTORS: Instrument = Instrument {
    name: "process.open_file_descriptor.count",
    kind: Kind::UpDownCounter,
    unit: "{file_descriptor}",
    attributes: &[],
    meaning: "Open file descriptors of the observer itself",
};

/// Every instrument, in the order in which people read them.
pub const ALL: [&Instrument; 41] = [
    &VOICE_FLOWS,
    &VOICE_PACKETS,
    &VOICE_LOST,
    &VOICE_DUPLICATES,
    &VOICE_REORDERED,
    &VOICE_IO,
    &VOICE_JITTER,
    &VOICE_LOSS_RATIO,
    &VOICE_LATE_RATIO,
    &VOICE_BURST_RATIO,
    &VOICE_MOS,
    &VOICE_HOP_DELAY,
    &VOICE_INTERRUPTIONS,
    &path::VOICE_RTT,
    &path::VOICE_STALL,
    &path::VOICE_SETUP,
    &TCP_CONNECTIONS,
    &TCP_CONNECT,
    &TCP_ACCEPT,
    &TCP_RTT,
    &TCP_RETRANSMISSIONS,
    &TCP_CLOSES,
    &TCP_IO,
    &UDP_RECEIVE_ERRORS,
    &UDP_SEND_ERRORS,
    &LISTEN_DROPS,
    &SOFTNET_DROPS,
    &SOFTNET_SQUEEZES,
    &THROTTLED_TIME,
    &THROTTLED_PERIODS,
    &EVENTS_LOST,
    &COMPLETENESS,
    &PROBE_UP,
    &PROBE_RUNS,
    &PROBE_TIME,
    &READING_DURATION,
    &MAP_ENTRIES,
    &MAP_LIMIT,
    &PROCESS_CPU,
    &PROCESS_MEMORY,
    &PROCESS_DESCRIPTORS,
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_follow_the_translation() {
        assert_eq!(VOICE_LOST.prometheus_name(), "observer_voice_lost_packets_total");
        assert_eq!(VOICE_IO.prometheus_name(), "observer_voice_io_bytes_total");
        assert_eq!(VOICE_JITTER.prometheus_name(), "observer_voice_jitter_seconds");
        assert_eq!(VOICE_LOSS_RATIO.prometheus_name(), "observer_voice_loss_ratio");
        assert_eq!(COMPLETENESS.prometheus_name(), "observer_completeness_ratio");
        assert_eq!(PROBE_UP.prometheus_name(), "observer_probe_up");
        assert_eq!(TCP_CLOSES.labels(), ["tcp_role", "reason"]);
    }

    #[test]
    fn names_are_distinct_and_boundaries_rise() {
        let names: HashSet<_> = ALL.iter().map(|one| one.prometheus_name()).collect();
        assert_eq!(names.len(), ALL.len());
        for one in ALL {
            if let Kind::Histogram(bounds) = one.kind {
                assert!(bounds.is_sorted_by(|low, high| low < high), "{}", one.name);
            }
        }
    }
}

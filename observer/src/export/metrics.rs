//! The instruments, as Prometheus exposes them. Names follow from the `OpenTelemetry`
//! names by the specification's translation: dots become underscores, the unit is
//! spelled out, counters end in `_total`.

use prometheus::{
    Encoder as _, Gauge, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::{
    ledger::Ledger,
    model::{Connection, Direction, Role, VoiceFlow},
    track::{connections::ConnectionInterval, voice::VoiceInterval},
};

/// Boundaries of durations on a network, in s: from 10 µs on loopback to 10 s.
const LATENCY: &[f64] = &[
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.02,
    0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0,
];

/// Boundaries of jitter, in s. 5 and 30 ms are what operators alert on.
const JITTER: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.003, 0.005, 0.007_5, 0.01, 0.015, 0.02, 0.03, 0.05,
    0.1, 0.2, 0.5,
];

/// Boundaries of shares. 5 and 10 % are what operators alert on.
const RATIO: &[f64] =
    &[0.0, 0.001, 0.002_5, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.3, 0.5, 1.0];

/// Every instrument, and the registry that exposes them.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    voice_flows: IntGaugeVec,
    voice_packets: IntCounterVec,
    voice_lost: IntCounterVec,
    voice_duplicates: IntCounterVec,
    voice_reordered: IntCounterVec,
    voice_io: IntCounterVec,
    voice_jitter: HistogramVec,
    voice_loss_ratio: HistogramVec,
    tcp_connections: IntGaugeVec,
    tcp_connect: HistogramVec,
    tcp_accept: HistogramVec,
    tcp_rtt: HistogramVec,
    tcp_retransmissions: IntCounterVec,
    tcp_closes: IntCounterVec,
    tcp_io: IntCounterVec,
    events_lost: IntCounterVec,
    completeness: Gauge,
    probe_up: IntGaugeVec,
}

impl Metrics {
    /// Registers every instrument.
    ///
    /// # Errors
    /// When two instruments have one name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let direction: &[&str] = &["network_io_direction"];
        let voice: &[&str] = &["network_io_direction", "voice_media"];
        let make = Maker { registry: Registry::new() };
        Ok(Self {
            voice_flows: make.gauge(
                "observer_voice_flows",
                "Voice flows that are not silent",
                &["network_io_direction", "voice_codec", "voice_media"],
            )?,
            voice_packets: make.counter(
                "observer_voice_packets_total",
                "RTP packets that came",
                voice,
            )?,
            voice_lost: make.counter(
                "observer_voice_lost_packets_total",
                "RTP packets that the sequence numbers call for and that did not come",
                voice,
            )?,
            voice_duplicates: make.counter(
                "observer_voice_duplicate_packets_total",
                "RTP packets that came again",
                voice,
            )?,
            voice_reordered: make.counter(
                "observer_voice_reordered_packets_total",
                "RTP packets that came after a later one",
                voice,
            )?,
            voice_io: make.counter(
                "observer_voice_io_bytes_total",
                "RTP headers and payloads",
                direction,
            )?,
            voice_jitter: make.histogram(
                "observer_voice_jitter_seconds",
                "Interarrival jitter (RFC 3550), a point per flow and interval",
                direction,
                JITTER,
            )?,
            voice_loss_ratio: make.histogram(
                "observer_voice_loss_ratio",
                "Share of the expected RTP packets that did not come, a point per flow and interval",
                direction,
                RATIO,
            )?,
            tcp_connections: make.gauge(
                "observer_tcp_connections",
                "TCP connections that are established",
                &["tcp_role"],
            )?,
            tcp_connect: make.histogram(
                "observer_tcp_connect_duration_seconds",
                "From the call of connect to the end of the handshake",
                &["outcome"],
                LATENCY,
            )?,
            tcp_accept: make.histogram(
                "observer_tcp_accept_duration_seconds",
                "From the SYN that came in to the end of the handshake",
                &["outcome"],
                LATENCY,
            )?,
            tcp_rtt: make.histogram(
                "observer_tcp_rtt_seconds",
                "Smoothed round trip (RFC 6298), a point per interval and connection with new acknowledgements",
                &[],
                LATENCY,
            )?,
            tcp_retransmissions: make.counter(
                "observer_tcp_retransmissions_total",
                "TCP segments sent again",
                &[],
            )?,
            tcp_closes: make.counter(
                "observer_tcp_closes_total",
                "TCP connections and attempts that ended",
                &["tcp_role", "reason"],
            )?,
            tcp_io: make.counter(
                "observer_tcp_io_bytes_total",
                "Bytes received, and bytes sent and acknowledged",
                direction,
            )?,
            events_lost: make.counter(
                "observer_events_lost_total",
                "What could not be counted, by where and why",
                &["stage", "reason"],
            )?,
            completeness: make.register(Gauge::new(
                "observer_completeness_ratio",
                "Share of what was to be counted that was",
            )?)?,
            probe_up: make.gauge("observer_probe_up", "1 where a probe is attached", &["probe"])?,
            registry: make.registry,
        })
    }

    /// Takes in what happened to voice flows, and the flows that there are.
    pub fn voice<'a>(&self, interval: &VoiceInterval, flows: impl Iterator<Item = &'a VoiceFlow>) {
        for ((direction, media), counts) in &interval.counts {
            let labels = [direction.as_str(), media];
            self.voice_packets.with_label_values(&labels).inc_by(counts.packets);
            self.voice_lost.with_label_values(&labels).inc_by(counts.lost);
            self.voice_duplicates.with_label_values(&labels).inc_by(counts.duplicates);
            self.voice_reordered.with_label_values(&labels).inc_by(counts.reordered);
            self.voice_io.with_label_values(&[direction.as_str()]).inc_by(counts.bytes);
        }
        for point in &interval.points {
            let labels = [point.direction.as_str()];
            self.voice_jitter.with_label_values(&labels).observe(point.jitter.as_secs_f64());
            self.voice_loss_ratio.with_label_values(&labels).observe(point.loss_ratio);
        }
        self.voice_flows.reset();
        for flow in flows {
            let labels = [flow.key.direction.as_str(), flow.codec(), flow.media()];
            self.voice_flows.with_label_values(&labels).inc();
        }
    }

    /// Takes in what happened to connections.
    pub fn tcp(&self, interval: &ConnectionInterval) {
        for (role, outcome, duration) in &interval.handshakes {
            let histogram =
                if *role == Role::Server { &self.tcp_accept } else { &self.tcp_connect };
            histogram.with_label_values(&[outcome.as_str()]).observe(duration.as_secs_f64());
        }
        let rtt = self.tcp_rtt.with_label_values::<&str>(&[]);
        for round_trip in &interval.round_trips {
            rtt.observe(round_trip.as_secs_f64());
        }
        self.tcp_retransmissions.with_label_values::<&str>(&[]).inc_by(interval.retransmits);
        let io = |direction: Direction| self.tcp_io.with_label_values(&[direction.as_str()]);
        io(Direction::Receive).inc_by(interval.bytes_received);
        io(Direction::Transmit).inc_by(interval.bytes_acked);
        for closed in &interval.closed {
            if let Some(reason) = closed.close_reason {
                let labels = [closed.role.as_str(), reason.as_str()];
                self.tcp_closes.with_label_values(&labels).inc();
            }
        }
    }

    /// Takes in the connections that carry data.
    pub fn tcp_open<'a>(&self, open: impl Iterator<Item = &'a Connection>) {
        self.tcp_connections.reset();
        for connection in open {
            self.tcp_connections.with_label_values(&[connection.role.as_str()]).inc();
        }
    }

    /// Takes in the ledger.
    pub fn ledger(&self, ledger: &Ledger) {
        for ((stage, reason), count) in ledger.losses() {
            let counter = self.events_lost.with_label_values(&[stage, reason]);
            counter.inc_by(count.saturating_sub(counter.get()));
        }
        self.completeness.set(ledger.completeness());
    }

    /// Says whether a probe is attached.
    pub fn probe(&self, name: &str, up: bool) {
        self.probe_up.with_label_values(&[name]).set(up.into());
    }

    /// The text exposition format.
    ///
    /// # Errors
    /// When an instrument cannot be encoded.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

struct Maker {
    registry: Registry,
}

impl Maker {
    fn register<C>(&self, collector: C) -> Result<C, prometheus::Error>
    where
        C: prometheus::core::Collector + Clone + 'static,
    {
        self.registry.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counter(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, prometheus::Error> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntGaugeVec, prometheus::Error> {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn histogram(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> Result<HistogramVec, prometheus::Error> {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.register(HistogramVec::new(opts, labels)?)
    }
}

//! The instruments, as Prometheus exposes them. Names follow from the `OpenTelemetry`
//! names by the specification's translation: dots become underscores, the unit is
//! spelled out, counters end in `_total`.

use std::{collections::BTreeMap, iter, ops::RangeInclusive};

use prometheus::{
    Encoder as _, Gauge, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::{
    ledger::Ledger,
    model::{CloseReason, Connection, Direction, Role, VoiceFlow, codec, media},
    track::{
        connections::{ConnectionInterval, Outcome},
        voice::VoiceInterval,
    },
};

/// Boundaries of durations on a network, in s, chosen to be even on a logarithmic scale
/// from 10 µs, as on loopback, to 10 s. Among them are 150 and 400 ms, up to which
/// ITU-T G.114 finds a one-way delay good and bearable.
const LATENCY: &[f64] = &[
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.02,
    0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0,
];

/// Boundaries of jitter, in s, chosen likewise. Among them is 50 ms, the bound of delay
/// variation in classes 0 and 1 of ITU-T Y.1541.
const JITTER: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.003, 0.005, 0.007_5, 0.01, 0.015, 0.02, 0.03, 0.05,
    0.1, 0.2, 0.5,
];

/// Boundaries of shares, chosen likewise. Among them are 0.1 %, the bound of loss in
/// classes 0 to 4 of ITU-T Y.1541, and 3 %, that of a conversation in ITU-T G.1010.
const RATIO: &[f64] =
    &[0.0, 0.001, 0.002_5, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.3, 0.5, 1.0];

const DIRECTIONS: [Direction; 2] = [Direction::Receive, Direction::Transmit];
/// All that seven bits can say (RFC 3550 section 5.1).
const PAYLOAD_TYPES: RangeInclusive<u8> = 0..=127;
const MEDIA: [&str; 3] = ["audio", "video", "unknown"];
const ROLES: [Role; 3] = [Role::Client, Role::Server, Role::Unknown];
const OUTCOMES: [Outcome; 3] = [Outcome::Success, Outcome::Refused, Outcome::Timeout];
/// How an established connection ends.
const ENDS: [CloseReason; 5] = [
    CloseReason::FinSent,
    CloseReason::FinReceived,
    CloseReason::ResetReceived,
    CloseReason::ResetSent,
    CloseReason::Timeout,
];
/// How an attempt to connect ends otherwise.
const FAILURES: [CloseReason; 2] = [CloseReason::Refused, CloseReason::ConnectTimeout];

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
        let metrics = Self {
            voice_flows: make.gauge(
                "observer_voice_flows",
                "Voice flows with a packet within flow_idle_timeout",
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
        };
        metrics.begin();
        Ok(metrics)
    }

    /// Makes every series that may come, so that its first event is an increase.
    fn begin(&self) {
        for direction in DIRECTIONS.map(Direction::as_str) {
            for media in MEDIA {
                for counter in [
                    &self.voice_packets,
                    &self.voice_lost,
                    &self.voice_duplicates,
                    &self.voice_reordered,
                ] {
                    counter.with_label_values(&[direction, media]);
                }
            }
            self.voice_io.with_label_values(&[direction]);
            self.voice_jitter.with_label_values(&[direction]);
            self.voice_loss_ratio.with_label_values(&[direction]);
            self.tcp_io.with_label_values(&[direction]);
        }
        for outcome in OUTCOMES {
            self.tcp_connect.with_label_values(&[outcome.as_str()]);
        }
        self.tcp_accept.with_label_values(&[Outcome::Success.as_str()]);
        self.tcp_rtt.with_label_values::<&str>(&[]);
        self.tcp_retransmissions.with_label_values::<&str>(&[]);
        for role in ROLES {
            let failures: &[CloseReason] = if role == Role::Client { &FAILURES } else { &[] };
            for reason in ENDS.iter().chain(failures) {
                self.tcp_closes.with_label_values(&[role.as_str(), reason.as_str()]);
            }
        }
        self.completeness.set(1.0);
        self.voice_flows(iter::empty());
        self.tcp_open(iter::empty());
    }

    /// Takes in what happened to voice flows.
    pub fn voice(&self, interval: &VoiceInterval) {
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
    }

    /// Takes in the voice flows that there are.
    pub fn voice_flows<'a>(&self, flows: impl Iterator<Item = &'a VoiceFlow>) {
        let labels = |direction: Direction, payload_type| {
            [direction.as_str(), codec(payload_type), media(payload_type)]
        };
        let mut counts: BTreeMap<_, _> = DIRECTIONS
            .into_iter()
            .flat_map(|direction| PAYLOAD_TYPES.map(move |one| (labels(direction, one), 0)))
            .collect();
        for flow in flows {
            *counts.entry(labels(flow.key.direction, flow.main_payload_type)).or_default() += 1;
        }
        for (labels, count) in counts {
            self.voice_flows.with_label_values(&labels).set(count);
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
        let mut counts = BTreeMap::from(ROLES.map(|role| (role, 0)));
        for connection in open {
            *counts.entry(connection.role).or_default() += 1;
        }
        for (role, count) in counts {
            self.tcp_connections.with_label_values(&[role.as_str()]).set(count);
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

#[cfg(test)]
mod tests {
    use observer_common::rtp::{Header, flow::Flow};

    use super::*;
    use crate::model::{SocketCookie, VoiceKey};

    fn flow(payload_type: u8) -> VoiceFlow {
        let header = Header { payload_type, marker: false, sequence: 0, timestamp: 0, ssrc: 1 };
        let key = VoiceKey {
            socket: SocketCookie(1),
            peer: "10.0.0.2:4000".parse().unwrap(),
            ssrc: 1,
            direction: Direction::Receive,
        };
        VoiceFlow::new(key, "10.0.0.1:4000".parse().unwrap(), Flow::new(&header, 172, 1))
    }

    #[test]
    fn series_are_there_before_their_first_event() {
        let text = Metrics::new().unwrap().text().unwrap();
        for series in [
            "observer_tcp_connect_duration_seconds_count{outcome=\"refused\"} 0",
            "observer_tcp_closes_total{reason=\"connect_timeout\",tcp_role=\"client\"} 0",
            "observer_tcp_connections{tcp_role=\"server\"} 0",
            "observer_tcp_retransmissions_total 0",
            "observer_voice_lost_packets_total{network_io_direction=\"receive\",voice_media=\"unknown\"} 0",
            "observer_completeness_ratio 1",
        ] {
            assert!(text.lines().any(|line| line == series), "no {series} in {text}");
        }
        assert!(!text.contains("reason=\"refused\",tcp_role=\"server\""));
    }

    #[test]
    fn a_gauge_goes_to_zero_and_no_series_comes_or_goes() {
        let metrics = Metrics::new().unwrap();
        let series = |text: &str| text.lines().count();
        let before = metrics.text().unwrap();
        let pcma = "{network_io_direction=\"receive\",voice_codec=\"pcma\",voice_media=\"audio\"}";
        for flows in [vec![flow(8), flow(8), flow(111)], Vec::new()] {
            metrics.voice_flows(flows.iter());
            let text = metrics.text().unwrap();
            let count = flows.len().saturating_sub(1);
            assert!(text.contains(&format!("observer_voice_flows{pcma} {count}\n")), "{text}");
            assert_eq!(series(&text), series(&before));
        }
    }
}

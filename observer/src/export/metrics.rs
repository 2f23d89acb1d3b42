//! The instruments, as Prometheus exposes them.

use std::{collections::BTreeMap, iter, ops::RangeInclusive, time::Duration};

use prometheus::{
    CounterVec, Encoder as _, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec,
    Opts, Registry, TextEncoder,
    core::{Collector, GenericCounter, GenericCounterVec},
};

use crate::{
    ledger::Ledger,
    model::{
        CloseReason, Connection, Direction, MapFill, ProbeCost, ProcessUsage, Role, VoiceFlow,
        codec, media,
    },
    track::{
        connections::{ConnectionInterval, Outcome},
        voice::VoiceInterval,
    },
};

use super::instruments::{self as of, Instrument, Kind};

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
    completeness: GaugeVec,
    probe_up: IntGaugeVec,
    probe_runs: IntCounterVec,
    probe_time: CounterVec,
    reading: HistogramVec,
    map_entries: IntGaugeVec,
    map_limit: IntGaugeVec,
    process_cpu: CounterVec,
    process_memory: IntGaugeVec,
    process_descriptors: IntGaugeVec,
}

impl Metrics {
    /// Registers every instrument.
    ///
    /// # Errors
    /// When two instruments have one name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let make = Maker { registry: Registry::new() };
        let metrics = Self {
            voice_flows: make.gauge(&of::VOICE_FLOWS)?,
            voice_packets: make.counter(&of::VOICE_PACKETS)?,
            voice_lost: make.counter(&of::VOICE_LOST)?,
            voice_duplicates: make.counter(&of::VOICE_DUPLICATES)?,
            voice_reordered: make.counter(&of::VOICE_REORDERED)?,
            voice_io: make.counter(&of::VOICE_IO)?,
            voice_jitter: make.histogram(&of::VOICE_JITTER)?,
            voice_loss_ratio: make.histogram(&of::VOICE_LOSS_RATIO)?,
            tcp_connections: make.gauge(&of::TCP_CONNECTIONS)?,
            tcp_connect: make.histogram(&of::TCP_CONNECT)?,
            tcp_accept: make.histogram(&of::TCP_ACCEPT)?,
            tcp_rtt: make.histogram(&of::TCP_RTT)?,
            tcp_retransmissions: make.counter(&of::TCP_RETRANSMISSIONS)?,
            tcp_closes: make.counter(&of::TCP_CLOSES)?,
            tcp_io: make.counter(&of::TCP_IO)?,
            events_lost: make.counter(&of::EVENTS_LOST)?,
            completeness: make.ratio(&of::COMPLETENESS)?,
            probe_up: make.gauge(&of::PROBE_UP)?,
            probe_runs: make.counter(&of::PROBE_RUNS)?,
            probe_time: make.seconds(&of::PROBE_TIME)?,
            reading: make.histogram(&of::READING_DURATION)?,
            map_entries: make.gauge(&of::MAP_ENTRIES)?,
            map_limit: make.gauge(&of::MAP_LIMIT)?,
            process_cpu: make.seconds(&of::PROCESS_CPU)?,
            process_memory: make.gauge(&of::PROCESS_MEMORY)?,
            process_descriptors: make.gauge(&of::PROCESS_DESCRIPTORS)?,
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
        self.completeness.with_label_values::<&str>(&[]).set(1.0);
        self.reading.with_label_values::<&str>(&[]);
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
            set(&self.events_lost, &[stage, reason], count);
        }
        self.completeness.with_label_values::<&str>(&[]).set(ledger.completeness());
    }

    /// Takes in what the programs cost, as far as the kernel counts it.
    pub fn probe_costs(&self, costs: &[ProbeCost]) {
        for cost in costs.iter().filter(|cost| cost.runs > 0) {
            set(&self.probe_runs, &[cost.probe], cost.runs);
            set(&self.probe_time, &[cost.probe], cost.time.as_secs_f64());
        }
    }

    /// Takes in how long a reading took.
    pub fn reading(&self, duration: Duration) {
        self.reading.with_label_values::<&str>(&[]).observe(duration.as_secs_f64());
    }

    /// Takes in how full a map is.
    pub fn map(&self, name: &str, fill: MapFill) {
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.map_entries.with_label_values(&[name]).set(number(fill.entries));
        self.map_limit.with_label_values(&[name]).set(number(fill.limit));
    }

    /// Takes in what the observer itself uses.
    pub fn process(&self, usage: &ProcessUsage) {
        set(&self.process_cpu, &["user"], usage.user.as_secs_f64());
        set(&self.process_cpu, &["system"], usage.system.as_secs_f64());
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.process_memory.with_label_values::<&str>(&[]).set(number(usage.memory_bytes));
        self.process_descriptors.with_label_values::<&str>(&[]).set(number(usage.descriptors));
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

/// Brings a counter to what somebody else has counted.
fn set<P>(counters: &GenericCounterVec<P>, labels: &[&str], to: P::T)
where
    P: prometheus::core::Atomic,
    P::T: PartialOrd + std::ops::Sub<Output = P::T>,
{
    let counter: GenericCounter<P> = counters.with_label_values(labels);
    let now = counter.get();
    if to > now {
        counter.inc_by(to - now);
    }
}

struct Maker {
    registry: Registry,
}

impl Maker {
    fn register<C>(&self, collector: C) -> Result<C, prometheus::Error>
    where
        C: Collector + Clone + 'static,
    {
        self.registry.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counter(&self, of: &Instrument) -> Result<IntCounterVec, prometheus::Error> {
        self.register(with_labels(of, IntCounterVec::new)?)
    }

    fn seconds(&self, of: &Instrument) -> Result<CounterVec, prometheus::Error> {
        self.register(with_labels(of, CounterVec::new)?)
    }

    fn gauge(&self, of: &Instrument) -> Result<IntGaugeVec, prometheus::Error> {
        self.register(with_labels(of, IntGaugeVec::new)?)
    }

    fn ratio(&self, of: &Instrument) -> Result<GaugeVec, prometheus::Error> {
        self.register(with_labels(of, GaugeVec::new)?)
    }

    fn histogram(&self, of: &Instrument) -> Result<HistogramVec, prometheus::Error> {
        let Kind::Histogram(bounds) = of.kind else {
            return Err(prometheus::Error::Msg(format!("{} has no boundaries", of.name)));
        };
        let options = HistogramOpts::new(of.prometheus_name(), of.meaning).buckets(bounds.to_vec());
        self.register(with_labels(of, |_, labels| HistogramVec::new(options, labels))?)
    }
}

fn with_labels<C>(
    of: &Instrument,
    make: impl FnOnce(Opts, &[&str]) -> Result<C, prometheus::Error>,
) -> Result<C, prometheus::Error> {
    let labels = of.labels();
    let labels: Vec<_> = labels.iter().map(String::as_str).collect();
    make(Opts::new(of.prometheus_name(), of.meaning), &labels)
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
    fn every_instrument_is_exposed() {
        let metrics = Metrics::new().unwrap();
        let second = Duration::from_secs(1);
        metrics.probe_costs(&[ProbeCost { probe: "ingress", runs: 3, time: second }]);
        metrics.probe("ingress", true);
        metrics.map("flows", MapFill { entries: 1, limit: 2 });
        metrics.process(&ProcessUsage {
            user: second,
            system: second,
            memory_bytes: 1,
            descriptors: 1,
        });
        let mut ledger = Ledger::default();
        ledger.add("voice", "read_failed", 1);
        metrics.ledger(&ledger);
        let text = metrics.text().unwrap();
        for one in of::ALL {
            let kind = match one.kind {
                Kind::Counter => "counter",
                Kind::UpDownCounter | Kind::Gauge => "gauge",
                Kind::Histogram(_) => "histogram",
            };
            let line = format!("# TYPE {} {kind}\n", one.prometheus_name());
            assert!(text.contains(&line), "no {line} in {text}");
        }
        assert_eq!(text.matches("# TYPE ").count(), of::ALL.len());
    }

    #[test]
    fn a_counter_of_somebody_else_never_goes_back() {
        let metrics = Metrics::new().unwrap();
        for runs in [3, 2, 7] {
            let time = Duration::from_millis(runs);
            metrics.probe_costs(&[ProbeCost { probe: "egress", runs, time }]);
        }
        let text = metrics.text().unwrap();
        assert!(text.contains("observer_probe_runs_total{probe=\"egress\"} 7\n"), "{text}");
        assert!(text.contains("observer_probe_time_seconds_total{probe=\"egress\"} 0.007\n"));
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

use observer_common::rtp::{Header, flow::Flow};

use std::{iter, time::Duration};

use super::*;
use crate::{
    export::instruments::{self as of, Kind},
    ledger::Ledger,
    model::{Direction, MapFill, ProbeCost, ProcessUsage, SocketCookie, VoiceFlow, VoiceKey},
};

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
    let mut metrics = Metrics::new().unwrap();
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
    metrics.voice_flows([("chat", flow(8).kind(), 1)].into_iter()).unwrap();
    metrics.tcp("chat", &ConnectionInterval::default()).unwrap();
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
    let mut metrics = Metrics::new().unwrap();
    metrics.voice("chat", &VoiceInterval::default()).unwrap();
    metrics.tcp("chat", &ConnectionInterval::default()).unwrap();
    let text = metrics.text().unwrap();
    for series in [
        "observer_tcp_connect_duration_seconds_count{outcome=\"refused\",service_name=\"chat\"} 0",
        "observer_tcp_closes_total{reason=\"connect_timeout\",tcp_role=\"client\",service_name=\"chat\"} 0",
        "observer_tcp_connections{tcp_role=\"server\",service_name=\"chat\"} 0",
        "observer_tcp_retransmissions_total{service_name=\"chat\"} 0",
        "observer_voice_lost_packets_total{network_io_direction=\"receive\",voice_media=\"unknown\",service_name=\"chat\"} 0",
        "observer_completeness_ratio 1",
    ] {
        assert!(text.lines().any(|line| line == series), "no {series} in {text}");
    }
    assert!(!text.contains("reason=\"refused\",tcp_role=\"server\""));
}

#[test]
fn a_gauge_goes_to_zero_and_stays() {
    let mut metrics = Metrics::new().unwrap();
    let pcma = "{network_io_direction=\"receive\",voice_codec=\"pcma\",voice_media=\"audio\"";
    for flows in [vec![flow(8), flow(8), flow(111)], Vec::new()] {
        metrics.voice_flows(flows.iter().map(|flow| ("sfu", flow.kind(), 1))).unwrap();
        let text = metrics.text().unwrap();
        let count = flows.len().saturating_sub(1);
        let line = format!("observer_voice_flows{pcma},service_name=\"sfu\"}} {count}\n");
        assert!(text.contains(&line), "{text}");
    }
    metrics.forget("sfu");
    assert!(!metrics.text().unwrap().contains("sfu"));
    metrics.voice_flows(iter::empty()).unwrap();
}

#[test]
fn services_share_one_description_of_each_instrument() {
    let mut metrics = Metrics::new().unwrap();
    for service in ["b", "a \"quoted\"\n"] {
        metrics.tcp(service, &ConnectionInterval::default()).unwrap();
    }
    let text = metrics.text().unwrap();
    assert_eq!(text.matches("# TYPE observer_tcp_io_bytes_total counter").count(), 1);
    assert_eq!(text.matches("observer_tcp_retransmissions_total{service_name=").count(), 2);
    assert!(text.contains("{service_name=\"a \\\"quoted\\\"\\n\"} 0"), "{text}");
}

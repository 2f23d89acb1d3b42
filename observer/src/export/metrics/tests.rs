use std::{iter, time::Duration};

use super::*;
use crate::{
    export::instruments::{self as of, Kind},
    ledger::Ledger,
    model::{Direction, MapFill, ProbeCost, ProcessUsage},
    quality::{
        codec::Codecs,
        delay::Source,
        emodel::{Equipment, Model, Path, Percent, Rating},
        score::{Score, Unknown, Vantage},
    },
    track::voice::{Point, Sound},
};

fn kind(payload_type: u8) -> VoiceKind {
    let traits = Codecs::default();
    let traits = traits.traits(payload_type);
    let media = traits.media.unwrap_or("unknown");
    VoiceKind { direction: Direction::Receive, codec: traits.label, media }
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
    metrics.voice_flows([("chat", kind(8), 1)].into_iter()).unwrap();
    metrics.tcp("chat", &ConnectionInterval::default()).unwrap();
    metrics.paths("chat", &PathInterval::default()).unwrap();
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
        "observer_voice_mos_count{network_io_direction=\"receive\",voice_delay=\"assumed\",voice_model=\"g107.2\",service_name=\"chat\"} 0",
        "observer_voice_late_ratio_count{network_io_direction=\"transmit\",voice_buffer=\"adaptive\",service_name=\"chat\"} 0",
        "observer_completeness_ratio 1",
    ] {
        assert!(text.lines().any(|line| line == series), "no {series} in {text}");
    }
    assert!(!text.contains("reason=\"refused\",tcp_role=\"server\""));
}

#[test]
fn a_score_says_of_which_model_it_is_and_how_its_delay_is_known() {
    let equipment = Equipment { model: Model::Wideband, ie: 13.0, bpl: 4.3 };
    let path = Path { delay: Duration::ZERO, loss: Percent::default(), burst_ratio: 1.0 };
    let score = Score {
        rating: Rating::new(&equipment, &path),
        equipment,
        path,
        delay_source: Source::Measured,
        vantage: Vantage::FarEnd,
    };
    let (late_ratios, burst_ratio) = (Some([0.5, 0.25, 0.0]), Some(1.0));
    let sound = |score| Sound { late_ratios, burst_ratio, score };
    let point = |score| Point {
        direction: Direction::Transmit,
        jitter: Duration::ZERO,
        loss_ratio: 0.0,
        sound: sound(score),
        hop_delay: Some(Duration::from_millis(2)),
    };
    let points = vec![point(Ok(score)), point(Err(Unknown::NotReported))];
    let mut metrics = Metrics::new().unwrap();
    metrics.voice("sfu", &VoiceInterval { points, ..VoiceInterval::default() }).unwrap();
    let text = metrics.text().unwrap();
    let of = "network_io_direction=\"transmit\"";
    for series in [
        format!(
            "mos_count{{{of},voice_delay=\"measured\",voice_model=\"g107.1\",service_name=\"sfu\"}} 1"
        ),
        format!(
            "mos_count{{{of},voice_delay=\"assumed\",voice_model=\"g107.1\",service_name=\"sfu\"}} 0"
        ),
        format!("late_ratio_sum{{{of},voice_buffer=\"fixed_50ms\",service_name=\"sfu\"}} 1"),
        format!("late_ratio_sum{{{of},voice_buffer=\"fixed_200ms\",service_name=\"sfu\"}} 0.5"),
        format!("burst_ratio_count{{{of},service_name=\"sfu\"}} 2"),
    ] {
        let series = format!("observer_voice_{series}");
        assert!(text.lines().any(|line| line == series), "no {series} in {text}");
    }
}

#[test]
fn a_gauge_goes_to_zero_and_stays() {
    let mut metrics = Metrics::new().unwrap();
    let pcma = "{network_io_direction=\"receive\",voice_codec=\"pcma\",voice_media=\"audio\"";
    for kinds in [vec![kind(8), kind(8), kind(111)], Vec::new()] {
        metrics.voice_flows(kinds.iter().map(|kind| ("sfu", *kind, 1))).unwrap();
        let text = metrics.text().unwrap();
        let count = kinds.len().saturating_sub(1);
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

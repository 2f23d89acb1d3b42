use observer_common::rtp::{Header, flow::Flow};
use serde_json::{Value, json};

use super::*;
use crate::model::{Direction, SocketCookie, VoiceKey};

fn flow() -> VoiceFlow {
    let packet = |sequence: u16| Header {
        payload_type: 8,
        marker: false,
        sequence,
        timestamp: u32::from(sequence) * 160,
        ssrc: 7,
    };
    let mut stream = Flow::new(&packet(0), 172, 0);
    stream.advance(&packet(1), 172, 20_000_000);
    stream.advance(&packet(3), 172, 60_000_000);
    let key = VoiceKey {
        socket: SocketCookie(1),
        peer: "10.0.0.1:5004".parse().unwrap(),
        ssrc: 7,
        direction: Direction::Receive,
    };
    VoiceFlow::new(key, "[::1]:6000".parse().unwrap(), stream)
}

/// Names and order of the keys are a contract with whoever reads them.
#[test]
fn keys_are_those_of_the_contract() {
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let voice =
        serde_json::to_string(&Voice::new(&flow(), At::Socket, &Assumptions::default())).unwrap();
    let order: Vec<_> = voice
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|key| voice.contains(&format!("\"{key}\":")))
        .collect();
    assert_eq!(
        order.join(","),
        "src,dst,ssrc,payload_type,clock_rate,codec,direction,transport,packets,expected,lost,loss_ratio,\
         duplicates,reordered,jitter_ms,jitter_mean_ms,jitter_max_ms,delta_max_ms,late,\
         fixed_50ms,fixed_200ms,adaptive,bursts,burst_loss_ratio,burst_density,gap_density,\
         interruptions,rtt_ms,hop_delay_ms,hop_delay_max_ms,moves,extensions,mos,mos_now,score,model,r,ie,\
         bpl,loss_percent,burst_ratio,delay_ms,delay,vantage,\
         no_score,duration_ms,path,service,process"
    );
    let snapshot = serde_json::to_value(Snapshot::default()).unwrap();
    assert_eq!(keys(&snapshot), ["ledger", "setups", "taken_at", "tcp", "voice", "websockets"]);
    assert_eq!(snapshot["taken_at"], Value::Null);
    assert_eq!(keys(&snapshot["ledger"]), ["completeness", "lost"]);
}

#[test]
fn unknown_is_null_and_never_zero() {
    let voice =
        serde_json::to_value(Voice::new(&flow(), At::Capture, &Assumptions::default())).unwrap();
    for key in ["direction", "rtt_ms", "mos_now", "no_score"] {
        assert_eq!(voice[key], Value::Null, "{key}");
    }
    assert_eq!(voice["ssrc"], json!(7));
    assert_eq!(voice["codec"], json!("pcma"));
    assert_eq!((&voice["lost"], &voice["loss_ratio"]), (&json!(1), &json!(0.25)));
    assert_eq!(voice["duration_ms"], json!(60.0));
    assert_eq!((&voice["src"], &voice["dst"]), (&json!("10.0.0.1:5004"), &json!("[::1]:6000")));
}

#[test]
fn a_stream_that_marks_every_packet_has_no_longest_gap() {
    let mut marked = flow();
    let packet = |sequence: u16| Header {
        payload_type: 8,
        marker: true,
        sequence,
        timestamp: u32::from(sequence) * 160,
        ssrc: 7,
    };
    marked.stream = Flow::new(&packet(0), 172, 0);
    marked.stream.advance(&packet(1), 172, 20_000_000);
    let voice = Voice::new(&marked, At::Socket, &Assumptions::default());
    assert_eq!((voice.delta_max_ms, voice.jitter_mean_ms), (None, None));
    assert_eq!(Voice::new(&flow(), At::Socket, &Assumptions::default()).delta_max_ms, Some(40.0));
}

#[test]
fn a_snapshot_reads_back() {
    let snapshot = Snapshot {
        taken_at: Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_250)),
        voice: vec![Voice::new(&flow(), At::Socket, &Assumptions::default())],
        ..Snapshot::default()
    };
    let text = serde_json::to_string(&snapshot).unwrap();
    assert!(text.starts_with(r#"{"taken_at":"1970-01-01T00:00:01.250"#), "{text}");
    assert_eq!(serde_json::from_str::<Snapshot>(&text).unwrap(), snapshot);
}

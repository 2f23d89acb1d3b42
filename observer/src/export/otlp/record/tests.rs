use std::collections::BTreeSet;

use observer_common::rtp::{Header, flow::Flow};
use prost::Message as _;

use super::{super::Environment, *};
use crate::model::{Direction, ServiceId, SocketCookie, VoiceKey};

/// A flow with a loss, a duplicate and a late packet.
fn record(peer: &str, local: &str, direction: Direction) -> Record {
    let packet = |sequence: u16| {
        let timestamp = u32::from(sequence) * 160;
        Header { payload_type: 8, marker: false, sequence, timestamp, ssrc: 0xfedc_ba98 }
    };
    let mut stream = Flow::new(&packet(10), 172, 5_000_000_000);
    for (at, sequence) in (1..).zip([11, 13, 13, 15, 14]) {
        stream.advance(&packet(sequence), 172, 5_000_000_000 + at * 20_000_000);
    }
    let key = VoiceKey {
        socket: SocketCookie(77),
        peer: peer.parse().unwrap(),
        ssrc: 0xfedc_ba98,
        direction,
    };
    let flow = VoiceFlow::new(key, local.parse().unwrap(), stream);
    let clock = WallClock::new(0, 1_700_000_000_000_000_000, 0);
    let assumptions = Arc::default();
    Record {
        flow,
        path: PathFigures::default(),
        service: None,
        assumptions,
        clock,
        has_ended: true,
    }
}

fn encoded(records: &[Record]) -> ExportTraceServiceRequest {
    let resource = Resource::new(&Environment::default(), None).unwrap();
    let mut next = 0;
    spans(records, &resource, || {
        next += 1;
        next
    })
}

fn only(request: &ExportTraceServiceRequest) -> &Span {
    let [resource] = &request.resource_spans[..] else { panic!("{request:?}") };
    let [scope] = &resource.scope_spans[..] else { panic!("{request:?}") };
    assert_eq!(scope.scope.as_ref().unwrap().name, "observer");
    let [span] = &scope.spans[..] else { panic!("{request:?}") };
    span
}

fn value(span: &Span, name: &str) -> Option<Value> {
    let found = span.attributes.iter().find(|one| one.key == name)?;
    found.value.as_ref()?.value.clone()
}

#[test]
fn a_flow_is_a_span_with_its_figures_and_its_time_on_the_wall() {
    let request = encoded(&[record("10.0.0.1:5004", "10.0.0.2:5004", Direction::Receive)]);
    let span = only(&request);
    assert_eq!((span.name.as_str(), span.kind), ("voice.flow", 1));
    assert_eq!(span.start_time_unix_nano, 1_700_000_005_000_000_000);
    assert_eq!(span.end_time_unix_nano, 1_700_000_005_100_000_000);
    assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
    let text = |text: &str| Some(Value::StringValue(text.to_owned()));
    for (name, expected) in [
        ("observer.voice.ended", Some(Value::BoolValue(true))),
        ("network.io.direction", text("receive")),
        ("voice.media", text("audio")),
        ("voice.codec", text("pcma")),
        ("rtp.payload_type", Some(Value::IntValue(8))),
        ("rtp.ssrc", Some(Value::IntValue(0xfedc_ba98))),
        ("socket.cookie", Some(Value::IntValue(77))),
        ("observer.voice.packets", Some(Value::IntValue(6))),
        ("observer.voice.expected_packets", Some(Value::IntValue(6))),
        ("observer.voice.lost_packets", Some(Value::IntValue(1))),
        ("observer.voice.duplicate_packets", Some(Value::IntValue(1))),
        ("observer.voice.reordered_packets", Some(Value::IntValue(1))),
        ("observer.voice.io", Some(Value::IntValue(6 * 172))),
        ("observer.voice.loss.ratio", Some(Value::DoubleValue(1.0 / 6.0))),
        ("observer.voice.delta_max", Some(Value::DoubleValue(0.02))),
        ("observer.voice.rtt", None),
    ] {
        assert_eq!(value(span, name), expected, "{name}");
    }
}

#[test]
fn what_is_not_known_is_absent_and_never_0() {
    let mut one = record("10.0.0.1:5004", "10.0.0.2:5004", Direction::Transmit);
    let header = Header { payload_type: 111, marker: false, sequence: 1, timestamp: 0, ssrc: 7 };
    one.flow = VoiceFlow::new(one.flow.key, one.flow.local, Flow::new(&header, 60, 0));
    one.has_ended = false;
    let request = encoded(&[one]);
    let span = only(&request);
    assert_eq!(value(span, "observer.voice.ended"), Some(Value::BoolValue(false)));
    for name in [
        "voice.media",
        "voice.codec",
        "observer.voice.jitter_mean",
        "observer.voice.jitter_max",
        "observer.voice.delta_max",
        "observer.voice.rtt",
    ] {
        assert_eq!(value(span, name), None, "{name}");
    }
    assert_eq!(value(span, "observer.voice.lost_packets"), Some(Value::IntValue(0)));
}

#[test]
fn each_service_has_a_resource_and_each_record_a_trace() {
    let one = record("10.0.0.1:5004", "10.0.0.2:5004", Direction::Receive);
    let of = |service: Option<&str>| Record {
        service: service.map(str::to_owned),
        flow: VoiceFlow { service: Some(ServiceId(9)), ..one.flow },
        ..one.clone()
    };
    let request = encoded(&[of(Some("sfu")), of(None), of(Some("pbx")), of(Some("sfu"))]);
    let names: Vec<_> = request
        .resource_spans
        .iter()
        .map(|resource| {
            let attributes = &resource.resource.as_ref().unwrap().attributes;
            let name = attributes.iter().find(|one| one.key == "service.name").unwrap();
            (name.value.clone().unwrap().value.unwrap(), resource.scope_spans[0].spans.len())
        })
        .collect();
    let named = |name: &str, spans| (Value::StringValue(name.to_owned()), spans);
    assert_eq!(names, [named("observer", 1), named("pbx", 1), named("sfu", 2)]);
    let spans = request.resource_spans.iter().flat_map(|one| &one.scope_spans[0].spans);
    let traces: BTreeSet<_> = spans.map(|span| (&span.trace_id, &span.span_id)).collect();
    assert_eq!(traces.len(), 4);
}

#[test]
fn numbers_of_spans_are_never_all_zeros() {
    let one = record("10.0.0.1:5004", "10.0.0.2:5004", Direction::Receive);
    let resource = Resource::new(&Environment::default(), None).unwrap();
    let request = spans(&[one], &resource, || 1 << 64);
    assert_eq!(only(&request).span_id, [0, 0, 0, 0, 0, 0, 0, 1]);
    let one = record("10.0.0.1:5004", "10.0.0.2:5004", Direction::Receive);
    assert_eq!(only(&spans(&[one], &resource, || 0)).trace_id[15], 1);
}

#[test]
fn no_address_is_sent_in_words_or_in_bytes() {
    for (peer, local) in [
        ("203.0.113.77:40123", "198.51.100.66:40124"),
        ("[2001:db8:77:66:55:44:33:22]:40123", "[2001:db8:11:22:33:44:55:66]:40124"),
    ] {
        for direction in [Direction::Receive, Direction::Transmit] {
            let one = record(peer, local, direction);
            let bytes = encoded(std::slice::from_ref(&one)).encode_to_vec();
            let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
            for end in [one.flow.key.peer, one.flow.local] {
                let text = end.to_string();
                let (address, port) = text.rsplit_once(':').unwrap();
                let address = address.trim_matches(['[', ']']);
                assert!(!has(address.as_bytes()) && !has(port.as_bytes()), "{text}");
                for word in end.words().iter().filter(|word| **word != 0) {
                    assert!(!has(&word.to_be_bytes()) && !has(&word.to_le_bytes()), "{text}");
                }
            }
        }
    }
}

#[test]
fn attributes_have_names_that_no_other_is_inside_of() {
    for one in ATTRIBUTES {
        let inside = ATTRIBUTES.iter().filter(|other| {
            other.name.strip_prefix(one.name).is_some_and(|rest| rest.starts_with('.'))
        });
        assert_eq!(inside.count(), 0, "{}", one.name);
        assert_eq!(ATTRIBUTES.iter().filter(|other| other.name == one.name).count(), 1);
    }
}

//! Records of voice flows on their way to collectors that are away, busy, picky or slow.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use observer::{
    export::otlp::{Client, Delivery, Protocol, Queue, Record, Resource, Settings, Signal},
    model::{Direction, PathFigures, SocketCookie, VoiceFlow, VoiceKey, WallClock},
};
use observer_common::rtp::{Header, flow::Flow};
use opentelemetry_proto::tonic::{common::v1::any_value::Value, trace::v1::Span};

use super::{
    collector::{Answer, Collector, Spans},
    exporting::{Exporting, PROTOCOLS, environment},
};

/// Records of one request, as the product has it.
const BATCH: usize = 512;

/// A record with this number, in its SSRC.
fn record(number: u32) -> Record {
    let header = Header { payload_type: 0, marker: false, sequence: 1, timestamp: 0, ssrc: number };
    let key = VoiceKey {
        socket: SocketCookie(1),
        peer: "127.0.0.1:5004".parse().unwrap(),
        ssrc: number,
        direction: Direction::Receive,
    };
    let flow = VoiceFlow::new(key, "127.0.0.1:5006".parse().unwrap(), Flow::new(&header, 172, 0));
    Record {
        flow,
        path: PathFigures::default(),
        assumptions: Arc::default(),
        service: None,
        clock: WallClock::new(0, 1 << 60, 0),
        has_ended: true,
    }
}

/// Losses by their reason: of a whole batch or at the end, and of spans.
#[derive(Clone, Default)]
struct Losses(Arc<[AtomicU64; 2]>);

impl Losses {
    fn get(&self) -> [u64; 2] {
        [0, 1].map(|at| self.0[at].load(Ordering::Relaxed))
    }
}

fn start(
    url: &str,
    protocol: Protocol,
    variables: &[(&str, &str)],
    queue: &Arc<Queue>,
    losses: &Losses,
) -> Exporting {
    let environment = environment(variables);
    let signal = Signal::Traces;
    let settings = Settings::new(signal, &url.parse().unwrap(), protocol, &environment).unwrap();
    let resource = Resource::new(&environment, Some("node")).unwrap();
    let delivery = Delivery::new(Client::new(settings), resource, Arc::clone(queue));
    let losses = losses.clone();
    let add_loss = move |(stage, reason): (&str, &str), count| {
        assert_eq!(stage, "otlp");
        let at = ["record_failed", "record_rejected"].iter().position(|one| *one == reason);
        losses.0[at.unwrap()].fetch_add(count, Ordering::Relaxed);
    };
    Exporting::running(async move |stop| delivery.run(add_loss, stop).await)
}

fn spans(received: &Spans) -> impl Iterator<Item = &Span> {
    let scopes = received.request.resource_spans.iter().flat_map(|one| &one.scope_spans);
    scopes.flat_map(|scope| &scope.spans)
}

/// The numbers of the records, as they came.
fn numbers(received: &Spans) -> Vec<u32> {
    let number = |span: &Span| {
        let ssrc = span.attributes.iter().find(|one| one.key == "rtp.ssrc").unwrap();
        match ssrc.value.as_ref().unwrap().value {
            Some(Value::IntValue(number)) => u32::try_from(number).unwrap(),
            ref other => panic!("{other:?}"),
        }
    };
    spans(received).map(number).collect()
}

/// All that come until there are as many.
#[track_caller]
fn arrived(collector: &Collector, count: usize) -> Vec<u32> {
    let mut all = Vec::new();
    while all.len() < count {
        all.extend(numbers(&collector.next_spans()));
    }
    all
}

/// A free port. Somebody else may take it in between.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_dead_collector_costs_bounded_memory_and_gets_what_waited_once() {
    const ROOM: usize = 1_000;
    for protocol in PROTOCOLS {
        let (queue, losses) = (Arc::new(Queue::new(ROOM)), Losses::default());
        let address = free();
        let exporting = start(&format!("http://{address}"), protocol, &[], &queue, &losses);
        let begun = Instant::now();
        let taken: Vec<_> = (0..100_000).filter(|number| queue.push(record(*number))).collect();
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(2), "who brings a record does not wait: {took:?}");
        assert!(queue.len() <= ROOM);
        assert!((ROOM..=ROOM + BATCH).contains(&taken.len()), "{}", taken.len());
        exporting.wait_for("does not take records of voice flows");
        let late: Vec<_> =
            (200_000..202_000).filter(|number| queue.push(record(*number))).collect();
        let collector = Collector::at(address, protocol, None);
        let expected = [taken, late].concat();
        assert_eq!(arrived(&collector, expected.len()), expected, "in order, each once");
        let log = exporting.stop();
        assert!(collector.rest_of_spans().is_empty());
        assert_eq!(losses.get(), [0, 0], "what waited is not lost");
        assert_eq!(log.len(), 2, "{log:#?}");
        assert!(log[1].contains("takes records of voice flows again"), "{log:#?}");
    }
}

#[test]
fn a_busy_collector_is_left_alone_and_gets_the_same_spans_again() {
    let wait = Duration::from_secs(1);
    for protocol in PROTOCOLS {
        let collector = Collector::start(protocol);
        collector.answer([Answer::Busy(wait), Answer::Busy(wait)]);
        let (queue, losses) = (Arc::new(Queue::new(10)), Losses::default());
        let exporting = start(&collector.url(), protocol, &[], &queue, &losses);
        assert!(queue.push(record(1)));
        let all = [(); 3].map(|()| collector.next_spans());
        for pair in all.windows(2) {
            let waited = pair[1].at - pair[0].at;
            assert!((wait..wait * 5).contains(&waited), "{waited:?}");
            assert_eq!(pair[0].request, pair[1].request, "with the numbers that they had");
        }
        exporting.stop();
        assert_eq!(losses.get(), [0, 0]);
    }
}

#[test]
fn what_is_refused_for_good_is_counted_and_the_next_is_sent() {
    for protocol in PROTOCOLS {
        let collector = Collector::start(protocol);
        collector.answer([Answer::Refused, Answer::Rejected(1, "not that one")]);
        let (queue, losses) = (Arc::new(Queue::new(10)), Losses::default());
        let exporting = start(&collector.url(), protocol, &[], &queue, &losses);
        (0..3).for_each(|number| assert!(queue.push(record(number))));
        assert_eq!(numbers(&collector.next_spans()), [0, 1, 2]);
        (3..5).for_each(|number| assert!(queue.push(record(number))));
        assert_eq!(numbers(&collector.next_spans()), [3, 4]);
        exporting.wait_for("leaves records of voice flows out: not that one");
        exporting.stop();
        assert_eq!(losses.get(), [3, 1]);
    }
}

#[test]
fn the_end_sends_all_that_waits_or_says_what_it_did_not() {
    for protocol in PROTOCOLS {
        let collector = Collector::start(protocol);
        let (queue, losses) = (Arc::new(Queue::new(5_000)), Losses::default());
        let exporting = start(&collector.url(), protocol, &[], &queue, &losses);
        let expected: Vec<_> = (0..5_000).collect();
        expected.iter().for_each(|number| assert!(queue.push(record(*number))));
        let log = exporting.stop();
        let mut all: Vec<_> = collector.rest_of_spans().iter().flat_map(numbers).collect();
        all.sort_unstable();
        assert_eq!(all, expected);
        assert_eq!(losses.get(), [0, 0], "{log:#?}");

        let exporting = start(&format!("http://{}", free()), protocol, &[], &queue, &losses);
        (0..600).for_each(|number| assert!(queue.push(record(number))));
        let begun = Instant::now();
        let log = exporting.stop();
        assert!(begun.elapsed() < Duration::from_secs(6));
        assert!(log.iter().any(|line| line.contains("left=600")), "{log:#?}");
        assert_eq!(losses.get(), [600, 0]);
    }
}

#[test]
fn records_have_variables_of_their_own() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-scope=metrics"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-scope=traces"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip"),
    ];
    for protocol in PROTOCOLS {
        let collector = Collector::start(protocol);
        let (queue, losses) = (Arc::new(Queue::new(10)), Losses::default());
        let exporting = start(&collector.url(), protocol, &variables, &queue, &losses);
        assert!(queue.push(record(1)));
        let received = collector.next_spans();
        assert_eq!(received.headers["x-scope"], "traces");
        let encoding =
            if protocol == Protocol::Grpc { "grpc-encoding" } else { "content-encoding" };
        assert_eq!(received.headers[encoding], "gzip");
        exporting.stop();
        assert_eq!(losses.get(), [0, 0]);
    }
}

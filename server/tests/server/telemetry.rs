//! What leaves the process, and what does not keep it from its work.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use hyper::Method;
use opentelemetry_proto::tonic::{metrics::v1::metric, trace::v1::Span};
use serde_json::{Value, json};
use vc_bot::{Gateway, Line, Login};
use vc_server::observability::contract::{
    ATTRIBUTES, Carrier, EVENTS, Kind, LOG_FIELDS, METRICS, REQUEST, RESOURCE, SPANS,
};

use crate::peers::{
    band::{community, connect, dm, listen, write},
    otlp::{Collector, Kept, attribute, attributes, exporting, hex, points},
    server::{Ended, PATIENCE, Server},
};
use crate::voice::{FRAME, HERE, LOUD, join, room};

/// A server that exports there.
fn exporting_to(collector: &Collector, more: &[(&str, &str)]) -> Server {
    let variables = collector.variables();
    let mut all: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    all.extend(more);
    Server::with(&all)
}

/// Has everything happen that the contract has a name for, but what needs a broken host.
async fn everything(server: &Server) {
    let api = server.api();
    let [ada, bob] = [server.user("ada").await, server.user("bob").await];
    for (path, body) in [
        ("login", json!({"username": "ada", "password": "wrong"})),
        ("refresh", json!({"refresh_token": ada.refresh_token})),
        ("refresh", json!({"refresh_token": ada.refresh_token})),
        ("register", json!({"username": "ada", "password": "a good password"})),
    ] {
        api.post(&format!("/api/v1/auth/{path}"), &body).await.unwrap();
    }
    let ada = server.api().log_in("ada", "a good password").await.unwrap();
    let (_, channel) = community(&[&ada, &bob]).await;
    let mut gateway = listen(server, &ada).await;
    write(&bob, channel, "by rest").await;
    let message = json!({"op": "send", "channel_id": channel, "content": "by gateway"});
    gateway.say(&message).await.unwrap();
    gateway.wait_for("ack").await.unwrap();
    for _ in 0..2 {
        gateway.wait_for("message.created").await.unwrap();
    }
    let (session, seen) = (gateway.session.clone().unwrap(), gateway.seen);
    drop(gateway);
    let mut gateway = connect(server, &ada).await;
    assert!(gateway.resume(&session, seen).await.unwrap());
    gateway.close().await.unwrap();
    let channel = dm(&ada, "bob").await;
    call(&ada, channel, "").await;
    call(&bob, channel, "/join").await;
    call(&ada, channel, "/leave").await;
    call(&bob, channel, "/leave").await;
    talk(server, &bob, &format!("00-{TRACE}-{PARENT}-01")).await;
    api.get("/nothing").await.unwrap();
}

/// Has somebody be in a voice room, by way of a trace of the caller's.
async fn talk(server: &Server, login: &Login, traceparent: &str) {
    let channel = room(&[login]).await;
    let mut gateway = listen(server, login).await;
    let (mut line, sdp) = Line::offer(HERE, 1).unwrap();
    let join =
        json!({"op": "voice_join", "channel_id": channel, "sdp": sdp, "traceparent": traceparent});
    gateway.say(&join).await.unwrap();
    let joined = gateway.wait_for("voice_joined").await.unwrap();
    line.answer(joined["sdp"].as_str().unwrap()).unwrap();
    assert!(line.connect(Instant::now() + PATIENCE).unwrap());
    gateway.wait_for("voice.joined").await.unwrap();
    line.speak(&FRAME, LOUD).unwrap();
    gateway.say(&json!({"op": "voice_leave"})).await.unwrap();
    gateway.wait_for("voice.left").await.unwrap();
    gateway.close().await.unwrap();
}

async fn call(login: &Login, channel: i64, what: &str) {
    let answer = login.api.act(&format!("/api/v1/dms/{channel}/call{what}")).await.unwrap();
    assert!(answer.status.is_success(), "{what}");
}

/// The contract's name of a span.
fn contract_name(span: &Span) -> String {
    match attribute(&span.attributes, "http.request.method") {
        None => span.name.clone(),
        Some(method) => {
            let route = attribute(&span.attributes, "http.route");
            let expected = route.map_or(method.clone(), |route| format!("{method} {route}"));
            assert_eq!(span.name, expected);
            REQUEST.to_owned()
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_what_the_contract_names_is_exported() {
    let collector = Collector::start().await;
    let server = exporting_to(
        &collector,
        &[("VC_ENVIRONMENT", "staging"), ("VC_JWT_SECRET", "0123456789abcdef0123456789abcdef")],
    );
    everything(&server).await;
    collector
        .until("the spans of it", |kept| kept.spans.iter().any(|span| span.name == "GET"))
        .await;
    // Once refused, for the counters of what is lost.
    collector.answer(Some(StatusCode::BAD_REQUEST));
    tokio::time::sleep(Duration::from_millis(700)).await;
    collector.answer(None);
    tokio::time::sleep(Duration::from_millis(700)).await;
    let Ended { status, lines, .. } = server.stop();
    assert!(status.success());
    let kept = collector.kept();

    let names: BTreeSet<_> = kept.spans.iter().map(contract_name).collect();
    assert_eq!(names, SPANS.iter().map(|span| span.name.to_owned()).collect());
    for span in &kept.spans {
        let known = SPANS.iter().find(|one| one.name == contract_name(span)).unwrap();
        for (name, _) in attributes(&span.attributes) {
            assert!(known.attributes.contains(&name.as_str()), "{}: {name}", span.name);
        }
        assert!(attribute(&span.attributes, "outcome").is_some(), "{}", span.name);
        assert!(span.events.is_empty() && span.trace_state.is_empty(), "{}", span.name);
    }
    for cookie in ["ws.connection_open", "ws.session"] {
        let spans = kept.spans.iter().filter(|span| span.name == cookie);
        let cookies: BTreeSet<_> =
            spans.map(|span| attribute(&span.attributes, "socket.cookie").unwrap()).collect();
        assert_eq!(cookies.len(), 3, "{cookie}: one for each connection");
    }

    let of = |name: &str| kept.spans.iter().find(|span| span.name == name).unwrap();
    let (join, session) = (of("voice.session_join"), of("voice.session"));
    assert_eq!(hex(&join.trace_id), TRACE, "the caller's trace goes on");
    assert_eq!(hex(&join.parent_span_id), PARENT);
    assert_eq!(session.parent_span_id, join.span_id);
    assert_eq!(join.end_time_unix_nano.abs_diff(session.start_time_unix_nano) / 1_000_000, 0);
    for span in [join, session] {
        let name = attribute(&span.attributes, "voice.ice_ufrag").unwrap();
        let (ours, theirs) = name.split_once(':').unwrap();
        assert!(ours.len() >= 4 && theirs.len() >= 4, "{name}");
        assert!(attribute(&span.attributes, "socket.cookie").unwrap().parse::<u64>().unwrap() > 0);
    }
    let names: BTreeSet<_> = kept.metrics.iter().map(|metric| metric.name.as_str()).collect();
    assert_eq!(names, METRICS.iter().map(|metric| metric.name).collect());
    let mut series = 0;
    for known in METRICS {
        let metric = kept.metric(known.name).unwrap();
        assert_eq!(metric.unit, known.unit, "{}", known.name);
        assert_eq!(metric.description, known.meaning);
        let kind = match (&metric.data, known.kind) {
            (Some(metric::Data::Sum(sum)), Kind::Counter) => sum.is_monotonic,
            (Some(metric::Data::Sum(sum)), Kind::UpDownCounter) => !sum.is_monotonic,
            (Some(metric::Data::Gauge(_)), Kind::Gauge) => true,
            (Some(metric::Data::Histogram(_)), Kind::Histogram(_)) => true,
            _ => false,
        };
        assert!(kind, "{}: {:?}", known.name, metric.data);
        for point in points(metric) {
            series += 1;
            for (name, _) in &point.attributes {
                assert!(known.attributes.contains(&name.as_str()), "{}: {name}", known.name);
            }
            if let Kind::Histogram(bounds) = known.kind {
                assert_eq!(point.bounds, bounds, "{}", known.name);
            }
        }
    }
    println!("{series} series");
    assert!(series < 700, "{series}");

    for resource in &kept.resources {
        let names: BTreeSet<_> = attributes(resource).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, RESOURCE.iter().map(|name| (*name).to_owned()).collect());
    }
    let one = &kept.resources[0];
    assert_eq!(attribute(one, "service.name").as_deref(), Some("vc-server"));
    assert_eq!(attribute(one, "deployment.environment.name").as_deref(), Some("staging"));
    assert_eq!(attribute(one, "service.version").as_deref(), Some(env!("CARGO_PKG_VERSION")));

    lines_are_of_the_contract(&lines);
    let seen: BTreeSet<_> = lines.iter().filter_map(|line| line["event"].as_str()).collect();
    // Nothing panics, no library complains, and nothing is the server's fault here.
    let unseen = ["server.panic", "server.error", "dependency"];
    let expected = EVENTS.iter().map(|event| event.name).filter(|name| !unseen.contains(name));
    assert_eq!(seen, expected.collect());
}

fn lines_are_of_the_contract(lines: &[Value]) {
    for line in lines {
        let known = EVENTS.iter().find(|event| line["event"] == event.name);
        let known = known.unwrap_or_else(|| panic!("{line}"));
        for (name, _) in line.as_object().unwrap() {
            let name = name.as_str();
            let is_known = LOG_FIELDS.contains(&name)
                || (known.fields.contains(&name) && Carrier::Logs.allows(name));
            assert!(is_known, "{name}: {line}");
        }
        for field in ["timestamp", "severity", "event", "outcome", "message"] {
            assert!(line[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_record_is_the_line_on_standard_output() {
    let collector = Collector::start().await;
    let server = exporting_to(&collector, &[]);
    server.user("ada").await;
    let ended = server.stop();
    let kept = collector.kept();
    let line = ended.lines.iter().find(|line| line["http.route"] == "/api/v1/auth/login").unwrap();
    let is_it = |record: &&opentelemetry_proto::tonic::logs::v1::LogRecord| {
        attribute(&record.attributes, "request_id").as_deref() == line["request_id"].as_str()
    };
    let record = kept.logs.iter().find(is_it).unwrap();
    assert_eq!(record.event_name, "http.request");
    assert_eq!(record.severity_text, line["severity"].as_str().unwrap());
    assert_eq!(hex(&record.trace_id), line["trace_id"].as_str().unwrap());
    assert_eq!(hex(&record.span_id), line["span_id"].as_str().unwrap());
    let span = kept.spans.iter().find(|span| span.span_id == record.span_id).unwrap();
    assert_eq!((span.name.as_str(), &span.trace_id), ("POST /api/v1/auth/login", &record.trace_id));
    for (name, value) in attributes(&record.attributes) {
        assert!(ATTRIBUTES.iter().any(|one| one.name == name && one.is_for(Carrier::Logs)));
        let shown = match &line[&name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        assert_eq!(value, shown, "{name}");
    }
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_s_trace_goes_on_over_http_and_over_the_gateway() {
    let collector = Collector::start().await;
    let server = exporting_to(&collector, &[("OTEL_TRACES_SAMPLER_ARG", "0")]);
    let [ada, bob] = [server.user("ada").await, server.user("bob").await];
    let (_, channel) = community(&[&ada, &bob]).await;
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let headers =
        [("traceparent", traceparent.as_str()), ("tracestate", "a=b"), ("baggage", "user=ada")];
    let path = format!("/api/v1/channels/{channel}/messages");
    let draft = json!({"content": "x"});
    ada.api.request(Method::POST, &path, Some(&draft), &headers).await.unwrap();
    let mut of_bob = listen(&server, &bob).await;
    let upgrade = format!("00-{TRACE}-{PARENT}-01");
    let mut of_ada =
        Gateway::connect(&server.host(), &ada.access_token, &[("traceparent", &upgrade)])
            .await
            .unwrap();
    of_ada.identify().await.unwrap();
    let message = json!({"op": "send", "channel_id": channel, "content": "y", "traceparent": traceparent, "baggage": "user=ada"});
    of_ada.say(&message).await.unwrap();
    let told = of_bob.wait_for("message.created").await.unwrap();
    // Not sampled, and by nobody's wish but the server's.
    of_ada.say(&json!({"op": "send", "channel_id": channel, "content": "z"})).await.unwrap();
    let other = of_bob.wait_for("message.created").await.unwrap();
    of_ada.close().await.unwrap();
    server.stop();
    let kept = collector.kept();
    // The ratio is 0: all that there is, is the caller's.
    assert!(kept.spans.iter().all(|span| hex(&span.trace_id) == TRACE), "nothing else is sampled");
    let named = |name: &str| kept.spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let root = named("POST /api/v1/channels/{channel_id}/messages")[0];
    assert_eq!(hex(&root.parent_span_id), PARENT);
    let sends = named("chat.message_send");
    assert_eq!(sends.len(), 2);
    let by = |via: &str| {
        let is_by =
            |span: &&&Span| attribute(&span.attributes, "vc.message.via").as_deref() == Some(via);
        *sends.iter().find(is_by).unwrap()
    };
    let (by_rest, by_gateway) = (by("rest"), by("gateway"));
    assert_eq!(by_rest.parent_span_id, root.span_id);
    assert_eq!(hex(&by_gateway.parent_span_id), PARENT);
    assert_eq!(told["traceparent"], format!("00-{TRACE}-{}-01", hex(&by_gateway.span_id)));
    assert!(!told.to_string().contains("baggage"), "that is between the sender and the server");
    assert!(other["traceparent"].as_str().unwrap().ends_with("-00"));
    for span in named("db.query") {
        assert!(kept.spans.iter().any(|one| one.span_id == span.parent_span_id), "it has a parent");
    }
    let session = named("ws.session")[0];
    let upgrade = named("GET /api/v1/gateway")[0];
    assert_eq!(session.parent_span_id, upgrade.span_id);
    assert_eq!(hex(&upgrade.parent_span_id), PARENT);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gauge_returns_to_zero_when_its_client_vanishes() {
    let collector = Collector::start().await;
    let server = exporting_to(&collector, &[("VC_RESUME_WINDOW", "0s"), ("VC_RING_TIMEOUT", "1s")]);
    let [ada, bob] = [server.user("ada").await, server.user("bob").await];
    let channel = dm(&ada, "bob").await;
    let mut sessions = [listen(&server, &ada).await, listen(&server, &bob).await];
    call(&ada, channel, "").await;
    call(&bob, channel, "/join").await;
    let line = join(&mut sessions[0], ada.user, channel, 1).await;
    let value = |kept: &Kept, name: &str| kept.points(name).first().map(|point| point.value);
    collector
        .until("connections and a call", |kept| {
            value(kept, "vc.gateway.connections") == Some(2.0)
                && value(kept, "vc.calls") == Some(1.0)
                && value(kept, "vc.voice.sessions") == Some(1.0)
        })
        .await;
    // Cut off, without a close.
    for session in &sessions {
        session.stream().set_zero_linger().unwrap();
    }
    drop(sessions);
    let kept = collector
        .until("none of them", |kept| {
            value(kept, "vc.gateway.connections") == Some(0.0)
                && value(kept, "vc.calls") == Some(0.0)
                && value(kept, "vc.voice.sessions") == Some(0.0)
        })
        .await;
    drop(line);
    assert_eq!(kept.sum("vc.gateway.closes", ("websocket.close.code", "none")), 2.0);
    // A request whose client goes away is over too.
    let active = kept.points("http.server.active_requests");
    assert!(active.iter().all(|point| point.value == 0.0), "{active:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_count_what_happened() {
    let collector = Collector::start().await;
    let server = exporting_to(&collector, &[]);
    everything(&server).await;
    server.stop();
    let kept = collector.kept();
    let by: BTreeMap<_, _> = [
        ("vc.auth.registrations", ("outcome", "success"), 2.0),
        ("vc.auth.registrations", ("outcome", "refused"), 1.0),
        ("vc.auth.logins", ("outcome", "success"), 3.0),
        ("vc.auth.logins", ("outcome", "refused"), 1.0),
        ("vc.auth.token_refreshes", ("outcome", "success"), 1.0),
        ("vc.auth.token_refreshes", ("outcome", "reused"), 1.0),
        ("vc.gateway.connects", ("vc.connect.kind", "first"), 2.0),
        ("vc.gateway.connects", ("vc.connect.kind", "reconnect"), 1.0),
        ("vc.gateway.resumes", ("outcome", "success"), 1.0),
        ("vc.gateway.closes", ("websocket.close.code", "1000"), 2.0),
        ("vc.gateway.closes", ("websocket.initiator", "client"), 3.0),
        ("vc.voice.joins", ("outcome", "success"), 1.0),
        ("vc.message.sends", ("vc.message.via", "rest"), 1.0),
        ("vc.message.sends", ("vc.message.via", "gateway"), 1.0),
        ("vc.call.joins", ("outcome", "joined"), 1.0),
        ("http.server.request.duration", ("http.response.status_code", "404"), 1.0),
        ("http.server.request.duration", ("http.route", "/api/v1/auth/login"), 4.0),
    ]
    .into_iter()
    .map(|(name, attribute, expected)| ((name, attribute), (expected, kept.sum(name, attribute))))
    .collect();
    let wrong: Vec<_> = by.iter().filter(|(_, (expected, found))| expected != found).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    let delivered: f64 =
        kept.points("vc.message.delivery.duration").iter().map(|one| one.value).sum();
    assert_eq!(delivered, 2.0, "two messages to one client");
}

/// How long requests take, in order.
async fn latencies(login: &Login, count: usize) -> Vec<Duration> {
    let mut all = Vec::new();
    for _ in 0..count {
        let begun = Instant::now();
        let answer = login.api.get("/api/v1/users/me").await.unwrap();
        assert_eq!(answer.status, StatusCode::OK);
        all.push(begun.elapsed());
    }
    all.sort_unstable();
    all
}

/// A port at which nobody answers to what is sent.
async fn black_hole() -> (String, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    (format!("http://{address}"), task)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_dead_slow_or_mad_is_no_trouble() {
    let (hole, _task) = black_hole().await;
    let mad = Collector::start().await;
    mad.answer(Some(StatusCode::IM_A_TEAPOT));
    let mad = mad.variables().into_iter().find(|(name, _)| name.ends_with("ENDPOINT")).unwrap().1;
    for (endpoint, protocol) in [
        ("http://127.0.0.1:9", "grpc"),
        ("http://127.0.0.1:9", "http/protobuf"),
        (hole.as_str(), "grpc"),
        (hole.as_str(), "http/protobuf"),
        // HTTP/1.1 where HTTP/2 is expected, too.
        (mad.as_str(), "grpc"),
        (mad.as_str(), "http/protobuf"),
    ] {
        let variables = exporting(endpoint, protocol);
        let mut variables: Vec<_> =
            variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        variables.push(("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"));
        let server = Server::with(&variables);
        let ada = server.user("ada").await;
        let all = latencies(&ada, 3_000).await;
        let [median, late] = [all[all.len() / 2], all[all.len() * 99 / 100]];
        let slowest = all[all.len() - 1];
        println!("{endpoint} by {protocol}: median {median:?}, 99th percentile {late:?}");
        // One that waited for the collector would wait for its time limit.
        assert!(slowest < Duration::from_secs(2), "{slowest:?}");
        assert!(
            median < Duration::from_millis(50) && late < Duration::from_millis(500),
            "{late:?}"
        );
        let begun = Instant::now();
        let ended = server.stop();
        let took = begun.elapsed();
        assert!(ended.status.success(), "{}", ended.errors);
        assert_eq!(ended.errors, "", "nothing panics");
        assert!(took < Duration::from_secs(20), "{took:?}");
        lines_are_of_the_contract(&ended.lines);
        if !endpoint.contains(&hole) {
            let told =
                ended.lines.iter().filter(|line| line["event"] == "telemetry.export").count();
            assert_eq!(told, 3, "once for each signal");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_is_counted() {
    let collector = Collector::start().await;
    let server = exporting_to(&collector, &[]);
    let ada = server.user("ada").await;
    collector.answer(Some(StatusCode::SERVICE_UNAVAILABLE));
    latencies(&ada, 200).await;
    let before = collector.kept().spans.len();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(collector.kept().spans.len(), before);
    // Refused for good, so that it is not tried again.
    collector.answer(Some(StatusCode::BAD_REQUEST));
    latencies(&ada, 200).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    collector.answer(None);
    let failed =
        |kept: &Kept, signal| kept.sum("vc.telemetry.exports_failed", ("vc.signal", signal));
    let kept = collector
        .until("failures of each signal", |kept| {
            ["traces", "metrics", "logs"].iter().all(|signal| failed(kept, signal) > 0.0)
        })
        .await;
    assert!(kept.sum("vc.telemetry.items_dropped", ("vc.signal", "traces")) > 100.0);
    assert!(kept.sum("vc.telemetry.items_dropped", ("reason", "export_failed")) > 100.0);
    let begun_again =
        |line: &Value| line["event"] == "telemetry.export" && line["outcome"] == "success";
    let mut server = server;
    server.wait_for_line("word that it is well again", begun_again);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_signal_can_be_off() {
    for off in ["TRACES", "METRICS", "LOGS"] {
        let collector = Collector::start().await;
        let variable = format!("OBSERVABILITY_{off}_ENABLED");
        let server = exporting_to(&collector, &[(&variable, "false")]);
        server.user("ada").await;
        let ended = server.stop();
        let kept = collector.kept();
        let is_there = [!kept.spans.is_empty(), !kept.metrics.is_empty(), !kept.logs.is_empty()];
        assert_eq!(is_there, [off != "TRACES", off != "METRICS", off != "LOGS"], "without {off}");
        let start = &ended.lines[0];
        let signals = start["signals"].as_str().unwrap();
        assert!(!signals.contains(&off.to_lowercase()) && signals.contains(','), "{start}");
        let line = ended.lines.iter().find(|line| line["event"] == "http.request").unwrap();
        assert!(line["trace_id"].is_string(), "log lines keep their ids: {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_exported_unless_it_is_asked_for() {
    let collector = Collector::start().await;
    let endpoint = collector.variables().remove(1).1;
    let server = Server::with(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
    ]);
    server.user("ada").await;
    let ended = server.stop();
    assert_eq!(collector.kept().text, "");
    assert_eq!(ended.lines[0]["otlp.endpoint"], "none");
}

//! What a real collector gets of the server, by each protocol.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::peers::{
    otelcol::{Item, Otelcol, Sample, Signal},
    otlp::exporting,
    server::Server,
    writer::Writer,
};

const PROTOCOLS: [&str; 2] = ["grpc", "http/protobuf"];

/// A caller's, who wants to be traced.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// Of a caller who does not.
const UNSAMPLED: &str = "0af7651916cd43dd8448eb211c80319c";

/// The threshold of the API's latency, in seconds.
const THRESHOLD: f64 = 0.25;

/// A server that exports there, with these variables besides.
fn server(collector: &Otelcol, protocol: &str, variables: &[(&'static str, &str)]) -> Server {
    let endpoint = collector.endpoint(protocol);
    let mut all = exporting(&endpoint, protocol);
    all.extend(variables.iter().map(|(name, value)| (*name, (*value).to_owned())));
    let all: Vec<_> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Server::with(&all)
}

fn of_trace<'a>(items: &'a [Item], trace: &str) -> Vec<&'a Item> {
    items.iter().filter(|item| item.text("traceId") == trace).collect()
}

fn of_event<'a>(lines: &'a [Value], event: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["event"] == event).collect()
}

/// What is there once the server has ended: all of it, or `server.stop` were not the last.
async fn logs_to_the_end(collector: &Otelcol) -> Vec<Item> {
    let is_last = |logs: &[Item]| logs.iter().any(|log| log.text("eventName") == "server.stop");
    collector.until("the last line", Signal::Logs, is_last).await
}

#[tokio::test]
async fn a_server_says_where_it_exports_to_and_everything_arrives() {
    for protocol in PROTOCOLS {
        let test = "a_server_says_where_it_exports_to_and_everything_arrives";
        let Some(collector) = Otelcol::start(test).await else { return };
        let ratio = [("OTEL_TRACES_SAMPLER_ARG", "0.5"), ("VC_ENVIRONMENT", "staging")];
        let server = server(&collector, protocol, &ratio);
        // Half of the traces: that none of 64 is kept happens to one run in 10^19.
        for _ in 0..64 {
            let answer = server.api().get("/readyz").await.unwrap();
            assert_eq!(answer.status, StatusCode::NO_CONTENT);
        }
        for signal in Signal::ALL {
            let what = format!("{signal:?} by {protocol}");
            let items = collector.until(&what, signal, |items| !items.is_empty()).await;
            let resource = &items[0].resource;
            let says = |name: &str| resource[name]["stringValue"].as_str().unwrap();
            assert_eq!(says("service.name"), "vc-server", "{what}");
            assert_eq!(says("service.version"), env!("CARGO_PKG_VERSION"), "{what}");
            assert_eq!(says("deployment.environment.name"), "staging", "{what}");
            assert_eq!(says("service.instance.id").len(), 36, "{what}");
            assert!(items.iter().all(|item| item.resource == *resource), "{what}: one server");
        }
        let ended = server.stop();
        assert!(ended.status.success(), "{protocol}: {:?}", ended.status);
        assert_eq!(ended.errors, "", "{protocol}: nobody prints but the log");
        let start = of_event(&ended.lines, "server.start");
        assert_eq!(start.len(), 1, "{protocol}: {start:#?}");
        assert_eq!(start[0]["otlp.endpoint"], collector.endpoint(protocol));
        assert_eq!(start[0]["otlp.protocol"], protocol);
        assert_eq!(start[0]["sampler"], "parentbased_traceidratio/0.5");
        assert_eq!(start[0]["signals"], "traces,metrics,logs");
        for event in ["server.panic", "server.error", "telemetry.export", "dependency"] {
            assert!(of_event(&ended.lines, event).is_empty(), "{protocol}: {:#?}", ended.lines);
        }
        let logs = logs_to_the_end(&collector).await;
        let told: Vec<_> = logs.iter().map(|log| log.text("eventName")).collect();
        let said: Vec<_> = ended.lines.iter().map(|it| it["event"].as_str().unwrap()).collect();
        assert_eq!(told, said, "{protocol}: every line, in its order");
        let traces = collector.items(Signal::Traces);
        let kept: BTreeSet<_> = traces.iter().map(|span| span.text("traceId")).collect();
        assert!(kept.len() < 64, "{protocol}: the sampler is the one that was announced");
        let metrics = collector.items(Signal::Metrics);
        let metrics: BTreeSet<_> = metrics.iter().map(|metric| metric.text("name")).collect();
        let (traces, logs, metrics) = (kept.len(), logs.len(), metrics.len());
        println!("{protocol}: {traces} of 64 traces, {logs} lines, {metrics} metrics");
    }
}

#[tokio::test]
async fn a_trace_goes_on_from_its_caller_down_to_the_database_and_the_log() {
    for protocol in PROTOCOLS {
        let test = "a_trace_goes_on_from_its_caller_down_to_the_database_and_the_log";
        let Some(collector) = Otelcol::start(test).await else { return };
        let server = server(&collector, protocol, &[]);
        let ada = server.user("ada").await;
        let band = json!({"name": "the band"});
        let ask = async |traceparent: String| {
            let headers = [
                ("traceparent", traceparent.as_str()),
                ("tracestate", "vendor=word-of-the-state"),
                ("baggage", "who=word-of-the-baggage"),
            ];
            let path = "/api/v1/communities";
            let answer = ada.api.request(Method::POST, path, Some(&band), &headers).await.unwrap();
            assert_eq!(answer.status, StatusCode::CREATED);
            answer.headers["x-request-id"].to_str().unwrap().to_owned()
        };
        let unsampled = ask(format!("00-{UNSAMPLED}-{CALLER}-00")).await;
        let id = ask(format!("00-{TRACE}-{CALLER}-01")).await;
        assert_ne!(id, unsampled);
        let lines = server.stop().lines;

        // Spans: the request's below the caller's, and all others below the request's.
        let has_root =
            |spans: &[Item]| spans.iter().any(|span| span.text("parentSpanId") == CALLER);
        let spans = collector.until("the request's span", Signal::Traces, has_root).await;
        assert!(of_trace(&spans, UNSAMPLED).is_empty(), "{protocol}: the caller did not want it");
        let trace = of_trace(&spans, TRACE);
        let (roots, below): (Vec<&Item>, Vec<&Item>) =
            trace.iter().partition(|span| span.text("parentSpanId") == CALLER);
        assert_eq!(roots.len(), 1, "{protocol}: {trace:#?}");
        let root = roots[0];
        assert_eq!(root.text("name"), "POST /api/v1/communities");
        assert_eq!(root.value["kind"], 2, "{protocol}: a server's");
        let attributes = root.attributes();
        assert_eq!(attributes["http.response.status_code"], json!({"intValue": "201"}));
        assert_eq!(attributes["http.route"], json!({"stringValue": "/api/v1/communities"}));
        assert!(!below.is_empty(), "{protocol}: there are operations on the database");
        for span in &below {
            assert_eq!(span.text("name"), "db.query", "{protocol}");
            assert_eq!(span.value["kind"], 3, "{protocol}: a client's");
            assert_eq!(span.text("parentSpanId"), root.text("spanId"), "{protocol}");
            assert_eq!(span.attributes()["db.system.name"], json!({"stringValue": "sqlite"}));
            // Its end may be later than the request's: the thread of the database leaves it last.
            let begun = span.text("startTimeUnixNano").parse::<u64>().unwrap();
            let [from, to] = ["startTimeUnixNano", "endTimeUnixNano"].map(|end| root.text(end));
            assert!((from.parse().unwrap()..=to.parse().unwrap()).contains(&begun), "{protocol}");
        }
        let logins = |span: &&Item| span.text("name") == "POST /api/v1/auth/login";
        let login = spans.iter().find(logins).expect("somebody logged in");
        assert_eq!(
            login.text("parentSpanId"),
            "",
            "{protocol}: a request without a caller's trace"
        );
        assert!(![TRACE, UNSAMPLED].contains(&login.text("traceId")), "{protocol}");

        // Lines: on standard output and over OTLP the same, under the ids of the span.
        let logs = logs_to_the_end(&collector).await;
        for (trace, id, flags) in [(TRACE, &id, 1), (UNSAMPLED, &unsampled, 0)] {
            let lines: Vec<_> = lines.iter().filter(|line| line["trace_id"] == trace).collect();
            let logs = of_trace(&logs, trace);
            assert_eq!(lines.len(), 1, "{protocol}: {lines:#?}");
            assert_eq!(logs.len(), 1, "{protocol}: {logs:#?}");
            let (line, log) = (lines[0], logs[0]);
            assert_eq!(line["event"], "http.request");
            assert_eq!(log.text("eventName"), "http.request");
            assert_eq!(line["request_id"], id.as_str(), "{protocol}: as it was answered");
            assert_eq!(log.attributes()["request_id"], json!({"stringValue": id}));
            assert_eq!(line["span_id"], log.text("spanId"), "{protocol}");
            assert_eq!(log.value["flags"].as_u64().unwrap_or_default(), flags, "{protocol}");
            if trace == TRACE {
                assert_eq!(line["span_id"], root.text("spanId"), "{protocol}");
            }
        }
        for signal in Signal::ALL {
            let text = collector.text(signal);
            assert!(!text.contains("word-of-the"), "{protocol}: a caller's words: {text}");
        }
        println!("{protocol}: one request's span, {} of the database, one line", below.len());
    }
}

/// A series of `http_server_request_duration_seconds`, without its status' own name for errors.
type Series = (String, String, String);

/// What the log says of requests: for each series all, those within the threshold, their time.
fn logged(lines: &[Value]) -> BTreeMap<Series, (f64, f64, f64)> {
    let mut all = BTreeMap::new();
    for line in of_event(lines, "http.request") {
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let status = line["http.response.status_code"].to_string();
        let key = (text("http.request.method"), text("http.route"), status);
        let seconds = line["duration_ms"].as_f64().unwrap() / 1_000.0;
        let (count, within, sum) = all.entry(key).or_insert((0.0, 0.0, 0.0));
        *count += 1.0;
        *within += f64::from(seconds <= THRESHOLD);
        *sum += seconds;
    }
    all
}

/// What Prometheus gets of them: the same, from a histogram.
fn scraped(samples: &[Sample]) -> BTreeMap<Series, (f64, f64, f64)> {
    let mut all = BTreeMap::new();
    for sample in samples {
        let Some(part) = sample.name.strip_prefix("http_server_request_duration_seconds_") else {
            continue;
        };
        let labels = ["http_request_method", "http_route", "http_response_status_code"];
        let [method, route, status] = labels.map(|name| sample.label(name).to_owned());
        let (count, within, sum) = all.entry((method, route, status)).or_insert((0.0, 0.0, 0.0));
        match part {
            "count" => *count = sample.value,
            "sum" => *sum = sample.value,
            _ if sample.label("le") == THRESHOLD.to_string() => *within = sample.value,
            _ => {}
        }
    }
    all
}

#[tokio::test]
async fn latency_and_errors_are_counted_where_prometheus_reads_them() {
    for protocol in PROTOCOLS {
        let test = "latency_and_errors_are_counted_where_prometheus_reads_them";
        let Some(collector) = Otelcol::start(test).await else { return };
        let mut server = server(&collector, protocol, &[]);
        let ada = server.user("ada").await;
        let wrong = json!({"username": "ada", "password": "a wrong password"});
        for _ in 0..2 {
            let refused = server.api().post("/api/v1/auth/login", &wrong).await.unwrap();
            assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        }
        for _ in 0..5 {
            assert_eq!(ada.api.get("/api/v1/communities").await.unwrap().status, StatusCode::OK);
        }
        // One that is slow, for it waits for somebody else.
        let writer = Writer::at(server.database()).await;
        let band = json!({"name": "the band"});
        let (made, ()) = tokio::join!(ada.api.post("/api/v1/communities", &band), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            writer.leave().await;
        });
        assert_eq!(made.unwrap().status, StatusCode::CREATED);

        // The log is the judge: it has every request, with its time. The last of them went
        // through a pipe while its answer went through a socket.
        let is_last = |line: &Value| {
            line["http.request.method"] == "POST" && line["http.route"] == "/api/v1/communities"
        };
        server.wait_for_line("the last request's line", is_last);
        let logged = logged(&server.lines());
        let total = |all: &BTreeMap<Series, (f64, f64, f64)>| -> f64 {
            all.values().map(|(count, ..)| count).sum()
        };
        assert_eq!(total(&logged), 10.0, "{protocol}: each request has its line: {logged:#?}");
        let is_there = |samples: &[Sample]| total(&scraped(samples)) == 10.0;
        let samples = collector.scrape_until("ten requests", is_there).await;
        let scraped = scraped(&samples);
        assert!(scraped.keys().eq(logged.keys()), "{protocol}: {scraped:#?}");
        for (series, (count, within, sum)) in &logged {
            let (has_count, has_within, has_sum) = scraped[series];
            assert_eq!((has_count, has_within), (*count, *within), "{protocol}: {series:?}");
            // A line has whole microseconds.
            assert!((has_sum - sum).abs() < 2e-6 * count, "{protocol}: {has_sum} is not {sum}");
        }
        let series = |method: &str, route: &str, status: &str| {
            scraped[&(method.to_owned(), route.to_owned(), status.to_owned())]
        };
        let slow = series("POST", "/api/v1/communities", "201");
        assert_eq!((slow.0, slow.1), (1.0, 0.0), "{protocol}: beyond the threshold");
        assert_eq!(series("POST", "/api/v1/auth/login", "401").0, 2.0, "{protocol}");
        let logins: BTreeMap<_, _> = samples
            .iter()
            .filter(|sample| sample.name == "vc_auth_logins_total")
            .map(|sample| (sample.label("outcome"), sample.value))
            .collect();
        assert_eq!(logins, [("refused", 2.0), ("success", 1.0)].into(), "{protocol}");
        let losses = ["vc_telemetry_exports_failed_total", "vc_telemetry_items_dropped_total"];
        let lost = samples.iter().filter(|sample| losses.contains(&sample.name.as_str()));
        let lost: Vec<_> = lost.map(|sample| sample.value).collect();
        assert_eq!(lost, [0.0; 12], "{protocol}: three signals, and three reasons for each");
        println!("{protocol}: {scraped:?} {logins:?}");
    }
}

/// Nothing is exported by itself while a test lasts.
const NEVER: [(&str, &str); 3] = [
    ("OTEL_METRIC_EXPORT_INTERVAL", "60000"),
    ("OTEL_BSP_SCHEDULE_DELAY", "60000"),
    ("OTEL_BLRP_SCHEDULE_DELAY", "60000"),
];

#[tokio::test]
async fn a_signal_ends_the_server_and_what_waited_is_exported() {
    for protocol in PROTOCOLS {
        for signal in ["TERM", "INT"] {
            let test = "a_signal_ends_the_server_and_what_waited_is_exported";
            let Some(collector) = Otelcol::start(test).await else { return };
            let server = server(&collector, protocol, &NEVER);
            let headers = [("traceparent", format!("00-{TRACE}-{CALLER}-01"))];
            let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
            let ready = server.api().request(Method::GET, "/readyz", None, &headers).await.unwrap();
            assert_eq!(ready.status, StatusCode::NO_CONTENT);
            for signal in Signal::ALL {
                assert_eq!(collector.text(signal), "", "{protocol}: it waits");
            }
            server.signal(signal);
            let begun = Instant::now();
            let ended = server.wait();
            let took = begun.elapsed();
            assert!(ended.status.success(), "{signal}: {:?} {}", ended.status, ended.errors);
            assert!(took < Duration::from_secs(10), "{signal}: it ends in {took:?}");
            all_arrived(&collector, "GET /readyz", 204.0).await;
            println!("{protocol}, SIG{signal}: all three signals arrive, it ends in {took:?}");
        }
    }
}

#[tokio::test]
async fn a_request_in_progress_at_the_end_is_answered_and_exported() {
    let test = "a_request_in_progress_at_the_end_is_answered_and_exported";
    let Some(collector) = Otelcol::start(test).await else { return };
    let server = server(&collector, "grpc", &NEVER);
    let ada = server.user("ada").await;
    let writer = Writer::at(server.database()).await;
    let (band, headers) = (json!({"name": "the band"}), format!("00-{TRACE}-{CALLER}-01"));
    let headers = [("traceparent", headers.as_str())];
    let request = ada.api.request(Method::POST, "/api/v1/communities", Some(&band), &headers);
    let (made, ended) = tokio::join!(request, async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.signal("TERM");
        tokio::time::sleep(Duration::from_millis(300)).await;
        writer.leave().await;
        tokio::task::spawn_blocking(|| server.wait()).await.unwrap()
    });
    assert_eq!(made.unwrap().status, StatusCode::CREATED);
    let stop = ended.lines.iter().position(|line| line["event"] == "server.stop");
    let done = ended.lines.iter().position(|line| line["trace_id"] == TRACE);
    assert!(stop.is_some() && stop < done, "it was in progress: {:#?}", ended.lines);
    assert!(ended.status.success(), "{:?} {}", ended.status, ended.errors);
    all_arrived(&collector, "POST /api/v1/communities", 201.0).await;
}

/// Of each signal there is what the last request left: its span, its line, its point.
async fn all_arrived(collector: &Otelcol, span: &str, status: f64) {
    let has_span = |spans: &[Item]| {
        spans.iter().any(|one| one.text("name") == span && one.text("parentSpanId") == CALLER)
    };
    collector.until("the last span", Signal::Traces, has_span).await;
    let logs = logs_to_the_end(collector).await;
    assert_eq!(of_trace(&logs, TRACE).len(), 1, "the request has its line");
    let has_point = |samples: &[Sample]| {
        samples.iter().any(|sample| {
            sample.name == "http_server_request_duration_seconds_count"
                && span.ends_with(sample.label("http_route"))
                && sample.label("http_response_status_code") == status.to_string()
                && sample.value == 1.0
        })
    };
    collector.scrape_until("the last point", has_point).await;
}

use std::{io, os::fd::AsRawFd as _};

use super::*;

fn parse_text(text: &str) -> Result<Settings, ConfigError> {
    let path = Path::new("observer.yaml");
    let (settings, lines) = configuration::parse_file(path, text, HINT)?;
    bounded(path, settings, lines).map(|(settings, _)| settings)
}

/// Without any variable of `OpenTelemetry`'s.
fn effective(cli: Settings, file: Settings) -> Result<Config, ConfigError> {
    super::effective(cli, file, Settings::default(), &Environment::default())
}

/// The configuration of a file.
pub(in super::super) fn from_text(text: &str) -> Config {
    effective(Settings::default(), parse_text(text).unwrap()).unwrap()
}

fn message(text: &str) -> String {
    match parse_text(text) {
        Ok(settings) => match effective(Settings::default(), settings) {
            Ok(config) => panic!("{config:?}"),
            Err(error) => error.to_string(),
        },
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_wrong_key_is_named_with_its_line_and_the_nearest_valid_one() {
    let text = "# comment\nlisten: 127.0.0.1:9000\nmax_flow: 10\n";
    let said = message(text);
    assert!(said.contains("observer.yaml, line 3"), "{said}");
    assert!(said.contains("`max_flow`") && said.contains("`max_flows`"), "{said}");
    assert!(!message("zzz: 1\n").contains("nearest"));
}

#[test]
fn a_wrong_value_is_named_with_its_line() {
    for (text, line) in [
        ("listen: nowhere\n", "line 1"),
        ("log: info\ninterval: soon\n", "line 2"),
        ("log: info\nmax_flows: many\n", "line 2"),
        ("log: info\n\nmax_flows: 0\n", "line 3"),
        ("log: info\notlp_endpoint: collector:4317\n", "line 2"),
        ("log: info\notlp_protocol: http/json\n", "line 2"),
        ("log: info\nvoice_codecs: {200: opus}\n", "line 2"),
        ("log: info\nvoice_codecs:\n  111: {codec: opus, ie: 200}\n", "line 3"),
        ("log: info\nvoice_jitter_buffer: 50ms\n", "line 2"),
        ("log: info\nvoice_assumed_delay: long\n", "line 2"),
    ] {
        let said = message(text);
        assert!(said.contains(line), "{text}: {said}");
    }
}

#[test]
fn a_password_is_not_repeated() {
    let said = message("log: info\notlp_endpoint: http://me:secret@collector:4317\n");
    assert!(said.contains("line 2") && said.contains("OTEL_EXPORTER_OTLP_HEADERS"), "{said}");
    assert!(!said.contains("secret"), "{said}");
}

#[test]
fn messages_are_for_those_who_write_the_file() {
    for text in [
        "interval: 1s\ninterval: 2s\n",
        "interval: 1s\n---\ninterval: 2s\n",
        "interval: [1s\n",
        "- interval\n",
        "interval:\n\t- 1\n",
        "listen: nowhere\n",
        "max_flows: many\n",
        "allow_remote: perhaps\n",
        "interval: soon\n",
        "log: *nothing\n",
        "voice_codecs: {200: opus}\n",
        "voice_codecs: {111: ''}\n",
        "voice_codecs: {111: {codec: opus, model: g711}}\n",
        "voice_codecs: {111: [opus]}\n",
        "voice_codecs: opus\n",
        "voice_jitter_buffer: 50ms\n",
        "just words\n",
    ] {
        let said = message(text);
        println!("{said}");
        for internal in ["Policy", "from_str", "serde", "struct", "Settings", "::", "u32"] {
            assert!(!said.contains(internal), "{internal}: {said}");
        }
        assert_eq!(said.matches("line ").count(), 1, "{said}");
    }
}

#[test]
fn what_is_idle_is_so_for_two_readings() {
    for text in [
        "flow_idle_timeout: 0s\n",
        "interval: 10s\nflow_idle_timeout: 19s\n",
        "connection_idle_timeout: 1s\n",
    ] {
        let said = message(text);
        assert!(said.contains("idle_timeout") && said.contains("two readings"), "{said}");
    }
    let settings = parse_text("interval: 10s\nflow_idle_timeout: 20s\n").unwrap();
    assert!(effective(Settings::default(), settings).is_ok());
    let hourly = effective(Settings::default(), parse_text("interval: 1h\n").unwrap()).unwrap();
    assert_eq!(hourly.connection_idle_timeout, Duration::from_secs(7_200));
}

#[test]
fn other_hosts_are_kept_out_unless_let_in() {
    assert!(message("listen: 0.0.0.0:9464\n").contains("allow_remote"));
    assert!(message("listen: '[::]:9464'\n").contains("allow_remote"));
    let settings = parse_text("listen: 0.0.0.0:9464\nallow_remote: true\n").unwrap();
    assert!(effective(Settings::default(), settings).is_ok());
}

#[test]
fn what_voice_is_scored_by_has_defaults_and_bounds() {
    assert_eq!(from_text("").voice, Assumptions::default());
    let voice = from_text(
        "voice_codecs: {111: opus}\nvoice_assumed_delay: 0s\nvoice_jitter_buffer: fixed_200ms\n",
    )
    .voice;
    assert_eq!(voice.codecs, yaml::<Codecs>("111: opus").unwrap());
    assert_eq!((voice.delay, voice.buffer), (Duration::ZERO, Buffer::Fixed200));
    let said = message("voice_silence_after: 999ms\n");
    assert!(said.contains("`voice_silence_after: 999ms`") && said.contains("1s"), "{said}");
    let said = message("interval: 10s\nvoice_one_way_after: 15s\n");
    assert!(said.contains("`voice_one_way_after: 15s`") && said.contains("20s"), "{said}");
    let said = message("voice_assumed_delay: 11s\n");
    assert!(said.contains("`voice_assumed_delay: 11s`") && said.contains("10s"), "{said}");
    let said = message("voice_codecs: {111: {codec: silk, ie: 5}}\n");
    assert!(said.contains("`silk`") && said.contains("`bpl`"), "{said}");
    assert!(message("voice_codec: {111: opus}\n").contains("`voice_codecs`"));
}

#[test]
fn the_command_line_wins_over_the_file_and_the_file_over_the_default() {
    let cli = Settings { max_flows: Some(1), ..Settings::default() };
    let file = parse_text("max_flows: 2\nmax_connections: 3\ninterval: 250ms\n").unwrap();
    let config = effective(cli, file).unwrap();
    assert_eq!((config.max_flows, config.max_connections), (1, 3));
    assert_eq!(config.interval, Duration::from_millis(250));
    assert_eq!(config.max_candidates, 16_384);
}

#[test]
fn an_empty_file_is_a_configuration() {
    for text in ["", "\n# nothing\n", "---\n", "# a\n---\n# b\n", "--- # c\n...\n", "\u{feff}"] {
        let config = effective(Settings::default(), parse_text(text).unwrap()).unwrap();
        assert_eq!(config.max_flows, 65_536, "{text:?}");
    }
}

fn inputs(name: &str, text: &str) -> Inputs {
    let file = std::env::temp_dir().join(format!("observer-{}-{name}", std::process::id()));
    std::fs::write(&file, text).unwrap();
    Inputs {
        file: Some(file),
        settings: Settings::default(),
        given: Given::new(),
        environment: Environment::default(),
    }
}

#[test]
fn each_value_has_the_source_that_won() {
    let mut inputs = inputs(
        "sources.yaml",
        "# ours\nmax_flows: 2\n\nmax_connections: 3\nlog:\ninterval: 2s\nlisten:\n  127.0.0.1:1\n",
    );
    let path = inputs.file.clone().unwrap();
    inputs.settings = Settings { max_flows: Some(1), allow_remote: Some(true), ..inputs.settings };
    let flag = Source::Flag { flag: "--max-flows".to_owned() };
    let variable = Source::Environment { variable: "OBSERVER_ALLOW_REMOTE".to_owned() };
    inputs.given = Given::from([
        ("max_flows".to_owned(), flag.clone()),
        ("allow_remote".to_owned(), variable.clone()),
    ]);
    let (config, sources) = inputs.load().unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!((config.max_flows, config.max_connections), (1, 3));
    assert_eq!(sources.len(), config.entries().len());
    for (key, source) in [
        ("max_flows", flag),
        ("allow_remote", variable),
        ("max_connections", Source::file(&path, Some(4))),
        ("interval", Source::file(&path, Some(6))),
        ("listen", Source::file(&path, Some(8))),
        ("log", Source::Default),
        ("max_candidates", Source::Default),
    ] {
        assert_eq!(sources[key], source, "{key}");
    }
}

#[test]
fn what_opentelemetry_says_counts_where_nothing_else_does() {
    let mut inputs = inputs("standard.yaml", "otlp_protocol: http/protobuf\n");
    let path = inputs.file.clone().unwrap();
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "5000"),
    ];
    inputs.environment =
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
    inputs.settings.otlp_interval = Some(Duration::from_secs(7));
    let (config, sources) = inputs.load().unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(config.otlp_endpoint.unwrap().to_string(), "http://127.0.0.1:4318");
    assert_eq!(config.otlp_protocol, Protocol::HttpProtobuf);
    assert_eq!(config.otlp_interval, Duration::from_secs(7));
    let variable = Source::Environment { variable: variables[0].0.to_owned() };
    assert_eq!(sources["otlp_endpoint"], variable);
    assert_eq!(sources["otlp_protocol"], Source::file(&path, Some(1)));
}

/// Where traces go by a file and by variables, and what said so.
fn traces(name: &str, text: &str, variables: &[(&str, &str)]) -> (Option<String>, Source) {
    let mut inputs = inputs(name, text);
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    inputs.environment = variables.iter().map(owned).collect();
    let (config, sources) = inputs.load().unwrap();
    std::fs::remove_file(inputs.file.unwrap()).unwrap();
    let target = config.otlp_traces_endpoint.map(|endpoint| {
        endpoint.target(config.otlp_traces_protocol, "traces").unwrap().to_string()
    });
    (target, sources["otlp_traces_endpoint"].clone())
}

#[test]
fn traces_go_where_metrics_do_unless_something_says_otherwise() {
    let general = "otlp_endpoint: http://a:4318\notlp_protocol: http/protobuf\n";
    let exact = format!("{general}otlp_traces_endpoint: http://b:4318/own\n");
    let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
    let http = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://d:4318/own");
    let metrics = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://e:4318/own");
    let none = ("OTEL_TRACES_EXPORTER", "none");
    let grpc = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc");
    for (text, variables, target, source) in [
        (general, &[all, own][..], Some("http://a:4318/v1/traces"), None),
        (&exact, &[all, own, none], Some("http://b:4318/own"), None),
        (general, &[none], None, Some(none.0)),
        ("", &[all, http], Some("http://c:4318/v1/traces"), Some(all.0)),
        ("", &[all, http, grpc], Some("http://c:4318/"), Some(all.0)),
        ("", &[all, http, own], Some("http://d:4318/own"), Some(own.0)),
        ("", &[metrics, http], None, Some("")),
        ("", &[all, http, none], None, Some(none.0)),
    ] {
        let (found, said) = traces("traces.yaml", text, variables);
        assert_eq!(found.as_deref(), target, "{text:?} {variables:?}");
        match (source, said) {
            (None, Source::File { .. }) | (Some(""), Source::Default) => {}
            (Some(name), Source::Environment { variable }) => assert_eq!(variable, name),
            (_, said) => panic!("{text:?} {variables:?}: {said:?}"),
        }
    }
}

#[test]
fn what_is_printed_can_be_read_back() {
    for text in [
        "",
        "cgroup_root: \"/a # b: 'c'\"\nlog: 'off'\n",
        "otlp_endpoint: https://a/otlp\notlp_protocol: http/protobuf\notlp_interval: 5s\n",
        "voice_codecs: {111: opus, 0: {codec: pcmu, bpl: 4.3}}\nvoice_jitter_buffer: fixed_50ms\n",
        "otlp_endpoint: http://a:4317\notlp_traces_endpoint: http://b\notlp_traces_protocol: grpc\n",
        "cgroup_root: \"/two\\nlines\"\nlog: observer=debug\ninterval: 2m 500ms\n",
    ] {
        let config = from_text(text);
        let source = Source::file(Path::new("/a\nb: c"), Some(1));
        let sources = config.entries().map(|(key, _)| (key, source.clone())).into();
        let printed = configuration::yaml(config.entries(), &sources).unwrap();
        assert_eq!(printed.matches("# /a\\nb: c, line 1\n").count(), sources.len(), "{printed}");
        assert_eq!(from_text(&printed), config, "{printed}");
    }
}

#[test]
fn sources_stand_below_each_other() {
    let printed = configuration::yaml(from_text("").entries(), &Sources::new()).unwrap();
    let comments: Vec<_> = printed.lines().map(|line| line.find('#').unwrap()).collect();
    assert!(comments.iter().all(|column| *column == comments[0]), "{printed}");
}

#[test]
fn programs_get_the_value_and_the_source_of_each_key() {
    let config = from_text("max_flows: 7\n");
    let sources = Sources::from([("max_flows", Source::file(Path::new("/o.yaml"), Some(1)))]);
    let json: Value =
        serde_json::from_str(&configuration::json(config.entries(), &sources).unwrap()).unwrap();
    let expected = serde_json::json!({
        "value": 7, "source": {"kind": "file", "path": "/o.yaml", "line": 1}
    });
    assert_eq!(json["max_flows"], expected);
    let expected = serde_json::json!({"value": "1s", "source": {"kind": "default"}});
    assert_eq!(json["interval"], expected);
    assert_eq!(json["cgroup_root"]["value"], Value::Null);
}

#[test]
fn a_pipe_is_not_read_again() {
    let (reader, _writer) = io::pipe().unwrap();
    let file = format!("/proc/self/fd/{}", reader.as_raw_fd());
    let inputs = Inputs {
        file: Some(file.into()),
        settings: Settings::default(),
        given: Given::new(),
        environment: Environment::default(),
    };
    assert!(matches!(inputs.load_again(), Err(ConfigError::OnceOnly(_))));
}

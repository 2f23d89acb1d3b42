//! The command line, and what it says of a wrong configuration.

use std::process::Output;

use serde_json::Value;

use crate::peers::server::program;

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    program().args(arguments).envs(variables.iter().copied()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What is said of a configuration with these variables.
fn refused(variables: &[(&str, &str)]) -> String {
    let output = run(&["config"], variables);
    assert_eq!(output.status.code(), Some(2), "{variables:?}");
    text(&output.stderr)
}

const SECRET: (&str, &str) = ("VC_JWT_SECRET", "0123456789abcdef0123456789abcdef");

#[test]
fn help_teaches() {
    let help = run(&["--help"], &[]);
    assert!(help.status.success());
    let help = text(&help.stdout);
    for part in ["Examples:", "Exit codes:", "OTEL_EXPORTER_OTLP_ENDPOINT", "run", "openapi"] {
        assert!(help.contains(part), "{part}");
    }
    assert_eq!(run(&[], &[]).status.code(), Some(2));
    assert!(text(&run(&["completions", "bash"], &[]).stdout).contains("vc-server"));
    let schema: Value = serde_json::from_slice(&run(&["config", "--schema"], &[]).stdout).unwrap();
    assert!(schema["properties"]["otlp_endpoint"].is_object());
}

#[test]
fn each_value_has_its_source_and_what_is_printed_can_be_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vc-server.yaml");
    std::fs::write(
        &file,
        "# mine\nheartbeat_interval: 5s\nlisten: 127.0.0.1:1\nmax_connections: 7\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let arguments = ["config", "--config", file, "--listen", "127.0.0.1:3", "--format", "json"];
    let printed = run(
        &arguments,
        &[("VC_MAX_CONNECTIONS", "8"), ("VC_LISTEN", "127.0.0.1:2"), ("VC_LOG", "")],
    );
    let config: Value = serde_json::from_slice(&printed.stdout).unwrap();
    for (key, value, kind) in [
        ("listen", "127.0.0.1:3", "flag"),
        ("heartbeat_interval", "5s", "file"),
        ("log", "info", "default"),
    ] {
        assert_eq!(
            (&config[key]["value"], &config[key]["source"]["kind"]),
            (&value.into(), &kind.into())
        );
    }
    assert_eq!(config["max_connections"]["value"], 8);
    assert_eq!(config["heartbeat_interval"]["source"]["line"], 2);
    let yaml = text(&run(&["config", "--config", file], &[]).stdout);
    let again = folder.path().join("again.yaml");
    std::fs::write(&again, &yaml).unwrap();
    let again = run(&["config", "--config", again.to_str().unwrap()], &[]);
    assert!(again.status.success(), "{}", text(&again.stderr));
    assert_eq!(text(&again.stdout).lines().count(), yaml.lines().count());
}

#[test]
fn a_wrong_key_is_named_with_its_line_and_the_nearest_valid_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vc-server.yaml");
    let said = |contents: &str| {
        std::fs::write(&file, contents).unwrap();
        let output = run(&["config", "--config", file.to_str().unwrap()], &[]);
        assert_eq!(output.status.code(), Some(2), "{contents}");
        text(&output.stderr)
    };
    let wrong = said("log: info\n\nheartbeat_intervall: 5s\n");
    assert!(wrong.contains("line 3") && wrong.contains("`heartbeat_interval`"), "{wrong}");
    for contents in [
        "log: loud\n",
        "max_connections: 0\n",
        "heartbeat_interval: soon\n",
        "listen: nowhere\n",
        "- x\n",
    ] {
        let wrong = said(contents);
        assert!(wrong.contains("line 1") && !wrong.contains("::"), "{wrong}");
    }
    let missing = run(&["config", "--config", "/nowhere.yaml"], &[]);
    assert!(text(&missing.stderr).contains("/nowhere.yaml"));
}

#[test]
fn production_needs_a_secret_and_a_word_on_telemetry() {
    let production = ("VC_ENVIRONMENT", "production");
    let said = refused(&[production, SECRET]);
    assert!(said.contains("OBSERVABILITY_ENABLED"), "{said}");
    let enabled = ("OBSERVABILITY_ENABLED", "false");
    assert!(refused(&[production, enabled]).contains("VC_JWT_SECRET"));
    assert!(refused(&[production, enabled, ("VC_JWT_SECRET", "short")]).contains("32"));
    let printed =
        text(&run(&["config"], &[production, SECRET, ("OBSERVABILITY_ENABLED", "1")]).stdout);
    for line in ["observability_enabled: true", "sampler_ratio: 0.1", "jwt_secret: \"***\""] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    assert!(!printed.contains(SECRET.1));
}

#[test]
fn telemetry_is_on_in_staging_and_off_in_development_unless_somebody_says_otherwise() {
    for (environment, said, expected) in [
        ("staging", None, true),
        ("development", None, false),
        ("staging", Some("false"), false),
        ("development", Some("true"), true),
        ("staging", Some("0"), false),
    ] {
        let mut variables = vec![("VC_ENVIRONMENT", environment)];
        variables.extend(said.map(|said| ("OBSERVABILITY_ENABLED", said)));
        let printed = text(&run(&["config"], &variables).stdout);
        assert!(printed.contains(&format!("observability_enabled: {expected}")), "{printed}");
    }
}

#[test]
fn what_cannot_be_is_named() {
    for (variable, value, named) in [
        ("OTEL_TRACES_SAMPLER_ARG", "2", "sampler_ratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "NaN", "sampler_ratio"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317/path", "path"),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://me:secret@collector:4317",
            "OTEL_EXPORTER_OTLP_HEADERS",
        ),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector", "http://HOST:PORT"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "http/protobuf"),
        ("VC_HEARTBEAT_INTERVAL", "1ms", "heartbeat_interval"),
        ("VC_SESSION_BUFFER", "1", "16"),
        ("VC_ENVIRONMENT", "prod", "production"),
        ("SENTRY_DSN", "secret", "sentry_dsn"),
        ("OTEL_SERVICE_NAME", " ", "service_name"),
    ] {
        let said = refused(&[(variable, value)]);
        assert!(said.contains(named) && !said.contains("secret@"), "{variable}: {said}");
    }
    assert!(!refused(&[("SENTRY_DSN", "planted")]).contains("planted"));
}

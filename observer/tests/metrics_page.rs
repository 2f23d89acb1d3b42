//! `docs/metrics.md` says what the instruments say. With `OBSERVER_BLESS=1` this writes it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{env, fmt::Write as _, fs, path::Path};

use observer::{
    export::{
        instruments::{ALL, Attribute, Instrument, Kind, SERVICE},
        otlp::{ATTRIBUTES, SPAN},
    },
    source::ebpf::probe::PROBES,
};

const BEGIN: &str = "<!-- made by the test metrics_page: begin -->\n";
const END: &str = "<!-- made by the test metrics_page: end -->\n";

/// Instruments about the observer itself and the host; the others need a probe.
const PROBELESS: [&str; 8] = [
    "observer.host.",
    "observer.cgroup.",
    "observer.events.lost",
    "observer.completeness",
    "observer.probe.",
    "observer.reading.",
    "observer.map.",
    "process.",
];

fn page() -> String {
    let mut text =
        String::from("| instrument | Prometheus | kind, unit | attributes | meaning |\n");
    text += "| --- | --- | --- | --- | --- |\n";
    for one in ALL {
        let attributes: Vec<_> =
            one.attributes.iter().map(|attribute| format!("`{}`", attribute.name)).collect();
        writeln!(
            text,
            "| `{}` | `{}` | {}, {} | {} | {} |",
            one.name,
            one.prometheus_name(),
            kind(one),
            one.unit,
            attributes.join(", "),
            one.meaning
        )
        .unwrap();
    }
    text += "\n### Attributes\n\n| attribute | of | values |\n| --- | --- | --- |\n";
    for (attribute, of) in attributes() {
        writeln!(text, "| `{}` | {of} | {} |", attribute.name, attribute.values).unwrap();
    }
    text += "\n### Boundaries\n\n| instruments | upper bounds of the buckets |\n| --- | --- |\n";
    for (bounds, of) in boundaries() {
        let bounds: Vec<_> = bounds.iter().map(ToString::to_string).collect();
        writeln!(text, "| {of} | {} |", bounds.join(", ")).unwrap();
    }
    write!(text, "\n### Attributes of a span `{SPAN}`\n\n| attribute | unit | meaning |\n")
        .unwrap();
    text += "| --- | --- | --- |\n";
    for one in ATTRIBUTES {
        writeln!(text, "| `{}` | {} | {} |", one.name, one.unit, one.meaning).unwrap();
    }
    text
}

const fn kind(one: &Instrument) -> &'static str {
    match one.kind {
        Kind::Counter => "counter",
        Kind::UpDownCounter => "up-down counter",
        Kind::Gauge => "gauge",
        Kind::Histogram(_) => "histogram",
    }
}

/// Each attribute once, and the instruments it is of.
fn attributes() -> Vec<(Attribute, String)> {
    let mut all: Vec<(Attribute, String)> = Vec::new();
    for one in ALL {
        for attribute in one.attributes {
            match all.iter_mut().find(|(known, _)| known == attribute) {
                Some((_, of)) => write!(of, ", `{}`", one.name).unwrap(),
                None => all.push((*attribute, format!("`{}`", one.name))),
            }
        }
    }
    all
}

fn boundaries() -> Vec<(&'static [f64], String)> {
    let mut all: Vec<(&'static [f64], String)> = Vec::new();
    for one in ALL {
        let Kind::Histogram(bounds) = one.kind else { continue };
        match all.iter_mut().find(|(known, _)| *known == bounds) {
            Some((_, of)) => write!(of, ", `{}`", one.name).unwrap(),
            None => all.push((bounds, format!("`{}`", one.name))),
        }
    }
    all
}

#[test]
fn the_page_says_what_the_instruments_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let text = fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once(BEGIN).unwrap();
    let (made, tail) = rest.split_once(END).unwrap();
    if env::var_os("OBSERVER_BLESS").is_some() {
        fs::write(&path, [head, BEGIN, "\n", &page(), "\n", END, tail].concat()).unwrap();
        return;
    }
    assert_eq!(
        made.trim(),
        page().trim(),
        "docs/metrics.md is old: OBSERVER_BLESS=1 cargo test -p observer --test metrics_page"
    );
}

#[test]
fn every_instrument_of_traffic_needs_a_probe_and_no_probe_names_another() {
    let names = |metric: &'static str| metric.split('{').next().unwrap_or(metric);
    let needed: Vec<_> =
        PROBES.iter().flat_map(|probe| probe.metrics.iter().copied().map(names)).collect();
    for one in ALL {
        let is_probeless = PROBELESS.iter().any(|start| one.name.starts_with(start));
        assert_eq!(needed.contains(&one.name), !is_probeless, "{}", one.name);
    }
    for name in needed {
        let is_known = ALL.iter().any(|one| one.name == name) || name == SERVICE.name;
        assert!(is_known, "{name}");
    }
}

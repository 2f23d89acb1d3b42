//! The contract's page and the code name the same things.

use std::collections::BTreeSet;

use vc_server::observability::contract::{
    ATTRIBUTES, Carrier, EVENTS, Kind, LOG_FIELDS, METRICS, RESOURCE, SPANS,
};

const PAGE: &str = include_str!("../../../docs/ops/observability-contract.md");

/// The rows of the first table below a heading, without its head: cells, as they stand.
fn rows(heading: &str) -> Vec<Vec<String>> {
    tables(heading).into_iter().next().unwrap()
}

/// All tables of a section.
fn tables(heading: &str) -> Vec<Vec<Vec<String>>> {
    let start = PAGE.find(&format!("\n## {heading}\n")).expect("the section is there") + 1;
    let section = &PAGE[start..];
    let end = section[3..].find("\n## ").map_or(section.len(), |end| end + 3);
    let mut tables = Vec::new();
    let mut table: Vec<Vec<String>> = Vec::new();
    for line in section[..end].lines().chain([""]) {
        if let Some(row) = line.strip_prefix('|').and_then(|line| line.strip_suffix('|')) {
            table.push(row.split('|').map(|cell| cell.trim().to_owned()).collect());
        } else if !table.is_empty() {
            tables.push(table.split_off(2));
            table.clear();
        }
    }
    tables
}

/// What stands in back quotes.
fn names(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn name(cell: &str) -> String {
    names(cell).remove(0)
}

fn set<T: Into<String>>(all: impl IntoIterator<Item = T>) -> BTreeSet<String> {
    all.into_iter().map(Into::into).collect()
}

#[test]
fn the_resource_is_the_same() {
    assert_eq!(set(rows("Resource").iter().map(|row| name(&row[0]))), set(RESOURCE));
}

#[test]
fn spans_are_the_same() {
    let page: Vec<_> =
        rows("Spans").iter().map(|row| (name(&row[0]), set(names(&row[3])))).collect();
    let code: Vec<_> =
        SPANS.iter().map(|span| (span.name.to_owned(), set(span.attributes.to_vec()))).collect();
    assert_eq!(page, code);
}

#[test]
fn metrics_are_the_same() {
    let number = |text: &str| text.trim().trim_matches('*').parse::<f64>().unwrap();
    let page: Vec<_> = rows("Metrics")
        .iter()
        .map(|row| {
            let bounds: Vec<_> =
                row[4].split(',').filter(|one| !one.trim().is_empty()).map(number).collect();
            let attributes = set(names(&row[3]));
            (name(&row[0]), row[1].clone(), name(&row[2]), attributes, bounds, row[5].clone())
        })
        .collect();
    let code: Vec<_> = METRICS
        .iter()
        .map(|metric| {
            let (kind, bounds) = match metric.kind {
                Kind::Counter => ("counter", Vec::new()),
                Kind::UpDownCounter => ("up-down counter", Vec::new()),
                Kind::Gauge => ("gauge", Vec::new()),
                Kind::Histogram(bounds) => ("histogram", bounds.to_vec()),
            };
            let attributes = set(metric.attributes.to_vec());
            let (name, unit) = (metric.name.to_owned(), metric.unit.to_owned());
            (name, kind.to_owned(), unit, attributes, bounds, metric.meaning.to_owned())
        })
        .collect();
    for (page, code) in page.iter().zip(&code) {
        assert_eq!(page, code);
    }
    assert_eq!(page.len(), code.len());
}

#[test]
fn every_threshold_is_a_boundary() {
    let rows = rows("Metrics");
    let thresholds: Vec<_> =
        rows.iter().flat_map(|row| row[4].split(',')).filter(|one| one.contains("**")).collect();
    assert_eq!(
        thresholds.iter().map(|one| one.trim()).collect::<Vec<_>>(),
        ["**0.25**", "**0.05**", "**0.1**", "**15**", "**2**"]
    );
    let sentence = "The thresholds: API latency 0.25 s, database 0.05 s, message freshness 0.1 s, call answered 15 s, voice joined 2 s.";
    assert!(PAGE.contains(sentence));
}

#[test]
fn log_lines_are_the_same() {
    let tables = tables("Logs");
    assert_eq!(set(tables[0].iter().map(|row| name(&row[0]))), set(LOG_FIELDS));
    let page: Vec<_> = tables[1].iter().map(|row| (name(&row[0]), set(names(&row[2])))).collect();
    let code: Vec<_> =
        EVENTS.iter().map(|event| (event.name.to_owned(), set(event.fields.to_vec()))).collect();
    assert_eq!(page, code);
}

#[test]
fn attributes_are_the_same() {
    let page: Vec<_> = rows("Attributes")
        .iter()
        .map(|row| (name(&row[0]), set(row[1].split(',').map(str::trim))))
        .collect();
    let code: Vec<_> = ATTRIBUTES
        .iter()
        .map(|one| {
            let carriers = Carrier::ALL.iter().filter(|(carrier, _)| one.is_for(*carrier));
            (one.name.to_owned(), set(carriers.map(|(_, word)| *word)))
        })
        .collect();
    assert_eq!(page, code);
}

#[test]
fn what_is_carried_is_allowed_to_be() {
    for span in &SPANS {
        let stray = span.attributes.iter().find(|name| !Carrier::Spans.allows(name));
        assert_eq!(stray, None, "{}", span.name);
    }
    for metric in METRICS {
        let stray = metric.attributes.iter().find(|name| !Carrier::Metrics.allows(name));
        assert_eq!(stray, None, "{}", metric.name);
    }
    for event in &EVENTS {
        let stray = event.fields.iter().find(|name| !Carrier::Logs.allows(name));
        assert_eq!(stray, None, "{}", event.name);
    }
}

/// What is left of a call, from within its parentheses.
fn call_of(text: &str) -> &str {
    let (mut depth, mut is_quoted) = (1, false);
    for (at, character) in text.char_indices() {
        match character {
            '"' => is_quoted = !is_quoted,
            '(' if !is_quoted => depth += 1,
            ')' if !is_quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[..at];
        }
    }
    text
}

/// A message that is made at run time may have anything in it, and so may an argument that
/// is taken into a span.
#[test]
fn log_messages_are_literals_and_no_function_takes_its_arguments_into_a_span() {
    fn sources(folder: &std::path::Path, all: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, all);
            } else {
                all.push(path);
            }
        }
    }
    let mut all = Vec::new();
    sources(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
    let mut events = 0;
    for path in all {
        let text = std::fs::read_to_string(&path).unwrap();
        for attribute in text.split("#[instrument").skip(1) {
            assert!(attribute.starts_with("(skip_all"), "{}: skip_all", path.display());
        }
        let calls =
            text.split("LOG,").skip(1).filter(|rest| rest.trim_start().starts_with("event ="));
        for call in calls.map(call_of) {
            events += 1;
            let message = &call[call.trim_end().trim_end_matches([',', '"']).rfind('"').unwrap()..];
            let message = message.trim_end().trim_end_matches(',');
            assert!(
                message.starts_with('"') && !message.contains('{'),
                "{}: {message}",
                path.display()
            );
            let name = call.split("event = \"").nth(1).unwrap().split('"').next().unwrap();
            assert!(EVENTS.iter().any(|event| event.name == name), "{}: {name}", path.display());
            assert!(call.contains("outcome = "), "{}: {name}", path.display());
        }
    }
    assert!(events >= EVENTS.len(), "{events} calls were found");
}

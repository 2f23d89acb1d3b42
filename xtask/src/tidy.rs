//! `tidy`: the rules of the house that no compiler checks.
//!
//! Each rule is a function from text to violations, so that its test can break it.

mod arrows;
mod manifest;
mod purity;
mod shape;
mod source;
mod words;

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::command::{cargo, command, output};
use crate::place::Places;
use crate::terminal::{green, red};
use source::Source;

/// One violation: where, which rule, and what to do.
#[derive(Debug, PartialEq)]
struct Violation {
    line: usize,
    rule: &'static str,
    remedy: String,
}

impl Violation {
    fn new(line: usize, rule: &'static str, remedy: impl Into<String>) -> Self {
        Self { line, rule, remedy: remedy.into() }
    }
}

/// Checks every file that git knows or would take.
pub(crate) fn main(places: &Places) -> Result<ExitCode> {
    let mut list = command("git");
    list.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let files = output(list.current_dir(&places.root))
        .context("tidy reads the files that git knows: start it in a clone")?;
    let mut checked = 0;
    let mut count = 0;
    let mut report = |path: &str, violations: Vec<Violation>| {
        count += violations.len();
        for Violation { line, rule, remedy } in violations {
            println!("{path}:{line}: {}: {remedy}", red(rule));
        }
    };
    for path in files.split('\0').filter(|path| !path.is_empty()) {
        // Deleted but not yet committed, or not text: nothing to read.
        let Ok(text) = fs::read_to_string(places.root.join(path)) else { continue };
        checked += 1;
        report(path, file(path, &text));
    }
    let mut metadata = cargo();
    metadata.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(&places.root);
    report("Cargo.toml", manifest::strangers(&output(&mut metadata)?)?);

    if count > 0 {
        println!("{count} violations in {checked} files: mend each as its line says");
        return Ok(ExitCode::FAILURE);
    }
    println!("tidy: {checked} files, {}", green("no violation"));
    Ok(ExitCode::SUCCESS)
}

/// Every rule, on one file.
fn file(path: &str, text: &str) -> Vec<Violation> {
    let mut violations = shape::of_text(path, text);
    violations.extend(words::of(path, text));
    if path.ends_with(".rs") {
        let source = Source::read(text);
        violations.extend(shape::of_source(path, &source));
        violations.extend(arrows::of(path, &source));
        violations.extend(purity::of(path, &source));
    }
    if path == "observer-common/Cargo.toml" {
        violations.extend(purity::of_manifest(text));
    }
    violations.sort_by_key(|violation| violation.line);
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_rule_reaches_a_file() {
        let rules = |path: &str, text: &str| {
            file(path, text).into_iter().map(|one| one.rule).collect::<Vec<_>>()
        };
        assert_eq!(rules("observer/src/track/voice.rs", "use crate::export::otlp;\n"), ["arrows"]);
        assert_eq!(rules("observer/src/model.rs", "use tokio::time;\n"), ["purity"]);
        assert_eq!(rules("observer/src/helpers.rs", ""), ["names", "arrows"]);
        assert_eq!(rules("README.md", &"line\n".repeat(61)), ["length"]);
        assert_eq!(rules("docs/a.md", concat!("TO", "DO later\n")), ["promises"]);
        assert_eq!(rules("observer/src/track/voice.rs", "use crate::model::Peer;\n"), [""; 0]);
    }
}

//! What `observer check` says of a kernel, and the table it is held against.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::command::{as_root, line};

/// The part of `observer check --format json` that is compared.
#[derive(Deserialize, Clone, Debug)]
pub(crate) struct Check {
    /// The kernel's release.
    pub(crate) kernel: String,
    probes: Vec<Probe>,
    features: Vec<Feature>,
}

#[derive(Deserialize, Clone, Debug)]
struct Probe {
    probe: String,
    program: String,
    state: String,
    verified_instructions: Option<u64>,
}

#[derive(Deserialize, Clone, Debug)]
struct Feature {
    feature: String,
    state: String,
}

/// One kernel's row of the committed table.
#[derive(Serialize, Deserialize, Default, Clone, Debug, PartialEq)]
pub(super) struct Row {
    probes: BTreeMap<String, String>,
    features: BTreeMap<String, String>,
}

/// The committed table, by the kernel's name in the matrix.
pub(super) type Table = BTreeMap<String, Row>;

impl Check {
    /// Asks the observer about the running kernel, as root.
    pub(crate) fn ask(observer: &Path) -> Result<Self> {
        let mut check = as_root(observer)?;
        check.args(["check", "--format", "json"]).stdin(Stdio::null()).stderr(Stdio::inherit());
        let output = check
            .output()
            .with_context(|| format!("cannot start `{}`: build it first", line(&check)))?;
        // Its exit code tells how much is missing; the text is there in each case.
        Self::read(&String::from_utf8_lossy(&output.stdout))
    }

    /// Reads what the observer printed.
    pub(super) fn read(text: &str) -> Result<Self> {
        serde_json::from_str(text.trim()).with_context(|| {
            format!("`observer check --format json` printed no such JSON, start it by hand to see why: {text:.200}")
        })
    }

    /// The verifier's figure of each program that loaded.
    pub(crate) fn verified(&self) -> BTreeMap<String, u64> {
        let figures = self
            .probes
            .iter()
            .filter_map(|probe| Some((probe.program.clone(), probe.verified_instructions?)));
        figures.collect()
    }

    pub(super) fn row(&self) -> Row {
        Row {
            probes: self.probes.iter().map(|one| (one.probe.clone(), one.outcome())).collect(),
            features: self
                .features
                .iter()
                .map(|one| (one.feature.clone(), one.state.clone()))
                .collect(),
        }
    }
}

impl Probe {
    /// Its state, and the program where that is not the one of its own name.
    fn outcome(&self) -> String {
        if self.program == self.probe {
            self.state.clone()
        } else {
            format!("{} ({})", self.state, self.program)
        }
    }
}

impl Row {
    /// Every line in which a kernel of the matrix differs from what is committed.
    pub(super) fn differences(&self, actual: &Self) -> Vec<String> {
        let mut lines = unequal("probe", &self.probes, &actual.probes);
        lines.extend(unequal("feature", &self.features, &actual.features));
        lines
    }

    /// What the running kernel does worse than its row: failures, and mere gaps.
    ///
    /// A probe that is `missing` is a matter of how that kernel was configured, and is a note. A
    /// probe that `failed` was refused by the verifier or at attachment: that is our defect.
    pub(super) fn shortfalls(&self, actual: &Self) -> (Vec<String>, Vec<String>) {
        let worse = |line: &String| !line.ends_with("is ok") && !line.ends_with("is absent");
        let lines = self.differences(actual).into_iter().filter(worse);
        lines.partition(|line| line.ends_with("is failed"))
    }
}

fn unequal(
    kind: &str,
    committed: &BTreeMap<String, String>,
    actual: &BTreeMap<String, String>,
) -> Vec<String> {
    let mut names: Vec<&String> = committed.keys().chain(actual.keys()).collect();
    names.sort();
    names.dedup();
    let state = |map: &BTreeMap<String, String>, name: &String| {
        map.get(name).cloned().unwrap_or_else(|| "absent".into())
    };
    names
        .into_iter()
        .map(|name| (name, state(committed, name), state(actual, name)))
        .filter(|(_, left, right)| left != right)
        .map(|(name, left, right)| format!("{kind} {name}: the table says {left}, it is {right}"))
        .collect()
}

/// The row for a running kernel: the newest of the matrix that is no newer than it, else the oldest.
pub(super) fn reference<'a>(
    releases: &'a BTreeMap<String, String>,
    running: &str,
) -> Option<&'a str> {
    let mut by_age: Vec<_> =
        releases.iter().map(|(name, release)| (number(release), name.as_str())).collect();
    by_age.sort();
    let fitting = by_age.iter().rev().find(|(release, _)| *release <= number(running));
    fitting.or(by_age.first()).map(|(_, name)| *name)
}

/// Major and minor of a release such as `6.12.48+deb13-cloud-amd64`.
fn number(release: &str) -> (u32, u32) {
    let mut parts =
        release.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok());
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// Reads the committed table; a missing one is empty.
pub(super) fn read_table(path: &Path) -> Result<Table> {
    if !path.exists() {
        return Ok(Table::new());
    }
    let text = fs::read_to_string(path)?;
    serde_json::from_str(&text).with_context(|| {
        format!(
            "{} is no such table: rewrite it with `cargo xtask vm-test --bless`",
            path.display()
        )
    })
}

/// Writes the table.
pub(super) fn write_table(path: &Path, table: &Table) -> Result<()> {
    let text = serde_json::to_string_pretty(table)? + "\n";
    fs::write(path, text)
        .with_context(|| format!("cannot write {}: make it writable", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(states: &[(&str, &str)]) -> Row {
        let probes =
            states.iter().map(|(name, state)| ((*name).to_owned(), (*state).to_owned())).collect();
        Row { probes, features: BTreeMap::new() }
    }

    #[test]
    fn a_change_an_addition_and_a_removal_are_each_a_difference() {
        let lines = row(&[("a", "ok"), ("b", "ok"), ("c", "missing")]).differences(&row(&[
            ("b", "failed"),
            ("c", "missing"),
            ("d", "ok"),
        ]));
        assert_eq!(
            lines,
            [
                "probe a: the table says ok, it is absent",
                "probe b: the table says ok, it is failed",
                "probe d: the table says absent, it is ok"
            ]
        );
    }

    #[test]
    fn the_running_kernel_may_do_more_and_may_lack_but_not_fail() {
        let committed = row(&[("a", "missing"), ("b", "ok"), ("c", "ok")]);
        let (failures, gaps) =
            committed.shortfalls(&row(&[("a", "ok"), ("b", "missing"), ("c", "failed")]));
        assert_eq!(failures, ["probe c: the table says ok, it is failed"]);
        assert_eq!(gaps, ["probe b: the table says ok, it is missing"]);
    }

    #[test]
    fn a_running_kernel_is_held_against_the_newest_that_is_no_newer() {
        let releases = [("5.10", "5.10.0-1"), ("6.12", "6.12.48+deb13"), ("newest", "7.0.9")];
        let releases = releases.map(|(a, b)| (a.to_owned(), b.to_owned())).into();
        assert_eq!(reference(&releases, "6.18.44-x"), Some("6.12"));
        assert_eq!(reference(&releases, "7.3.0"), Some("newest"));
        assert_eq!(reference(&releases, "5.4.0"), Some("5.10"));
    }

    #[test]
    fn the_observers_answer_is_read() {
        let text = r#"{"kernel":"6.1.0","verdict":"all","cgroup_root":"/sys/fs/cgroup","probes":[
            {"probe":"ingress","program":"ingress","kind":"cgroup_skb/ingress","state":"ok","instructions":9,
             "verified_instructions":12,"metrics":[],"reason":null}],"features":[{"feature":"batch","state":"missing","metrics":[]}]}"#;
        let check = Check::read(text).unwrap();
        assert_eq!(check.verified(), BTreeMap::from([("ingress".to_owned(), 12)]));
        assert_eq!(check.row().features["batch"], "missing");
        assert!(Check::read("no json").is_err());
    }
}

//! What came of each kernel, and whether they agree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::RUNNING;
use super::check::{self, Check};
use super::guest::Boot;
use crate::tally::Tally;

/// One kernel's run.
pub(super) struct Report {
    /// Its name in the matrix.
    pub(super) kernel: String,
    /// What it calls itself.
    pub(super) release: String,
    pub(super) boot: Option<Duration>,
    pub(super) whole: Duration,
    pub(super) tally: Tally,
    check: Option<Check>,
    /// Why it failed; none when it is right.
    pub(super) troubles: Vec<String>,
    /// What is worth knowing and no failure.
    pub(super) notes: Vec<String>,
}

impl Report {
    fn new(kernel: &str, whole: Duration) -> Self {
        Self {
            kernel: kernel.to_owned(),
            release: "-".into(),
            boot: None,
            whole,
            tally: Tally::default(),
            check: None,
            troubles: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Reads a guest's console. Silence is a failure.
    pub(super) fn of_guest(kernel: &str, boot: &Boot) -> Self {
        let mut report = Self::new(kernel, boot.whole);
        report.boot = boot.boot;
        let mut answer: Option<String> = None;
        let mut within = false;
        let mut tests = None;
        for line in boot.console.lines() {
            if let Some(own) = line.strip_prefix("vm-test: ") {
                if let Some(release) = own.strip_prefix("kernel tests exit ") {
                    tests = Some(release == "0");
                } else if let Some(release) = own.strip_prefix("kernel ") {
                    release.clone_into(&mut report.release);
                } else if own == "check begin" {
                    within = true;
                    answer = Some(String::new());
                } else if own.starts_with("check end") {
                    within = false;
                }
            } else if within {
                if let Some(answer) = &mut answer {
                    *answer += line;
                }
            } else {
                report.tally.line(kernel, line);
            }
        }
        if boot.console.contains("Kernel panic") {
            report.troubles.push("it panicked".into());
        }
        if boot.timed_out {
            report
                .troubles
                .push("it was not off in time: raise --timeout if it only is slow".into());
        }
        if boot.boot.is_none() {
            report
                .troubles
                .push("it never reached its init: boot it by hand (--keep tells how)".into());
        } else {
            report.tests(tests);
            match answer.as_deref().map(Check::read) {
                Some(Ok(check)) => report.check = Some(check),
                Some(Err(error)) => report.troubles.push(format!("{error:#}")),
                None => report.troubles.push("`observer check` was never reached".into()),
            }
        }
        report
    }

    /// What the same binaries did on this host.
    pub(super) fn of_host(
        kernel: &str,
        tally: Tally,
        well: bool,
        check: Check,
        whole: Duration,
    ) -> Self {
        let mut report = Self::new(kernel, whole);
        report.tally = tally;
        report.release.clone_from(&check.kernel);
        report.check = Some(check);
        report.tests(Some(well));
        report
    }

    /// This host's kernel, where root is not to be had.
    pub(super) fn without_root() -> Self {
        let mut report = Self::new(RUNNING, Duration::ZERO);
        report.tally.skipped.push(format!("{RUNNING}: kernel tests: no root is to be had"));
        report
    }

    fn tests(&mut self, exited_well: Option<bool>) {
        match exited_well {
            None => self.troubles.push("its tests did not end".into()),
            Some(false) => self.troubles.push("its tests failed: their messages are above".into()),
            Some(true) if self.tally.passed == 0 => {
                self.troubles.push("it ran no test: look at observer/tests/kernel.rs".into());
            }
            Some(true) => {}
        }
    }
}

/// Holds the kernels against each other and against the committed table, or rewrites that.
pub(super) fn judge(
    reports: &mut [Report],
    table_path: &Path,
    releases: &BTreeMap<String, String>,
    bless: bool,
) -> Result<()> {
    for (kernel, trouble) in unequal_figures(reports) {
        for report in reports.iter_mut().filter(|report| report.kernel == kernel) {
            report.troubles.push(trouble.clone());
        }
    }
    let mut table = check::read_table(table_path)?;
    for report in reports {
        let Some(row) = report.check.as_ref().map(Check::row) else { continue };
        if report.kernel == RUNNING {
            let Some(name) = check::reference(releases, &report.release) else { continue };
            if let Some(committed) = table.get(name) {
                let (failures, gaps) = committed.shortfalls(&row);
                report
                    .troubles
                    .extend(failures.iter().map(|line| format!("{line} (row of {name})")));
                report.notes.extend(gaps.iter().map(|line| format!("{line} (row of {name})")));
            }
        } else if bless {
            table.insert(report.kernel.clone(), row);
        } else {
            let committed = table.get(&report.kernel).cloned().unwrap_or_default();
            let lines = committed.differences(&row);
            if !lines.is_empty() {
                report.troubles.push(format!(
                    "xtask/kernels.json differs; if that is meant, `cargo xtask vm-test --bless` rewrites it\n    {}",
                    lines.join("\n    ")
                ));
            }
        }
    }
    if bless {
        check::write_table(table_path, &table)?;
    }
    Ok(())
}

/// Each figure that a kernel lacks, or has another value of than most kernels.
fn unequal_figures(reports: &[Report]) -> Vec<(String, String)> {
    let ran: Vec<&Report> = reports.iter().filter(|report| report.tally.results > 0).collect();
    let names: BTreeSet<&String> =
        ran.iter().flat_map(|report| report.tally.figures.keys()).collect();
    let mut troubles = Vec::new();
    for name in names {
        let mut votes: BTreeMap<&String, usize> = BTreeMap::new();
        for value in ran.iter().filter_map(|report| report.tally.figures.get(name)) {
            *votes.entry(value).or_default() += 1;
        }
        let Some((common, _)) = votes.iter().max_by_key(|(_, count)| **count) else { continue };
        for report in &ran {
            let trouble = match report.tally.figures.get(name) {
                None => format!("figure {name} is not printed; elsewhere it is {common}"),
                Some(value) if value != *common => {
                    format!("figure {name} is {value}; elsewhere it is {common}")
                }
                Some(_) => continue,
            };
            troubles.push((report.kernel.clone(), trouble));
        }
    }
    troubles
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECK: &str =
        r#"{"kernel":"6.1.0","probes":[{"probe":"p","program":"p","state":"ok"}],"features":[]}"#;

    fn boot(console: &str) -> Boot {
        let boot = console.contains("vm-test: kernel ").then_some(Duration::from_secs(1));
        Boot { console: console.to_owned(), boot, whole: Duration::from_secs(2), timed_out: false }
    }

    fn good(kernel: &str, figure: &str) -> Report {
        let console = format!(
            "vm-test: kernel {kernel}.0\ntest a ... {figure}\nok\ntest result: ok. 1 passed; 0 failed\n\
             vm-test: kernel tests exit 0\nvm-test: check begin\n{CHECK}\nvm-test: check end 1\n"
        );
        Report::of_guest(kernel, &boot(&console))
    }

    #[test]
    fn a_good_guest_has_no_trouble() {
        let report = good("6.1", "figure lost=10");
        assert!(report.troubles.is_empty(), "{:?}", report.troubles);
        assert_eq!(report.release, "6.1.0");
        assert_eq!(report.tally.figures["lost"], "10");
    }

    #[test]
    fn silence_panic_death_and_no_test_are_each_a_failure() {
        for console in [
            "",
            "vm-test: kernel 6.1\n",
            "vm-test: kernel 6.1\nKernel panic - not syncing: no\n",
            "vm-test: kernel 6.1\ntest result: ok. 0 passed; 0 failed\nvm-test: kernel tests exit 0\nvm-test: check begin\n{}\nvm-test: check end 0\n",
            "vm-test: kernel 6.1\ntest result: ok. 1 passed; 0 failed\nvm-test: kernel tests exit 101\n",
        ] {
            assert!(!Report::of_guest("6.1", &boot(console)).troubles.is_empty(), "{console}");
        }
    }

    #[test]
    fn the_kernel_that_disagrees_is_the_one_that_is_named() {
        let reports = [
            good("5.10", "figure lost=10"),
            good("6.1", "figure lost=9"),
            good("6.12", "figure lost=10"),
            good("newest", ""),
        ];
        let troubles = unequal_figures(&reports);
        assert_eq!(
            troubles,
            [
                ("6.1".to_owned(), "figure lost is 9; elsewhere it is 10".to_owned()),
                ("newest".to_owned(), "figure lost is not printed; elsewhere it is 10".to_owned())
            ]
        );
    }
}

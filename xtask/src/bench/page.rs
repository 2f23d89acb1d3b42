//! The figures in `docs/performance.md`, between two marks.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::report::{BUDGETS, Report, TIMED, WHOLE};

const BEGIN: &str = "<!-- cargo xtask bench kernel --write: begin -->\n";
const END: &str = "<!-- cargo xtask bench kernel --write: end -->\n";

/// Replaces what stands between the marks; every other word of the page stays.
pub(super) fn write(path: &Path, report: &Report) -> Result<()> {
    let page = fs::read_to_string(path)
        .with_context(|| format!("cannot read {}: restore it from git", path.display()))?;
    fs::write(path, replace(&page, &figures(report))?)
        .with_context(|| format!("cannot write {}: make it writable", path.display()))
}

fn replace(page: &str, figures: &str) -> Result<String> {
    let marks = || {
        let (before, rest) = page.split_once(BEGIN)?;
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    };
    let (before, after) = marks().context(
        "docs/performance.md has lost the two marks of `cargo xtask bench kernel --write`: restore them from git",
    )?;
    Ok(format!("{before}{BEGIN}\n{figures}\n{END}{after}"))
}

fn figures(report: &Report) -> String {
    let budgets: Vec<Vec<String>> = report
        .verdicts
        .iter()
        .map(|verdict| {
            let mut row = verdict.row();
            row.push(if verdict.holds() { "within" } else { "**exceeded**" }.to_owned());
            row
        })
        .collect();
    format!(
        "Taken by `cargo xtask bench kernel --seconds {}` on {}, kernel {}; medians of at \
         least {} rounds.\n\n\
         ### One run of a program\n\n{}\n\
         ### A packet's whole cost\n\n{}\n\
         ### Ratios against their budgets\n\n{}",
        report.seconds,
        report.cpu,
        report.kernel,
        report.rounds(),
        table(&TIMED, &report.timed_rows()),
        table(&WHOLE, &report.whole_rows()),
        table(&BUDGETS, &budgets),
    )
}

fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let head: Vec<String> = head.iter().map(|&title| title.to_owned()).collect();
    let rule: Vec<String> = head
        .iter()
        .map(|title| if title.ends_with("ns") || title == "ratio" { "--:" } else { "---" })
        .map(str::to_owned)
        .collect();
    let body: String = rows.iter().map(|row| line(row)).collect();
    line(&head) + &line(&rule) + &body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::tests::report;

    #[test]
    fn only_what_stands_between_the_marks_changes() {
        let page = format!("before\n{BEGIN}old\n{END}after\n");
        let once = replace(&page, &figures(&report())).unwrap();
        assert!(once.starts_with("before\n") && once.ends_with("after\n"), "{once}");
        assert!(once.contains("| RTP | empty | 50 | 51 | - |") && !once.contains("old"), "{once}");
        assert!(once.contains("**exceeded**"), "{once}");
        assert_eq!(replace(&once, &figures(&report())).unwrap(), once);
    }

    #[test]
    fn a_page_without_marks_is_refused() {
        let error = replace("nothing here\n", "x").unwrap_err().to_string();
        assert!(error.contains("marks"), "{error}");
    }
}

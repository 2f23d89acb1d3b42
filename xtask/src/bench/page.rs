//! The figures on a page of the documentation, between two marks.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::report::{BUDGETS, Report, TIMED, WHOLE};

/// Replaces what stands between the marks of one benchmark; every other word of the page
/// stays.
pub(super) fn write(path: &Path, bench: &str, figures: &str) -> Result<()> {
    let page = fs::read_to_string(path)
        .with_context(|| format!("cannot read {}: restore it from git", path.display()))?;
    let page = replace(&page, bench, figures)
        .with_context(|| format!("cannot write figures into {}", path.display()))?;
    fs::write(path, page)
        .with_context(|| format!("cannot write {}: make it writable", path.display()))
}

fn replace(page: &str, bench: &str, figures: &str) -> Result<String> {
    let mark = |which| format!("<!-- cargo xtask bench {bench} --write: {which} -->\n");
    let (begin, end) = (mark("begin"), mark("end"));
    let marks = || {
        let (before, rest) = page.split_once(&begin)?;
        let (_, after) = rest.split_once(&end)?;
        Some((before, after))
    };
    let (before, after) = marks().with_context(|| {
        format!(
            "the page has lost the two marks of `cargo xtask bench {bench} --write`: restore them from git"
        )
    })?;
    Ok(format!("{before}{begin}\n{figures}\n{end}{after}"))
}

/// The figures of the programs.
pub(super) fn kernel(report: &Report) -> String {
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

pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let head: Vec<String> = head.iter().map(|&title| title.to_owned()).collect();
    let rule: Vec<String> = head
        .iter()
        .map(|title| {
            let is_number = ["ns", "µs", "a second"].iter().any(|end| title.ends_with(end));
            if is_number || title == "ratio" { "--:" } else { "---" }
        })
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
        let mark = |which| format!("<!-- cargo xtask bench kernel --write: {which} -->\n");
        let page = format!("before\n{}old\n{}after\n", mark("begin"), mark("end"));
        let once = replace(&page, "kernel", &kernel(&report())).unwrap();
        assert!(once.starts_with("before\n") && once.ends_with("after\n"), "{once}");
        assert!(once.contains("| RTP | empty | 50 | 51 | - |") && !once.contains("old"), "{once}");
        assert!(once.contains("**exceeded**"), "{once}");
        assert_eq!(replace(&once, "kernel", &kernel(&report())).unwrap(), once);
    }

    #[test]
    fn a_page_without_marks_is_refused() {
        let error = replace("nothing here\n", "kernel", "x").unwrap_err().to_string();
        assert!(error.contains("marks"), "{error}");
    }
}

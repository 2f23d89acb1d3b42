//! What test runs print, summed: libtest's results, skips, figures.

use std::collections::BTreeMap;

/// The sum of some test runs.
#[derive(Default, Debug)]
pub(crate) struct Tally {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that failed, and runs that ended without a result.
    pub(crate) failed: u64,
    /// Tests that could not run, each with its reason: `NAME: REASON`.
    pub(crate) skipped: Vec<String>,
    /// `figure NAME=VALUE` lines.
    pub(crate) figures: BTreeMap<String, String>,
    /// Closing lines seen.
    pub(crate) results: u64,
    /// Skips since the last closing line: libtest counts each as a test that passed.
    skips_of_run: u64,
}

impl Tally {
    /// Reads one line of a libtest or unittest run; `from` names the run for a reader of the summary.
    pub(crate) fn line(&mut self, from: &str, line: &str) {
        let line = payload(line);
        if let Some(result) = line.strip_prefix("test result: ") {
            self.results += 1;
            self.passed += count(result, "passed").saturating_sub(self.skips_of_run);
            self.skips_of_run = 0;
            self.failed += count(result, "failed");
            self.ignored(from, count(result, "ignored"));
        } else if let Some(rest) = line.strip_prefix("Ran ") {
            // unittest: `Ran 12 tests in 0.1s`, then `OK` or `FAILED (failures=1, skipped=2)`.
            self.passed +=
                rest.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0);
        } else if line == "OK" || line.starts_with("OK (") || line.starts_with("FAILED (") {
            self.results += 1;
            let failed = ["failures=", "errors="].iter().map(|key| value(line, key)).sum::<u64>();
            let skipped = value(line, "skipped=");
            self.failed += failed;
            self.passed = self.passed.saturating_sub(failed + skipped);
            self.ignored(from, skipped);
        } else if let Some(skip) = line.strip_prefix("skipped: ") {
            self.skipped.push(format!("{from}: {skip}"));
            self.skips_of_run += 1;
        } else if let Some((name, value)) =
            line.strip_prefix("figure ").and_then(|rest| rest.split_once('='))
        {
            self.figures.insert(name.trim().to_owned(), value.trim().to_owned());
        }
    }

    /// Counts a run that ended with an error: as a failure, unless its own tests count as that.
    pub(crate) fn ended(&mut self, failed_before: u64, results_before: u64, well: bool) {
        if (!well && self.failed == failed_before) || (well && self.results == results_before) {
            self.failed += 1;
        }
    }

    /// Adds another sum.
    pub(crate) fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped.extend(other.skipped.iter().cloned());
    }

    fn ignored(&mut self, from: &str, count: u64) {
        self.skipped.extend((0..count).map(|_| format!("{from}: marked as ignored in the source")));
    }
}

/// With one thread, libtest leaves `test name ... ` before the test's own first line.
fn payload(line: &str) -> &str {
    match line.split_once(" ... ") {
        Some((head, rest)) if head.starts_with("test ") => rest,
        _ => line,
    }
}

fn count(result: &str, word: &str) -> u64 {
    let parts = result.split(['.', ';']).filter_map(|part| part.trim().strip_suffix(word));
    parts.filter_map(|number| number.trim().parse::<u64>().ok()).sum()
}

fn value(line: &str, key: &str) -> u64 {
    let rest = line.split_once(key).map_or("", |(_, rest)| rest);
    rest.split(|c: char| !c.is_ascii_digit())
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str]) -> Tally {
        let mut tally = Tally::default();
        lines.iter().for_each(|line| tally.line("part", line));
        tally
    }

    #[test]
    fn results_are_summed_over_runs() {
        let tally = of(&[
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        ]);
        assert_eq!((tally.passed, tally.failed, tally.results), (14, 1, 2));
        assert_eq!(tally.skipped, ["part: marked as ignored in the source"]);
    }

    #[test]
    fn figures_and_skips_are_found_behind_the_name_of_a_test() {
        let tally = of(&[
            "test loss ... figure lost=10",
            "figure packets = 990",
            "test x ... skipped: sipp: no such program",
            "ok",
            "test result: ok. 3 passed; 0 failed; 0 ignored",
        ]);
        assert_eq!(tally.passed, 2, "a skipped test has not passed");
        assert_eq!(tally.figures["lost"], "10");
        assert_eq!(tally.figures["packets"], "990");
        assert_eq!(tally.skipped, ["part: sipp: no such program"]);
    }

    #[test]
    fn unittest_counts_too() {
        let tally = of(&["Ran 9 tests in 0.004s", "", "FAILED (failures=1, errors=2, skipped=1)"]);
        assert_eq!((tally.passed, tally.failed, tally.skipped.len()), (5, 3, 1));
        assert_eq!(of(&["Ran 4 tests in 0.1s", "OK"]).passed, 4);
    }

    #[test]
    fn a_run_that_dies_or_says_nothing_is_a_failure() {
        let mut died = of(&["test a ... "]);
        died.ended(0, 0, false);
        assert_eq!(died.failed, 1);
        let mut silent = Tally::default();
        silent.ended(0, 0, true);
        assert_eq!(silent.failed, 1);
        let mut counted = of(&["test result: FAILED. 0 passed; 2 failed; 0 ignored; 0 measured"]);
        counted.ended(0, 0, false);
        assert_eq!(counted.failed, 2);
    }
}

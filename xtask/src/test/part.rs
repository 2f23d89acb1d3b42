//! One part of a test run, and how its result is read.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Error, Result};

use crate::command::{line, tee};
use crate::tally::Tally;
use crate::terminal::bold;

/// A part that ran.
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) time: Duration,
    pub(super) tally: Tally,
    /// Why it could not run to its end.
    pub(super) error: Option<Error>,
}

impl Part {
    /// Runs a part; an error ends this part, not the others.
    pub(super) fn run(name: &'static str, body: impl FnOnce(&mut Tally) -> Result<()>) -> Self {
        println!("\n{}", bold(name));
        let begun = Instant::now();
        let mut tally = Tally::default();
        let error = body(&mut tally).err();
        if error.is_some() {
            tally.failed += 1;
        }
        Self { name, time: begun.elapsed(), tally, error }
    }

    /// Whether nothing failed; skips are judged over all parts.
    pub(super) fn well(&self) -> bool {
        self.tally.failed == 0 && self.error.is_none()
    }
}

/// Runs tests, shows them, and counts what they say.
pub(super) fn tests_of(tally: &mut Tally, from: &str, command: &mut Command) -> Result<()> {
    let before = (tally.failed, tally.results);
    let status = tee(command, |line| tally.line(from, line))?;
    tally.ended(before.0, before.1, status.success());
    Ok(())
}

/// Runs a check that is one test in itself.
pub(super) fn check(tally: &mut Tally, name: &str, command: &mut Command) -> Result<()> {
    let status = tee(command, |_| {})?;
    if status.success() {
        tally.passed += 1;
    } else {
        println!("{name} failed: run it by hand with `{}`", line(command));
        tally.failed += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn an_error_fails_its_part_alone() {
        let part = Part::run("broken", |_| anyhow::bail!("no"));
        assert!(!part.well() && part.tally.failed == 1);
        assert!(Part::run("fine", |_| Ok(())).well());
    }

    #[test]
    fn a_skip_is_counted_and_a_crash_is_a_failure() {
        let mut tally = Tally::default();
        tests_of(&mut tally, "t", &mut shell("echo 'test a ... skipped: a: no sipp'; echo ok; echo 'test result: ok. 1 passed; 0 failed; 0 ignored'")).unwrap();
        assert_eq!((tally.passed, tally.failed, tally.skipped.len()), (0, 0, 1));
        tests_of(&mut tally, "t", &mut shell("echo running; kill -9 $$")).unwrap();
        assert_eq!(tally.failed, 1);
    }

    #[test]
    fn a_check_that_fails_counts_as_one() {
        let mut tally = Tally::default();
        check(&mut tally, "good", &mut shell("true")).unwrap();
        check(&mut tally, "bad", &mut shell("false")).unwrap();
        assert_eq!((tally.passed, tally.failed), (1, 1));
    }
}

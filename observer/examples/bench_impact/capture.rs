//! tcpdump, from its start to its last words.

use std::{
    io::{BufRead as _, BufReader, Lines},
    process::{Child, ChildStderr, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

use super::clock::Clock;

/// Headers of all packets on loopback, to nowhere.
const ARGUMENTS: [&str; 6] = ["-i", "lo", "-s", "96", "-w", "/dev/null"];

/// A tcpdump that captures.
pub(crate) struct Capture {
    child: Child,
    words: Lines<BufReader<ChildStderr>>,
    clock: Clock,
    begun: Duration,
}

/// What it said when it ended.
pub(crate) struct Counts {
    pub(crate) captured: u64,
    pub(crate) dropped: u64,
    /// Its CPU time from the moment it captured.
    pub(crate) cpu: Duration,
}

impl Capture {
    /// Returns when its socket is open.
    pub(crate) fn start() -> Result<Self> {
        let mut child = Command::new("tcpdump")
            .args(ARGUMENTS)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context(
                "cannot start tcpdump, which this compares with: install it with `apt-get \
                 install tcpdump`, or by `cargo xtask setup --only packages`",
            )?;
        let clock = Clock::of_process(child.id())?;
        let words = child.stderr.take().context("tcpdump has no standard error")?;
        let words = BufReader::new(words).lines();
        let mut capture = Self { child, words, clock, begun: Duration::ZERO };
        let mut complaint = String::new();
        for line in capture.words.by_ref() {
            let line = line?;
            if line.contains("listening on lo") {
                capture.begun = clock.now();
                return Ok(capture);
            }
            complaint = line;
        }
        bail!("tcpdump does not capture on lo, it says: {complaint}")
    }

    pub(crate) fn end(mut self) -> Result<Counts> {
        let cpu = self.clock.now().saturating_sub(self.begun);
        // SAFETY: no memory is involved, and the child has not been waited for.
        let error = unsafe { libc::kill(self.child.id().cast_signed(), libc::SIGINT) };
        ensure!(error == 0, "tcpdump has ended by itself");
        let (mut captured, mut dropped) = (None, None);
        for line in self.words.by_ref() {
            let line = line?;
            let count = line.split(' ').next().and_then(|word| word.parse().ok());
            if line.ends_with("captured") {
                captured = count;
            } else if line.ends_with("dropped by kernel") {
                dropped = count;
            }
        }
        const SILENT: &str = "tcpdump ended without its statistics: is it another one?";
        Ok(Counts { captured: captured.context(SILENT)?, dropped: dropped.context(SILENT)?, cpu })
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

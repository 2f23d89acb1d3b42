//! Measures how fast a capture is replayed, beside tshark on the same file, and prints the
//! figures as JSON. `cargo xtask bench replay` builds it and makes a table of it.
//!
//! The capture is made here, by arithmetic. Both programs take turns in one run, and what
//! they count of each stream is compared before anything is timed.

#[path = "../bench/machine.rs"]
mod machine;

mod traffic;

mod process;

mod race;

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use machine::Machine;
use race::Round;

/// Packets of the file that is timed, and of the one that memory is compared with.
const MANY: u64 = 1_000_000;
const FEW: u64 = 100_000;

/// A median of fewer says little.
const FEWEST_ROUNDS: usize = 5;

/// What is printed.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    machine: Machine,
    seconds: u64,
    rounds: usize,
    flows: u32,
    packets: u64,
    file_bytes: u64,
    ours: Figures,
    tshark: Figures,
    /// Median of the rounds' own.
    ratio: f64,
}

#[derive(Serialize)]
struct Figures {
    packets_per_second: f64,
    peak_mib: f64,
    /// Of a tenth of the packets.
    peak_mib_of_few: f64,
}

/// A folder that goes with this.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // The system empties this folder too.
        let _removed = fs::remove_dir_all(&self.0);
    }
}

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [observer, flag, seconds] = &arguments[..] else {
        bail!("usage: bench_replay OBSERVER --seconds N");
    };
    if flag != "--seconds" {
        bail!("usage: bench_replay OBSERVER --seconds N");
    }
    let seconds = seconds.parse().context("--seconds wants a number")?;
    let folder = Folder(env::temp_dir().join(format!("bench-replay-{}", std::process::id())));
    fs::create_dir(&folder.0)?;
    println!("{}", serde_json::to_string(&measure(Path::new(observer), &folder.0, seconds)?)?);
    Ok(())
}

fn measure(observer: &Path, folder: &Path, seconds: u64) -> Result<Report> {
    let (many, few) = (folder.join("many.pcap"), folder.join("few.pcap"));
    traffic::write(&many, MANY)?;
    traffic::write(&few, FEW)?;
    let small = Round::run(observer, &few, true)?;
    small.agrees(FEW)?;
    let begun = Instant::now();
    let mut rounds = Vec::new();
    while rounds.len() < FEWEST_ROUNDS || begun.elapsed() < Duration::from_secs(seconds) {
        let round = Round::run(observer, &many, rounds.len().is_multiple_of(2))?;
        round.agrees(MANY)?;
        rounds.push(round);
    }
    let figures = |of: fn(&Round) -> &process::Cost| Figures {
        packets_per_second: MANY as f64
            / median(rounds.iter().map(|round| of(round).cpu.as_secs_f64())),
        peak_mib: median(rounds.iter().map(|round| of(round).peak_kib as f64)) / 1_024.0,
        peak_mib_of_few: of(&small).peak_kib as f64 / 1_024.0,
    };
    Ok(Report {
        machine: Machine::this()?,
        seconds,
        rounds: rounds.len(),
        flows: traffic::FLOWS,
        packets: MANY,
        file_bytes: fs::metadata(&many)?.len(),
        ours: figures(|round| &round.ours),
        tshark: figures(|round| &round.tshark),
        ratio: median(rounds.iter().map(Round::ratio)),
    })
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

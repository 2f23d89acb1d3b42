//! A capture is replayed in bounded memory and many times as fast as tshark reads it: ratios
//! of one machine at one time, so a slow machine is no reason to fail.

#[path = "../examples/bench_replay/traffic.rs"]
mod traffic;

#[path = "../examples/bench_replay/process.rs"]
mod process;

#[path = "../examples/bench_replay/race.rs"]
mod race;

use std::{env, fs, path::Path};

use anyhow::Result;
use race::Round;

const FEW: u64 = 30_000;
const MANY: u64 = 300_000;

/// How many times as fast it is at least. The budget is judged by `cargo xtask bench replay`;
/// a debug build was seen to take fourteen times as long as a release build.
const RATIO: f64 = if cfg!(debug_assertions) { 1.5 } else { 10.0 };

/// How many times the memory of a tenth of the packets it may take.
const MEMORY: f64 = 1.1;

/// How often it is measured before it counts as too slow.
const ATTEMPTS: u32 = 3;

#[test]
fn a_capture_is_replayed_fast_and_in_bounded_memory() -> Result<()> {
    if std::process::Command::new("tshark").arg("--version").output().is_err() {
        println!("skipped: a_capture_is_replayed_fast_and_in_bounded_memory: no tshark");
        return Ok(());
    }
    let folder = env::temp_dir().join(format!("replay-speed-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let outcome = measure(&folder);
    fs::remove_dir_all(&folder)?;
    outcome
}

fn measure(folder: &Path) -> Result<()> {
    let observer = Path::new(env!("CARGO_BIN_EXE_observer"));
    let (few, many) = (folder.join("few.pcap"), folder.join("many.pcap"));
    traffic::write(&few, FEW)?;
    traffic::write(&many, MANY)?;
    let of_few = Round::run(observer, &few, true)?;
    of_few.agrees(FEW)?;
    let mut is_fast = false;
    for _ in 0..ATTEMPTS {
        let of_many = Round::run(observer, &many, false)?;
        of_many.agrees(MANY)?;
        let memory = of_many.ours.peak_kib as f64 / of_few.ours.peak_kib as f64;
        println!(
            "{:.1} times as fast as tshark, {} KiB, {memory:.2} of a tenth of it",
            of_many.ratio(),
            of_many.ours.peak_kib
        );
        assert!(memory <= MEMORY, "memory grows with the number of packets");
        is_fast = of_many.ratio() >= RATIO;
        if is_fast {
            break;
        }
    }
    assert!(is_fast, "not {RATIO} times as fast as tshark");
    Ok(())
}

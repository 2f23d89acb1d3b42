//! Measures what watching adds to the packets of an application, and prints the figures as
//! JSON. `cargo xtask bench impact` builds it, runs it as root and makes a table of it.
//!
//! Two threads on one CPU send a message there and back. All conditions take turns in one
//! run, and each is compared with what was measured beside it with nothing attached.

#[expect(dead_code, reason = "other measurements want other clocks")]
#[path = "../bench/clock.rs"]
mod clock;

#[path = "../bench/machine.rs"]
mod machine;

#[path = "../bench/voice.rs"]
mod voice;

#[path = "../bench/group.rs"]
mod group;

#[expect(dead_code, reason = "the time of single programs is measured by bench_kernel")]
#[path = "../bench/programs.rs"]
mod programs;

mod echo;

mod capture;

mod condition;

mod figures;

use std::{
    env,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use condition::{ALTERNATING, Condition, LASTING, Stage};
use echo::{Echo, Protocol};
use figures::{Captured, Report, Sample, Table};

/// Exchanges in a slice: some ten milliseconds for those that are switched at once, and
/// half a second for those that take long to start.
const SHORT: u32 = 700;
const LONG: u32 = 35_000;

/// Rounds of those that are switched at once for one of the others.
const ALTERNATIONS: u32 = 24;

/// Times in all that each condition that takes long is measured at least: a median of
/// fewer says little.
const FEWEST_CYCLES: u32 = 5;

fn main() -> Result<()> {
    let seconds = match env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => 60,
        [flag, value] if flag == "--seconds" => {
            value.parse().context("--seconds wants a number")?
        }
        _ => bail!("usage: bench_impact [--seconds N]"),
    };
    let mut stage = Stage::set()?;
    let mut report = Report::begin(seconds)?;
    let time = Duration::from_secs(seconds) / Protocol::ALL.len() as u32;
    for protocol in Protocol::ALL {
        report.add(measure(protocol, &mut stage, time)?);
    }
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

/// Cycles of many short rounds and one long, until the time is up. Every other round of
/// a kind is in reverse order.
fn measure(protocol: Protocol, stage: &mut Stage, time: Duration) -> Result<Table> {
    let mut echo = Echo::start(protocol)?;
    let mut table = Table::new(protocol.name());
    let (mut alternating, mut lasting) = (ALTERNATING, LASTING);
    let begun = Instant::now();
    let mut cycles = 0;
    while cycles < FEWEST_CYCLES || begun.elapsed() < time {
        for _ in 0..ALTERNATIONS {
            table.alternating.begin();
            for condition in alternating {
                let sample = slice(condition, SHORT, stage, &mut echo, &mut table.captured)?;
                table.alternating.add(condition, sample);
            }
            alternating.reverse();
        }
        table.lasting.begin();
        for condition in lasting {
            let sample = slice(condition, LONG, stage, &mut echo, &mut table.captured)?;
            table.lasting.add(condition, sample);
        }
        lasting.reverse();
        cycles += 1;
    }
    Ok(table)
}

/// Puts a condition in place, lets traffic warm up, and measures.
fn slice(
    condition: Condition,
    exchanges: u32,
    stage: &mut Stage,
    echo: &mut Echo,
    captured: &mut Captured,
) -> Result<Sample> {
    let watching = stage.put(condition)?;
    echo.exchange(condition, exchanges / 10)?;
    let spell = echo.exchange(condition, exchanges)?;
    let counts = watching.end()?;
    let consumer_ns = counts.map(|counts| captured.add(&counts, spell.packets()));
    Ok(Sample::of(&spell, consumer_ns.transpose()?))
}

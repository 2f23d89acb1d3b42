//! Measures what watching adds to the packets of an application, and prints the figures as
//! JSON. `cargo xtask bench impact` builds it, runs it as root and makes a table of it.
//!
//! Two threads on one CPU send a message there and back; or people talk by way of an SFU. All
//! conditions take turns in one run, and each is compared with what was measured beside it
//! with nothing attached.

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

mod call;

mod capture;

mod condition;

mod figures;

use std::{
    env,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use call::Call;
use condition::{ALTERNATING, Condition, LASTING, Stage};
use echo::{Echo, Protocol, Spell};
use figures::{Captured, Report, Sample, Table};

/// How long a slice is: some ten milliseconds of an echo for those that are switched at once,
/// and half a second for those that take long to start. A call, in which there is silence
/// too, is looked at for longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slice {
    WarmUp,
    Short,
    Long,
}

/// Something that has packets sent and received.
trait Traffic {
    fn name(&self) -> &'static str;

    /// Whether its figures are steady enough to be judged.
    fn has_budgets(&self) -> bool;

    /// Rounds of those that are switched at once for one of the others.
    fn alternations(&self) -> u32;

    /// What it took for a while.
    fn spell(&mut self, condition: Condition, slice: Slice) -> Result<Spell>;
}

/// Times in all that each condition that takes long is measured at least: a median of
/// fewer says little.
const FEWEST_CYCLES: u32 = 5;

const USAGE: &str = "usage: bench_impact --seconds N VC_SERVER VC_BOT";

fn main() -> Result<()> {
    let (seconds, server, bot) = match env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [flag, value, server, bot] if flag == "--seconds" => {
            (value.parse().context("--seconds wants a number")?, server.clone(), bot.clone())
        }
        _ => bail!(USAGE),
    };
    call::be_alone()?;
    let mut stage = Stage::set()?;
    let mut report = Report::begin(seconds)?;
    let time = Duration::from_secs(seconds) / (Protocol::ALL.len() as u32 + 1);
    for protocol in Protocol::ALL {
        report.add(measure(&mut Echo::start(protocol)?, &mut stage, time)?);
    }
    let mut call = Call::start(&server, &bot)?;
    report.add(measure(&mut call, &mut stage, time)?);
    call.end()?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

/// Cycles of many short rounds and one long, until the time is up. Every other round of
/// a kind is in reverse order.
fn measure(traffic: &mut dyn Traffic, stage: &mut Stage, time: Duration) -> Result<Table> {
    let mut table = Table::new(traffic.name(), traffic.has_budgets());
    let (mut alternating, mut lasting) = (ALTERNATING, LASTING);
    let begun = Instant::now();
    let mut cycles = 0;
    while cycles < FEWEST_CYCLES || begun.elapsed() < time {
        for _ in 0..traffic.alternations() {
            table.alternating.begin();
            for condition in alternating {
                let sample = take(condition, Slice::Short, stage, traffic, &mut table.captured)?;
                table.alternating.add(condition, sample);
            }
            alternating.reverse();
        }
        table.lasting.begin();
        for condition in lasting {
            let sample = take(condition, Slice::Long, stage, traffic, &mut table.captured)?;
            table.lasting.add(condition, sample);
        }
        lasting.reverse();
        cycles += 1;
    }
    Ok(table)
}

/// Puts a condition in place, lets traffic warm up, and measures.
fn take(
    condition: Condition,
    slice: Slice,
    stage: &mut Stage,
    traffic: &mut dyn Traffic,
    captured: &mut Captured,
) -> Result<Sample> {
    let watching = stage.put(condition)?;
    traffic.spell(condition, Slice::WarmUp)?;
    let spell = traffic.spell(condition, slice)?;
    let counts = watching.end()?;
    let consumer_ns = counts.map(|counts| captured.add(&counts, spell.packets));
    Ok(Sample::of(&spell, consumer_ns.transpose()?))
}

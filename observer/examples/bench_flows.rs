//! Measures an observer with full tables, and prints the figures as JSON. `cargo xtask
//! bench flows` builds it and runs it as root.

#[expect(dead_code, reason = "other measurements want other clocks")]
#[path = "bench/clock.rs"]
mod clock;

#[path = "bench/machine.rs"]
mod machine;

#[expect(dead_code, reason = "other measurements want to see more of it")]
#[path = "bench/running.rs"]
mod running;

#[path = "bench/tables.rs"]
mod tables;

use std::env;

use anyhow::{Context as _, Result};
use machine::Machine;
use serde::Serialize;
use tables::Row;

/// Entries in each of both tables.
const SIZES: [u64; 4] = [0, 1_000, 10_000, 100_000];

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    machine: Machine,
    rows: Vec<Row>,
}

fn main() -> Result<()> {
    let observer = env::args().nth(1).context("usage: bench_flows OBSERVER")?;
    let rows = SIZES.map(|size| tables::measure(&observer, size));
    let rows = rows.into_iter().collect::<Result<_>>()?;
    println!("{}", serde_json::to_string(&Report { machine: Machine::this()?, rows })?);
    Ok(())
}

//! Measures what the programs cost on this kernel, and prints the figures as JSON.
//! `cargo xtask bench kernel` builds it, runs it as root and makes a table of it.

#[path = "measure.rs"]
mod measure;

use std::{env, time::Duration};

use anyhow::{Context as _, Result, bail};
use measure::{Bench, Traffic, figures::Report};

/// What is measured, and its share of the time.
const TIMED: [(Traffic, u32); 6] = [
    (Traffic::OneFlow, 5),
    (Traffic::ManyFlows, 6),
    (Traffic::Excluded, 2),
    (Traffic::PingPong, 4),
    (Traffic::Bulk, 2),
    (Traffic::Connections, 1),
];
const WHOLE: [(Traffic, u32); 3] =
    [(Traffic::OneFlow, 5), (Traffic::ManyFlows, 5), (Traffic::PingPong, 4)];

fn main() -> Result<()> {
    let seconds = match env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => 30,
        [flag, value] if flag == "--seconds" => {
            value.parse().context("--seconds wants a number")?
        }
        _ => bail!("usage: bench_kernel [--seconds N]"),
    };
    let shares: u32 = TIMED.iter().chain(&WHOLE).map(|(_, share)| share).sum();
    let time = |share: u32| Duration::from_secs(seconds) * share / shares;

    let mut bench = Bench::start()?;
    let mut report = Report::of_this_machine(seconds)?;
    for (traffic, share) in TIMED {
        report.timed(traffic, &bench.time(traffic, time(share))?);
    }
    for (traffic, share) in WHOLE {
        report.whole(traffic, &bench.cost(traffic, time(share))?);
    }
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

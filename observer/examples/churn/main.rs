//! Watches an observer while sockets, voice flows, processes and network namespaces come
//! and go by the thousand, and judges whether anything of that stays. `cargo xtask verify
//! churn` builds it and runs it as root.

#[expect(dead_code, reason = "other measurements look into its maps")]
#[path = "../bench/running.rs"]
mod running;

#[path = "../bench/voice.rs"]
mod voice;

mod load;

mod watch;

mod judge;

use std::{env, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, bail};

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [observer, flag, seconds] = arguments.as_slice() else {
        bail!("usage: churn OBSERVER --seconds N");
    };
    if flag != "--seconds" {
        bail!("usage: churn OBSERVER --seconds N");
    }
    let time = Duration::from_secs(seconds.parse().context("--seconds wants a number")?);
    let watched = watch::watch(observer, time)?;
    let verdicts = judge::of(&watched);
    println!("\n{}", watched.made);
    for verdict in &verdicts {
        println!("{verdict}");
    }
    let well = verdicts.iter().all(|verdict| verdict.holds);
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

//! Has real programs call each other by paths that lose, delay and reorder, and prints what
//! the observer, the receiving end, the firewall and tshark each say of it, as JSON. `cargo
//! xtask bench accuracy` builds it and runs it as root.

#[path = "../bench/machine.rs"]
mod machine;

#[expect(dead_code, reason = "other measurements want to see more of it")]
#[path = "../bench/running.rs"]
mod running;

#[expect(dead_code, reason = "the tests ask more of them")]
#[path = "../../tests/peers"]
mod peers {
    pub(crate) mod baresip;
    pub(crate) mod capture;
    pub(crate) mod chromium;
    pub(crate) mod device;
    pub(crate) mod ends;
    pub(crate) mod firewall;
    pub(crate) mod folder;
    pub(crate) mod gstreamer;
    pub(crate) mod janus;
    pub(crate) mod loss;
    pub(crate) mod namespace;
    pub(crate) mod office;
    pub(crate) mod patience;
    pub(crate) mod process;
    pub(crate) mod samples;
    pub(crate) mod tshark;
    pub(crate) mod tunnel;
}

mod path;

mod stream;

mod calls;

use std::{env, process::Command};

use anyhow::{Context as _, Result, bail, ensure};
use machine::Machine;
use running::Running;
use serde::Serialize;
use stream::Row;

/// What is read each 100 ms has to be as fresh.
const SETTINGS: [&str; 2] = ["--interval", "100ms"];

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    machine: Machine,
    /// What took part, each with its version.
    versions: Vec<String>,
    samples: u32,
    rows: Vec<Row>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [observer, flag, samples] = arguments.as_slice() else {
        bail!("usage: bench_accuracy OBSERVER --samples N");
    };
    ensure!(flag == "--samples", "usage: bench_accuracy OBSERVER --samples N");
    let samples = samples.parse().context("--samples wants a number")?;
    let running = Running::start(observer, &SETTINGS)?;
    let mut rows = Vec::new();
    for call in calls::ALL {
        eprintln!("{}, {}", call.who, call.path.name());
        rows.push(call.measure(&running, samples)?);
    }
    running.stop()?;
    let versions = versions()?;
    println!(
        "{}",
        serde_json::to_string(&Report { machine: Machine::this()?, versions, samples, rows })?
    );
    Ok(())
}

/// What the programs say of themselves: name and version, without where they come from.
fn versions() -> Result<Vec<String>> {
    let mut versions = Vec::new();
    for (name, program, arguments) in [
        ("Chromium", "chromium", &["--version"][..]),
        ("Janus", "janus", &["--help"]),
        ("baresip", "baresip", &["-h"]),
        ("GStreamer", "gst-launch-1.0", &["--version"]),
        ("tshark", "tshark", &["--version"]),
    ] {
        let output = Command::new(program).args(arguments).output().context(program)?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        let number = |word: &&str| {
            let word = word.trim_start_matches(['v', '(']);
            word.starts_with(|first: char| first.is_ascii_digit()) && word.contains('.')
        };
        let version = text.split_whitespace().find(number);
        let version = version.with_context(|| format!("{program} tells no version: {text}"))?;
        let version = version.trim_matches(|end: char| !end.is_ascii_digit());
        versions.push(format!("{name} {version}"));
    }
    Ok(versions)
}

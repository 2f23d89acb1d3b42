//! An observer under load, looked at every few seconds.

use std::{
    process::ExitStatus,
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{
    load::{Load, Made},
    running::{Page, Running},
};

/// What is silent ends soon, so that it is seen to end: [`SILENCE`] is enough for both.
/// Everything is watched, so that both ends count.
const SETTINGS: [&str; 8] = [
    "--interval",
    "1s",
    "--flow-idle-timeout",
    "3s",
    "--connection-idle-timeout",
    "5s",
    "--targets",
    "{include: [{}]}",
];

/// After the load: idle timeouts, and some readings more.
const SILENCE: Duration = Duration::from_secs(10);

/// From one sample to the next, and how many of them are told of in one line.
const PAUSE: Duration = Duration::from_secs(2);
const TOLD: usize = 8;

/// One look at the observer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) memory_bytes: f64,
    pub(crate) descriptors: f64,
    pub(crate) completeness: f64,
    pub(crate) flows: f64,
    pub(crate) connections: f64,
    pub(crate) packets: f64,
    pub(crate) closes: f64,
    /// Lines of the ledger that are not zero.
    pub(crate) ledger: Vec<String>,
}

/// Everything that was seen of one run.
pub(crate) struct Watched {
    pub(crate) made: Arc<Made>,
    pub(crate) before: Sample,
    /// Under load, in the order of time.
    pub(crate) during: Vec<Sample>,
    pub(crate) after: Sample,
    /// How it ended when it was told to.
    pub(crate) end: Option<ExitStatus>,
}

/// Runs an observer under load for some time, and tells how it is.
pub(crate) fn watch(observer: &str, time: Duration) -> Result<Watched> {
    let running = Running::start(observer, &SETTINGS)?;
    sleep(SILENCE / 2);
    let before = Sample::of(&running.page()?);
    let load = Load::start()?;
    let begun = Instant::now();
    let mut during = Vec::new();
    while begun.elapsed() < time {
        sleep(PAUSE.min(time));
        let sample = Sample::of(&running.page()?);
        if during.len() % TOLD == 0 {
            println!("{:4} s of {}: {sample}", begun.elapsed().as_secs(), time.as_secs());
        }
        during.push(sample);
    }
    let made = load.end()?;
    println!("the load has ended: {} s of silence", SILENCE.as_secs());
    sleep(SILENCE);
    let after = Sample::of(&running.page()?);
    println!("after it: {after}");
    Ok(Watched { made, before, during, after, end: running.stop()? })
}

impl Sample {
    fn of(page: &Page) -> Self {
        let entries = |map| page.sum(&format!("observer_map_entries{{map=\"{map}\"}}"));
        Self {
            memory_bytes: page.sum("process_memory_usage_bytes"),
            descriptors: page.sum("process_open_file_descriptor_count"),
            completeness: page.sum("observer_completeness_ratio"),
            flows: entries("flows"),
            connections: entries("sockets"),
            packets: page.sum("observer_voice_packets_total"),
            closes: page.sum("observer_tcp_closes_total"),
            ledger: page.not_zero("observer_events_lost_total"),
        }
    }
}

impl std::fmt::Display for Sample {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            to,
            "memory {:.1} MiB, {} descriptors, {} flows, {} connections, completeness {}",
            self.memory_bytes / f64::from(1 << 20),
            self.descriptors,
            self.flows,
            self.connections,
            self.completeness
        )
    }
}

//! What a figure was taken on.

use std::fs;

use anyhow::{Context as _, Result};
use serde::Serialize;

/// Stands at the head of every report.
#[derive(Serialize)]
pub(crate) struct Machine {
    kernel: String,
    cpu: String,
}

impl Machine {
    pub(crate) fn this() -> Result<Self> {
        let read = |path| fs::read_to_string(path).with_context(|| format!("cannot read {path}"));
        let release = read("/proc/sys/kernel/osrelease")?;
        let model = read("/proc/cpuinfo")?
            .lines()
            .find_map(|line| line.strip_prefix("model name"))
            .map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':']))
            .to_owned();
        // What follows the version is whoever built it.
        let kernel = release.trim().split('-').next().unwrap_or_default().to_owned();
        Ok(Self { kernel, cpu: model })
    }
}

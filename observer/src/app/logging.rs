//! Logs, on standard error.

use std::io;

use anyhow::anyhow;
use tracing_subscriber::{EnvFilter, fmt};

use super::{Failure, is_colour_welcome};

/// Starts logging at the level of `-v`, unless `filter` says otherwise.
pub(super) fn start(verbose: u8, filter: Option<&str>) -> Result<(), Failure> {
    let level = match verbose {
        0 => "observer=info,warn",
        1 => "observer=debug,info",
        _ => "observer=debug,observer_ebpf=debug,info",
    };
    let filter = filter.unwrap_or(level);
    // The error names its own cause: as a source it would be said twice.
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        Failure::cannot_run(anyhow!(
            "`log: {filter}` is not a filter such as `info` or `observer=debug`: {error}"
        ))
    })?;
    fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        // It would report a failed write where the write failed, and panic there.
        .log_internal_errors(false)
        .with_ansi(is_colour_welcome(&io::stderr()))
        .with_target(verbose > 0)
        .try_init()
        .map_err(|error| Failure::cannot_run(anyhow!("cannot start logging: {error}")))
}

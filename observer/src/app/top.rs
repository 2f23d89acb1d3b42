//! `observer top`.

use std::{
    io,
    net::IpAddr,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use thiserror::Error;

use super::{
    cli::Format,
    config::Config,
    failure::{Failure, print},
    host::Host,
    http::Shared,
    logging,
    run::{colour, is_terminal},
    signal::stop_at_signal,
};
use crate::{
    export::snapshot::Snapshot,
    source::ebpf::read::Kernel,
    view::{
        table::{self, Style},
        top::{self as live, Options},
    },
};

/// The largest snapshot, in bytes: as many flows and connections as can be configured, and
/// 1 KiB for each. One takes about 400 bytes.
const LARGEST: u64 = 2 * 4_194_304 * 1_024;

/// How long an observer may take to answer, with tens of MB too.
const PATIENCE: Duration = Duration::from_secs(10);

/// Shows what a running observer serves, or what this process observes by itself.
pub(super) fn top(
    config: &Config,
    once: bool,
    format: Format,
    url: Option<&str>,
) -> Result<(), Failure> {
    let (title, mut next) = source(config, url)?;
    if once {
        let snapshot = next().map_err(|error| Failure::cannot_run(anyhow!(error)))?;
        return Ok(print(&match format {
            Format::Json => serde_json::to_string_pretty(&snapshot).context("JSON")? + "\n",
            Format::Table => table::render(&snapshot, style(colour())),
        })?);
    }
    if !is_terminal() {
        return Err(Failure::cannot_run(anyhow!(
            "the live view needs a terminal; `observer top --once` prints one snapshot"
        )));
    }
    let options = Options { colour: colour(), interval: config.interval, title };
    let stop = Arc::new(AtomicBool::new(false));
    stop_at_signal(&stop)?;
    let _held = logging::hold();
    Ok(live::run_until(next, options, &stop).context("the terminal failed")?)
}

/// How a table is printed here.
pub(super) fn style(colour: bool) -> Style {
    let width = is_terminal().then(|| crossterm::terminal::size().ok()).flatten();
    Style { colour, width: width.map(|(width, _)| width) }
}

/// Shows the host of this process live, on a thread of its own. `None` where there is
/// no terminal. Leaving the view sets `stop`.
pub(super) fn show_shared(
    host: &Shared,
    interval: Duration,
    stop: &Arc<AtomicBool>,
) -> Option<JoinHandle<()>> {
    if !is_terminal() {
        return None;
    }
    let (host, stop) = (Arc::clone(host), Arc::clone(stop));
    Some(thread::spawn(move || {
        let next = || Ok(host.lock().unwrap_or_else(PoisonError::into_inner).snapshot());
        let title = "this host, with the demo's traffic".to_owned();
        let options = Options { colour: colour(), interval, title };
        let held = logging::hold();
        let shown = live::run_until(next, options, &stop);
        drop(held);
        if let Err(error) = shown {
            tracing::warn!(%error, "the terminal failed");
        }
        stop.store(true, Ordering::Relaxed);
    }))
}

type Next = Box<dyn FnMut() -> Result<Snapshot, String>>;

fn source(config: &Config, url: Option<&str>) -> Result<(String, Next), Failure> {
    let chosen = url.map_or_else(|| default_url(config), str::to_owned);
    match fetch(&chosen) {
        Err(error) if url.is_none() && error.is_refusal() => {}
        Err(error) if url.is_none() => return Err(Failure::cannot_run(error)),
        _ => {
            let next = {
                let url = chosen.clone();
                move || fetch(&url).map_err(|error| error.to_string())
            };
            return Ok((chosen, Box::new(next)));
        }
    }
    tracing::info!("no observer listens at {}: observing from here", config.listen);
    let mut kernel = Kernel::start(&config.options(false))
        .with_context(|| format!("no observer listens at {chosen}, and this one cannot observe"))
        .map_err(Failure::cannot_run)?;
    let mut host = Host::new(config, None).map_err(Failure::cannot_run)?;
    host.adopt(&mut kernel);
    let interval = config.interval;
    let mut first = true;
    let next = move || {
        if first {
            // Rates and losses need something to look at.
            thread::sleep(interval);
            first = false;
        }
        host.read(&mut kernel);
        Ok(host.snapshot())
    };
    Ok(("this host".to_owned(), Box::new(next)))
}

fn default_url(config: &Config) -> String {
    let ip = match config.listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => "127.0.0.1".to_owned(),
        IpAddr::V6(ip) if ip.is_unspecified() => "[::1]".to_owned(),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    format!("http://{ip}:{}/api/v1/snapshot", config.listen.port())
}

/// Why an observer gave no snapshot.
#[derive(Debug, Error)]
#[error("{url}: {cause}")]
struct FetchError {
    url: String,
    cause: ureq::Error,
}

impl FetchError {
    /// Whether nobody listens there.
    fn is_refusal(&self) -> bool {
        matches!(&self.cause, ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused)
    }
}

fn fetch(url: &str) -> Result<Snapshot, FetchError> {
    let failed = |cause| FetchError { url: url.to_owned(), cause };
    // An observer is on this host, or near it: no proxy leads there.
    let agent: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).proxy(None).build().into();
    let mut response = agent.get(url).call().map_err(failed)?;
    response.body_mut().with_config().limit(LARGEST).read_json().map_err(failed)
}

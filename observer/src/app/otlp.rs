//! Metrics on their way to a collector, on a thread of their own, so that neither its
//! slowness nor their encoding keeps the host from its next reading.

use std::{
    fs, io,
    sync::{Arc, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::SystemTime,
};

use prometheus::proto::MetricFamily;
use tokio::sync::oneshot;

use super::{config::Config, failure::Failure, host::Host, http::Shared};
use crate::export::otlp::{Client, Environment, Exporter, Figures, Resource, Settings};

/// An exporter at work.
pub(super) struct Exporting {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// Prepares exports, if an endpoint is configured.
pub(super) fn prepare(
    config: &Config,
    environment: &Environment,
) -> Result<Option<Exporter>, Failure> {
    let Some(endpoint) = &config.otlp_endpoint else { return Ok(None) };
    let settings =
        Settings::new(endpoint, config.otlp_protocol, environment).map_err(Failure::cannot_run)?;
    // Without a name the host is whatever the collector takes it for.
    let host = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let resource =
        Resource::new(environment, host.as_deref().map(str::trim)).map_err(Failure::cannot_run)?;
    Ok(Some(Exporter::new(Client::new(settings), resource, config.otlp_interval)))
}

impl Exporting {
    /// Exports what the host counts, from `begun` on.
    pub(super) fn start(exporter: Exporter, host: &Shared, begun: SystemTime) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let figures = Observed(Arc::clone(host));
        let (stop, stopped) = oneshot::channel();
        let work = move || {
            runtime.block_on(exporter.run(figures, begun, async {
                // Whoever let go of it wants no more either.
                let _stopped = stopped.await;
            }));
            // A name that is still being looked up keeps nobody waiting.
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("otlp".to_owned()).spawn(work)?;
        Ok(Self { stop, thread })
    }

    /// Waits for the last export, which has its bounds.
    pub(super) fn stop(self) {
        // It is gone only if it panicked, which was said.
        let _gone = self.stop.send(());
        let _panicked = self.thread.join();
    }
}

struct Observed(Shared);

impl Observed {
    fn host(&self) -> MutexGuard<'_, Host> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Figures for Observed {
    fn gather(&self) -> Vec<MetricFamily> {
        let metrics = self.host().metrics().clone();
        metrics.gather()
    }

    fn add_loss(&self, loss: (&'static str, &'static str), count: u64) {
        self.host().add_loss(loss, count);
    }
}

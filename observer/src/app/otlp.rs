//! Metrics and records on their way to a collector, on a thread of their own, so that
//! neither its slowness nor their encoding keeps the host from its next reading.

use std::{
    fs, io,
    sync::{Arc, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::SystemTime,
};

use prometheus::proto::MetricFamily;
use tokio::sync::watch;

use super::{config::Config, failure::Failure, host::Host, http::Shared};
use crate::export::otlp::{
    Client, Delivery, Environment, Exporter, Figures, Queue, Resource, Settings, Signal,
};

/// What is to be exported.
pub(super) struct Exports {
    metrics: Option<Exporter>,
    records: Option<(Delivery, Arc<Queue>)>,
}

/// Exports at work.
pub(super) struct Exporting {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

/// Prepares exports, as far as endpoints are configured.
pub(super) fn prepare(config: &Config, environment: &Environment) -> Result<Exports, Failure> {
    // Without a name the host is whatever the collector takes it for.
    let host = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let resource =
        || Resource::new(environment, host.as_deref().map(str::trim)).map_err(Failure::cannot_run);
    let client = |signal, endpoint, protocol| {
        let settings = Settings::new(signal, endpoint, protocol, environment);
        settings.map(Client::new).map_err(Failure::cannot_run)
    };
    let metrics = config.otlp_endpoint.as_ref().map(|endpoint| {
        let client = client(Signal::Metrics, endpoint, config.otlp_protocol)?;
        Ok::<_, Failure>(Exporter::new(client, resource()?, config.otlp_interval))
    });
    let records = config.otlp_traces_endpoint.as_ref().map(|endpoint| {
        let client = client(Signal::Traces, endpoint, config.otlp_traces_protocol)?;
        // Every flow can end at once.
        let queue = Arc::new(Queue::new(config.max_flows as usize));
        Ok::<_, Failure>((Delivery::new(client, resource()?, Arc::clone(&queue)), queue))
    });
    Ok(Exports { metrics: metrics.transpose()?, records: records.transpose()? })
}

impl Exports {
    /// Where records go, if they go anywhere.
    pub(super) fn queue(&self) -> Option<Arc<Queue>> {
        self.records.as_ref().map(|(_, queue)| Arc::clone(queue))
    }
}

impl Exporting {
    /// Exports what the host counts, from `begun` on; nothing, if nothing is to be exported.
    pub(super) fn start(
        exports: Exports,
        host: &Shared,
        begun: SystemTime,
    ) -> io::Result<Option<Self>> {
        let Exports { metrics, records } = exports;
        if metrics.is_none() && records.is_none() {
            return Ok(None);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let host = Arc::clone(host);
        let (stop, stopped) = watch::channel(false);
        let work = move || {
            // Whoever let go of it wants no more either.
            let stop = || {
                let mut stopped = stopped.clone();
                async move { drop(stopped.wait_for(|stop| *stop).await) }
            };
            runtime.block_on(async {
                let metrics = async {
                    if let Some(metrics) = metrics {
                        metrics.run(Observed(Arc::clone(&host)), begun, stop()).await;
                    }
                };
                let records = async {
                    if let Some((records, _)) = records {
                        let host = Observed(Arc::clone(&host));
                        records.run(|loss, count| host.add_loss(loss, count), stop()).await;
                    }
                };
                tokio::join!(metrics, records);
            });
            // A name that is still being looked up keeps nobody waiting.
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("otlp".to_owned()).spawn(work)?;
        Ok(Some(Self { stop, thread }))
    }

    /// Waits for the last exports, which have their bounds.
    pub(super) fn stop(self) {
        // It is gone only if it panicked, which was said.
        let _gone = self.stop.send(true);
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

//! `observer run`.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, anyhow};
use tokio::{
    io::{Interest, unix::AsyncFd},
    net::TcpListener,
    time::{Instant, Interval, MissedTickBehavior, interval, interval_at},
};

use super::{
    config::Config,
    demo::Demo,
    failure::Failure,
    host::Host,
    http::{self, Shared},
    is_colour_welcome,
    otlp::{Exporting, Exports},
    reload::Reload,
    signal::{Request, Signals},
    top,
};
use crate::source::ebpf::read::Kernel;

/// Observes until a signal, or until the live view is left.
pub(super) fn run(
    config: Config,
    exports: Exports,
    reload: &Reload,
    demo: bool,
    diagnostics: bool,
) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
        .map_err(Failure::cannot_run)?;
    runtime.block_on(observe(config, exports, reload, demo, diagnostics))
}

async fn observe(
    config: Config,
    exports: Exports,
    reload: &Reload,
    demo: bool,
    diagnostics: bool,
) -> Result<(), Failure> {
    // Before anything is attached: from here on a signal ends it in good order.
    let mut signals = Signals::new(demo && is_terminal())?;
    let listener = bind(&config).await?;
    let mut kernel = Kernel::start(&config.options(diagnostics))?;
    let begun = SystemTime::now();
    let mut host = Host::new(&config, exports.queue()).map_err(Failure::cannot_run)?;
    let adopted = host.adopt(&mut kernel);
    let host = Arc::new(Mutex::new(host));
    let listen = listener.local_addr().context("cannot tell where it listens")?;
    announce(listen, &kernel, &host, adopted);
    let server = tokio::spawn(http::serve(listener, Arc::clone(&host)));
    let demo = demo.then(Demo::start).transpose().context("cannot start the demo")?;
    let stop = Arc::new(AtomicBool::new(false));
    let view = demo.is_some().then(|| top::show_shared(&host, config.interval, &stop)).flatten();
    let exporting = Exporting::start(exports, &host, begun);
    let exporting = exporting.context("cannot start the export to a collector")?;
    let outcome =
        read_until_stopped(config, reload, &mut kernel, &host, diagnostics, &mut signals, &stop)
            .await;
    if let Some(exporting) = exporting {
        // What came since the last reading is part of the last export.
        host.lock().unwrap_or_else(PoisonError::into_inner).read_last(&mut kernel);
        exporting.stop();
    }
    stop.store(true, Ordering::Relaxed);
    if let Some(view) = view {
        // A view that panicked has given the terminal back.
        let _ended = view.join();
    }
    drop(demo);
    server.abort();
    tracing::info!("stopped; every program is detached");
    outcome
}

async fn bind(config: &Config) -> Result<TcpListener, Failure> {
    TcpListener::bind(config.listen).await.map_err(|error| {
        let next = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "it is taken, perhaps by another observer (`observer top` shows what it sees); choose another with --listen"
            }
            io::ErrorKind::PermissionDenied => "ports below 1024 need CAP_NET_BIND_SERVICE; choose another with --listen",
            _ => "choose another with --listen",
        };
        Failure::cannot_run(anyhow!("cannot listen on {}: {error}: {next}", config.listen))
    })
}

/// The start-up log: what is up, and what is missing because of what is not.
fn announce(listen: SocketAddr, kernel: &Kernel, host: &Shared, adopted: u64) {
    let host = host.lock().unwrap_or_else(PoisonError::into_inner);
    for state in kernel.probes() {
        host.metrics().probe(state.probe.name, state.failure.is_none());
        if let Some(failure) = &state.failure {
            let metrics = state.probe.metrics.join(", ");
            tracing::warn!(probe = state.probe.name, failure, "missing metrics: {metrics}");
        }
    }
    tracing::info!(
        cgroup = %kernel.cgroup().display(),
        probes = kernel.probes().iter().filter(|state| state.failure.is_none()).count(),
        adopted_connections = adopted,
        "observing; http://{listen}/metrics, http://{listen}/api/v1/snapshot, `observer top`"
    );
}

async fn read_until_stopped(
    mut config: Config,
    reload: &Reload,
    kernel: &mut Kernel,
    host: &Shared,
    diagnostics: bool,
    signals: &mut Signals,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let events = kernel.events_fd().context("cannot wait for the kernel's events")?;
    // SAFETY: an owned descriptor is the same for as long as it lives.
    let events = unsafe { AsyncFd::register_with_interest(events, Interest::READABLE) }
        .context("cannot wait for the kernel's events")?;
    let mut logs = diagnostics.then(|| kernel.logger()).flatten();
    let mut last_tick = Instant::now();
    let mut ticks = ticks_from(last_tick, config.interval);
    let mut stop_checks = interval(Duration::from_millis(100));
    let mut summary = Summary::new(config.interval);
    loop {
        tokio::select! {
            request = signals.next() => match request {
                Request::Stop => return Ok(()),
                Request::Reload => {
                    let next = reload.next(&config);
                    let is_other_interval = next.interval != config.interval;
                    config = next;
                    host.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .reconfigure(&config)
                        .map_err(Failure::cannot_run)?;
                    if is_other_interval {
                        ticks = ticks_from(last_tick + config.interval, config.interval);
                        summary = Summary::new(config.interval);
                    }
                }
            },
            tick = ticks.tick() => {
                last_tick = tick;
                let mut host = host.lock().unwrap_or_else(PoisonError::into_inner);
                let reading = host.read(kernel);
                if reading.began + reading.ended > 0 {
                    tracing::debug!(began = reading.began, ended = reading.ended, "voice flows");
                }
                if let Some(logs) = &mut logs {
                    logs.flush();
                }
                summary.tick(&host);
            }
            ready = events.readable() => {
                host.lock().unwrap_or_else(PoisonError::into_inner).drain(kernel);
                ready.context("cannot wait for the kernel's events")?.clear_ready();
            }
            _ = stop_checks.tick() => if stop.load(Ordering::Relaxed) { return Ok(()) },
        }
    }
}

/// The times to read at, from `first` on.
fn ticks_from(first: Instant, every: Duration) -> Interval {
    let mut ticks = interval_at(first, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

/// A line a minute, so that a log says that there is life.
struct Summary {
    every: u32,
    ticks: u32,
}

impl Summary {
    fn new(interval: Duration) -> Self {
        let every = Duration::from_secs(60).as_secs_f64() / interval.as_secs_f64();
        Self { every: (every as u32).max(1), ticks: 0 }
    }

    fn tick(&mut self, host: &Host) {
        if self.ticks == self.every {
            self.ticks = 0;
            let snapshot = host.snapshot();
            let lost: u64 = snapshot.voice.iter().map(|flow| flow.lost).sum();
            tracing::info!(
                voice_flows = snapshot.voice.len(),
                lost_packets = lost,
                tcp_connections = snapshot.tcp.len(),
                completeness = snapshot.ledger.completeness,
                "observing"
            );
        }
        self.ticks += 1;
    }
}

/// Whether a live view can be drawn.
pub(super) fn is_terminal() -> bool {
    use io::IsTerminal as _;
    io::stdout().is_terminal() && io::stdin().is_terminal()
}

/// Whether it may be coloured.
pub(super) fn colour() -> bool {
    is_colour_welcome(&io::stdout())
}

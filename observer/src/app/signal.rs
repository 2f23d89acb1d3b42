//! The signals that end it.

use std::{
    future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM, SIGINT, and where a view is shown SIGHUP: its terminal is gone.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Option<Signal>,
}

impl Signals {
    /// Hears them from here on.
    pub(super) fn new(has_view: bool) -> anyhow::Result<Self> {
        let hangup = has_view.then(|| signal(SignalKind::hangup())).transpose();
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?,
            hangup: hangup.context("cannot wait for SIGHUP")?,
        })
    }

    /// Waits for the first of them.
    pub(super) async fn any(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = hangup => {}
        }
    }
}

/// Sets `stop` at the first of them, from a thread of its own: for a view that has none
/// to spare.
pub(super) fn stop_at_signal(stop: &Arc<AtomicBool>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let mut signals = {
        let _entered = runtime.enter();
        Signals::new(true)?
    };
    let stop = Arc::clone(stop);
    thread::spawn(move || {
        runtime.block_on(signals.any());
        stop.store(true, Ordering::Relaxed);
    });
    Ok(())
}

//! The signals that end it, and the one that has the configuration read again.

use std::{
    io::{self, IsTerminal as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// SIGTERM, SIGINT, or SIGHUP of a terminal that is gone: to end.
    Stop,
    /// SIGHUP by somebody who sent it: to read the configuration again.
    Reload,
}

/// The signals that are heard.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    has_view: bool,
    has_terminal: bool,
}

impl Signals {
    /// Hears them from here on. A view needs its terminal, so SIGHUP ends it.
    pub(super) fn new(has_view: bool) -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?,
            hangup: signal(SignalKind::hangup()).context("cannot wait for SIGHUP")?,
            has_view,
            has_terminal: io::stdin().is_terminal(),
        })
    }

    /// Waits for the first of them.
    pub(super) async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.terminate.recv() => Request::Stop,
            _ = self.interrupt.recv() => Request::Stop,
            _ = self.hangup.recv() => {
                let is_gone = self.has_terminal && !io::stdin().is_terminal();
                if self.has_view || is_gone { Request::Stop } else { Request::Reload }
            }
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
        runtime.block_on(signals.next());
        stop.store(true, Ordering::Relaxed);
    });
    Ok(())
}

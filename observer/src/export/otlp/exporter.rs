//! Exports, one an interval, for as long as somebody wants them.

use std::time::{Duration, SystemTime};

use prometheus::proto::MetricFamily;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::{
    backoff::Backoff,
    client::{Client, Refusal, Retry},
    health::Health,
    request::request,
    resource::Resource,
};

/// An export that no retry brought to the collector.
pub(super) const FAILED: (&str, &str) = ("otlp", "export_failed");
/// A point that the collector left out.
pub(super) const REJECTED: (&str, &str) = ("otlp", "rejected");

/// How long the last export may keep the process from its end.
pub(super) const FAREWELL: Duration = Duration::from_secs(5);

/// What is exported, and where losses are counted.
pub trait Figures {
    /// What `Registry::gather` gives at this moment.
    fn gather(&self) -> Vec<MetricFamily>;

    /// Counts one of [`LOSSES`](super::LOSSES).
    fn add_loss(&self, loss: (&'static str, &'static str), count: u64);
}

/// Keeps nothing but the way to the collector: each attempt sends what is so at its moment.
#[derive(Debug)]
pub struct Exporter {
    client: Client,
    resource: Resource,
    interval: Duration,
    health: Health,
    /// Until then the collector wants to be left alone.
    rests_until: Option<Instant>,
}

impl Exporter {
    /// Exports are `interval` apart, which is more than nothing.
    #[must_use]
    pub const fn new(client: Client, resource: Resource, interval: Duration) -> Self {
        Self { client, resource, interval, health: Health::Untried, rests_until: None }
    }

    /// Exports until `stop`, first at once, so that each sum begins with what it was; then
    /// a last time, for which there are 5 s at most. Sums count from `start`.
    pub async fn run(
        mut self,
        figures: impl Figures,
        start: SystemTime,
        stop: impl Future<Output = ()>,
    ) {
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let exports = async {
            loop {
                let tick = ticks.tick().await;
                self.export(&figures, start, tick + self.interval).await;
            }
        };
        tokio::select! {
            () = stop => {}
            () = exports => {}
        }
        let is_welcome = self.rests_until.is_none_or(|until| until <= Instant::now());
        let target = self.client.target();
        let last = timeout(FAREWELL, self.attempt(&figures, start));
        if !is_welcome || !matches!(last.await, Ok(Ok(()))) {
            tracing::warn!(target, "the last metrics were not exported");
        }
    }

    /// Tries until `deadline`, when the next export is due and has all that this one had.
    async fn export(&mut self, figures: &impl Figures, start: SystemTime, deadline: Instant) {
        let mut backoff = Backoff::default();
        loop {
            if let Some(until) = self.rests_until {
                if until >= deadline {
                    break;
                }
                sleep_until(until).await;
            }
            match self.attempt(figures, start).await {
                Ok(()) => return,
                Err(Retry::Never) => break,
                Err(Retry::After(wait)) => self.rests_until = Some(Instant::now() + wait),
                Err(Retry::Soon) => {
                    let until = Instant::now() + backoff.next(fastrand::f64());
                    if until >= deadline {
                        break;
                    }
                    sleep_until(until).await;
                }
            }
        }
        figures.add_loss(FAILED, 1);
    }

    /// Sends what is so at this moment.
    async fn attempt(&mut self, figures: &impl Figures, start: SystemTime) -> Result<(), Retry> {
        self.rests_until = None;
        let request = request(&figures.gather(), &self.resource, start, SystemTime::now());
        let outcome = self.client.send(request).await;
        let rejected = outcome.as_ref().ok().and_then(Option::as_ref);
        figures.add_loss(REJECTED, rejected.map_or(0, |part| part.rejected));
        self.health.turn(&self.client, &outcome);
        outcome.map(|_| ()).map_err(|Refusal { retry, .. }| retry)
    }
}

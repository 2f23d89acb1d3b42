//! Records on their way to a collector, a batch at a time.

use std::{pin::pin, sync::Arc};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    backoff::Backoff,
    client::{Client, Refusal, Retry},
    exporter::FAREWELL,
    health::Health,
    queue::Queue,
    record::spans,
    resource::Resource,
};

/// A record that no attempt brought to the collector.
pub(super) const FAILED: (&str, &str) = ("otlp", "record_failed");
/// A record that the collector left out.
pub(super) const REJECTED: (&str, &str) = ("otlp", "record_rejected");

/// Takes records from a queue to a collector: the oldest first, and none before the one
/// ahead of it has been taken or refused for good.
#[derive(Debug)]
pub struct Delivery {
    client: Client,
    resource: Resource,
    queue: Arc<Queue>,
    health: Health,
    /// What was taken from the queue and not by the collector.
    batch: Option<Batch>,
    /// Until then the collector wants to be left alone.
    rests_until: Option<Instant>,
}

/// Spans keep their numbers from one attempt to the next, so that who gets them twice can
/// tell.
#[derive(Debug)]
struct Batch {
    request: ExportTraceServiceRequest,
    records: u64,
}

impl Delivery {
    /// Of what `queue` has.
    #[must_use]
    pub const fn new(client: Client, resource: Resource, queue: Arc<Queue>) -> Self {
        Self { client, resource, queue, health: Health::Untried, batch: None, rests_until: None }
    }

    /// Delivers until `stop`, then what is left, for which there are 5 s at most. Losses,
    /// by stage and reason, go to `add_loss`.
    pub async fn run(
        mut self,
        add_loss: impl Fn((&'static str, &'static str), u64),
        stop: impl Future<Output = ()>,
    ) {
        let (end, ended) = watch::channel(false);
        let deadline = {
            let mut deliver = pin!(self.deliver(&add_loss, ended));
            tokio::select! {
                () = stop => {}
                () = &mut deliver => {}
            }
            let deadline = Instant::now() + FAREWELL;
            end.send_replace(true);
            // An attempt that is under way is not made twice.
            let _in_time = timeout_at(deadline, deliver).await;
            deadline
        };
        let _in_time = timeout_at(deadline, self.finish(&add_loss)).await;
        let waiting = self.queue.len() as u64;
        let left = self.batch.as_ref().map_or(0, |batch| batch.records) + waiting;
        if left > 0 {
            let target = self.client.target();
            tracing::warn!(target, left, "the last records of voice flows were not exported");
            add_loss(FAILED, left);
        }
    }

    /// Delivers until it has `ended`.
    async fn deliver(
        &mut self,
        add_loss: &impl Fn((&'static str, &'static str), u64),
        mut ended: watch::Receiver<bool>,
    ) {
        loop {
            tokio::select! {
                _ = ended.wait_for(|ended| *ended) => return,
                () = self.queue.ready() => {}
            }
            self.next();
            let mut backoff = Backoff::default();
            while let Err(retry) = self.attempt(add_loss).await {
                let wait = match retry {
                    Retry::Never => break,
                    Retry::Soon => backoff.next(fastrand::f64()),
                    Retry::After(wait) => wait,
                };
                let until = Instant::now() + wait;
                self.rests_until = matches!(retry, Retry::After(_)).then_some(until);
                tokio::select! {
                    _ = ended.wait_for(|ended| *ended) => return,
                    () = sleep_until(until) => {}
                }
            }
        }
    }

    /// Asks it once for each batch, and no more after it has not taken one of them.
    async fn finish(&mut self, add_loss: &impl Fn((&'static str, &'static str), u64)) {
        let is_welcome = self.rests_until.is_none_or(|until| until <= Instant::now());
        if !is_welcome {
            return;
        }
        loop {
            if self.batch.is_none() {
                self.next();
            }
            if self.batch.is_none() || self.attempt(add_loss).await.is_err() {
                return;
            }
        }
    }

    fn next(&mut self) {
        let records = self.queue.take();
        if !records.is_empty() {
            let request = spans(&records, &self.resource, || fastrand::u128(..));
            self.batch = Some(Batch { request, records: records.len() as u64 });
        }
    }

    /// Sends the batch. It stays unless it was taken, or never will be.
    async fn attempt(
        &mut self,
        add_loss: &impl Fn((&'static str, &'static str), u64),
    ) -> Result<(), Retry> {
        let Some(batch) = &self.batch else { return Ok(()) };
        let outcome = self.client.send(batch.request.clone()).await;
        self.rests_until = None;
        self.health.turn(&self.client, &outcome);
        match outcome {
            Ok(part) => add_loss(REJECTED, part.map_or(0, |part| part.rejected)),
            Err(Refusal { retry: Retry::Never, .. }) => add_loss(FAILED, batch.records),
            Err(Refusal { retry, .. }) => return Err(retry),
        }
        self.batch = None;
        Ok(())
    }
}

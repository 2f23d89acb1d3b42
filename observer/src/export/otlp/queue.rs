//! Records that wait for a collector: bounded, and never in the way of who brings one.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};

use super::record::Record;

/// A record that found no room.
pub const QUEUE_FULL: (&str, &str) = ("otlp", "queue_full");

/// Records that go in one request, some 600 KB of them.
const BATCH: usize = 512;

/// How long a batch waits to be full.
const DELAY: Duration = Duration::from_secs(1);

/// It.
#[derive(Debug)]
pub struct Queue {
    records: Mutex<VecDeque<Record>>,
    /// Told of the first record, and of each that makes a batch full.
    news: Notify,
    most: usize,
}

impl Queue {
    /// Room for `most` records.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { records: Mutex::default(), news: Notify::new(), most }
    }

    /// Takes in a record, and says whether there was room.
    #[must_use]
    pub fn push(&self, record: Record) -> bool {
        let mut records = self.records();
        let has_room = records.len() < self.most;
        if has_room {
            records.push_back(record);
            if records.len() == 1 || records.len().is_multiple_of(BATCH) {
                self.news.notify_one();
            }
        }
        has_room
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records().len()
    }

    /// Whether none does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until a batch is full, or for a while after it has begun.
    pub(super) async fn ready(&self) {
        while self.is_empty() {
            self.news.notified().await;
        }
        let full = async {
            while self.len() < BATCH {
                self.news.notified().await;
            }
        };
        // One that is not full goes as it is.
        let _in_time = timeout(DELAY, full).await;
    }

    /// The oldest, at most a batch of them.
    pub(super) fn take(&self) -> Vec<Record> {
        let mut records = self.records();
        let batch = records.len().min(BATCH);
        let taken = records.drain(..batch).collect();
        // Many may end at once, and then none for a long time.
        if records.is_empty() {
            *records = VecDeque::new();
        }
        taken
    }

    fn records(&self) -> MutexGuard<'_, VecDeque<Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

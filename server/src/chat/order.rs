//! One message of a channel at a time: it is told in the order in which it is kept, so that
//! who has heard one message has heard all before it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// The channels that somebody writes to.
#[derive(Default)]
pub(super) struct Order(Mutex<HashMap<i64, Arc<Turn<()>>>>);

impl Order {
    /// Waits for one's turn, which is over when the guard goes.
    pub(super) async fn turn(&self, channel: i64) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry(channel).or_default())
        };
        turn.lock_owned().await
    }

    /// Forgets the channels that nobody writes to.
    pub(super) fn tidy(&self) {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
    }
}

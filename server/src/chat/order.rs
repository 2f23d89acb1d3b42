//! One change of a channel, or of a community, at a time: it is told in the order in which
//! it is kept. So who has heard one message has heard all before it, and who left last is
//! out.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    sync::{Mutex as Turn, OwnedMutexGuard},
    time::timeout,
};

use crate::{problem::Problem, store::PATIENCE};

/// Those that somebody changes, by id.
#[derive(Default)]
pub(super) struct Order(Mutex<HashMap<i64, Arc<Turn<()>>>>);

impl Order {
    /// Waits for one's turn, which is over when the guard goes.
    pub(super) async fn turn(&self, id: i64) -> Result<OwnedMutexGuard<()>, Problem> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry(id).or_default())
        };
        timeout(PATIENCE, turn.lock_owned()).await.map_err(|_| Problem::Busy)
    }

    /// Forgets those that nobody changes.
    pub(super) fn tidy(&self) {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
    }
}

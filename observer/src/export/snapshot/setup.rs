//! A call that has no media yet.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Process, to_ms};
use crate::model::SettingUp;

/// A call that has no media yet, from its first granted check on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// The near end of its path.
    pub local: String,
    /// The far end.
    pub peer: String,
    /// What it waits for: `ice`, which is a pair to use, `dtls`, which is a `ClientHello`, or
    /// `media`.
    pub phase: String,
    /// Since its first check or `ClientHello`.
    pub duration_ms: f64,
    /// The service that it is counted for.
    pub service: Option<String>,
    /// The process that has its socket.
    pub process: Option<Process>,
}

impl Setup {
    /// The call at `now_ns` of the clock that its times are of.
    #[must_use]
    pub fn new(call: &SettingUp, now_ns: u64) -> Self {
        Self {
            local: call.local.to_string(),
            peer: call.key.peer.to_string(),
            phase: call.phase.as_str().to_owned(),
            duration_ms: to_ms(Duration::from_nanos(now_ns.saturating_sub(call.since_ns))),
            service: None,
            process: None,
        }
    }
}

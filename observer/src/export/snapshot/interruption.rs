//! When media should have come and did not.

use serde::{Deserialize, Serialize};

use super::to_ms;
use crate::track::voice::interruption::{self, Reason};

/// Interruptions of a flow, by the reasons of `observer.voice.interruptions`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interruptions {
    /// Times in which all packets were lost for `voice_silence_after`. They count when packets
    /// come again: until then a sender may rest.
    pub silence: u64,
    /// How long they were, all of them together.
    pub silence_ms: f64,
    /// Times in which there was audio in the other direction alone for `voice_one_way_after`.
    /// Where nothing ever came in the other direction, in this one alone.
    pub one_way: u64,
    /// How long they were, all of them together, as far as they were looked at.
    pub one_way_ms: f64,
    /// Why it is interrupted at the moment: `one_way`, or `null`.
    pub current: Option<String>,
}

impl From<&interruption::Interruptions> for Interruptions {
    fn from(known: &interruption::Interruptions) -> Self {
        let (silence, one_way) = (known.by(Reason::Silence), known.by(Reason::OneWay));
        Self {
            silence: silence.count,
            silence_ms: to_ms(silence.time),
            one_way: one_way.count,
            one_way_ms: to_ms(one_way.time),
            current: known.current().map(|reason| reason.as_str().to_owned()),
        }
    }
}

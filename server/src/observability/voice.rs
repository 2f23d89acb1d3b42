//! Voice packets, counted where they pass and read once an interval.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use opentelemetry::{KeyValue, metrics::Meter};

use super::contract;

/// What became of voice packets.
#[derive(Debug, Default)]
pub struct VoiceTally {
    forwarded: AtomicU64,
    dropped: [AtomicU64; Dropped::ALL.len()],
}

/// Why a packet was not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// It is nothing that voice is made of.
    Malformed,
    /// It comes from an address that no session has.
    Stranger,
    /// It is a check of ICE with another name or password than the session's.
    Refused,
    /// It is RTP that does not decrypt, was there before, or belongs to no stream.
    Discarded,
    /// Whoever sent it is muted.
    Muted,
    /// Others are heard.
    NoSeat,
    /// A listener has no slot left for whoever sent it.
    NoSlot,
    /// The socket did not take it.
    Unsent,
}

impl Dropped {
    /// Each.
    pub const ALL: [Self; 8] = [
        Self::Malformed,
        Self::Stranger,
        Self::Refused,
        Self::Discarded,
        Self::Muted,
        Self::NoSeat,
        Self::NoSlot,
        Self::Unsent,
    ];

    /// The contract's word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Stranger => "stranger",
            Self::Refused => "refused",
            Self::Discarded => "discarded",
            Self::Muted => "muted",
            Self::NoSeat => "no_seat",
            Self::NoSlot => "no_slot",
            Self::Unsent => "unsent",
        }
    }
}

impl VoiceTally {
    /// A packet was sent to a listener.
    pub fn forwarded(&self) {
        self.forwarded.fetch_add(1, Relaxed);
    }

    /// A packet was not.
    pub fn dropped(&self, why: Dropped) {
        self.dropped[why as usize].fetch_add(1, Relaxed);
    }
}

/// Has the instruments read the counts at each export.
pub(super) fn observe(meter: &Meter) -> Arc<VoiceTally> {
    let tally = Arc::<VoiceTally>::default();
    let read = Arc::clone(&tally);
    let metric = &contract::VOICE_FORWARDED;
    let builder = meter.u64_observable_counter(metric.name).with_unit(metric.unit);
    let forwarded = builder.with_description(metric.meaning).with_callback(move |observer| {
        observer.observe(read.forwarded.load(Relaxed), &[]);
    });
    forwarded.build();
    let read = Arc::clone(&tally);
    let metric = &contract::VOICE_DROPPED;
    let builder = meter.u64_observable_counter(metric.name).with_unit(metric.unit);
    let dropped = builder.with_description(metric.meaning).with_callback(move |observer| {
        for why in Dropped::ALL {
            let count = read.dropped[why as usize].load(Relaxed);
            observer.observe(count, &[KeyValue::new("reason", why.name())]);
        }
    });
    dropped.build();
    tally
}

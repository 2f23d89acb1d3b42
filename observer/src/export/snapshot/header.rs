//! What header extensions tell of a flow.

use observer_common::rtp::extension::Extensions;
use serde::{Deserialize, Serialize};

use super::{ns_to_ms, ratio};

/// What the header extensions of one packet in sixteen tell (RFC 8285). What the sender does
/// not say is `null`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HeaderExtensions {
    /// Share of packets that the sender says hold voice (RFC 6464).
    pub voice_ratio: Option<f64>,
    /// Share of packets that hold digital silence.
    pub silent_ratio: Option<f64>,
    /// Share of packets at the loudest level there is, where speech clips.
    pub clipped_ratio: Option<f64>,
    /// Share of the packets of the whole transport, with those of its other flows, that did
    /// not come, where this is its only flow (transport-wide sequence number).
    pub transport_loss_ratio: Option<f64>,
    /// Mean delay above the least of late, by the time of sending (absolute send time).
    pub delay_variation_mean_ms: Option<f64>,
    /// The largest.
    pub delay_variation_max_ms: Option<f64>,
}

impl HeaderExtensions {
    /// What they tell; `None` if that is nothing.
    #[must_use]
    pub fn new(told: &Extensions) -> Option<Self> {
        let of_levels = |count: u32| {
            (told.level_samples != 0).then(|| ratio(count.into(), told.level_samples.into()))
        };
        let samples = told.send_samples;
        let received = told.transport_last_packets.wrapping_sub(told.transport_first_packets);
        let span = told.transport_span;
        let all = Self {
            voice_ratio: of_levels(told.level_voice),
            silent_ratio: of_levels(told.level_silent),
            clipped_ratio: of_levels(told.level_clipped),
            transport_loss_ratio: (span != 0)
                .then(|| ratio(span.saturating_sub(received).into(), span.into())),
            delay_variation_mean_ms: (samples != 0)
                .then(|| ns_to_ms(told.send_excess_sum_ns) / f64::from(samples)),
            delay_variation_max_ms: (samples != 0).then(|| ns_to_ms(told.send_excess_max_ns)),
        };
        (all != Self::default()).then_some(all)
    }
}

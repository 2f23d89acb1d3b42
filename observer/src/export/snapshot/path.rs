//! What is known of a flow's path.

use serde::{Deserialize, Serialize};

use super::to_ms;
use crate::model::PathFigures;

/// What is known of a flow's path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Path {
    /// Where the flow's `rtt_ms` is known from: `stun` or `rtcp`.
    pub rtt_source: Option<String>,
    /// How long the application took for its last answer to a STUN check.
    pub stall_ms: Option<f64>,
    /// The longest that it took.
    pub stall_max_ms: Option<f64>,
    /// From the first check to the pair in use.
    pub setup_ice_ms: Option<f64>,
    /// From that to the first `ClientHello`.
    pub setup_dtls_ms: Option<f64>,
    /// From that to the first media.
    pub setup_media_ms: Option<f64>,
    /// Share of a sent flow's packets that the far end missed, by its RTCP.
    pub far_loss_ratio: Option<f64>,
    /// Interarrival jitter at the far end, by its RTCP.
    pub far_jitter_ms: Option<f64>,
    /// Datagrams of RTCP that could be read.
    pub rtcp_packets: Option<u64>,
    /// Datagrams of SRTCP.
    pub srtcp_packets: Option<u64>,
}

impl Path {
    pub(super) fn new(figures: &PathFigures, clock_rate: u32) -> Self {
        let [ice, dtls, media] = figures.setup.map(|time| time.map(to_ms));
        let far_jitter = figures.far_jitter_ticks.filter(|_| clock_rate != 0);
        Self {
            rtt_source: figures.rtt.map(|(source, _)| source.as_str().to_owned()),
            stall_ms: figures.stall.map(to_ms),
            stall_max_ms: figures.stall_max.map(to_ms),
            setup_ice_ms: ice,
            setup_dtls_ms: dtls,
            setup_media_ms: media,
            far_loss_ratio: figures.far_loss.map(|loss| loss.whole),
            far_jitter_ms: far_jitter.map(|ticks| f64::from(ticks) * 1e3 / f64::from(clock_rate)),
            rtcp_packets: figures.rtcp,
            srtcp_packets: figures.srtcp,
        }
    }
}

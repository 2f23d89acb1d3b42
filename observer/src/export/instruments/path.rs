//! What paths of voice are measured by.

use super::{Attribute, Instrument, Kind, LATENCY, SERVICE};

const RTT_SOURCE: Attribute = Attribute {
    name: "voice.rtt.source",
    values: "`stun`, from checks and their answers, or `rtcp`, from reports that can be read",
};
const PHASE: Attribute = Attribute {
    name: "voice.phase",
    values: "`ice`, from the first check to the pair in use; `dtls`, from that to the first ClientHello; `media`, from that to the first RTP packet",
};

/// Round trips of voice.
pub const VOICE_RTT: Instrument = Instrument {
    name: "observer.voice.rtt",
    kind: Kind::Histogram(LATENCY),
    unit: "s",
    attributes: &[SERVICE, RTT_SOURCE],
    meaning: "Round trip on the path of a call, the mean of each path and interval that had one",
};
/// Stalls.
pub const VOICE_STALL: Instrument = Instrument {
    name: "observer.voice.stall.duration",
    kind: Kind::Histogram(LATENCY),
    unit: "s",
    attributes: &[SERVICE],
    meaning: "From a STUN check that came in to the answer that went out: how long the application takes, the longest of each path and interval, or their mean where all were shorter than one before",
};
/// Set-up.
pub const VOICE_SETUP: Instrument = Instrument {
    name: "observer.voice.setup.duration",
    kind: Kind::Histogram(LATENCY),
    unit: "s",
    attributes: &[SERVICE, PHASE],
    meaning: "How long a phase of a call's set-up took, once a call that was seen from its start",
};

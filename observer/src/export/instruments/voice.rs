//! Instruments of voice.

use super::{Attribute, DIRECTION, Instrument, Kind, LATENCY, SERVICE};

/// Boundaries of jitter, in s, chosen likewise. Among them is 50 ms, the bound of delay
/// variation in classes 0 and 1 of ITU-T Y.1541.
const JITTER: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.003, 0.005, 0.007_5, 0.01, 0.015, 0.02, 0.03, 0.05,
    0.1, 0.2, 0.5,
];

/// Boundaries of shares, chosen likewise. Among them are 0.1 %, the bound of loss in
/// classes 0 to 4 of ITU-T Y.1541, and 3 %, that of a conversation in ITU-T G.1010.
const RATIO: &[f64] =
    &[0.0, 0.001, 0.002_5, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.3, 0.5, 1.0];

/// Boundaries of mean opinion scores. 2.58, 3.1, 3.6, 4.03 and 4.34 are those of ratings of
/// 50 to 90, between which users are from "nearly all dissatisfied" to "very satisfied"
/// (ITU-T G.107 annex B); at 3.5 alerts are usual.
const SCORE: &[f64] = &[1.5, 2.0, 2.58, 3.1, 3.5, 3.6, 3.8, 4.03, 4.2, 4.34, 4.4];

const REASON: Attribute = Attribute {
    name: "reason",
    values: "`silence`, or `one_way` by the direction that is missing",
};
const MEDIA: Attribute = Attribute {
    name: "voice.media",
    values: "`audio` or `video`; `unknown` for a dynamic payload type that `voice_codecs` does not name, until its clock is known",
};
const CODEC: Attribute = Attribute {
    name: "voice.codec",
    values: "the encoding that `voice_codecs` or RFC 3551 gives the payload type, in lower case, `other` for one with a name of its own, else `unknown`",
};
const BUFFER: Attribute =
    Attribute { name: "voice.buffer", values: "`fixed_50ms`, `fixed_200ms` or `adaptive`" };
const MODEL: Attribute = Attribute {
    name: "voice.model",
    values: "the E-model that it is a score of: `g107` (narrowband), `g107.1` (wideband), `g107.2` (fullband), which do not compare, or `codec_unknown`, of the network alone",
};
const DELAY: Attribute = Attribute {
    name: "voice.delay",
    values: "`measured`, by half of a round trip, or `assumed`, by `voice_assumed_delay`",
};

/// Voice flows that there are.
pub const VOICE_FLOWS: Instrument = Instrument {
    name: "observer.voice.flows",
    kind: Kind::UpDownCounter,
    unit: "{flow}",
    attributes: &[SERVICE, DIRECTION, CODEC, MEDIA],
    meaning: "Voice flows with a packet within flow_idle_timeout",
};
/// Packets that came.
pub const VOICE_PACKETS: Instrument = Instrument {
    name: "observer.voice.packets",
    kind: Kind::Counter,
    unit: "{packet}",
    attributes: &[SERVICE, DIRECTION, MEDIA],
    meaning: "RTP packets that came",
};
/// Packets that did not.
pub const VOICE_LOST: Instrument = Instrument {
    name: "observer.voice.lost_packets",
    kind: Kind::Counter,
    unit: "{packet}",
    attributes: &[SERVICE, DIRECTION, MEDIA],
    meaning: "RTP packets that the sequence numbers call for and that did not come",
};
/// Packets that came again.
pub const VOICE_DUPLICATES: Instrument = Instrument {
    name: "observer.voice.duplicate_packets",
    kind: Kind::Counter,
    unit: "{packet}",
    attributes: &[SERVICE, DIRECTION, MEDIA],
    meaning: "RTP packets that came again",
};
/// Packets out of order.
pub const VOICE_REORDERED: Instrument = Instrument {
    name: "observer.voice.reordered_packets",
    kind: Kind::Counter,
    unit: "{packet}",
    attributes: &[SERVICE, DIRECTION, MEDIA],
    meaning: "RTP packets that came after a later one (RFC 4737)",
};
/// Bytes of voice.
pub const VOICE_IO: Instrument = Instrument {
    name: "observer.voice.io",
    kind: Kind::Counter,
    unit: "By",
    attributes: &[SERVICE, DIRECTION],
    meaning: "RTP headers and payloads",
};
/// Jitter.
pub const VOICE_JITTER: Instrument = Instrument {
    name: "observer.voice.jitter",
    kind: Kind::Histogram(JITTER),
    unit: "s",
    attributes: &[SERVICE, DIRECTION],
    meaning: "Interarrival jitter (RFC 3550), a point per flow and interval",
};
/// Loss.
pub const VOICE_LOSS_RATIO: Instrument = Instrument {
    name: "observer.voice.loss.ratio",
    kind: Kind::Histogram(RATIO),
    unit: "1",
    attributes: &[SERVICE, DIRECTION],
    meaning: "Share of the expected RTP packets that did not come, a point per flow and interval",
};
/// Packets too late to be played.
pub const VOICE_LATE_RATIO: Instrument = Instrument {
    name: "observer.voice.late.ratio",
    kind: Kind::Histogram(RATIO),
    unit: "1",
    attributes: &[SERVICE, DIRECTION, BUFFER],
    meaning: "Share of the expected RTP packets that came too late for a jitter buffer, a point per flow, interval and buffer",
};
/// Losses in bursts.
pub const VOICE_BURST_RATIO: Instrument = Instrument {
    name: "observer.voice.burst.ratio",
    kind: Kind::Histogram(RATIO),
    unit: "1",
    attributes: &[SERVICE, DIRECTION],
    meaning: "Share of the losses that were in bursts (RFC 3611), a point per flow and interval with losses",
};
/// Interruptions.
pub const VOICE_INTERRUPTIONS: Instrument = Instrument {
    name: "observer.voice.interruptions",
    kind: Kind::Counter,
    unit: "{interruption}",
    attributes: &[SERVICE, DIRECTION, REASON],
    meaning: "Times in which media should have come and did not: a stream that lost all of its packets for `voice_silence_after`, counted when it goes on, and audio that went in the other direction alone for `voice_one_way_after`",
};
/// Delay of a forwarding process.
pub const VOICE_HOP_DELAY: Instrument = Instrument {
    name: "observer.voice.hop.delay",
    kind: Kind::Histogram(LATENCY),
    unit: "s",
    attributes: &[SERVICE],
    meaning: "Time from an RTP packet's receipt to the transmission of the same packet by the same process, the mean of one packet in 16, a point per flow that is transmitted and interval; there is none of a process that rewrites SSRCs or sequence numbers",
};
/// Scores.
pub const VOICE_MOS: Instrument = Instrument {
    name: "observer.voice.mos",
    kind: Kind::Histogram(SCORE),
    unit: "{score}",
    attributes: &[SERVICE, DIRECTION, MODEL, DELAY],
    meaning: "Mean opinion score by the E-model, a point per audio flow and interval: of what was received, and of what was sent by the far end's reports alone",
};

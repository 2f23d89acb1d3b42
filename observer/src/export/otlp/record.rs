//! Records of voice flows, each as a span with every figure of its flow.

use std::{collections::BTreeMap, sync::Arc};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::any_value::Value,
    trace::v1::{ResourceSpans, ScopeSpans, Span, span::SpanKind},
};

use super::{
    super::snapshot::Voice,
    resource::{Resource, scope, valued},
};
use crate::{
    model::{PathFigures, VoiceFlow, WallClock},
    quality::score::Assumptions,
    track::voice::At,
};

/// The span's name.
pub const SPAN: &str = "voice.flow";

/// Flags of a span: sampled (W3C Trace Context section 3.2.2.5.1).
const SAMPLED: u32 = 1;

/// A voice flow at its end, or at the observer's.
#[derive(Clone, Debug)]
pub struct Record {
    /// It.
    pub flow: VoiceFlow,
    /// What is known of its path.
    pub path: PathFigures,
    /// The service that it was counted for.
    pub service: Option<String>,
    /// What it is scored by.
    pub assumptions: Arc<Assumptions>,
    /// What the times of its figures are.
    pub clock: WallClock,
    /// Whether it has ended, and not the observer.
    pub has_ended: bool,
}

/// Something that a record may say. What is not known is left out, never 0.
#[derive(Clone, Copy, Debug)]
pub struct Attribute {
    /// What it is called.
    pub name: &'static str,
    /// Its unit, as an instrument would have it; empty for what is no number.
    pub unit: &'static str,
    /// What it says.
    pub meaning: &'static str,
    value: fn(&Figures<'_>) -> Option<Value>,
}

/// What attributes are made of.
struct Figures<'a> {
    record: &'a Record,
    flow: &'a VoiceFlow,
    /// The flow as the snapshot has it.
    voice: Voice,
}

/// Every attribute, in the order in which they are sent. No address is among them, and no
/// port: who has to know the far end looks where it is shown, on the host itself.
#[rustfmt::skip]
pub const ATTRIBUTES: &[Attribute] = &[
    Attribute::new("observer.voice.ended", "", "`false` when the observer ended before the flow", |of| Some(Value::BoolValue(of.record.has_ended))),
    Attribute::new("network.io.direction", "", "`receive` or `transmit`, as the observed process sees it", |of| text(of.voice.direction.as_deref())),
    Attribute::new("network.transport", "", "`udp`, or `tcp` where it goes in a stream", |of| text(Some(of.voice.transport.as_str()))),
    Attribute::new("voice.media", "", "`audio` or `video`, where the payload type or its clock tells", |of| text(Some(media(of)).filter(|media| *media != "unknown"))),
    Attribute::new("voice.codec", "", "encoding, where RFC 3551 or the configuration names it", |of| text(of.voice.codec.as_deref())),
    Attribute::new("rtp.payload_type", "", "payload type that says what it carries", |of| count(of.voice.payload_type)),
    Attribute::new("rtp.clock_rate", "Hz", "ticks a second of its timestamps", |of| count(of.voice.clock_rate)),
    Attribute::new("rtp.ssrc", "", "synchronisation source: drawn at random for one stream, so it joins a record with what an end or a capture says of that stream and tells nobody who it is", |of| count(of.voice.ssrc)),
    Attribute::new("socket.cookie", "", "the kernel's number of the socket, as a server can put it on its own spans", |of| count(of.flow.key.socket.0)),
    Attribute::new("observer.voice.packets", "{packet}", "packets of the sequence, duplicates among them", |of| count(of.voice.packets)),
    Attribute::new("observer.voice.expected_packets", "{packet}", "packets that the sequence numbers call for", |of| count(of.voice.expected)),
    Attribute::new("observer.voice.lost_packets", "{packet}", "packets expected that did not come", |of| count(of.voice.lost)),
    Attribute::new("observer.voice.duplicate_packets", "{packet}", "packets that came again", |of| count(of.voice.duplicates)),
    Attribute::new("observer.voice.reordered_packets", "{packet}", "packets that came after a later one", |of| count(of.voice.reordered)),
    Attribute::new("observer.voice.io", "By", "RTP headers and payloads", |of| count(of.flow.stream.bytes)),
    Attribute::new("observer.voice.loss.ratio", "1", "lost packets by expected ones", |of| number(Some(of.voice.loss_ratio))),
    Attribute::new("observer.voice.jitter", "s", "interarrival jitter at the end (RFC 3550 section 6.4.1)", |of| seconds(Some(of.voice.jitter_ms))),
    Attribute::new("observer.voice.jitter_mean", "s", "its mean", |of| seconds(of.voice.jitter_mean_ms)),
    Attribute::new("observer.voice.jitter_max", "s", "its maximum", |of| seconds(of.voice.jitter_max_ms)),
    Attribute::new("observer.voice.delta_max", "s", "longest time between two packets, those that begin a talkspurt left out", |of| seconds(of.voice.delta_max_ms)),
    Attribute::new("observer.voice.bursts", "{burst}", "bursts of loss (RFC 3611 section 4.7.2)", |of| of.voice.bursts.and_then(count)),
    Attribute::new("observer.voice.burst.ratio", "1", "share of packets lost in bursts (RFC 3611 section 4.7.2)", |of| number(of.voice.burst_loss_ratio)),
    Attribute::new("observer.voice.burst.density", "1", "share of the packets of bursts that did not come (RFC 3611)", |of| number(of.voice.burst_density)),
    Attribute::new("observer.voice.gap.density", "1", "share of the packets outside of bursts that did not come (RFC 3611)", |of| number(of.voice.gap_density)),
    Attribute::new("observer.voice.late.ratio.fixed_50ms", "1", "share of packets too late for a jitter buffer of 50 ms", |of| number(of.voice.late.map(|late| late.fixed_50ms))),
    Attribute::new("observer.voice.late.ratio.fixed_200ms", "1", "of 200 ms", |of| number(of.voice.late.map(|late| late.fixed_200ms))),
    Attribute::new("observer.voice.late.ratio.adaptive", "1", "of one that adapts, up to 500 ms", |of| number(of.voice.late.map(|late| late.adaptive))),
    Attribute::new("observer.voice.moves", "{move}", "how often ICE moved it to another path", |of| count(of.flow.moves)),
    Attribute::new("observer.voice.silences", "{interruption}", "times of a second and more in which all packets were lost", |of| count(of.flow.stream.silences)),
    Attribute::new("observer.voice.hop.delay", "s", "mean time from receipt to transmission, where packets are forwarded as they are", |of| seconds(of.voice.hop_delay_ms)),
    Attribute::new("observer.voice.hop.delay_max", "s", "its maximum", |of| seconds(of.voice.hop_delay_max_ms)),
    Attribute::new("observer.voice.transport.loss.ratio", "1", "loss of the whole transport, by its own sequence number", |of| number(of.voice.extensions.as_ref()?.transport_loss_ratio)),
    Attribute::new("observer.voice.speech.ratio", "1", "share of packets that the sender says hold voice (RFC 6464)", |of| number(of.voice.extensions.as_ref()?.voice_ratio)),
    Attribute::new("observer.voice.digital_silence.ratio", "1", "share of packets that hold digital silence (RFC 6464)", |of| number(of.voice.extensions.as_ref()?.silent_ratio)),
    Attribute::new("observer.voice.clipping.ratio", "1", "share of packets at the loudest level there is", |of| number(of.voice.extensions.as_ref()?.clipped_ratio)),
    Attribute::new("observer.voice.delay_variation_mean", "s", "mean delay above the least, by the time of sending", |of| seconds(of.voice.extensions.as_ref()?.delay_variation_mean_ms)),
    Attribute::new("observer.voice.delay_variation_max", "s", "largest delay above the least, by the time of sending", |of| seconds(of.voice.extensions.as_ref()?.delay_variation_max_ms)),
    Attribute::new("observer.voice.rtt", "s", "round trip", |of| seconds(of.voice.rtt_ms)),
    Attribute::new("voice.rtt.source", "", "`stun` or `rtcp`", |of| text(of.voice.path.as_ref()?.rtt_source.as_deref())),
    Attribute::new("observer.voice.stall.duration", "s", "the application's last answer to a STUN check", |of| seconds(of.voice.path.as_ref()?.stall_ms)),
    Attribute::new("observer.voice.stall.duration_max", "s", "the longest that it took", |of| seconds(of.voice.path.as_ref()?.stall_max_ms)),
    Attribute::new("observer.voice.setup.duration.ice", "s", "from the first check to the pair in use", |of| seconds(of.voice.path.as_ref()?.setup_ice_ms)),
    Attribute::new("observer.voice.setup.duration.dtls", "s", "from that to the first ClientHello", |of| seconds(of.voice.path.as_ref()?.setup_dtls_ms)),
    Attribute::new("observer.voice.setup.duration.media", "s", "from that to the first media", |of| seconds(of.voice.path.as_ref()?.setup_media_ms)),
    Attribute::new("observer.voice.far_end.loss.ratio", "1", "what the far end missed of a flow that was sent, by its RTCP", |of| number(of.voice.path.as_ref()?.far_loss_ratio)),
    Attribute::new("observer.voice.far_end.jitter", "s", "jitter at the far end, by its RTCP", |of| seconds(of.voice.path.as_ref()?.far_jitter_ms)),
    Attribute::new("observer.voice.mos", "{score}", "mean opinion score by the E-model", |of| number(of.voice.mos)),
    Attribute::new("observer.voice.rating", "1", "rating R that it comes from, on the scale of its model", |of| number(Some(of.voice.score.as_ref()?.r))),
    Attribute::new("observer.voice.mouth_to_ear", "s", "delay that it rests on", |of| seconds(Some(of.voice.score.as_ref()?.delay_ms))),
    Attribute::new("observer.voice.unheard.ratio", "1", "share of packets lost or late that it rests on", |of| number(Some(of.voice.score.as_ref()?.loss_percent / 1e2))),
    Attribute::new("observer.voice.burst_r", "1", "burst ratio of G.107 that it rests on", |of| number(Some(of.voice.score.as_ref()?.burst_ratio))),
    Attribute::new("observer.voice.ie", "1", "equipment impairment factor of the codec", |of| number(Some(of.voice.score.as_ref()?.ie))),
    Attribute::new("observer.voice.bpl", "1", "packet-loss robustness factor of the codec", |of| number(Some(of.voice.score.as_ref()?.bpl))),
    Attribute::new("voice.model", "", "the model: `g107`, `g107.1`, `g107.2` or `codec_unknown`", |of| text(Some(of.voice.score.as_ref()?.model.as_str()))),
    Attribute::new("voice.delay", "", "`measured` or `assumed`", |of| text(Some(of.voice.score.as_ref()?.delay.as_str()))),
    Attribute::new("voice.vantage", "", "where what it rests on was seen: `receiver` or `far_end`", |of| text(Some(of.voice.score.as_ref()?.vantage.as_str()))),
    Attribute::new("voice.no_score", "", "why there is no score: `video`, `media_unknown`, `silence` or `not_reported`", |of| text(of.voice.no_score.as_deref())),
];

/// The value of `voice.media`.
fn media(of: &Figures<'_>) -> &'static str {
    let traits = of.record.assumptions.codecs.traits(of.flow.stream.payload_type);
    traits.media.unwrap_or(of.flow.media())
}

impl Attribute {
    const fn new(
        name: &'static str,
        unit: &'static str,
        meaning: &'static str,
        value: fn(&Figures<'_>) -> Option<Value>,
    ) -> Self {
        Self { name, unit, meaning, value }
    }
}

fn text(value: Option<&str>) -> Option<Value> {
    value.map(|value| Value::StringValue(value.to_owned()))
}

/// An attribute has 63 bits, and nothing is counted that far.
fn count(value: impl Into<u64>) -> Option<Value> {
    Some(Value::IntValue(i64::try_from(value.into()).unwrap_or(i64::MAX)))
}

fn number(value: Option<f64>) -> Option<Value> {
    value.map(Value::DoubleValue)
}

fn seconds(ms: Option<f64>) -> Option<Value> {
    number(ms.map(|ms| ms / 1e3))
}

/// A request with a span a record, under a resource a service. Each span is a trace of its
/// own, and `random` gives the bits of their numbers.
#[must_use]
pub fn spans(
    records: &[Record],
    resource: &Resource,
    mut random: impl FnMut() -> u128,
) -> ExportTraceServiceRequest {
    let mut services = BTreeMap::<Option<&str>, Vec<Span>>::new();
    for record in records {
        services.entry(record.service.as_deref()).or_default().push(span(record, &mut random));
    }
    let of = |(service, spans)| ResourceSpans {
        resource: Some(resource.of(service)),
        scope_spans: vec![ScopeSpans { scope: Some(scope()), spans, ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest { resource_spans: services.into_iter().map(of).collect() }
}

fn span(record: &Record, random: &mut impl FnMut() -> u128) -> Span {
    let flow = &record.flow;
    let voice = Voice::new(flow, At::Socket, &record.assumptions).on(&record.path);
    let figures = Figures { record, flow, voice };
    let attribute = |one: &Attribute| Some(valued(one.name, (one.value)(&figures)?));
    // All zeros are no number (W3C Trace Context sections 3.2.2.3 and 3.2.2.4).
    let trace_id = random().max(1).to_be_bytes().to_vec();
    let span_id = (random() as u64).max(1).to_be_bytes().to_vec();
    Span {
        trace_id,
        span_id,
        flags: SAMPLED,
        name: SPAN.to_owned(),
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: record.clock.unix_ns(flow.stream.first_ns),
        end_time_unix_nano: record.clock.unix_ns(flow.stream.last_ns),
        attributes: ATTRIBUTES.iter().filter_map(attribute).collect(),
        ..Span::default()
    }
}

#[cfg(test)]
mod tests;

//! Which codec a payload type stands for, and what the E-model knows of it.

mod form;

use std::{collections::BTreeMap, time::Duration};

use observer_common::rtp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use form::{Codec, CodecError, PayloadType};

use super::emodel::{Equipment, Model};

/// What a payload type carries where nothing says it.
pub const UNKNOWN: &str = "unknown";

/// Codecs by payload type: what signalling agreed upon, which nobody shows us. What is not
/// given is as RFC 3551 has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Codecs(BTreeMap<PayloadType, Codec>);

/// What is known of the packets of a payload type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traits<'a> {
    /// The codec, in lower case, or [`UNKNOWN`].
    pub codec: &'a str,
    /// The value of `voice.codec`: of a closed set, whatever a configuration says.
    pub label: &'static str,
    /// `audio` or `video`, where the codec says it.
    pub media: Option<&'static str>,
    /// How it bears loss.
    pub equipment: Equipment,
    /// What passes before the last sample of a packet can be sent: the samples of a packet,
    /// and those that the encoder looks ahead.
    pub delay: Duration,
}

/// A codec whose factors are published.
struct Known {
    codec: &'static str,
    equipment: Equipment,
    packet_ms: u64,
    ahead_us: u64,
}

impl Known {
    const fn new(codec: &'static str, model: Model, ie: f64, bpl: f64) -> Self {
        Self { codec, equipment: Equipment { model, ie, bpl }, packet_ms: 20, ahead_us: 0 }
    }

    const fn packets(self, packet_ms: u64, ahead_us: u64) -> Self {
        Self { packet_ms, ahead_us, ..self }
    }
}

/// Factors of ITU-T G.113 appendices I and IV, with the concealment of loss that is usual
/// with each codec: G.711's of appendix I to G.711, and those that the others bring along.
///
/// Two are not the ITU's. G.722 has a published Ie,WB, at 64 kbit/s, and no Bpl: it has that
/// of AMR-WB at 12.65 kbit/s, whose Ie,WB is the same. Opus has neither. It has the pair that
/// Alahmadi, Počta and Melvin found by P.863 for super-wideband speech at 31 kbit/s with a
/// variable rate and random loss ("An adaptive bitrate switching algorithm for speech
/// applications in context of WebRTC", ACM TOMM 17, 2021), about what `WebRTC` sends; by
/// their table 40 kbit/s takes 6 less and 16 kbit/s 13 more.
const KNOWN: [Known; 7] = [
    Known::new("pcmu", Model::Narrowband, 0.0, 25.1),
    Known::new("pcma", Model::Narrowband, 0.0, 25.1),
    Known::new("g729", Model::Narrowband, 11.0, 19.0).packets(20, 5_000),
    Known::new("g723", Model::Narrowband, 15.0, 16.1).packets(30, 7_500),
    Known::new("gsm-efr", Model::Narrowband, 5.0, 10.0),
    Known::new("g722", Model::Wideband, 13.0, 4.3).packets(20, 1_500),
    Known::new("opus", Model::Fullband, 16.83, 10.44).packets(20, 6_500),
];

/// A codec that is not known takes nothing itself, and bears loss like most: 10 % is what
/// G.113 has for GSM-EFR, and about what was measured of Opus, between 4.3 for G.711 that
/// conceals nothing and 25.1 for G.711 that does.
const ANY: Known = Known::new(UNKNOWN, Model::CodecUnknown, 0.0, 10.0);

/// Codecs of video that have no payload type of their own.
const VIDEO: [&str; 5] = ["vp8", "vp9", "av1", "h264", "h265"];

/// Other codecs that have none, as far as they have a name in metrics.
const SPOKEN: [&str; 7] = ["opus", "gsm-efr", "ilbc", "speex", "amr", "amr-wb", "evs"];

/// What a codec is called in metrics that has no name there.
const OTHER: &str = "other";

impl Codecs {
    /// What is known of a payload type: what the configuration says of it, else RFC 3551.
    #[must_use]
    pub fn traits(&self, payload_type: u8) -> Traits<'_> {
        match self.0.get(&PayloadType(payload_type)) {
            Some(codec) => codec.traits(payload_type),
            None => {
                let codec = rtp::static_codec(payload_type).unwrap_or(UNKNOWN);
                Traits::of(codec, codec, static_media(payload_type))
            }
        }
    }
}

impl<'a> Traits<'a> {
    fn of(codec: &'a str, label: &'static str, media: Option<&'static str>) -> Self {
        let known = known(codec);
        let Known { equipment, packet_ms, ahead_us, .. } = known.unwrap_or(&ANY);
        let delay = Duration::from_millis(*packet_ms) + Duration::from_micros(*ahead_us);
        Self { codec, label, media, equipment: *equipment, delay }
    }
}

impl Codec {
    fn traits(&self, payload_type: u8) -> Traits<'_> {
        let codec = self.name();
        let static_codec = rtp::static_codec(payload_type);
        let media = if VIDEO.contains(&codec) {
            Some("video")
        } else if static_codec == Some(codec) {
            static_media(payload_type)
        } else {
            Some("audio")
        };
        let traits = Traits::of(codec, self.label(), media);
        Traits { equipment: self.equipment().unwrap_or(traits.equipment), ..traits }
    }
}

fn known(codec: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.codec == codec)
}

/// Its name in metrics.
fn label(codec: &str) -> &'static str {
    let named = VIDEO.into_iter().chain(SPOKEN);
    let named = named.chain((0..=127).filter_map(rtp::static_codec)).chain([UNKNOWN]);
    let mut named = named.filter(|name| *name == codec);
    named.next().unwrap_or(OTHER)
}

const fn static_media(payload_type: u8) -> Option<&'static str> {
    match rtp::is_static_video(payload_type) {
        Some(true) => Some("video"),
        Some(false) => Some("audio"),
        None => None,
    }
}

#[cfg(test)]
mod tests;

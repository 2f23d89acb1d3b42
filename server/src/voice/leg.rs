//! The media of one participant: str0m's connection, where the microphone comes in and where
//! others go out.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use str0m::{
    Candidate, Input, Output, Rtc, RtcConfig,
    change::SdpOffer,
    config::DtlsCert,
    crypto::from_feature_flags,
    format::Codec,
    media::{Direction, MediaKind, Mid, Pt},
    net::{Protocol, Receive},
    rtp::{Extension, ExtensionMap, ExtensionValues, RtpPacket, RtpWrite, Ssrc},
};

use crate::problem::Problem;

/// Lines of media that an offer may have.
const MOST_LINES: usize = 33;

/// Addresses of its own that a client may name: the server checks each.
const MOST_CANDIDATES: u8 = 16;

/// The same, in an offer.
const MOST_OFFERED: usize = 32;

/// Identifiers that a browser gives to these of itself.
const EXTENSIONS: [(u8, Extension); 2] = [(1, Extension::AudioLevel), (4, Extension::RtpMid)];

/// How often a path that works is checked (RFC 7675, 5.1), and how many checks in a row may
/// stay without an answer.
const CHECK: Duration = Duration::from_millis(2_000);
const CHECKS: usize = 4;

/// What all legs have in common.
#[derive(Clone)]
pub(super) struct Kit {
    config: RtcConfig,
}

/// The media of one participant.
pub(super) struct Leg {
    rtc: Rtc,
    opus: Pt,
    slots: Vec<Slot>,
    /// Sequence numbers of others, where they began to be sent here. A listener cannot know
    /// how often they wrapped before (RFC 3711, 3.3.1).
    begun: HashMap<usize, u64>,
    candidates: u8,
    names: Names,
}

/// Where one other goes out.
#[derive(Debug)]
struct Slot {
    mid: Mid,
    /// And the identifier of the stream.
    holder: Option<(usize, u32)>,
}

/// Fragments of the name that checks of ICE bear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    /// The server's.
    pub(super) ours: String,
    /// The client's.
    pub(super) theirs: String,
}

impl Names {
    /// `USERNAME` of the client's checks: RFC 8445, 7.2.2.
    pub(super) fn username(&self) -> String {
        format!("{}:{}", self.ours, self.theirs)
    }
}

/// Why an offer is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OfferError {
    Malformed,
    NoAudio,
    TooMany,
    Unacceptable,
}

impl OfferError {
    /// For clients.
    pub(super) const fn problem(self) -> Problem {
        Problem::Invalid(match self {
            Self::Malformed => "`sdp` is no offer",
            Self::NoAudio => "`sdp` offers no Opus",
            Self::TooMany => "`sdp` has more than 33 lines of media, or 32 candidates",
            Self::Unacceptable => "`sdp` asks for what cannot be had",
        })
    }
}

/// How a packet was passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Done,
    /// The listener has no slot for whoever sent it.
    NoSlot,
    /// It is from before the listener came.
    Late,
}

impl Kit {
    /// With a certificate of this process.
    pub(super) fn new() -> Option<Self> {
        let provider = from_feature_flags();
        let certificate: DtlsCert = provider.dtls_provider.generate_certificate()?;
        let mut extensions = ExtensionMap::empty();
        for (id, extension) in EXTENSIONS {
            extensions.set(id, extension);
        }
        let mut config = RtcConfig::new()
            .set_crypto_provider(provider.into())
            .set_dtls_cert(certificate)
            .set_extension_map(extensions)
            .clear_codecs()
            .enable_opus(true, false)
            .set_rtp_mode(true);
        config.set_max_stun_rto(CHECK);
        config.set_max_stun_retransmits(CHECKS);
        Some(Self { config })
    }
}

impl Leg {
    /// The answer to an offer.
    pub(super) fn new(
        kit: &Kit,
        offer: &str,
        addresses: &[SocketAddr],
        now: Instant,
    ) -> Result<(Self, String), OfferError> {
        let mut rtc = kit.config.clone().build(now);
        for address in addresses {
            if let Ok(candidate) = Candidate::host(*address, Protocol::Udp) {
                rtc.add_local_candidate(candidate);
            }
        }
        let (names, answer) = answer(&mut rtc, offer)?;
        let opus = rtc.codec_config().find(|params| params.spec().codec == Codec::Opus);
        let opus = opus.ok_or(OfferError::NoAudio)?.pt();
        let mut leg =
            Self { rtc, opus, slots: Vec::new(), begun: HashMap::new(), candidates: 0, names };
        if leg.agree(&answer) { Ok((leg, answer)) } else { Err(OfferError::NoAudio) }
    }

    /// The answer to another offer of the same client.
    pub(super) fn answer(&mut self, offer: &str) -> Result<String, OfferError> {
        let (names, answer) = answer(&mut self.rtc, offer)?;
        self.names = names;
        self.agree(&answer);
        Ok(answer)
    }

    /// Where the client wants to hear, others go out. Says whether there is any Opus.
    fn agree(&mut self, answer: &str) -> bool {
        let mut speaks_opus = false;
        for mid in answer.lines().filter_map(|line| line.strip_prefix("a=mid:")) {
            let mid = Mid::from(mid);
            let Some(media) = self.rtc.media(mid) else { continue };
            if media.kind() != MediaKind::Audio || !media.remote_pts().contains(&self.opus) {
                continue;
            }
            speaks_opus = true;
            let is_new = self.slots.iter().all(|slot| slot.mid != mid);
            if is_new && matches!(media.direction(), Direction::SendOnly | Direction::SendRecv) {
                self.slots.push(Slot { mid, holder: None });
            }
        }
        speaks_opus
    }

    pub(super) const fn names(&self) -> &Names {
        &self.names
    }

    /// An address that the client names. One that says nothing, or is one too many, is no
    /// matter: what comes from it is believed by what it proves.
    pub(super) fn candidate(&mut self, candidate: &str) {
        if self.candidates < MOST_CANDIDATES
            && let Ok(candidate) = Candidate::from_sdp_string(candidate)
        {
            self.candidates += 1;
            self.rtc.add_remote_candidate(candidate);
        }
    }

    /// Takes a datagram, if it is this one's.
    pub(super) fn receive(
        &mut self,
        source: SocketAddr,
        destination: SocketAddr,
        datagram: &[u8],
        now: Instant,
    ) -> bool {
        let Ok(receive) = Receive::new(Protocol::Udp, source, destination, datagram) else {
            return false;
        };
        let input = Input::Receive(now, receive);
        // What cannot be made use of may be anybody's, and ends nothing.
        self.guarded(|rtc| rtc.accepts(&input) && rtc.handle_input(input).is_ok()) == Some(true)
    }

    /// It is now.
    pub(super) fn pass_time(&mut self, now: Instant) {
        if self.guarded(|rtc| rtc.handle_input(Input::Timeout(now))).is_none_or(|it| it.is_err()) {
            self.rtc.disconnect();
        }
    }

    /// What it has to say; nothing once it is broken.
    pub(super) fn poll(&mut self) -> Option<Output> {
        let output = self.guarded(Rtc::poll_output);
        if !matches!(output, Some(Ok(_))) {
            self.rtc.disconnect();
        }
        output?.ok()
    }

    /// Does something with the connection. If that panics the connection is broken, and
    /// nothing else: everything that it knows is its own.
    fn guarded<T>(&mut self, act: impl FnOnce(&mut Rtc) -> T) -> Option<T> {
        let rtc = &mut self.rtc;
        let outcome = catch_unwind(AssertUnwindSafe(|| act(rtc)));
        if outcome.is_err() {
            self.rtc.disconnect();
        }
        outcome.ok()
    }

    pub(super) fn is_alive(&self) -> bool {
        self.rtc.is_alive()
    }

    /// Says goodbye.
    pub(super) fn close(&mut self) {
        let _gone_anyway = self.guarded(Rtc::close);
    }

    /// Gives these slots, with the identifiers of their streams, and takes those of others
    /// away. Who has one keeps it. Says whether that changed anything.
    pub(super) fn seat(&mut self, all: impl Iterator<Item = (usize, u32)> + Clone) -> bool {
        let mut has_changed = false;
        for slot in &mut self.slots {
            if let Some((who, _)) = slot.holder
                && !all.clone().any(|(other, _)| other == who)
            {
                slot.holder = None;
                self.begun.remove(&who);
                has_changed = true;
            }
        }
        for one in all {
            let is_theirs = |slot: &&mut Slot| slot.holder.is_some_and(|(who, _)| who == one.0);
            let slot = match self.slots.iter_mut().find(is_theirs) {
                Some(slot) => Some(slot),
                None => self.slots.iter_mut().find(|slot| slot.holder.is_none()),
            };
            let Some(slot) = slot.filter(|slot| slot.holder != Some(one)) else { continue };
            slot.holder = Some(one);
            self.begun.remove(&one.0);
            self.rtc.direct_api().reset_stream_tx(slot.mid, None, Ssrc::from(one.1), None);
            has_changed = true;
        }
        has_changed
    }

    /// An identifier for a stream.
    pub(super) fn new_ssrc(&mut self) -> u32 {
        *self.rtc.direct_api().new_ssrc()
    }

    /// Who is on which line.
    pub(super) fn seated(&self) -> impl Iterator<Item = (&str, usize)> {
        self.slots.iter().filter_map(|slot| Some((&*slot.mid, slot.holder?.0)))
    }

    /// Passes a packet on, under this number.
    pub(super) fn write(&mut self, who: usize, number: u64, packet: &RtpPacket) -> Written {
        let Some(slot) =
            self.slots.iter().find(|slot| slot.holder.is_some_and(|(holder, _)| holder == who))
        else {
            return Written::NoSlot;
        };
        let begun = *self.begun.entry(who).or_insert(number & !0xFFFF);
        let Some(number) = number.checked_sub(begun) else { return Written::Late };
        let values = &packet.header.ext_vals;
        let values = ExtensionValues {
            audio_level: values.audio_level,
            voice_activity: values.voice_activity,
            ..ExtensionValues::default()
        };
        let rtp = RtpWrite::new(
            self.opus,
            number.into(),
            packet.header.timestamp,
            packet.timestamp,
            packet.payload.clone(),
        );
        let rtp = rtp.marker(packet.header.marker).ext_vals(values);
        if let Some(stream) = self.rtc.direct_api().stream_tx_by_mid(slot.mid, None) {
            stream.write_rtp(rtp);
        }
        Written::Done
    }
}

fn answer(rtc: &mut Rtc, offer: &str) -> Result<(Names, String), OfferError> {
    let lines = offer.lines().filter(|line| line.starts_with("m=")).count();
    if lines > MOST_LINES {
        return Err(OfferError::TooMany);
    }
    let theirs = offer.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:"));
    let theirs = theirs.map(str::trim).filter(|theirs| is_fragment(theirs));
    let theirs = theirs.ok_or(OfferError::Malformed)?.to_owned();
    // Some clients repeat them for each line of media.
    let candidates: HashSet<_> =
        offer.lines().filter(|line| line.starts_with("a=candidate:")).collect();
    let offer = SdpOffer::from_sdp_string(offer).map_err(|_| OfferError::Malformed)?;
    if candidates.len() > MOST_OFFERED {
        return Err(OfferError::TooMany);
    }
    let answer = rtc.sdp_api().accept_offer(offer).map_err(|_| OfferError::Unacceptable)?;
    let ours = rtc.direct_api().local_ice_credentials().ufrag;
    Ok((Names { ours, theirs }, without_ssrcs(&answer.to_sdp_string())))
}

/// Whether this may be a fragment of a name (RFC 8839, 5.4). It is told to others, so it has to
/// be no more than that.
fn is_fragment(text: &str) -> bool {
    let is_of_one = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    (4..=32).contains(&text.len()) && text.bytes().all(is_of_one)
}

/// Streams are those of whoever talks, and told by their line's identifier (RFC 8843, 9.2).
/// A receiver that is promised a stream would wait for that one.
fn without_ssrcs(sdp: &str) -> String {
    let lines = sdp.split_inclusive("\r\n").filter(|line| !line.starts_with("a=ssrc"));
    lines.collect()
}

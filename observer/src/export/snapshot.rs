//! One moment of the host, or one whole capture, in one JSON shape.
//!
//! Durations are in ms, addresses `ip:port`; what is not known is `null`, never 0.

mod header;
mod interruption;
mod path;
mod setup;

use std::time::{Duration, SystemTime};

pub use header::HeaderExtensions;
pub use interruption::Interruptions;
pub use path::Path;
pub use setup::Setup;

use serde::{Deserialize, Serialize};

use crate::{
    model::{self, Connection, Endpoint, Owner, PathFigures, Role, Runtime, VoiceFlow},
    quality::{
        burst::Losses,
        codec::UNKNOWN,
        score::{self, Assumptions},
    },
    track::voice::{At, Sound},
};

/// The whole of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When the kernel's tables were read, in UTC; `null` before, and of a capture.
    #[serde(default, with = "humantime_serde")]
    pub taken_at: Option<SystemTime>,
    /// Voice flows.
    pub voice: Vec<Voice>,
    /// Calls that have no media yet.
    #[serde(default)]
    pub setups: Vec<Setup>,
    /// `WebSocket`s: none yet, the observer does not follow them.
    pub websockets: Vec<WebSocket>,
    /// TCP connections.
    pub tcp: Vec<Tcp>,
    /// What went uncounted.
    pub ledger: Ledger,
}

/// A voice flow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Voice {
    /// Where the packets come from.
    pub src: String,
    /// Where they go.
    pub dst: String,
    /// Synchronisation source.
    pub ssrc: u32,
    /// RTP payload type of the codec, and not of the events or the comfort noise among its
    /// packets.
    pub payload_type: u8,
    /// Ticks a second of that payload type: what RFC 3551 says, and of a dynamic type what its
    /// timestamps say.
    pub clock_rate: u32,
    /// Encoding, where the payload type names one.
    pub codec: Option<String>,
    /// `receive` or `transmit`, as the observed process sees it.
    pub direction: Option<String>,
    /// `udp` or `tcp`: what carries it.
    #[serde(default)]
    pub transport: String,
    /// Packets of the sequence, duplicates among them.
    pub packets: u64,
    /// Packets the sequence numbers call for.
    pub expected: u64,
    /// Packets expected that did not come.
    pub lost: u64,
    /// `lost` by `expected`.
    pub loss_ratio: f64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// Interarrival jitter at the end (RFC 3550 section 6.4.1).
    pub jitter_ms: f64,
    /// Its mean.
    pub jitter_mean_ms: Option<f64>,
    /// Its maximum.
    pub jitter_max_ms: Option<f64>,
    /// Longest time between two packets, those that begin a talkspurt left out.
    pub delta_max_ms: Option<f64>,
    /// Share of the expected packets that came too late to be played; `null` where the
    /// clock that they are timed by is not known.
    #[serde(default)]
    pub late: Option<Late>,
    /// Bursts of loss (RFC 3611).
    pub bursts: Option<u64>,
    /// Share of the lost packets that were lost in bursts (RFC 3611).
    pub burst_loss_ratio: Option<f64>,
    /// Share of the packets of bursts that did not come (RFC 3611).
    #[serde(default)]
    pub burst_density: Option<f64>,
    /// Share of the packets outside of bursts that did not come (RFC 3611).
    #[serde(default)]
    pub gap_density: Option<f64>,
    /// When media should have come and did not; `null` where nobody watched for it.
    #[serde(default)]
    pub interruptions: Option<Interruptions>,
    /// Round trip.
    pub rtt_ms: Option<f64>,
    /// Mean time from a packet's receipt on another flow to its transmission on this one, of
    /// sampled packets; `null` where the process does not forward packets as they are.
    #[serde(default)]
    pub hop_delay_ms: Option<f64>,
    /// The largest.
    #[serde(default)]
    pub hop_delay_max_ms: Option<f64>,
    /// How often it moved to another path.
    #[serde(default)]
    pub moves: u32,
    /// What header extensions tell.
    #[serde(default)]
    pub extensions: Option<HeaderExtensions>,
    /// Mean opinion score over the whole flow, by the E-model that `score` names.
    pub mos: Option<f64>,
    /// That of the last interval; `null` while nothing comes, and of a capture.
    #[serde(default)]
    pub mos_now: Option<f64>,
    /// What `mos` rests on.
    #[serde(default)]
    pub score: Option<Score>,
    /// Why there is no `mos`: `video`, `media_unknown`, `silence`, or `not_reported` by the
    /// far end of what was sent.
    #[serde(default)]
    pub no_score: Option<String>,
    /// From the first packet to the last.
    pub duration_ms: f64,
    /// Its path; `null` where nobody looked for it.
    #[serde(default)]
    pub path: Option<Path>,
    /// The service that it is counted for.
    #[serde(default)]
    pub service: Option<String>,
    /// The process that has its socket.
    #[serde(default)]
    pub process: Option<Process>,
}

/// What jitter buffers would not play, as shares of the expected packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Late {
    /// One of 50 ms.
    pub fixed_50ms: f64,
    /// One of 200 ms.
    pub fixed_200ms: f64,
    /// One that is as long as most of the packets need, from 20 to 500 ms.
    pub adaptive: f64,
}

/// What a mean opinion score rests on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// `g107`, `g107.1`, `g107.2` or `codec_unknown`.
    pub model: String,
    /// Rating, on the scale of the model: up to 93.2, 129 or 148.
    pub r: f64,
    /// Equipment impairment factor of the codec.
    pub ie: f64,
    /// Packet-loss robustness factor of the codec, in percent.
    pub bpl: f64,
    /// Packets lost or too late, in percent.
    pub loss_percent: f64,
    /// How much longer runs of loss were than those of random loss.
    pub burst_ratio: f64,
    /// From mouth to ear.
    pub delay_ms: f64,
    /// How the network's part of it is known: `measured` or `assumed`.
    pub delay: String,
    /// Where that was seen: `receiver`, `far_end` or `capture`.
    pub vantage: String,
}

/// A WebSocket.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WebSocket {}

/// A TCP connection, as one of its sockets saw it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tcp {
    /// The end that connected; of an adopted connection, the end with the higher port.
    pub client: Option<String>,
    /// The end that accepted.
    pub server: Option<String>,
    /// Which of them is observed: `client`, `server`, `unknown`.
    pub role: String,
    /// Whether it is older than the observer: its counts begin when it was adopted.
    #[serde(default)]
    pub adopted: bool,
    /// From connect, or the SYN that came in, to established.
    pub connect_ms: Option<f64>,
    /// Smoothed round trip (RFC 6298).
    pub srtt_ms: Option<f64>,
    /// Smallest round trip.
    pub min_rtt_ms: Option<f64>,
    /// Segments sent again.
    pub retransmits: u32,
    /// Bytes the observed end received, as the kernel counts them (a FIN is 1).
    pub bytes_in: u64,
    /// Bytes the observed end sent and the other acknowledged (a SYN or FIN is 1).
    pub bytes_out: u64,
    /// The service that it is counted for.
    #[serde(default)]
    pub service: Option<String>,
    /// The process that has its socket, or whose listener it came by.
    #[serde(default)]
    pub process: Option<Process>,
}

/// A process that has sockets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// Path of its executable, as it sees it.
    pub executable: Option<String>,
    /// Path of its cgroup.
    pub cgroup: Option<String>,
    /// Its systemd unit.
    pub unit: Option<String>,
    /// Identifier of its container.
    pub container: Option<String>,
    /// `docker`, `containerd`, `cri-o` or `podman`.
    pub container_runtime: Option<String>,
    /// Unique identifier of its Kubernetes pod.
    pub pod_uid: Option<String>,
    /// Inode of its network namespace.
    pub network_namespace: Option<u64>,
}

/// What went uncounted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// Share of what was to be counted that was, from 0 to 1.
    pub completeness: f64,
    /// By stage and reason, where it is not nothing.
    pub lost: Vec<Lost>,
}

/// A line of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// Where it happened.
    pub stage: String,
    /// Why.
    pub reason: String,
    /// How often.
    pub count: u64,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { completeness: 1.0, lost: Vec::new() }
    }
}

impl Voice {
    /// The flow as the kernel or a replay holds it, scored by `assumptions`; in a capture no
    /// process is known.
    #[must_use]
    pub fn new(flow: &VoiceFlow, at: At, assumptions: &Assumptions) -> Self {
        let stream = &flow.stream;
        let sound = Sound::of(flow, assumptions, at);
        let losses = Losses(stream.transitions());
        let samples = stream.jitter_samples;
        // A gap is measured with each sample; without one, when the timestamps leapt too.
        let has_gap = samples != 0 || stream.delta_max_ns != 0;
        let codec = assumptions.codecs.traits(stream.payload_type).codec;
        Self {
            src: flow.source().to_string(),
            dst: flow.destination().to_string(),
            ssrc: flow.key.ssrc,
            payload_type: stream.payload_type,
            clock_rate: stream.clock_rate,
            codec: (codec != UNKNOWN).then(|| codec.to_owned()),
            direction: (at == At::Socket).then(|| flow.key.direction.as_str().to_owned()),
            transport: flow.transport.as_str().to_owned(),
            packets: stream.packets,
            expected: stream.expected(),
            lost: stream.lost(),
            loss_ratio: ratio(stream.lost(), stream.expected()),
            duplicates: stream.duplicates,
            reordered: stream.reordered,
            jitter_ms: ns_to_ms(stream.jitter_ns()),
            jitter_mean_ms: (samples != 0).then(|| ns_to_ms(stream.jitter_sum_ns) / samples as f64),
            jitter_max_ms: (samples != 0).then(|| ns_to_ms(stream.jitter_max_ns)),
            delta_max_ms: has_gap.then(|| ns_to_ms(stream.delta_max_ns)),
            late: sound.late_ratios.map(Late::from),
            bursts: Some(losses.bursts()),
            burst_loss_ratio: sound.burst_ratio,
            burst_density: losses.burst_density(),
            gap_density: losses.gap_density(),
            interruptions: None,
            rtt_ms: None,
            hop_delay_ms: flow.hop.mean().map(to_ms),
            hop_delay_max_ms: (flow.hop.count != 0).then(|| ns_to_ms(flow.hop.max_ns)),
            moves: flow.moves,
            extensions: HeaderExtensions::new(&flow.extensions),
            mos: sound.score.ok().map(|score| score.rating.mos),
            mos_now: None,
            score: sound.score.as_ref().ok().map(Score::from),
            no_score: sound.score.err().map(|why| why.as_str().to_owned()),
            duration_ms: ns_to_ms(stream.last_ns.saturating_sub(stream.first_ns)),
            path: None,
            service: None,
            process: None,
        }
    }
}

impl From<[f64; 3]> for Late {
    /// In the order of the buffers.
    fn from([fixed_50ms, fixed_200ms, adaptive]: [f64; 3]) -> Self {
        Self { fixed_50ms, fixed_200ms, adaptive }
    }
}

impl From<&score::Score> for Score {
    fn from(score: &score::Score) -> Self {
        let score::Score { rating, equipment, path, delay_source, vantage } = score;
        Self {
            model: equipment.model.as_str().to_owned(),
            r: rating.r,
            ie: equipment.ie,
            bpl: equipment.bpl,
            loss_percent: path.loss.get(),
            burst_ratio: path.burst_ratio,
            delay_ms: to_ms(path.delay),
            delay: delay_source.as_str().to_owned(),
            vantage: vantage.as_str().to_owned(),
        }
    }
}

impl Voice {
    /// It, with what is known of its path.
    #[must_use]
    pub fn on(mut self, path: &PathFigures) -> Self {
        self.rtt_ms = path.rtt.map(|(_, time)| to_ms(time));
        self.path = Some(Path::new(path, self.clock_rate));
        self
    }
}

impl From<&Connection> for Tcp {
    fn from(connection: &Connection) -> Self {
        let text = |end: Option<Endpoint>| end.map(|end| end.to_string());
        let local_is_server = match connection.role {
            Role::Server => true,
            Role::Client => false,
            Role::Unknown => {
                connection.local.map(|end| end.port()) < connection.remote.map(|end| end.port())
            }
        };
        let (client, server) = if local_is_server {
            (connection.remote, connection.local)
        } else {
            (connection.local, connection.remote)
        };
        Self {
            client: text(client),
            server: text(server),
            role: connection.role.as_str().to_owned(),
            adopted: connection.adopted,
            connect_ms: connection.handshake().map(to_ms),
            srtt_ms: connection.srtt.map(to_ms),
            min_rtt_ms: connection.min_rtt.map(to_ms),
            retransmits: connection.retransmits,
            bytes_in: connection.bytes_received,
            bytes_out: connection.bytes_acked,
            service: None,
            process: None,
        }
    }
}

impl From<&Owner> for Process {
    fn from(owner: &Owner) -> Self {
        let place = &owner.place;
        let container = place.container.as_ref();
        Self {
            pid: owner.pid,
            comm: owner.comm.clone(),
            executable: owner.executable.as_ref().map(|path| path.to_string_lossy().into_owned()),
            cgroup: (!place.cgroup.is_empty()).then(|| place.cgroup.clone()),
            unit: place.unit.clone(),
            container: container.map(|container| container.id.clone()),
            container_runtime: container
                .and_then(|container| Runtime::as_str(container.runtime))
                .map(str::to_owned),
            pod_uid: place.pod_uid.clone(),
            network_namespace: owner.network_namespace,
        }
    }
}

impl Ledger {
    /// The lines that are not zero.
    #[must_use]
    pub fn new(losses: &model::Losses, completeness: f64) -> Self {
        let lost = losses
            .iter()
            .filter(|(_, count)| **count != 0)
            .map(|((stage, reason), count)| Lost {
                stage: (*stage).to_owned(),
                reason: (*reason).to_owned(),
                count: *count,
            })
            .collect();
        Self { completeness, lost }
    }
}

/// A share; that of nothing is 0.
#[must_use]
pub fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn ns_to_ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

fn to_ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests;

//! GStreamer sends and receives voice.

use std::{fs, net::IpAddr, process::Command, time::Duration};

use super::{namespace::Namespace, patience::until, process::Process};

/// Time between two packets, in ms.
pub(crate) const PACKET_MS: u32 = 10;

/// What a payload is encoded by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    /// G.711 A-law, payload type 8.
    Pcma,
    /// G.722, payload type 9: sampled at 16 kHz, counted at 8.
    G722,
    /// Opus, payload type 96.
    Opus,
}

impl Codec {
    /// Its payload type.
    pub(crate) const fn payload_type(self) -> u8 {
        match self {
            Self::Pcma => 8,
            Self::G722 => 9,
            Self::Opus => 96,
        }
    }
}

/// A sender of voice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Voice {
    /// How it is encoded.
    pub(crate) codec: Codec,
    /// Packets to send.
    pub(crate) packets: u32,
    /// Sequence number of the first.
    pub(crate) first: u16,
    /// Synchronisation source.
    pub(crate) ssrc: u32,
    /// Where to.
    pub(crate) to: (IpAddr, u16),
}

impl Voice {
    /// How long it lasts.
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_millis(u64::from(self.packets * PACKET_MS))
    }

    /// Starts it; it ends after the last packet.
    pub(crate) fn start(&self, namespace: &Namespace) -> Process {
        self.start_to(namespace, "udpsink")
    }

    /// Starts it in a TCP stream, framed by RFC 4571.
    pub(crate) fn start_framed(&self, namespace: &Namespace) -> Process {
        self.start_to(namespace, "rtpstreampay ! tcpclientsink")
    }

    fn start_to(&self, namespace: &Namespace, sink: &str) -> Process {
        let ns = PACKET_MS * 1_000_000;
        let (rate, encode) = match self.codec {
            Codec::Pcma => (8_000, format!("alawenc ! rtppcmapay min-ptime={ns} max-ptime={ns}")),
            Codec::G722 => {
                (16_000, format!("avenc_g722 ! rtpg722pay min-ptime={ns} max-ptime={ns}"))
            }
            Codec::Opus => (48_000, format!("opusenc frame-size={PACKET_MS} ! rtpopuspay pt=96")),
        };
        let pipeline = format!(
            "audiotestsrc is-live=true num-buffers={} samplesperbuffer={} \
             ! audio/x-raw,rate={rate},channels=1 ! {encode} seqnum-offset={} ssrc={} \
             ! {sink} host={} port={}",
            self.packets,
            rate / 1_000 * PACKET_MS,
            self.first,
            self.ssrc,
            self.to.0,
            self.to.1,
        );
        Process::start(launch(namespace).args(pipeline.split_whitespace()))
    }
}

/// Starts a receiver at `port`, and waits until it listens.
pub(crate) fn receiver(namespace: &Namespace, port: u16) -> Process {
    let pipeline = format!("udpsrc address=:: port={port} ! fakesink");
    let receiver = Process::start(launch(namespace).args(pipeline.split_whitespace()));
    listens(&receiver, port);
    receiver
}

/// The same, of TCP streams.
pub(crate) fn framed_receiver(namespace: &Namespace, port: u16) -> Process {
    let pipeline = format!("tcpserversrc host=:: port={port} ! fakesink");
    let receiver = Process::start(launch(namespace).args(pipeline.split_whitespace()));
    has_socket(&receiver, port, ["tcp", "tcp6"]);
    receiver
}

/// Waits until the namespace of a process has a UDP socket at `port`.
pub(crate) fn listens(process: &Process, port: u16) {
    has_socket(process, port, ["udp", "udp6"]);
}

fn has_socket(process: &Process, port: u16, tables: [&str; 2]) {
    let local = format!(":{port:04X} ");
    until(Duration::from_secs(10), "a socket", || {
        tables.iter().any(|table| {
            let table = format!("/proc/{}/net/{table}", process.id());
            // Until `ip` has become the program, the file is of the host's namespace.
            let text = fs::read_to_string(table).unwrap_or_default();
            text.lines().any(|line| line.contains(&local))
        })
    });
}

fn launch(namespace: &Namespace) -> Command {
    let mut command = namespace.command("gst-launch-1.0");
    command.arg("-q");
    command
}

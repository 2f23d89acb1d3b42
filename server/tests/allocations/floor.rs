//! str0m alone, set up as the server sets it up: what one connection hears, all others send.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    time::Instant,
};

use str0m::{
    Candidate, Event, Input, Output, Rtc, RtcConfig,
    change::SdpOffer,
    crypto::from_feature_flags,
    media::{Direction, Mid, Pt},
    net::{Protocol, Receive},
    rtp::{Extension, ExtensionMap, ExtensionValues, RtpPacket, RtpWrite},
};
use vc_bot::Line;

use crate::{HERE, PATIENCE, counter::counted};

/// The server's ends of some connections.
pub(crate) struct Floor(Vec<Leg>);

/// One of them, on a socket of its own.
struct Leg {
    rtc: Rtc,
    socket: UdpSocket,
    local: SocketAddr,
    opus: Pt,
    /// Where others go out.
    slot: Option<Mid>,
    due: Instant,
}

impl Floor {
    /// With one who talks, and so many who listen.
    pub(crate) fn connect(listeners: usize) -> (Self, Vec<Line>) {
        let provider = Arc::new(from_feature_flags());
        let (mut legs, mut lines) = (Vec::new(), Vec::new());
        for _ in 0..=listeners {
            let (mut line, offer) = Line::offer(HERE, 1).unwrap();
            let (leg, answer) = Leg::answer(&provider, &offer);
            line.answer(&answer).unwrap();
            legs.push(leg);
            lines.push(line);
        }
        let mut floor = Self(legs);
        let until = Instant::now() + PATIENCE;
        while !lines.iter().all(Line::is_connected) || !floor.is_connected() {
            assert!(Instant::now() < until, "media connects");
            floor.forward();
            lines.iter_mut().for_each(|line| line.step().unwrap());
        }
        (floor, lines)
    }

    fn is_connected(&self) -> bool {
        self.0.iter().all(|leg| leg.rtc.is_connected())
    }

    /// Takes what has come, and passes on what the first heard. What that allocates counts.
    pub(crate) fn forward(&mut self) {
        counted(|| {
            for at in 0..self.0.len() {
                while let Some(heard) = self.0[at].receive() {
                    let Some(packet) = heard else { continue };
                    let (_, others) = self.0.split_at_mut(1);
                    others.iter_mut().for_each(|leg| leg.write(&packet));
                }
            }
        });
    }
}

impl Leg {
    fn answer(provider: &Arc<str0m::crypto::CryptoProvider>, offer: &str) -> (Self, String) {
        let socket = UdpSocket::bind((HERE, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let local = socket.local_addr().unwrap();
        let mut extensions = ExtensionMap::empty();
        extensions.set(1, Extension::AudioLevel);
        extensions.set(4, Extension::RtpMid);
        let now = Instant::now();
        let mut rtc = RtcConfig::new()
            .set_crypto_provider(Arc::clone(provider))
            .set_extension_map(extensions)
            .clear_codecs()
            .enable_opus(true, false)
            .set_rtp_mode(true)
            .build(now);
        rtc.add_local_candidate(Candidate::host(local, Protocol::Udp).unwrap());
        let offer = SdpOffer::from_sdp_string(offer).unwrap();
        let answer = rtc.sdp_api().accept_offer(offer).unwrap().to_sdp_string();
        let opus = rtc.codec_config().find(|_| true).unwrap().pt();
        let mut leg = Self { rtc, socket, local, opus, slot: None, due: now };
        leg.drain();
        (leg, answer)
    }

    /// The next datagram: nothing where there is none, and the packet if it was one.
    fn receive(&mut self) -> Option<Option<RtpPacket>> {
        let mut bytes = [0; 2_048];
        let now = Instant::now();
        match self.socket.recv_from(&mut bytes) {
            Ok((length, source)) => {
                let bytes = &bytes[..length];
                let received = Receive::new(Protocol::Udp, source, self.local, bytes).unwrap();
                let input = Input::Receive(now, received);
                if self.rtc.accepts(&input) {
                    self.rtc.handle_input(input).unwrap();
                }
                Some(self.drain())
            }
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                if self.due <= now {
                    self.rtc.handle_input(Input::Timeout(now)).unwrap();
                    self.drain();
                }
                None
            }
        }
    }

    fn write(&mut self, packet: &RtpPacket) {
        let values = ExtensionValues {
            audio_level: packet.header.ext_vals.audio_level,
            voice_activity: packet.header.ext_vals.voice_activity,
            ..ExtensionValues::default()
        };
        let time = packet.header.timestamp;
        let payload = packet.payload.clone();
        let rtp = RtpWrite::new(self.opus, packet.seq_no, time, packet.timestamp, payload);
        let mut direct = self.rtc.direct_api();
        let stream = direct.stream_tx_by_mid(self.slot.unwrap(), None).unwrap();
        stream.write_rtp(rtp.ext_vals(values));
        self.rtc.handle_input(Input::Timeout(Instant::now())).unwrap();
        self.drain();
    }

    /// Sends what is to be sent. Has the packet, if one was heard.
    fn drain(&mut self) -> Option<RtpPacket> {
        let mut heard = None;
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(due) => {
                    self.due = due;
                    return heard;
                }
                Output::Transmit(transmit) => {
                    self.socket.send_to(&transmit.contents, transmit.destination).unwrap();
                }
                Output::Event(Event::RtpPacket(packet)) => heard = Some(packet),
                Output::Event(Event::MediaAdded(media)) => {
                    if media.direction == Direction::SendOnly {
                        self.slot = Some(media.mid);
                    }
                }
                Output::Event(_) => {}
            }
        }
    }
}

//! One peer connection on a socket of its own: ICE, DTLS and SRTP by str0m, and packets that
//! are lost on purpose.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use str0m::{
    Candidate, Event, IceConnectionState, Input, Output, Rtc, RtcConfig, RtcError,
    change::{SdpAnswer, SdpPendingOffer},
    crypto::{CryptoProvider, from_feature_flags},
    format::Codec,
    media::{Direction, MediaKind, Mid, Pt},
    net::{Protocol, Receive, Transmit},
    rtp::{ExtensionValues, RtpPacket, RtpWrite},
};
use tokio::net::UdpSocket;

use crate::LineError;

use super::{
    sent::{Departure, Sent},
    speech::Spoken,
};

/// The longest datagram that is received; what a path without fragments carries is shorter.
const DATAGRAM: usize = 2_048;

/// Datagrams that are read before something else has its turn.
const BATCH: usize = 64;

/// Shares of datagrams, 0 to 1, that are dropped on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Loss {
    /// Of those that are sent.
    pub outward: f64,
    /// Of those that are received.
    pub inward: f64,
}

/// A peer connection.
pub(super) struct Peer {
    rtc: Rtc,
    socket: UdpSocket,
    local: SocketAddr,
    loss: Loss,
    /// Zero of all times.
    began: Instant,
    mid: Mid,
    offered: Option<SdpPendingOffer>,
    voice: Option<Voice>,
    wake_at: Instant,
    happened: VecDeque<Happened>,
}

/// How to speak, once that is agreed on.
struct Voice {
    ssrc: u32,
    payload_type: Pt,
    sent: Option<Arc<Sent>>,
}

/// What RTP says before its payload (RFC 3550 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
}

/// What happens on a connection.
#[derive(Debug)]
pub(super) enum Happened {
    /// Media can flow.
    Connected,
    /// It cannot any more.
    Disconnected,
    /// Somebody is heard.
    Heard(Box<RtpPacket>),
    /// A packet of this SSRC and number could not be made use of.
    Refused(u32, u16),
    /// A packet of this SSRC and number arrived, and was dropped on purpose.
    DroppedInward(u32, u16),
    /// One's own packet left.
    Sent,
    /// One's own packet was dropped on purpose.
    DroppedOutward,
}

impl Peer {
    /// Makes a connection from this address, and its offer: a microphone, and so many slots.
    ///
    /// # Errors
    /// [`LineError`].
    pub(super) async fn offer(
        local: IpAddr,
        slots: usize,
        loss: Loss,
        began: Instant,
    ) -> Result<(Self, String), LineError> {
        let socket = UdpSocket::bind((local, 0)).await?;
        let local = socket.local_addr()?;
        let crypto: Arc<CryptoProvider> = Arc::new(from_feature_flags());
        let now = Instant::now();
        let mut rtc = RtcConfig::new()
            .set_crypto_provider(crypto)
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_opus(true, false)
            .build(now);
        let candidate = Candidate::host(local, Protocol::Udp).map_err(RtcError::from)?;
        rtc.add_local_candidate(candidate);
        let mut change = rtc.sdp_api();
        let mid = change.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None);
        for _ in 0..slots {
            change.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
        }
        let (offer, offered) = change.apply().ok_or(LineError::Answer)?;
        let mut peer = Self {
            rtc,
            socket,
            local,
            loss,
            began,
            mid,
            offered: Some(offered),
            voice: None,
            wake_at: now,
            happened: VecDeque::new(),
        };
        peer.drain()?;
        Ok((peer, offer.to_sdp_string()))
    }

    /// Takes the answer.
    ///
    /// # Errors
    /// [`LineError`].
    pub(super) fn answer(&mut self, sdp: &str) -> Result<(), LineError> {
        let answer = SdpAnswer::from_sdp_string(sdp)?;
        let offered = self.offered.take().ok_or(LineError::Answer)?;
        self.rtc.sdp_api().accept_answer(offered, answer)?;
        let opus = self.rtc.codec_config().find(|it| it.spec().codec == Codec::Opus);
        let payload_type = opus.ok_or(LineError::Answer)?.pt();
        let mut direct = self.rtc.direct_api();
        let stream = direct.stream_tx_by_mid(self.mid, None).ok_or(LineError::Answer)?;
        self.voice = Some(Voice { ssrc: *stream.ssrc(), payload_type, sent: None });
        self.drain()
    }

    /// The SSRC to speak with, once there is an answer.
    #[must_use]
    pub(super) fn ssrc(&self) -> Option<u32> {
        self.voice.as_ref().map(|voice| voice.ssrc)
    }

    /// From here on it is noted what is sent.
    pub(super) fn note_in(&mut self, sent: Arc<Sent>) {
        if let Some(voice) = &mut self.voice {
            voice.sent = Some(sent);
        }
    }

    /// Says something.
    ///
    /// # Errors
    /// [`LineError`].
    pub(super) fn speak(&mut self, spoken: Spoken) -> Result<(), LineError> {
        let Some(voice) = &self.voice else { return Ok(()) };
        let mut direct = self.rtc.direct_api();
        let stream = direct.stream_tx_by_mid(self.mid, None).ok_or(LineError::Answer)?;
        let now = Instant::now();
        let level = ExtensionValues {
            audio_level: Some(-spoken.level.min(127).cast_signed()),
            voice_activity: Some(spoken.is_speech),
            ..ExtensionValues::default()
        };
        stream.write_rtp(
            RtpWrite::new(
                voice.payload_type,
                spoken.sequence.into(),
                spoken.timestamp,
                now,
                spoken.payload,
            )
            .marker(spoken.marker)
            .ext_vals(level),
        );
        self.drain()?;
        // What was written leaves when time goes on.
        self.wake(now)
    }

    /// When [`wake`](Self::wake) is due.
    #[must_use]
    pub(super) const fn wake_at(&self) -> Instant {
        self.wake_at
    }

    /// Time goes on.
    ///
    /// # Errors
    /// [`LineError`].
    pub(super) fn wake(&mut self, now: Instant) -> Result<(), LineError> {
        self.rtc.handle_input(Input::Timeout(now))?;
        self.drain()
    }

    /// Waits for datagrams.
    ///
    /// # Errors
    /// When the socket is broken.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Takes the datagrams that are there.
    ///
    /// # Errors
    /// [`LineError`].
    pub(super) fn receive(&mut self) -> Result<(), LineError> {
        let mut bytes = [0; DATAGRAM];
        for _ in 0..BATCH {
            let (length, source) = match self.socket.try_recv_from(&mut bytes) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // The port at the other end is closed: ICE finds that out by itself.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                Err(error) => return Err(error.into()),
            };
            self.take(source, &bytes[..length])?;
        }
        Ok(())
    }

    fn take(&mut self, source: SocketAddr, datagram: &[u8]) -> Result<(), LineError> {
        let packet = rtp_of(datagram);
        if fastrand::f64() < self.loss.inward {
            let dropped = packet.map(|it| Happened::DroppedInward(it.ssrc, it.sequence));
            self.happened.extend(dropped);
            return Ok(());
        }
        let Ok(contents) = datagram.try_into() else { return Ok(()) };
        let before = self.happened.len();
        let receive = Receive { proto: Protocol::Udp, source, destination: self.local, contents };
        let input = Input::Receive(Instant::now(), receive);
        if self.rtc.accepts(&input) {
            self.rtc.handle_input(input)?;
            self.drain()?;
        }
        let was_heard = self.happened.range(before..).any(|it| matches!(it, Happened::Heard(_)));
        if let (Some(Header { ssrc, sequence, .. }), false) = (packet, was_heard) {
            self.happened.push_back(Happened::Refused(ssrc, sequence));
        }
        Ok(())
    }

    /// The next thing that happened.
    pub(super) fn happened(&mut self) -> Option<Happened> {
        self.happened.pop_front()
    }

    /// str0m wants to be asked after everything that is done with it, till it says when to
    /// come again.
    fn drain(&mut self) -> Result<(), LineError> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => {
                    self.wake_at = at;
                    return Ok(());
                }
                Output::Transmit(transmit) => self.transmit(&transmit)?,
                Output::Event(event) => self.happened.extend(match event {
                    Event::Connected => Some(Happened::Connected),
                    Event::IceConnectionStateChange(IceConnectionState::Disconnected) => {
                        Some(Happened::Disconnected)
                    }
                    Event::RtpPacket(packet) => Some(Happened::Heard(Box::new(packet))),
                    _ => None,
                }),
            }
            if !self.rtc.is_alive() {
                self.happened.push_back(Happened::Disconnected);
                self.wake_at = Instant::now() + Duration::from_secs(1);
                return Ok(());
            }
        }
    }

    fn transmit(&mut self, transmit: &Transmit) -> Result<(), LineError> {
        let was_dropped = fastrand::f64() < self.loss.outward;
        let voice = self.voice.as_ref();
        let own =
            rtp_of(&transmit.contents).filter(|own| voice.is_some_and(|it| it.ssrc == own.ssrc));
        if let Some(Header { sequence, timestamp, .. }) = own {
            let at = self.began.elapsed();
            if let Some(sent) = voice.and_then(|voice| voice.sent.as_ref()) {
                sent.note(Departure { sequence, timestamp, at, was_dropped });
            }
            let happened = if was_dropped { Happened::DroppedOutward } else { Happened::Sent };
            self.happened.push_back(happened);
        }
        if was_dropped {
            return Ok(());
        }
        match self.socket.try_send_to(&transmit.contents, transmit.destination) {
            Ok(_) => Ok(()),
            // A full or a closed path loses packets, and that shows at the receiver.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionRefused
                ) =>
            {
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The header of a datagram that is RTP: by its first byte neither STUN nor DTLS (RFC 7983
/// section 7), by its second not RTCP (RFC 5761 section 4). SRTP leaves it readable.
fn rtp_of(datagram: &[u8]) -> Option<Header> {
    let header: &[u8; 12] = datagram.first_chunk()?;
    let is_rtp = header[0] >> 6 == 2 && !(64..96).contains(&(header[1] & 0x7f));
    is_rtp.then_some(Header {
        sequence: u16::from_be_bytes([header[2], header[3]]),
        timestamp: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        ssrc: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
    })
}

#[cfg(test)]
mod tests;

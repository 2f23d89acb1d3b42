//! A voice connection that does what it is told, step by step: for measurements, and for tests
//! of what a server makes of clients that are not as they should be.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use str0m::{
    Candidate, Event, Input, Output, Rtc, RtcConfig, RtcError,
    change::{SdpAnswer, SdpOffer, SdpPendingOffer},
    crypto::from_feature_flags,
    error::SdpError,
    format::Codec,
    media::{Direction, MediaKind, Mid, Pt},
    net::{Protocol, Receive},
    rtp::{ExtensionValues, RtpPacket, RtpWrite},
};

/// More than a path without fragments carries.
const DATAGRAM: usize = 2_048;

/// Samples in 20 ms of Opus (RFC 7587, 4.1).
const FRAME: u32 = 960;

/// A voice connection on a socket of its own.
#[derive(Debug)]
pub struct Line {
    rtc: Rtc,
    socket: UdpSocket,
    local: SocketAddr,
    /// Nothing where it only listens.
    microphone: Option<Mid>,
    opus: Option<Pt>,
    offered: Option<SdpPendingOffer>,
    due: Instant,
    is_connected: bool,
    spoken: u64,
    heard: VecDeque<RtpPacket>,
    /// Whether DTLS stays here: a handshake that stalls.
    pub stalls_dtls: bool,
    /// What was sent, where that is kept.
    pub sent: Option<Vec<Sent>>,
}

/// A datagram that was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// To there.
    pub to: SocketAddr,
    /// As it was.
    pub bytes: Vec<u8>,
}

/// What goes wrong.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// With the socket.
    #[error(transparent)]
    Socket(#[from] io::Error),
    /// With the connection.
    #[error(transparent)]
    Rtc(#[from] RtcError),
    /// The answer is none.
    #[error(transparent)]
    Sdp(#[from] SdpError),
    /// The answer answers something else.
    #[error("the answer does not fit the offer")]
    Answer,
}

impl Line {
    /// Makes a connection from this address, and its offer: a microphone, and so many slots.
    ///
    /// # Errors
    /// [`LineError`].
    pub fn offer(local: IpAddr, slots: usize) -> Result<(Self, String), LineError> {
        let mut line = Self::new(local)?;
        let mut change = line.rtc.sdp_api();
        let microphone = change.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None);
        for _ in 0..slots {
            change.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
        }
        let (offer, offered) = change.apply().ok_or(LineError::Answer)?;
        line.microphone = Some(microphone);
        line.offered = Some(offered);
        Ok((line, offer.to_sdp_string()))
    }

    /// Makes a connection from this address that answers another's offer, and its answer: it
    /// listens, without a server between.
    ///
    /// # Errors
    /// [`LineError`].
    pub fn accept(local: IpAddr, offer: &str) -> Result<(Self, String), LineError> {
        let mut line = Self::new(local)?;
        let answer = line.rtc.sdp_api().accept_offer(SdpOffer::from_sdp_string(offer)?)?;
        line.pass_time()?;
        Ok((line, answer.to_sdp_string()))
    }

    /// Takes the answer.
    ///
    /// # Errors
    /// [`LineError`].
    pub fn answer(&mut self, sdp: &str) -> Result<(), LineError> {
        let offered = self.offered.take().ok_or(LineError::Answer)?;
        self.rtc.sdp_api().accept_answer(offered, SdpAnswer::from_sdp_string(sdp)?)?;
        let opus = self.rtc.codec_config().find(|params| params.spec().codec == Codec::Opus);
        self.opus = opus.map(|params| params.pt());
        self.pass_time()
    }

    /// Whether media can flow.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// From where it is sent.
    #[must_use]
    pub const fn local(&self) -> SocketAddr {
        self.local
    }

    /// Does what there is to do, until that time or until it is connected.
    ///
    /// # Errors
    /// [`LineError`].
    pub fn connect(&mut self, until: Instant) -> Result<bool, LineError> {
        while !self.is_connected && Instant::now() < until {
            self.step()?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(self.is_connected)
    }

    /// Says 20 ms of something, this loud: in dBov, -127 to 0.
    ///
    /// # Errors
    /// [`LineError`].
    pub fn speak(&mut self, payload: &[u8], level: i8) -> Result<(), LineError> {
        let (Some(opus), Some(microphone)) = (self.opus, self.microphone) else {
            return Err(LineError::Answer);
        };
        let mut direct = self.rtc.direct_api();
        let stream = direct.stream_tx_by_mid(microphone, None).ok_or(LineError::Answer)?;
        let values = ExtensionValues {
            audio_level: Some(level),
            voice_activity: Some(true),
            ..ExtensionValues::default()
        };
        let time = (self.spoken as u32).wrapping_mul(FRAME);
        let rtp = RtpWrite::new(opus, self.spoken.into(), time, Instant::now(), payload);
        stream.write_rtp(rtp.ext_vals(values));
        self.spoken += 1;
        self.pass_time()
    }

    /// Takes what is there, and does what is due.
    ///
    /// # Errors
    /// [`LineError`].
    pub fn step(&mut self) -> Result<(), LineError> {
        let mut bytes = [0; DATAGRAM];
        loop {
            let (length, source) = match self.socket.recv_from(&mut bytes) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // ICE finds out by itself that nobody is there.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                Err(error) => return Err(error.into()),
            };
            let (proto, destination) = (Protocol::Udp, self.local);
            let Ok(receive) = Receive::new(proto, source, destination, &bytes[..length]) else {
                continue;
            };
            let input = Input::Receive(Instant::now(), receive);
            if self.rtc.accepts(&input) {
                self.rtc.handle_input(input)?;
                self.drain()?;
            }
        }
        if self.due <= Instant::now() { self.pass_time() } else { Ok(()) }
    }

    /// The next packet that was heard.
    pub fn heard(&mut self) -> Option<RtpPacket> {
        self.heard.pop_front()
    }

    /// Sends something as it is.
    ///
    /// # Errors
    /// When the socket does not take it.
    pub fn send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        self.socket.send_to(bytes, to).map(drop)
    }

    fn new(local: IpAddr) -> Result<Self, LineError> {
        let socket = UdpSocket::bind((local, 0))?;
        socket.set_nonblocking(true)?;
        let local = socket.local_addr()?;
        let now = Instant::now();
        let mut rtc = RtcConfig::new()
            .set_crypto_provider(from_feature_flags().into())
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_opus(true, false)
            .build(now);
        rtc.add_local_candidate(Candidate::host(local, Protocol::Udp).map_err(RtcError::from)?);
        Ok(Self {
            rtc,
            socket,
            local,
            microphone: None,
            opus: None,
            offered: None,
            due: now,
            is_connected: false,
            spoken: 0,
            heard: VecDeque::new(),
            stalls_dtls: false,
            sent: None,
        })
    }

    fn pass_time(&mut self) -> Result<(), LineError> {
        self.rtc.handle_input(Input::Timeout(Instant::now()))?;
        self.drain()
    }

    fn drain(&mut self) -> Result<(), LineError> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(due) => {
                    self.due = due;
                    return Ok(());
                }
                Output::Transmit(transmit) => {
                    // RFC 7983, 7.
                    let is_dtls = matches!(transmit.contents.first(), Some(20..=63));
                    if is_dtls && self.stalls_dtls {
                        continue;
                    }
                    let (to, bytes) = (transmit.destination, &*transmit.contents);
                    // A full path loses packets.
                    let _lost = self.socket.send_to(bytes, to);
                    if let Some(sent) = &mut self.sent {
                        sent.push(Sent { to, bytes: bytes.to_vec() });
                    }
                }
                Output::Event(Event::Connected) => self.is_connected = true,
                Output::Event(Event::RtpPacket(packet)) => self.heard.push_back(packet),
                Output::Event(_) => {}
            }
        }
    }
}

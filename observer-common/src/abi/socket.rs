//! What is kept of a TCP connection.

use super::abi;
use crate::packet::Address;

/// TCP states as the kernel numbers them (`include/net/tcp_states.h`).
pub mod state {
    /// `TCP_ESTABLISHED`.
    pub const ESTABLISHED: u8 = 1;
    /// `TCP_SYN_SENT`.
    pub const SYN_SENT: u8 = 2;
    /// `TCP_SYN_RECV`.
    pub const SYN_RECV: u8 = 3;
    /// `TCP_FIN_WAIT1`: this side sent its FIN first.
    pub const FIN_WAIT1: u8 = 4;
    /// `TCP_CLOSE`.
    pub const CLOSE: u8 = 7;
    /// `TCP_CLOSE_WAIT`: the far end sent its FIN first.
    pub const CLOSE_WAIT: u8 = 8;
    /// `TCP_LISTEN`.
    pub const LISTEN: u8 = 10;
}

/// [`Socket::role`]: not known, because the connection is older than the observer.
pub const ROLE_UNKNOWN: u8 = 0;
/// [`Socket::role`]: it connected.
pub const ROLE_CLIENT: u8 = 1;
/// [`Socket::role`]: it accepted.
pub const ROLE_SERVER: u8 = 2;

/// [`Socket::flags`]: it is older than the observer, which found it standing.
pub const ADOPTED: u8 = 1;
/// [`Socket::flags`]: this side sent its FIN first.
pub const FIN_SENT: u8 = 2;
/// [`Socket::flags`]: the far end sent its FIN first.
pub const FIN_RECEIVED: u8 = 4;
/// [`Socket::flags`]: an RST came in.
pub const RESET_RECEIVED: u8 = 8;
/// [`Socket::flags`]: the handshake was completed.
pub const WAS_ESTABLISHED: u8 = 16;
/// [`Socket::flags`]: the retransmission timer had run out on unacknowledged data.
pub const RETRANSMITTING: u8 = 32;

/// [`Socket::looks`] in the beginning. What speaks first on a connection that carries datagrams
/// is a check; on one that stood before, audio sends as many segments in a second.
pub const LOOKS: u8 = 64;
/// [`Socket::looks`]: it carries datagrams, see [`crate::framing`].
pub const FRAMED: u8 = 255;

abi! {
    /// One TCP connection, keyed by its socket cookie.
    ///
    /// The two hooks of one connection may run on two CPUs and each stores what the
    /// kernel says at its moment, so a field can be one packet old until the next
    /// packet; the figures of a closed connection are final.
    pub struct Socket {
        /// When the handshake began: connect, or the SYN that came in.
        pub opened_ns: u64,
        /// When it was established.
        pub established_ns: u64,
        /// When it was closed.
        pub closed_ns: u64,
        /// Bytes received, as the kernel counts them (RFC 4898
        /// `tcpEStatsAppHCThruOctetsReceived`): payload, and 1 for a FIN.
        pub bytes_received: u64,
        /// Bytes that the far end acknowledged, as the kernel counts them (RFC 4898
        /// `tcpEStatsAppHCThruOctetsAcked`): payload, and 1 each for a SYN and a FIN.
        pub bytes_acked: u64,
        /// [`Socket::bytes_received`] when it was adopted.
        pub bytes_received_before: u64,
        /// [`Socket::bytes_acked`] when it was adopted.
        pub bytes_acked_before: u64,
        /// Cookie of the listener that it came by; 0 where that is not known.
        pub listener: u64,
        /// Local address.
        pub local: Address,
        /// Address of the far end.
        pub remote: Address,
        /// Smoothed round trip (RFC 6298) in 1/8 µs, as the kernel holds it.
        pub srtt_q3_us: u32,
        /// Smallest round trip of the kernel's window (five minutes by default), in µs.
        pub min_rtt_us: u32,
        /// Segments sent again.
        pub retransmits: u32,
        /// [`Socket::retransmits`] when it was adopted.
        pub retransmits_before: u32,
        /// Local port.
        pub local_port: u16,
        /// Port of the far end.
        pub remote_port: u16,
        /// [`ROLE_CLIENT`], [`ROLE_SERVER`] or [`ROLE_UNKNOWN`].
        pub role: u8,
        /// One of [`state`].
        pub state: u8,
        /// [`ADOPTED`] and the other bits.
        pub flags: u8,
        /// Data segments in which a first datagram is looked for yet, or [`FRAMED`].
        pub looks: u8,
    }
}

const _: () = assert!(size_of::<Socket>() == 120);

abi! {
    /// A connection that ended, with its final figures.
    pub struct Closed {
        /// Socket cookie.
        pub cookie: u64,
        /// The connection.
        pub socket: Socket,
    }
}

impl Socket {
    /// A connection of which nothing is known.
    pub const EMPTY: Self = Self {
        opened_ns: 0,
        established_ns: 0,
        closed_ns: 0,
        bytes_received: 0,
        bytes_acked: 0,
        bytes_received_before: 0,
        bytes_acked_before: 0,
        listener: 0,
        local: [0; 4],
        remote: [0; 4],
        srtt_q3_us: 0,
        min_rtt_us: 0,
        retransmits: 0,
        retransmits_before: 0,
        local_port: 0,
        remote_port: 0,
        role: ROLE_UNKNOWN,
        state: 0,
        flags: 0,
        looks: LOOKS,
    };

    /// Adopted as it stands: its figures begin here.
    #[inline(always)]
    #[must_use]
    pub const fn adopted(mut self) -> Self {
        self.flags |= ADOPTED;
        self.bytes_received_before = self.bytes_received;
        self.bytes_acked_before = self.bytes_acked;
        self.retransmits_before = self.retransmits;
        self
    }

    /// How the connection ended, or `None` while it stands.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        if self.state != state::CLOSE {
            return None;
        }
        let has = |flag| self.flags & flag != 0;
        Some(if !has(WAS_ESTABLISHED) && !has(ADOPTED) {
            if has(RESET_RECEIVED) { CloseReason::Refused } else { CloseReason::ConnectTimeout }
        } else if has(RESET_RECEIVED) {
            CloseReason::ResetReceived
        } else if has(RETRANSMITTING) {
            CloseReason::Timeout
        } else if has(FIN_SENT) {
            CloseReason::FinSent
        } else if has(FIN_RECEIVED) {
            CloseReason::FinReceived
        } else {
            CloseReason::ResetSent
        })
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// This side closed first.
    FinSent,
    /// The far end closed first.
    FinReceived,
    /// The far end reset it.
    ResetReceived,
    /// This side reset it, by abort or by closing with data unread.
    ResetSent,
    /// Retransmission ran out.
    Timeout,
    /// It was never established: the far end reset it.
    Refused,
    /// It was never established: nobody answered, or this side gave up.
    ConnectTimeout,
}

impl CloseReason {
    /// As a label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FinSent => "fin_sent",
            Self::FinReceived => "fin_received",
            Self::ResetReceived => "reset_received",
            Self::ResetSent => "reset_sent",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::ConnectTimeout => "connect_timeout",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::{FromBytes, IntoBytes};

    fn closed(flags: u8) -> Option<CloseReason> {
        Socket { state: state::CLOSE, flags, ..Socket::EMPTY }.close_reason()
    }

    #[test]
    fn close_reasons() {
        assert_eq!(Socket::EMPTY.close_reason(), None);
        assert_eq!(closed(0), Some(CloseReason::ConnectTimeout));
        assert_eq!(closed(RESET_RECEIVED), Some(CloseReason::Refused));
        assert_eq!(closed(WAS_ESTABLISHED), Some(CloseReason::ResetSent));
        assert_eq!(closed(WAS_ESTABLISHED | FIN_SENT), Some(CloseReason::FinSent));
        assert_eq!(closed(WAS_ESTABLISHED | FIN_RECEIVED), Some(CloseReason::FinReceived));
        let reset = WAS_ESTABLISHED | FIN_SENT | RESET_RECEIVED;
        assert_eq!(closed(reset), Some(CloseReason::ResetReceived));
        assert_eq!(closed(ADOPTED | RETRANSMITTING), Some(CloseReason::Timeout));
    }

    #[test]
    fn the_figures_of_an_adopted_connection_begin_with_its_totals() {
        let known =
            Socket { bytes_received: 1, bytes_acked: 2, retransmits: 3, ..Socket::EMPTY }.adopted();
        let before =
            (known.bytes_received_before, known.bytes_acked_before, known.retransmits_before);
        assert_eq!((before, known.flags), ((1, 2, 3), ADOPTED));
    }

    #[test]
    fn abi_round_trip() {
        let bytes: std::vec::Vec<u8> = (0..128).collect();
        assert_eq!(Closed::read_from_bytes(&bytes).unwrap().as_bytes(), bytes);
    }
}

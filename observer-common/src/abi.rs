//! What the maps hold. Every struct is `repr(C)` without padding, so that its
//! bytes are its value; every time is `CLOCK_MONOTONIC` in ns, 0 where it is not
//! known; every address is in the form of [`Address`].

pub mod creator;
pub mod loss;
pub mod path;
pub mod socket;

use crate::{
    packet::Address,
    rtp::{Header, extension::Extensions, flow::Flow},
};

/// Names of the maps in the object.
pub mod map {
    /// Place → [`super::FlowEntry`], confirmed flows.
    pub const FLOWS: &str = "FLOWS";
    /// [`super::FlowKey`] → place in `FLOWS`.
    pub const PLACES: &str = "PLACES";
    /// Stack of the places that were given back.
    pub const FREE: &str = "FREE";
    /// One [`super::Taken`].
    pub const TAKEN: &str = "TAKEN";
    /// [`super::FlowKey`] → [`super::Candidate`], in probation. Maps of what has
    /// not proved itself may evict; no other.
    pub const CANDIDATES: &str = "CANDIDATES";
    /// [`super::path::PathKey`] → [`super::path::PathEntry`].
    pub const PATHS: &str = "PATHS";
    /// [`super::path::PathKey`] → [`super::path::PathCandidate`], in probation.
    pub const PATH_CANDIDATES: &str = "PATH_CANDIDATES";
    /// [`super::FlowKey`] of a flow that is sent → [`super::path::ReportEntry`].
    pub const REPORTS: &str = "REPORTS";
    /// Socket cookie → [`super::socket::Socket`].
    pub const SOCKETS: &str = "SOCKETS";
    /// Socket cookie → when the SYN came in, of handshakes in progress.
    pub const REQUESTS: &str = "REQUESTS";
    /// Socket cookie → [`super::creator::Creator`]. It may evict: what a socket carries
    /// is not kept here.
    pub const CREATORS: &str = "CREATORS";
    /// Socket cookie → who forwards with it: see [`super::Passage::forwarder`].
    pub const FORWARDERS: &str = "FORWARDERS";
    /// [`super::Passage`] → when it was received. It may evict: what it holds is of use for
    /// some milliseconds.
    pub const PASSAGES: &str = "PASSAGES";
    /// One word: 1 when there may be flows that nobody asks about.
    pub const EXCLUSIONS: &str = "EXCLUSIONS";
    /// Ring buffer of [`super::socket::Closed`].
    pub const EVENTS: &str = "EVENTS";
    /// Per CPU: [`super::loss::Count`] → how often.
    pub const LEDGER: &str = "LEDGER";
}

/// Implements the byte conversions on the host; the kernel side has no use for them.
macro_rules! abi {
    ($(#[$meta:meta])* pub struct $name:ident $body:tt) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(
            not(target_arch = "bpf"),
            derive(
                zerocopy::FromBytes,
                zerocopy::IntoBytes,
                zerocopy::Immutable,
                zerocopy::KnownLayout
            )
        )]
        pub struct $name $body
    };
}
use abi;

/// [`FlowKey::direction`]: the observed process receives.
pub const RECEIVE: u8 = 0;
/// [`FlowKey::direction`]: the observed process transmits.
pub const TRANSMIT: u8 = 1;

abi! {
    /// One voice flow of the host. The peer is part of it, because two calls on one
    /// port may choose one SSRC.
    #[derive(Hash)]
    pub struct FlowKey {
        /// Socket cookie.
        pub cookie: u64,
        /// Address of the far end: the socket's own if it is connected, else what the
        /// packet says.
        pub peer: Address,
        /// Synchronisation source.
        pub ssrc: u32,
        /// Port of the far end.
        pub peer_port: u16,
        /// [`RECEIVE`] or [`TRANSMIT`].
        pub direction: u8,
        /// Zero.
        pub reserved: u8,
    }
}

const _: () = assert!(size_of::<FlowKey>() == 32);

impl FlowKey {
    /// No flow's: no socket has the cookie 0.
    pub const NOBODYS: Self =
        Self { cookie: 0, peer: [0; 4], ssrc: 0, peer_port: 0, direction: RECEIVE, reserved: 0 };
}

abi! {
    /// The kernel's spin lock in a map value: it finds the lock by the name and
    /// size of this type in the object's BTF.
    pub struct bpf_spin_lock {
        /// Owned by the kernel; reads as 0.
        pub val: u32,
    }
}

abi! {
    /// How far the table of flows has ever been filled: no place from `places` on was
    /// ever taken. It may pass the table's end.
    pub struct Taken {
        /// Held while a place is taken.
        pub lock: bpf_spin_lock,
        /// Zero.
        pub reserved: u32,
        /// How many places were taken that were not given back before.
        pub places: u64,
    }
}

impl Taken {
    /// A table that was never used.
    pub const NONE: Self = Self { lock: bpf_spin_lock { val: 0 }, reserved: 0, places: 0 };
}

abi! {
    /// What is kept of a flow. One CPU at a time moves it, so every figure is exact
    /// however many carry the flow.
    pub struct FlowEntry {
        /// Who holds it moves the flow, on kernels before 5.12.
        pub lock: bpf_spin_lock,
        /// 1 when nobody asks about the flow: see [`FlowEntry::excluded`].
        pub excluded: u8,
        /// Protocol number of what carries it: UDP or TCP.
        pub transport: u8,
        /// Local port of the packet that confirmed the flow.
        pub local_port: u16,
        /// Whose it is; without a cookie when it is nobody's.
        pub key: FlowKey,
        /// On later kernels: who makes it odd moves the flow, and then makes it even.
        pub turn: u64,
        /// The stream.
        pub flow: Flow,
        /// Packets whose turn did not come: they are of the flow, and their place in the
        /// order is not known.
        pub aside_packets: u64,
        /// Their length, as in [`Flow::bytes`].
        pub aside_bytes: u64,
        /// Local address of the packet that confirmed the flow.
        pub local: Address,
        /// What its header extensions tell.
        pub extensions: Extensions,
        /// What was measured of the way from another flow into this one.
        pub hop: Hop,
        /// What [`FlowEntry::turn`] will be, from before the flow moves.
        pub turned: u64,
    }
}

const _: () = assert!(size_of::<FlowEntry>() == 480);

impl FlowEntry {
    /// What is in a place that was given back.
    pub const NOBODYS: Self = Self { excluded: 0, ..Self::excluded(FlowKey::NOBODYS, 0) };

    /// What is in the place of a flow that nobody asks about, since `now_ns`. Its packets
    /// are passed over: not so much as the time is asked for.
    #[must_use]
    pub const fn excluded(key: FlowKey, now_ns: u64) -> Self {
        Self {
            lock: bpf_spin_lock { val: 0 },
            excluded: 1,
            transport: 0,
            local_port: 0,
            key,
            turn: 0,
            flow: Flow::new(
                &Header { payload_type: 0, marker: false, sequence: 0, timestamp: 0, ssrc: 0 },
                0,
                now_ns,
            ),
            aside_packets: 0,
            aside_bytes: 0,
            local: [0; 4],
            extensions: Extensions::NONE,
            hop: Hop::NONE,
            turned: 0,
        }
    }

    /// Since when nobody asks about the flow; `None` when somebody does.
    #[must_use]
    pub const fn excluded_since_ns(&self) -> Option<u64> {
        if self.excluded == 0 { None } else { Some(self.flow.first_ns) }
    }

    /// Whether it is a flow's.
    #[must_use]
    pub const fn is_somebodys(&self) -> bool {
        self.key.cookie != 0
    }

    /// Whether this copy is of one moment: made in ascending order, it saw the end of
    /// every move of which it saw the beginning.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.turn == self.turned
    }

    /// The stream, with the packets whose turn did not come.
    #[must_use]
    pub const fn stream(&self) -> Flow {
        let mut flow = self.flow;
        flow.packets += self.aside_packets;
        flow.bytes += self.aside_bytes;
        flow
    }
}

abi! {
    /// A sampled packet on its way through a process that forwards it as it is: an SFU that
    /// keeps SSRC and sequence number.
    #[derive(Hash)]
    pub struct Passage {
        /// Who forwards: sockets of one process have one number, which is not 0.
        pub forwarder: u32,
        /// Synchronisation source.
        pub ssrc: u32,
        /// RTP timestamp.
        pub timestamp: u32,
        /// Sequence number.
        pub sequence: u32,
    }
}

abi! {
    /// Delays from a packet's receipt to its transmission, of the sampled packets of a flow that
    /// is transmitted.
    pub struct Hop {
        /// Sum of the delays, in ns.
        pub sum_ns: u64,
        /// The largest, in ns.
        pub max_ns: u64,
        /// How many.
        pub count: u64,
    }
}

impl Hop {
    /// None was seen.
    pub const NONE: Self = Self { sum_ns: 0, max_ns: 0, count: 0 };
}

abi! {
    /// A flow in probation: the image of the [`FlowEntry`] it may become, for a map
    /// of a type that can have no locks.
    pub struct Candidate {
        /// Where the lock will be: zero.
        pub lock: u32,
        /// As in [`FlowEntry`]: zero.
        pub excluded: u8,
        /// As in [`FlowEntry`].
        pub transport: u8,
        /// As in [`FlowEntry`].
        pub local_port: u16,
        /// What comes before [`FlowEntry::flow`]: zero.
        pub before: [u64; 5],
        /// Of one packet.
        pub flow: Flow,
        /// What comes before [`FlowEntry::local`]: zero.
        pub between: [u64; 2],
        /// As in [`FlowEntry`].
        pub local: Address,
        /// Zero.
        pub after: [u64; 14],
    }
}

const _: () = assert!(size_of::<Candidate>() == size_of::<FlowEntry>());

impl Candidate {
    /// What is put into the map, to be filled in there.
    pub const EMPTY: Self = Self {
        lock: 0,
        excluded: 0,
        transport: 0,
        local_port: 0,
        before: [0; 5],
        flow: Flow::new(
            &Header { payload_type: 0, marker: false, sequence: 0, timestamp: 0, ssrc: 0 },
            0,
            0,
        ),
        between: [0; 2],
        local: [0; 4],
        after: [0; 14],
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::{FromBytes, IntoBytes};

    #[test]
    fn keys_and_entries_survive_the_trip_through_bytes() {
        let bytes: std::vec::Vec<u8> = (0..=255).cycle().take(480).collect();
        let entry = FlowEntry::read_from_bytes(&bytes).unwrap();
        assert_eq!(entry.as_bytes(), bytes);
        let key = FlowKey::read_from_bytes(&bytes[..32]).unwrap();
        assert_eq!(key.as_bytes(), &bytes[..32]);
        assert_eq!(key.cookie, u64::from_ne_bytes([0, 1, 2, 3, 4, 5, 6, 7]));
    }
}

//! What is kept of a path, and of the reports on what is sent over it.

use super::{abi, bpf_spin_lock};
use crate::{packet::Address, path::Path, rtcp::report::Report};

abi! {
    /// One path of the host: a socket and a far end.
    #[derive(Hash)]
    pub struct PathKey {
        /// Socket cookie.
        pub cookie: u64,
        /// Address of the far end, as in [`super::FlowKey`].
        pub peer: Address,
        /// Port of the far end.
        pub peer_port: u16,
        /// Zero.
        pub reserved: [u8; 6],
    }
}

const _: () = assert!(size_of::<PathKey>() == 32);

abi! {
    /// What is kept of a path.
    pub struct PathEntry {
        /// Who holds it moves the path. By the kernel's lock on every kernel: a path has
        /// a packet in seconds.
        pub lock: bpf_spin_lock,
        /// Zero.
        pub reserved: u16,
        /// Local port of the packet that began the path.
        pub local_port: u16,
        /// Local address of that packet.
        pub local: Address,
        /// The path.
        pub path: Path,
    }
}

const _: () = assert!(size_of::<PathEntry>() == 560);

abi! {
    /// A path in probation: the image of the [`PathEntry`] it may become, for a map of a
    /// type that can have no locks.
    pub struct PathCandidate {
        /// Where the lock will be: zero.
        pub lock: u32,
        /// Zero.
        pub reserved: u16,
        /// As in [`PathEntry`].
        pub local_port: u16,
        /// As in [`PathEntry`].
        pub local: Address,
        /// The path.
        pub path: Path,
    }
}

const _: () = assert!(size_of::<PathCandidate>() == size_of::<PathEntry>());

impl PathCandidate {
    /// What is put into the map, to be filled in there.
    pub const EMPTY: Self =
        Self { lock: 0, reserved: 0, local_port: 0, local: [0; 4], path: Path::NONE };
}

abi! {
    /// What is kept of the reports on a flow that is sent.
    pub struct ReportEntry {
        /// As in [`PathEntry`].
        pub lock: bpf_spin_lock,
        /// Zero.
        pub reserved: u32,
        /// The reports.
        pub report: Report,
    }
}

const _: () = assert!(size_of::<ReportEntry>() == 120);

impl ReportEntry {
    /// What is put into the map, to be filled in there.
    pub const EMPTY: Self =
        Self { lock: bpf_spin_lock { val: 0 }, reserved: 0, report: Report::NONE };
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::{FromBytes, IntoBytes};

    #[test]
    fn keys_and_entries_survive_the_trip_through_bytes() {
        let bytes: std::vec::Vec<u8> = (0..560).map(|at| at as u8).collect();
        assert_eq!(PathEntry::read_from_bytes(&bytes).unwrap().as_bytes(), bytes);
        assert_eq!(PathKey::read_from_bytes(&bytes[..32]).unwrap().as_bytes(), &bytes[..32]);
        assert_eq!(ReportEntry::read_from_bytes(&bytes[..120]).unwrap().as_bytes(), &bytes[..120]);
    }
}

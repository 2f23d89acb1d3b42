//! The kernel's part of the ledger: what it could not count, and why.

/// What one slot of the ledger counts, per CPU.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// A confirmed flow found no room: its packets go uncounted.
    FlowTableFull = 0,
    /// A possible flow could not be taken into probation.
    CandidateFailed = 1,
    /// A TCP connection found no room: it goes unmeasured.
    SocketTableFull = 2,
    /// The ring had no room for a closed connection. It stays in its table, marked
    /// closed, until the next reading, so this delays and does not lose.
    RingFull = 3,
    /// A packet ended before its headers did, or could not be read.
    Truncated = 4,
    /// A packet that is neither IPv4 nor IPv6.
    NotIp = 5,
    /// A fragment without a transport header.
    Fragment = 6,
    /// More IPv6 extension headers than are walked.
    ExtensionHeaders = 7,
    /// Segments of an offloaded datagram beyond the loop's cap.
    SegmentCap = 8,
    /// A packet without a socket.
    NoSocket = 9,
    /// `bpf_sock_ops_cb_flags_set` refused: the connection's end goes unseen.
    CallbackRefused = 10,
    /// The beginning of a handshake could not be kept: its duration is not known.
    RequestFailed = 11,
    /// Candidates taken into probation. Not a loss: evicted = inserted − removed − present.
    CandidateInserted = 12,
    /// Candidates that left probation as a flow. Not a loss.
    CandidateRemoved = 13,
    /// A diagnostic beyond the rate limit. Not a loss of measurement.
    LogSuppressed = 14,
    /// Another CPU kept a flow to itself for too long: the packet is counted, its place in
    /// the order is not known.
    FlowContended = 15,
    /// A connection was accepted whose SYN is not known: its handshake has no duration.
    RequestUnknown = 16,
    /// Who made a socket could not be kept.
    CreatorFailed = 17,
    /// A path that proved to be one found no room: nothing is known of it.
    PathTableFull = 18,
    /// A possible path could not be taken into probation.
    PathCandidateFailed = 19,
    /// The far end's reports on a flow found no room.
    ReportTableFull = 20,
    /// A TCP segment that carries datagrams came behind a gap, and does not begin with one: they
    /// go uncounted, or those in the gap that gave way.
    StreamGap = 21,
}

/// `stage` and `reason` of flows evicted from probation: inserted − removed − present.
pub const EVICTED: (&str, &str) = ("voice", "candidate_evicted");

impl Count {
    /// Every slot, in order.
    pub const ALL: [Self; 22] = [
        Self::FlowTableFull,
        Self::CandidateFailed,
        Self::SocketTableFull,
        Self::RingFull,
        Self::Truncated,
        Self::NotIp,
        Self::Fragment,
        Self::ExtensionHeaders,
        Self::SegmentCap,
        Self::NoSocket,
        Self::CallbackRefused,
        Self::RequestFailed,
        Self::CandidateInserted,
        Self::CandidateRemoved,
        Self::LogSuppressed,
        Self::FlowContended,
        Self::RequestUnknown,
        Self::CreatorFailed,
        Self::PathTableFull,
        Self::PathCandidateFailed,
        Self::ReportTableFull,
        Self::StreamGap,
    ];

    /// Number of slots.
    pub const SLOTS: usize = Self::ALL.len();

    /// `stage` and `reason` of `observer.events.lost`; `None` for what is no loss.
    #[must_use]
    pub const fn labels(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::FlowTableFull => ("voice", "table_full"),
            Self::FlowContended => ("voice", "contended"),
            Self::CandidateFailed => ("voice", "insert_failed"),
            Self::SocketTableFull => ("tcp", "table_full"),
            Self::Truncated => ("packet", "truncated"),
            Self::NotIp => ("packet", "not_ip"),
            Self::Fragment => ("packet", "fragment"),
            Self::ExtensionHeaders => ("packet", "extension_headers"),
            Self::SegmentCap => ("voice", "segment_cap"),
            Self::NoSocket => ("packet", "no_socket"),
            Self::CallbackRefused => ("tcp", "callback_refused"),
            Self::RingFull => ("tcp", "ring_full"),
            Self::RequestUnknown => ("tcp", "request_unknown"),
            Self::RequestFailed => ("tcp", "insert_failed"),
            Self::CreatorFailed => ("owner", "insert_failed"),
            Self::PathTableFull => ("path", "table_full"),
            Self::PathCandidateFailed => ("path", "insert_failed"),
            Self::ReportTableFull => ("path", "report_table_full"),
            Self::StreamGap => ("voice", "stream_gap"),
            Self::CandidateInserted | Self::CandidateRemoved | Self::LogSuppressed => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Count;

    #[test]
    fn slots_are_dense_and_labels_distinct() {
        for (slot, count) in Count::ALL.iter().enumerate() {
            assert_eq!(*count as usize, slot);
        }
        let labels: std::vec::Vec<_> = Count::ALL.iter().filter_map(|c| c.labels()).collect();
        let distinct: std::collections::HashSet<_> = labels.iter().collect();
        assert_eq!(labels.len(), distinct.len());
    }
}

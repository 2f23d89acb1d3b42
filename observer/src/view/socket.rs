//! A TCP connection in words, for both views.

use std::cmp::Ordering;

use crate::export::snapshot::Tcp;

use super::number::UNKNOWN;

/// The end that connected.
pub(super) fn client(connection: &Tcp) -> &str {
    connection.client.as_deref().unwrap_or(UNKNOWN)
}

/// The end that accepted.
pub(super) fn server(connection: &Tcp) -> &str {
    connection.server.as_deref().unwrap_or(UNKNOWN)
}

/// Which end is observed, in a letter: the one that connected, or the one that accepted.
pub(super) fn role_letter(connection: &Tcp) -> &'static str {
    match connection.role.as_str() {
        "client" => "C",
        "server" => "S",
        _ => UNKNOWN,
    }
}

/// Most segments sent again, then the longest round trip.
pub(super) fn badness(a: &Tcp, b: &Tcp) -> Ordering {
    let srtt = |connection: &Tcp| connection.srtt_ms.unwrap_or(-1.0);
    a.retransmits.cmp(&b.retransmits).then_with(|| srtt(a).total_cmp(&srtt(b)))
}

//! The judge of TCP: what `ss` says of a socket.

use std::{net::SocketAddr, time::Duration};

use super::namespace::Namespace;

/// A connection, as `ss` shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Shown {
    /// Socket cookie.
    pub(crate) cookie: u64,
    /// Smoothed round trip.
    pub(crate) srtt: Duration,
    /// Smallest round trip.
    pub(crate) min_rtt: Duration,
    /// Segments sent again, since the beginning.
    pub(crate) retransmits: u32,
    /// Payload that the far end acknowledged, in bytes.
    pub(crate) bytes_acked: u64,
    /// Payload received, in bytes.
    pub(crate) bytes_received: u64,
}

/// The established connection from `local` to `remote`.
pub(crate) fn connection(namespace: &Namespace, local: SocketAddr, remote: SocketAddr) -> Shown {
    let text = namespace.run(&[
        "ss",
        "-tinOHe",
        "state",
        "established",
        "src",
        &local.to_string(),
        "dst",
        &remote.to_string(),
    ]);
    assert_eq!(text.lines().count(), 1, "{local} to {remote}: {text}");
    shown(&text)
}

/// Counters that are zero are not shown.
fn shown(line: &str) -> Shown {
    let mut shown = Shown::default();
    for word in line.split_whitespace() {
        let Some((name, value)) = word.split_once(':') else { continue };
        let number = || value.parse().expect("a number");
        let ms = |text: &str| Duration::from_secs_f64(text.parse::<f64>().expect("ms") / 1e3);
        match name {
            "sk" => shown.cookie = u64::from_str_radix(value, 16).expect("a cookie"),
            "rtt" => shown.srtt = ms(value.split('/').next().unwrap_or(value)),
            "minrtt" => shown.min_rtt = ms(value),
            "retrans" => {
                let total = value.rsplit('/').next().unwrap_or(value);
                shown.retransmits = total.parse().expect("a number");
            }
            "bytes_acked" => shown.bytes_acked = number(),
            "bytes_received" => shown.bytes_received = number(),
            _ => {}
        }
    }
    shown
}

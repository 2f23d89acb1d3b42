//! The kernel's counters of a network namespace: `/proc/net/snmp`, `snmp6` and `netstat`.

use super::CauseError;

/// UDP's counters over one version of IP (RFC 4113, and Linux' own).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Udp {
    /// Datagrams that came and were given up; each of the three below is one of them.
    pub in_errors: u64,
    /// No room in the receive buffer.
    pub receive_buffer: u64,
    /// Wrong checksum.
    pub checksum: u64,
    /// No memory. Not told before 5.11.
    pub memory: u64,
    /// No room in the send buffer, or no memory.
    pub send_buffer: u64,
}

/// Counters of TCP's listeners (Linux' own).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listen {
    /// The queue of connections that wait for `accept` was full; each is a drop too.
    pub overflows: u64,
    /// Every attempt that was given up.
    pub drops: u64,
}

/// `Udp` of `/proc/net/snmp`.
///
/// # Errors
/// When the file is cut off, or what every kernel tells is not in it.
pub fn udp(snmp: &str) -> Result<Udp, CauseError> {
    udp_of("/proc/net/snmp", |column| column_of("/proc/net/snmp", snmp, "Udp:", column))
}

/// `Udp6` of `/proc/net/snmp6`.
///
/// # Errors
/// As for [`udp`].
pub fn udp6(snmp6: &str) -> Result<Udp, CauseError> {
    const FILE: &str = "/proc/net/snmp6";
    udp_of(FILE, |column| {
        let line = snmp6.lines().map(str::split_ascii_whitespace).find_map(|mut words| {
            let is_it = words.next()?.strip_prefix("Udp6") == Some(column);
            is_it.then(|| words.next())
        });
        line.map(|word| number(FILE, word)).transpose()
    })
}

/// The listeners' counters of `TcpExt` in `/proc/net/netstat`.
///
/// # Errors
/// As for [`udp`].
pub fn listen(netstat: &str) -> Result<Listen, CauseError> {
    const FILE: &str = "/proc/net/netstat";
    let column = |name| needed(FILE, column_of(FILE, netstat, "TcpExt:", name)?);
    Ok(Listen { overflows: column("ListenOverflows")?, drops: column("ListenDrops")? })
}

fn udp_of(
    file: &'static str,
    column: impl Fn(&str) -> Result<Option<u64>, CauseError>,
) -> Result<Udp, CauseError> {
    Ok(Udp {
        in_errors: needed(file, column("InErrors")?)?,
        receive_buffer: needed(file, column("RcvbufErrors")?)?,
        checksum: column("InCsumErrors")?.unwrap_or(0),
        memory: column("MemErrors")?.unwrap_or(0),
        send_buffer: needed(file, column("SndbufErrors")?)?,
    })
}

/// One figure of a pair of lines that begin with `group`: names, and below each its
/// figure. Kernels differ in what columns there are, never in what one means.
fn column_of(
    file: &'static str,
    text: &str,
    group: &str,
    name: &str,
) -> Result<Option<u64>, CauseError> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(group));
    let (Some(names), Some(figures)) = (lines.next(), lines.next()) else {
        return Err(CauseError::Malformed { file, what: "a group of counters missing" });
    };
    let (names, figures) = (names.split_ascii_whitespace(), figures.split_ascii_whitespace());
    if names.clone().count() != figures.clone().count() {
        return Err(CauseError::Malformed { file, what: "more or fewer counters than names" });
    }
    let found = names.zip(figures).find(|(one, _)| *one == name);
    found.map(|(_, figure)| number(file, Some(figure))).transpose()
}

fn needed(file: &'static str, figure: Option<u64>) -> Result<u64, CauseError> {
    figure.ok_or(CauseError::Malformed { file, what: "a counter missing" })
}

fn number(file: &'static str, word: Option<&str>) -> Result<u64, CauseError> {
    word.and_then(|word| word.parse().ok())
        .ok_or(CauseError::Malformed { file, what: "a counter that is no number" })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Debian bullseye's 5.10: no `MemErrors`.
    const SNMP_5_10: &str = "\
Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens\nTcp: 1 200 120000 -1 4\n\
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti\n\
Udp: 900 3 17 901 11 2 5 0\n\
UdpLite: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti\n\
UdpLite: 0 0 99 0 99 99 99 0\n";
    /// 6.18, with a column that no kernel has.
    const SNMP_6_18: &str = "\
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors Later\n\
Udp: 241148952 0 214655 241364087 214652 7 1 0 2 42\n";
    const SNMP6: &str = "\
Udp6InDatagrams                 \t73773\nUdp6NoPorts                     \t0\n\
Udp6InErrors                    \t6\nUdp6OutDatagrams                \t73773\n\
Udp6RcvbufErrors                \t3\nUdp6SndbufErrors                \t1\n\
Udp6InCsumErrors                \t2\nUdp6IgnoredMulti                \t0\n\
UdpLite6InErrors                \t99\n";
    const NETSTAT: &str = "\
TcpExt: SyncookiesSent DelayedACKLost ListenOverflows ListenDrops TCPHPHits\n\
TcpExt: 0 343 12 15 39573245\n\
IpExt: InNoRoutes InTruncatedPkts\nIpExt: 0 0\n";

    #[test]
    fn old_and_late_kernels_tell_the_same_by_name() {
        let old = udp(SNMP_5_10).unwrap();
        let told =
            Udp { in_errors: 17, receive_buffer: 11, checksum: 5, memory: 0, send_buffer: 2 };
        assert_eq!(old, told);
        let late = udp(SNMP_6_18).unwrap();
        assert_eq!((late.in_errors, late.receive_buffer, late.memory), (214_655, 214_652, 2));
        assert_eq!((late.checksum, late.send_buffer), (1, 7));
    }

    #[test]
    fn the_other_version_of_ip_has_a_line_for_each() {
        let told = Udp { in_errors: 6, receive_buffer: 3, checksum: 2, memory: 0, send_buffer: 1 };
        assert_eq!(udp6(SNMP6).unwrap(), told);
        let late = format!("{SNMP6}Udp6MemErrors \t8\n");
        assert_eq!(udp6(&late).unwrap().memory, 8);
    }

    #[test]
    fn listeners_are_found_among_many() {
        assert_eq!(listen(NETSTAT).unwrap(), Listen { overflows: 12, drops: 15 });
    }

    #[test]
    fn what_is_cut_off_or_nonsense_is_an_error() {
        for text in [
            "",
            "nonsense",
            "Udp: InErrors RcvbufErrors SndbufErrors\n",
            "Udp: InErrors RcvbufErrors SndbufErrors\nUdp: 1 2\n",
            "Udp: InErrors RcvbufErrors SndbufErrors\nUdp: 1 2 x\n",
            "Udp: InErrors RcvbufErrors SndbufErrors\nUdp: -1 2 3\n",
            "Udp: InErrors SndbufErrors\nUdp: 1 2\n",
        ] {
            assert!(matches!(udp(text), Err(CauseError::Malformed { .. })), "{text}");
        }
        for text in ["", "Udp6InErrors\n", "Udp6InErrors 1\nUdp6RcvbufErrors", "Udp6InErrors x"] {
            assert!(matches!(udp6(text), Err(CauseError::Malformed { .. })), "{text}");
        }
        assert!(listen("TcpExt: ListenOverflows\nTcpExt: 4\n").is_err());
        assert!(listen(&NETSTAT[..NETSTAT.len() / 2]).is_err());
    }

    #[test]
    fn this_kernel_is_understood() {
        let text = |file| std::fs::read_to_string(format!("/proc/net/{file}")).unwrap();
        udp(&text("snmp")).unwrap();
        listen(&text("netstat")).unwrap();
    }

    proptest! {
        #[test]
        fn figures_come_back_wherever_their_columns_stand(
            figures in any::<[u64; 4]>(),
            before in prop::collection::vec("[A-Z][a-z]{1,9}", 0..5),
            at_end in any::<bool>(),
        ) {
            let mut names = ["InErrors", "RcvbufErrors", "SndbufErrors", "MemErrors"].map(String::from).to_vec();
            let mut values: Vec<_> = figures.iter().map(ToString::to_string).collect();
            let at = if at_end { names.len() } else { 0 };
            values.splice(at..at, before.iter().map(|_| "9".to_owned()));
            names.splice(at..at, before);
            let udp = udp(&format!("Udp: {}\nUdp: {}\n", names.join(" "), values.join(" "))).unwrap();
            prop_assert_eq!([udp.in_errors, udp.receive_buffer, udp.send_buffer, udp.memory], figures);
        }

        #[test]
        fn no_text_makes_it_panic(text in "((Udp|Udp6|TcpExt|InErrors|ListenDrops|[0-9]{1,22}|.)[: \n]?){0,40}") {
            let _any = (udp(&text), udp6(&text), listen(&text));
        }

        #[test]
        fn a_file_that_is_cut_gives_the_same_or_an_error_or_a_shorter_last_figure(at in 0..SNMP_5_10.len()) {
            if let Ok(udp) = udp(&SNMP_5_10[..at]) {
                prop_assert_eq!((udp.in_errors, udp.receive_buffer), (17, 11));
            }
        }
    }
}

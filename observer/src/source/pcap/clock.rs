//! The time of a pcapng packet: draft-ietf-opsawg-pcapng, 4.2 (`if_tsresol`, `if_tsoffset`).

use pcap_parser::{InterfaceDescriptionBlock, OptionCode};

pub(super) const NS_PER_S: u64 = 1_000_000_000;

/// How an interface's ticks become nanoseconds since the Unix epoch.
///
/// Computed here: `pcap-parser` 0.17 knows no binary resolution and reads `if_tsoffset` as
/// little-endian in big-endian files.
#[derive(Debug)]
pub(super) struct Clock {
    unit: Unit,
    offset_ns: i128,
}

#[derive(Debug)]
enum Unit {
    /// Nanoseconds a tick.
    Times(u64),
    /// Ticks a nanosecond.
    Per(u128),
    /// A tick is 2 to the minus this many seconds.
    Binary(u32),
}

impl Clock {
    pub(super) fn of(block: &InterfaceDescriptionBlock<'_>, big_endian: bool) -> Self {
        // `if_tsresol`: the top bit chooses the base, 2 or 10; the rest is the negative exponent.
        let exponent = u32::from(block.if_tsresol & 0x7F);
        let unit = if block.if_tsresol & 0x80 != 0 {
            Unit::Binary(exponent)
        } else if exponent <= 9 {
            Unit::Times(10_u64.pow(9 - exponent))
        } else {
            Unit::Per(10_u128.checked_pow(exponent - 9).unwrap_or(u128::MAX))
        };
        // `if_tsoffset`: whole seconds to add.
        let offset_s = block
            .options
            .iter()
            .find(|option| option.code == OptionCode::IfTsoffset)
            .and_then(|option| option.value.first_chunk())
            .map_or(0, |bytes| {
                if big_endian { i64::from_be_bytes(*bytes) } else { i64::from_le_bytes(*bytes) }
            });
        Self { unit, offset_ns: i128::from(offset_s) * i128::from(NS_PER_S) }
    }

    /// Saturates at the epoch and at the year 2554.
    pub(super) fn ns(&self, ticks: u64) -> u64 {
        let ticks = u128::from(ticks);
        let ns = match self.unit {
            Unit::Times(ns) => ticks * u128::from(ns),
            Unit::Per(per_ns) => ticks / per_ns,
            Unit::Binary(exponent) => (ticks * u128::from(NS_PER_S)) >> exponent,
        };
        let since_epoch = ns as i128 + self.offset_ns;
        u64::try_from(since_epoch.max(0)).unwrap_or(u64::MAX)
    }
}

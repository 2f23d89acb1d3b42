//! Figures as text, short enough for a column.

/// What stands where a value is not known.
pub(super) const UNKNOWN: &str = "–";

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The text of a value, or of its absence.
pub(super) fn known<T>(value: Option<T>, text: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), text)
}

/// About three figures: `0.035`, `1.25`, `12.5`, `125`.
pub(super) fn decimal(value: f64) -> String {
    let places = match value.abs() {
        0.0 => 0,
        size if size < 0.9995 => 3,
        size if size < 9.995 => 2,
        size if size < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.places$}")
}

/// A share in percent, without its sign. What is not nothing never reads as nothing.
pub(super) fn percent(ratio: f64) -> String {
    let percent = ratio * 100.0;
    if percent == 0.0 {
        "0".to_owned()
    } else if percent < 0.005 {
        "<0.01".to_owned()
    } else if percent < 99.95 {
        format!("{percent:.2}")
    } else {
        format!("{percent:.0}")
    }
}

/// A share in percent, rounded down: what is not whole never reads as whole.
pub(super) fn percent_down(ratio: f64) -> String {
    if ratio >= 1.0 {
        return "100".to_owned();
    }
    // The addend undoes the error of the product: 0.57 * 10,000 is 5,699.999….
    format!("{:.2}", (ratio * 1e4 + 1e-6).floor().min(9_999.0) / 100.0)
}

/// Bytes in binary multiples.
pub(super) fn bytes(count: u64) -> String {
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        if value < 1023.5 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    format!("{} {unit}", decimal(value))
}

/// A duration in its two largest units.
pub(super) fn duration(ms: f64) -> String {
    let seconds = (ms / 1e3).max(0.0);
    if ms < 999.5 {
        return format!("{:.0} ms", ms.max(0.0));
    }
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    let seconds = seconds.round() as u64;
    let two = |large: u64, small: u64, units: [&str; 2]| {
        format!("{}{}{:02}{}", seconds / large, units[0], seconds % large / small, units[1])
    };
    match seconds {
        0..HOUR => two(MINUTE, 1, ["m", "s"]),
        HOUR..DAY => two(HOUR, MINUTE, ["h", "m"]),
        _ => two(DAY, HOUR, ["d", "h"]),
    }
}

/// `one flow`, `no flow`, `7 flows`.
pub(super) fn plural(count: usize, noun: &str) -> String {
    match count {
        0 => format!("no {noun}"),
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_about_three_figures() {
        let texts = [0.0, 0.035, 0.9996, 1.25, 9.999, 12.54, 99.96, 1234.5].map(decimal);
        assert_eq!(texts, ["0", "0.035", "1.00", "1.25", "10.0", "12.5", "100", "1234"]);
    }

    #[test]
    fn a_little_loss_is_not_none_and_almost_all_is_not_all() {
        assert_eq!([0.0, 1e-6, 0.0302, 1.0].map(percent), ["0", "<0.01", "3.02", "100"]);
        assert_eq!(
            [1.0, 0.999_999, 0.57, 0.0].map(percent_down),
            ["100", "99.99", "57.00", "0.00"]
        );
    }

    #[test]
    fn bytes_and_durations_change_units_before_they_grow_long() {
        let sizes = [0, 1023, 1024, 1_047_900, 1_048_500, u64::MAX].map(bytes);
        assert_eq!(sizes, ["0 B", "1023 B", "1.00 KiB", "1023 KiB", "1.00 MiB", "16.0 EiB"]);
        let spans = [0.0, 350.0, 999.6, 59_960.0, 3_599_600.0, 90_000_000.0].map(duration);
        assert_eq!(spans, ["0 ms", "350 ms", "1.0 s", "1m00s", "1h00m", "1d01h"]);
    }
}

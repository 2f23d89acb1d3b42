//! The last moments of a figure in a few letters, for a row of a list.

/// Letters of one trend.
const LETTERS: usize = 10;

/// From nothing to all of the height.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What was not measured.
const NOTHING: char = ' ';

/// Of values, the newest first, of which `full` fills a letter: the newest stands at the
/// right. All rows have one height, so that they can be compared; a trifle can be told
/// from nothing.
pub(super) fn trend(newest_first: impl Iterator<Item = Option<f64>>, full: f64) -> String {
    let letter = |value: Option<f64>| {
        let Some(value) = value else { return NOTHING };
        let steps = (value / full * (HEIGHTS.len() - 1) as f64).ceil();
        HEIGHTS[(steps.max(0.0) as usize).min(HEIGHTS.len() - 1)]
    };
    let mut letters: Vec<char> = newest_first.take(LETTERS).map(letter).collect();
    letters.resize(LETTERS, NOTHING);
    letters.into_iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_at_the_right_and_a_trifle_is_seen() {
        let values = [0.0, 1e-6, 0.05, 0.1, 1.0].map(Some);
        assert_eq!(trend(values.into_iter(), 0.1), "     ██▅▂▁");
        assert_eq!(trend([None, Some(0.0)].into_iter(), 1.0), "        ▁ ");
        let long = (0..30).map(|at| Some(f64::from(at)));
        assert_eq!(trend(long, 7.0), "██████▇▆▅▄▃▂▁".chars().skip(3).collect::<String>());
        assert_eq!(trend([Some(-1.0), Some(f64::NAN)].into_iter(), 1.0), "        ▁▁");
    }
}

//! How results look: tables, durations, and colour only where it is wanted.

use std::env;
use std::io::{IsTerminal, stdout};
use std::time::Duration;

/// Marks what went well.
pub(crate) fn green(text: &str) -> String {
    paint("32", text)
}

/// Marks what failed.
pub(crate) fn red(text: &str) -> String {
    paint("31", text)
}

/// Marks a heading.
pub(crate) fn bold(text: &str) -> String {
    paint("1", text)
}

fn paint(code: &str, text: &str) -> String {
    if colourful() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

fn colourful() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && stdout().is_terminal()
}

/// A duration as people say it: `0.4 s`, `12 s`, `3 min 05 s`.
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 9.95 {
        format!("{seconds:.1} s")
    } else if seconds < 119.5 {
        format!("{seconds:.0} s")
    } else {
        let whole = seconds.round() as u64;
        format!("{} min {:02} s", whole / 60, whole % 60)
    }
}

/// A table with a heading; columns of numbers are set right.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = head
        .iter()
        .enumerate()
        .map(|(column, title)| {
            let cells =
                rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.max().unwrap_or(0).max(title.chars().count())
        })
        .collect();
    let number = |column: usize| {
        let mut cells =
            rows.iter().filter_map(|row| row.get(column)).filter(|cell| *cell != "-").peekable();
        cells.peek().is_some()
            && cells.all(|cell| cell.chars().all(|c| c.is_ascii_digit() || c == '.'))
    };
    let right: Vec<bool> = (0..head.len()).map(number).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (column, cell) in cells.enumerate().take(head.len()) {
            let pad = " ".repeat(widths[column].saturating_sub(cell.chars().count()));
            line += if column > 0 { "  " } else { "" };
            line += &if right[column] { pad + cell } else { cell.to_owned() + &pad };
        }
        line.trim_end().to_owned() + "\n"
    };
    let mut text = line(&mut head.iter().copied());
    for row in rows {
        text += &line(&mut row.iter().map(String::as_str));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_well() {
        assert_eq!(span(Duration::from_millis(440)), "0.4 s");
        assert_eq!(span(Duration::from_millis(9_960)), "10 s");
        assert_eq!(span(Duration::from_secs(185)), "3 min 05 s");
    }

    #[test]
    fn numbers_stand_right_and_text_left() {
        let rows = [vec!["voice".into(), "9".into()], vec!["tcp".into(), "1200".into()]];
        assert_eq!(
            table(&["program", "n"], &rows),
            "program     n\nvoice       9\ntcp      1200\n"
        );
    }
}

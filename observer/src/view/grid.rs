//! Columns as wide as what they hold, and fewer of them where there is little room.

use ratatui::text::Span;

use super::{grade::Grade, number::UNKNOWN};

/// Spaces between two columns.
pub(super) const GAP: usize = 2;

/// Any IPv4 address and its port, and enough of the others.
pub(super) const ADDRESS: usize = 21;

/// The same, behind an arrow.
pub(super) const ARROW_ADDRESS: usize = 2 + ADDRESS;

/// What tells most services apart.
pub(super) const SERVICE: usize = 16;

/// Width down to which addresses give way to the columns that stay.
const SHORTEST: usize = 13;

/// What stands for the middle of a text that is too long.
const ELLIPSIS: char = '…';

/// One figure or text of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cell {
    /// With its mark, if it has one.
    pub(super) text: String,
    /// How bad it is.
    pub(super) grade: Grade,
}

/// One column of rows of `R`.
pub(super) struct Column<R> {
    /// What stands above it.
    pub(super) name: &'static str,
    /// Whether it ends where its neighbours end.
    pub(super) numeric: bool,
    /// 0 stays always; of the others the largest goes first.
    rank: u8,
    /// Character cells that it takes even when what it holds is shorter.
    least: usize,
    /// Width down to which it gives way to further columns; `None` where its texts are
    /// never shortened.
    legible: Option<usize>,
    /// Whether it is left out where nothing in it is known.
    elusive: bool,
    cell: fn(&R) -> Cell,
}

/// Where a column stands: its index, and its width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Index among all columns.
    pub(super) column: usize,
    /// In character cells.
    pub(super) width: usize,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, grade: Grade::Fine }
    }
}

impl Cell {
    /// A figure with the mark of its grade.
    pub(super) fn graded(figure: &str, grade: Grade) -> Self {
        Self { text: format!("{}{figure}", grade.mark()), grade }
    }
}

impl<R> Column<R> {
    /// A column of words.
    pub(super) const fn words(name: &'static str, rank: u8, cell: fn(&R) -> Cell) -> Self {
        Self { name, numeric: false, rank, least: 0, legible: None, elusive: false, cell }
    }

    /// A column of figures.
    pub(super) const fn figures(name: &'static str, rank: u8, cell: fn(&R) -> Cell) -> Self {
        Self { name, numeric: true, rank, least: 0, legible: None, elusive: false, cell }
    }

    /// A column of addresses: it stays, and is shortened where it must be, down to
    /// `legible` before another column goes.
    pub(super) const fn address(name: &'static str, legible: usize, cell: fn(&R) -> Cell) -> Self {
        Self {
            name,
            numeric: false,
            rank: 0,
            least: 0,
            legible: Some(legible),
            elusive: false,
            cell,
        }
    }

    /// A column of names, which are shortened as addresses are, down to `legible`.
    pub(super) const fn names(
        name: &'static str,
        rank: u8,
        legible: usize,
        cell: fn(&R) -> Cell,
    ) -> Self {
        Self { name, numeric: false, rank, least: 0, legible: Some(legible), elusive: false, cell }
    }

    /// Left out where no row knows what it says.
    pub(super) const fn where_known(mut self) -> Self {
        self.elusive = true;
        self
    }

    /// Never narrower than `least`, so that it stands still while its figures change.
    pub(super) const fn at_least(mut self, least: usize) -> Self {
        self.least = least;
        self
    }

    /// Its cell in `row`.
    pub(super) fn cell(&self, row: &R) -> Cell {
        let mut cell = (self.cell)(row);
        // An escape sequence in a name must not reach the terminal.
        if cell.text.contains(char::is_control) {
            cell.text = cell.text.replace(char::is_control, "?");
        }
        cell
    }
}

/// The cells of every row, in the order of `columns`.
pub(super) fn cells<'a, R: 'a>(
    columns: &[Column<R>],
    rows: impl IntoIterator<Item = &'a R>,
) -> Vec<Vec<Cell>> {
    let of_row = |row| columns.iter().map(|column| column.cell(row)).collect();
    rows.into_iter().map(of_row).collect()
}

/// Chooses columns and widths for `room` character cells; `None` is room for all.
pub(super) fn fit<R>(
    columns: &[Column<R>],
    cells: &[Vec<Cell>],
    room: Option<usize>,
) -> Vec<Place> {
    let natural: Vec<usize> = (0..columns.len())
        .map(|index| {
            let widest = cells.iter().map(|row| width(&row[index].text)).max().unwrap_or(0);
            widest.max(width(columns[index].name)).max(columns[index].least)
        })
        .collect();
    let place = |(column, width): (usize, &usize)| Place { column, width: *width };
    let is_known = |place: &Place| {
        !columns[place.column].elusive || cells.iter().any(|row| row[place.column].text != UNKNOWN)
    };
    let mut places: Vec<Place> = natural.iter().enumerate().map(place).filter(is_known).collect();
    let Some(room) = room else { return places };
    if total(&places) <= room {
        return places;
    }
    for Place { column, width } in &mut places {
        if let Some(legible) = columns[*column].legible {
            *width = legible.min(*width);
        }
    }
    drop_columns(columns, &mut places, room);
    resize_addresses(columns, &mut places, room, &natural);
    while total(&places) > room && places.len() > 1 {
        places.pop();
    }
    places
}

/// Leaves out the least important, of equals the last, until the rest fits.
fn drop_columns<R>(columns: &[Column<R>], places: &mut Vec<Place>, room: usize) {
    let rank = |place: &Place| columns[place.column].rank;
    while total(places) > room {
        let worst = places.iter().map(rank).max().unwrap_or(0);
        match places.iter().rposition(|place| rank(place) == worst) {
            Some(last) if worst > 0 => places.remove(last),
            _ => return,
        };
    }
}

/// Takes from the widest address until the columns fit, or gives to the narrowest what
/// is left over.
fn resize_addresses<R>(
    columns: &[Column<R>],
    places: &mut [Place],
    room: usize,
    natural: &[usize],
) {
    loop {
        let used = total(places);
        let addresses = places.iter_mut().filter(|place| columns[place.column].legible.is_some());
        if used > room {
            let spare = addresses.filter(|place| place.width > SHORTEST);
            let Some(widest) = spare.max_by_key(|place| place.width) else { return };
            widest.width -= 1;
        } else if used < room {
            let wanting = addresses.filter(|place| place.width < natural[place.column]);
            let Some(narrowest) = wanting.min_by_key(|place| place.width) else { return };
            narrowest.width += 1;
        } else {
            return;
        }
    }
}

fn total(places: &[Place]) -> usize {
    places.iter().map(|place| place.width + GAP).sum::<usize>().saturating_sub(GAP)
}

/// `text` in exactly `room` character cells, at the side where its column stands.
pub(super) fn padded(text: &str, numeric: bool, room: usize) -> String {
    let text = shortened(text, room);
    let space = " ".repeat(room.saturating_sub(width(&text)));
    if numeric { space + &text } else { text + &space }
}

/// `text` in at most `room` character cells: its middle goes, for the port of an address
/// says as much as its beginning.
pub(super) fn shortened(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let Some(kept) = room.checked_sub(1) else { return String::new() };
    let tail = kept.div_ceil(2);
    let letters: Vec<char> = text.chars().collect();
    let begin = letters[..(kept - tail).min(letters.len())].iter();
    let end = letters[letters.len().saturating_sub(tail)..].iter();
    begin.chain([&ELLIPSIS]).chain(end).collect()
}

/// Character cells that `text` takes.
pub(super) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column<(&str, u32)>] = &[
        Column::address("who", ADDRESS, |row| row.0.to_owned().into()),
        Column::figures("a", 2, |row| row.1.to_string().into()),
        Column::figures("b", 1, |row| row.1.to_string().into()),
        Column::figures("c", 2, |row| row.1.to_string().into()),
        Column::figures("d", 0, |row| row.1.to_string().into()),
    ];

    fn shown(room: usize) -> Vec<(&'static str, usize)> {
        let cells = cells(COLUMNS, &[("[2001:db8:0:1::1234]:50004", 12_345), ("a", 1)]);
        let places = fit(COLUMNS, &cells, Some(room));
        places.iter().map(|place| (COLUMNS[place.column].name, place.width)).collect()
    }

    #[test]
    fn the_least_important_goes_first_and_addresses_shrink_last() {
        assert_eq!(shown(54), [("who", 26), ("a", 5), ("b", 5), ("c", 5), ("d", 5)]);
        assert_eq!(shown(49), [("who", 21), ("a", 5), ("b", 5), ("c", 5), ("d", 5)]);
        assert_eq!(shown(48), [("who", 26), ("a", 5), ("b", 5), ("d", 5)]);
        assert_eq!(shown(41), [("who", 26), ("b", 5), ("d", 5)]);
        assert_eq!(shown(32), [("who", 25), ("d", 5)]);
        assert_eq!(shown(22), [("who", 15), ("d", 5)]);
        assert_eq!(shown(19), [("who", 13)]);
        assert_eq!(shown(3), [("who", 13)]);
    }

    #[test]
    fn a_column_can_be_told_to_stand_still() {
        let columns = [COLUMNS[1].name]
            .map(|name| Column::figures(name, 0, |row: &u32| row.to_string().into()).at_least(4));
        let width = |rows: &[u32]| fit(&columns, &cells(&columns, rows), None)[0].width;
        assert_eq!([width(&[1]), width(&[12_345])], [4, 5]);
    }

    #[test]
    fn a_long_address_keeps_its_port() {
        assert_eq!(shortened("[2001:db8::1]:50004", 15), "[2001:d…]:50004");
        assert_eq!(shortened("10.0.0.1:5004", 13), "10.0.0.1:5004");
        assert_eq!(shortened("10.0.0.1:5004", 0), "");
        assert_eq!(padded("1", true, 3), "  1");
        assert_eq!(padded("→ b", false, 5), "→ b  ");
    }

    #[test]
    fn escape_sequences_do_not_pass() {
        let column = Column::words("x", 0, |row: &&str| (*row).to_owned().into());
        assert_eq!(column.cell(&"a\u{1b}[2Jb\n").text, "a?[2Jb?");
    }
}

//! Rows in order, and where one stands among them.

use std::{cmp::Ordering, collections::HashMap, mem, ops::Range};

use super::subject::{Key, Order, Row, Subject};

/// Rows that keep a history, so that memory has a bound whatever the host does. The
/// selected one keeps its own beside them.
const HISTORIES: usize = 4_096;

/// A list of voice flows or of connections.
pub(super) struct List<S: Subject> {
    rows: Vec<Row<S>>,
    /// Indices of the rows that pass the filter, in order.
    order: Vec<usize>,
    filter: Vec<String>,
    sort: usize,
    reversed: bool,
    /// Whose row is selected; `None` follows the first, whoever that is.
    selected: Option<Key<String>>,
    cursor: usize,
    window: Range<usize>,
}

/// A step of the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// To the row above.
    Up,
    /// To the row below.
    Down,
    /// A screen up.
    PageUp,
    /// A screen down.
    PageDown,
    /// To the first row, to stay with whatever is first.
    Home,
    /// To the last row.
    End,
}

impl<S: Subject> List<S> {
    /// An empty one.
    pub(super) const fn new() -> Self {
        Self {
            rows: Vec::new(),
            order: Vec::new(),
            filter: Vec::new(),
            sort: 0,
            reversed: false,
            selected: None,
            cursor: 0,
            window: 0..0,
        }
    }

    /// Takes what a snapshot shows, `seconds` after the one before, if there was one.
    pub(super) fn observe(&mut self, subjects: Vec<S>, seconds: Option<f64>) {
        let mut before = mem::take(&mut self.rows);
        let (histories, left) = {
            let mut places: HashMap<Key<&str>, usize> = HashMap::with_capacity(before.len());
            for (place, row) in before.iter().enumerate() {
                places.entry(row.subject.key()).or_insert(place);
            }
            let keys = subjects.iter().map(Subject::key);
            let histories = keys.map(|key| places.remove(&key)).collect::<Vec<_>>();
            let mut left: Vec<usize> = places.into_values().collect();
            left.sort_unstable();
            (histories, left)
        };
        let mut kept =
            histories.iter().flatten().filter(|place| !before[**place].history.is_empty()).count();
        let selected = self.selected.as_ref().map(Key::borrowed);
        for (subject, place) in subjects.into_iter().zip(histories) {
            let mut row = Row::new(subject);
            if let Some(place) = place {
                row.history = mem::take(&mut before[place].history);
                row.rate = seconds
                    .filter(|seconds| *seconds > 0.0)
                    .and_then(|seconds| row.subject.rate(&before[place].subject, seconds));
            }
            let is_selected = selected == Some(row.subject.key());
            if !row.history.is_empty() || is_selected || kept < HISTORIES {
                kept += usize::from(row.history.is_empty() && row.rate.is_some());
                row.remember();
            }
            self.rows.push(row);
        }
        self.linger(before, &left, seconds);
        self.arrange();
    }

    /// Keeps rows for a while that are not there any more, but no more than have histories.
    fn linger(&mut self, before: Vec<Row<S>>, left: &[usize], seconds: Option<f64>) {
        let Some(seconds) = seconds else { return };
        let gone = before.into_iter().enumerate().filter_map(|(place, mut row)| {
            let gone = row.gone.unwrap_or_default() + seconds;
            (row.rate, row.gone) = (None, Some(gone));
            let lingers = gone <= S::LINGERS && row.subject.lingers();
            (lingers && left.binary_search(&place).is_ok()).then_some(row)
        });
        self.rows.extend(gone.take(HISTORIES));
    }

    /// Shows only rows in which each word of `filter` occurs.
    pub(super) fn set_filter(&mut self, filter: &str) {
        self.filter = filter.split_whitespace().map(str::to_lowercase).collect();
        self.arrange();
    }

    /// Takes the next order, in its usual direction.
    pub(super) fn next_order(&mut self) {
        self.sort = (self.sort + 1) % S::ORDERS.len();
        self.reversed = false;
        self.arrange();
    }

    /// Turns the order round.
    pub(super) fn reverse(&mut self) {
        self.reversed = !self.reversed;
        self.arrange();
    }

    /// The order, and whether the largest comes first.
    pub(super) fn sorted_by(&self) -> (&'static Order<S>, bool) {
        let order = &S::ORDERS[self.sort];
        (order, order.descending != self.reversed)
    }

    /// Moves the cursor; it then stays with its row.
    pub(super) fn step(&mut self, step: Step) {
        let page = self.window.len().max(1);
        let last = self.order.len().saturating_sub(1);
        self.cursor = match step {
            Step::Up => self.cursor.saturating_sub(1),
            Step::Down => self.cursor.saturating_add(1),
            Step::PageUp => self.cursor.saturating_sub(page),
            Step::PageDown => self.cursor.saturating_add(page),
            Step::Home => 0,
            Step::End => last,
        }
        .min(last);
        self.selected = None;
        if step != Step::Home {
            self.stay();
        }
    }

    /// Stays with the row under the cursor wherever it goes.
    pub(super) fn stay(&mut self) {
        if self.selected.is_none() {
            self.selected = self.at(self.cursor).map(|row| row.subject.key().owned());
        }
    }

    /// The selected row; `None` when it is gone, filtered out, or the list is empty.
    pub(super) fn current(&self) -> Option<&Row<S>> {
        let row = self.at(self.cursor)?;
        let is_it = |key: &Key<String>| key.borrowed() == row.subject.key();
        self.selected.as_ref().is_none_or(is_it).then_some(row)
    }

    /// Rows for a screen of `height`, and which of them is selected.
    pub(super) fn visible(&mut self, height: usize) -> (Vec<&Row<S>>, Option<usize>) {
        let start = self
            .window
            .start
            .clamp((self.cursor + 1).saturating_sub(height.max(1)), self.cursor)
            .min(self.order.len().saturating_sub(height));
        self.window = start..start + height;
        let cursor = self.current().map(|_| self.cursor - start);
        let rows = self.order.iter().skip(start).take(height).map(|row| &self.rows[*row]);
        (rows.collect(), cursor)
    }

    /// All rows, filtered out or not.
    pub(super) fn rows(&self) -> &[Row<S>] {
        &self.rows
    }

    /// How many there are, without those that are gone.
    pub(super) fn present(&self) -> usize {
        self.rows.iter().filter(|row| row.gone.is_none()).count()
    }

    /// How many rows pass the filter.
    pub(super) const fn shown(&self) -> usize {
        self.order.len()
    }

    fn at(&self, place: usize) -> Option<&Row<S>> {
        self.order.get(place).map(|row| &self.rows[*row])
    }

    fn arrange(&mut self) {
        let passes = |row: &Row<S>| {
            if self.filter.is_empty() {
                return true;
            }
            let words = row.subject.words().to_lowercase();
            self.filter.iter().all(|word| words.contains(word))
        };
        let (order, descending) = self.sorted_by();
        let rows = &self.rows;
        let mut places: Vec<usize> = (0..rows.len()).filter(|row| passes(&rows[*row])).collect();
        places.sort_unstable_by(|a, b| {
            let (a, b) = (&rows[*a], &rows[*b]);
            let compared = (order.compare)(a, b);
            let directed = if descending { compared.reverse() } else { compared };
            // Equals keep their places from one snapshot to the next.
            directed.then_with(|| Ord::cmp(&a.subject.key(), &b.subject.key()))
        });
        self.order = places;
        self.find();
    }

    /// Puts the cursor where its row went.
    fn find(&mut self) {
        let last = self.order.len().saturating_sub(1);
        let Some(selected) = &self.selected else {
            self.cursor = 0;
            return;
        };
        let is_it = |row: &usize| {
            Ord::cmp(&self.rows[*row].subject.key(), &selected.borrowed()) == Ordering::Equal
        };
        self.cursor = self.order.iter().position(is_it).unwrap_or_else(|| self.cursor.min(last));
    }
}

#[cfg(test)]
mod tests;

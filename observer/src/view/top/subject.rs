//! What a list can show: something with a name that stays and counters that grow.

use std::{cmp::Ordering, collections::VecDeque};

use crate::view::grid::{Cell, Column};

/// Points kept of one subject: as many as the widest sparkline shows.
pub(super) const POINTS: usize = 120;

/// By what one snapshot's subject is found in the next: two ends, a number, a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key<S>(pub(super) S, pub(super) S, pub(super) u32, pub(super) S);

/// A subject, and what two or more looks at it tell.
pub(super) struct Row<S: Subject> {
    /// As the last snapshot has it.
    pub(super) subject: S,
    /// How it changed since the one before.
    pub(super) rate: Option<S::Rate>,
    /// Earlier rates and the last one, oldest first.
    pub(super) history: VecDeque<S::Rate>,
    /// For how many seconds it has not been there any more; `None` while it is.
    pub(super) gone: Option<f64>,
}

/// One way to order rows.
pub(super) struct Order<S: Subject> {
    /// The column that shows it, by whose name it goes.
    pub(super) column: &'static str,
    /// Whether the largest comes first.
    pub(super) descending: bool,
    /// Smallest first.
    pub(super) compare: fn(&Row<S>, &Row<S>) -> Ordering,
}

/// A figure with its name, for the details.
pub(super) type Fact = (&'static str, Cell);

/// A rate over time, for a sparkline.
pub(super) struct Series<S: Subject> {
    /// What a person calls it.
    pub(super) name: &'static str,
    /// Its value; `None` where there was nothing to measure.
    pub(super) value: fn(&S::Rate) -> Option<f64>,
    /// The value in words.
    pub(super) text: fn(f64) -> String,
    /// What fills the height at least, so that a trifle does not look like a tower.
    pub(super) height: f64,
}

/// A voice flow or a connection.
pub(super) trait Subject: Sized + 'static {
    /// How it changes in a second.
    type Rate: Copy;
    /// What one of them is called.
    const NOUN: &'static str;
    /// Columns of its list.
    const COLUMNS: &'static [Column<Row<Self>>];
    /// Ways to order its list, the usual one first.
    const ORDERS: &'static [Order<Self>];
    /// How many lines of facts the details have.
    const FACT_LINES: u16;
    /// For how many seconds one is still shown that is not there any more.
    const LINGERS: f64;
    /// What the details draw below them.
    const SERIES: &'static [Series<Self>];

    /// What it is found by.
    fn key(&self) -> Key<&str>;
    /// How it changed since `before`, `seconds` ago; `None` where a counter went back
    /// because something else took its name.
    fn rate(&self, before: &Self, seconds: f64) -> Option<Self::Rate>;
    /// Whether it is shown for a while when it is not there any more.
    fn lingers(&self) -> bool {
        true
    }
    /// What a filter looks into.
    fn words(&self) -> String;
    /// Its name in full.
    fn title(&self) -> String;
    /// Lines of facts for the details.
    fn facts(row: &Row<Self>) -> Vec<Vec<Fact>>;
}

impl Key<&str> {
    /// The same, kept longer than the snapshot.
    pub(super) fn owned(&self) -> Key<String> {
        Key(self.0.to_owned(), self.1.to_owned(), self.2, self.3.to_owned())
    }
}

impl Key<String> {
    /// The same, to compare.
    pub(super) fn borrowed(&self) -> Key<&str> {
        Key(&self.0, &self.1, self.2, &self.3)
    }
}

impl<S: Subject> Row<S> {
    /// Of something that was not there before.
    pub(super) const fn new(subject: S) -> Self {
        Self { subject, rate: None, history: VecDeque::new(), gone: None }
    }

    /// Adds its rate to its history.
    pub(super) fn remember(&mut self) {
        let Some(rate) = self.rate else { return };
        if self.history.len() == POINTS {
            self.history.pop_front();
        }
        self.history.push_back(rate);
    }
}

/// The difference of two counters in a second.
pub(super) fn per_second(after: u64, before: u64, seconds: f64) -> f64 {
    after.saturating_sub(before) as f64 / seconds
}

//! What the live view shows, and what a key does to it: no terminal, no clock.

use std::{
    collections::VecDeque,
    time::{Duration, SystemTime},
};

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::export::snapshot::{Ledger, Snapshot, Tcp};

use super::{
    flow::{Call, FlowRate, RecentLoss},
    list::{List, Step},
    subject::{POINTS, Row, Subject},
};

/// The state of the view. Times count from its start.
pub(super) struct Board {
    /// Where the figures come from.
    pub(super) title: String,
    /// Time between two snapshots.
    pub(super) interval: Duration,
    /// How long it has been watching.
    pub(super) now: Duration,
    /// Voice flows, and calls that have none yet.
    pub(super) voice: List<Call>,
    /// TCP connections.
    pub(super) sockets: List<Tcp>,
    /// What went uncounted.
    pub(super) ledger: Ledger,
    /// Which list is shown.
    pub(super) tab: Tab,
    /// What rows must hold to be shown.
    pub(super) filter: String,
    /// Whether keys go to the filter.
    pub(super) typing: bool,
    /// Whether it stands still.
    pub(super) paused: bool,
    /// From which line on the keys are explained, if they are.
    pub(super) help: Option<usize>,
    /// The first line of that which found no room.
    pub(super) more_help: Option<usize>,
    /// Whether the screen is too small to show anything.
    pub(super) cramped: bool,
    /// Whether the selected row is shown in full.
    pub(super) details: bool,
    /// When the figures came.
    pub(super) taken: Option<Duration>,
    /// When the observer read them, by its own clock.
    read: Option<SystemTime>,
    /// What all flows added up to, oldest first.
    history: VecDeque<FlowRate>,
    /// Why there are none newer.
    pub(super) error: Option<String>,
}

/// One of the lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tab {
    /// Voice flows.
    Voice,
    /// TCP connections.
    Sockets,
}

/// Whether the view goes on after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It goes on.
    GoOn,
    /// It ends.
    Quit,
}

/// The whole host in a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Totals {
    /// Voice packets a second, once there are two snapshots.
    pub(super) packets: Option<f64>,
    /// Loss of the last moments.
    pub(super) recent: RecentLoss,
}

impl Board {
    /// Before the first snapshot.
    pub(super) fn new(title: String, interval: Duration) -> Self {
        Self {
            title,
            interval,
            now: Duration::ZERO,
            voice: List::new(),
            sockets: List::new(),
            ledger: Ledger::default(),
            tab: Tab::Voice,
            filter: String::new(),
            typing: false,
            paused: false,
            help: None,
            more_help: None,
            cramped: false,
            details: false,
            taken: None,
            read: None,
            history: VecDeque::new(),
            error: None,
        }
    }

    /// Takes a snapshot, or why there is none, that came at `at`.
    pub(super) fn observe(&mut self, outcome: Result<Snapshot, String>, at: Duration) {
        if self.paused {
            return;
        }
        match outcome {
            Ok(snapshot) => {
                self.error = None;
                // Asked twice between two readings, it says the same twice.
                if snapshot.taken_at.is_some() && snapshot.taken_at == self.read {
                    return;
                }
                // `None` when the clock was set back too.
                let seconds = (self.read.zip(snapshot.taken_at))
                    .and_then(|(before, after)| after.duration_since(before).ok())
                    .map(|time| time.as_secs_f64());
                self.read = snapshot.taken_at;
                let calls = snapshot.voice.into_iter().map(Call::from);
                let calls = calls.chain(snapshot.setups.into_iter().map(Call::from)).collect();
                self.voice.observe(calls, seconds);
                self.remember(seconds);
                self.sockets.observe(snapshot.tcp, seconds);
                self.ledger = snapshot.ledger;
                self.taken = Some(at);
            }
            Err(error) => self.error = Some(error),
        }
    }

    /// How many flows there are.
    pub(super) fn flows(&self) -> usize {
        let is_flow = |row: &&Row<Call>| row.gone.is_none() && row.subject.waits_for.is_none();
        self.voice.rows().iter().filter(is_flow).count()
    }

    /// What all flows add up to.
    pub(super) fn totals(&self) -> Totals {
        let rates = || self.voice.rows().iter().filter_map(|row| row.rate);
        Totals {
            packets: rates().next().map(|_| rates().map(|rate| rate.packets).sum()),
            recent: RecentLoss::of(self.history.iter().rev()),
        }
    }

    fn remember(&mut self, seconds: Option<f64>) {
        let Some(seconds) = seconds.filter(|seconds| *seconds > 0.0) else { return };
        let rates = || self.voice.rows().iter().filter_map(|row| row.rate);
        let all = FlowRate {
            packets: rates().map(|rate| rate.packets).sum(),
            expected: rates().map(|rate| rate.expected).sum(),
            lost: rates().map(|rate| rate.lost).sum(),
            jitter_ms: None,
            seconds,
        };
        if self.history.len() == POINTS {
            self.history.pop_front();
        }
        self.history.push_back(all);
    }

    /// Does what a key asks for.
    pub(super) fn press(&mut self, key: KeyEvent) -> Next {
        if key.kind == KeyEventKind::Release {
            return Next::GoOn;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return if key.code == KeyCode::Char('c') { Next::Quit } else { Next::GoOn };
        }
        if self.cramped {
            // No other key could show what it did.
            return if key.code == KeyCode::Char('q') { Next::Quit } else { Next::GoOn };
        }
        if self.typing {
            self.type_filter(key.code);
            return Next::GoOn;
        }
        if self.help.is_some() {
            // Whatever key it is, it is no surprise that it closes the page of keys.
            self.help = self.more_help.take();
            return Next::GoOn;
        }
        self.command(key.code)
    }

    fn command(&mut self, key: KeyCode) -> Next {
        match key {
            KeyCode::Char('q') => return Next::Quit,
            KeyCode::Char('?' | 'h') => self.help = Some(0),
            KeyCode::Char('1') => self.tab = Tab::Voice,
            KeyCode::Char('2') => self.tab = Tab::Sockets,
            KeyCode::Tab | KeyCode::BackTab => {
                self.tab = match self.tab {
                    Tab::Voice => Tab::Sockets,
                    Tab::Sockets => Tab::Voice,
                };
            }
            KeyCode::Char('p' | ' ') => self.paused = !self.paused,
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Esc if self.details => self.details = false,
            KeyCode::Esc => self.set_filter(String::new()),
            _ => match self.tab {
                Tab::Voice => steer(&mut self.voice, &mut self.details, key),
                Tab::Sockets => steer(&mut self.sockets, &mut self.details, key),
            },
        }
        Next::GoOn
    }

    fn type_filter(&mut self, key: KeyCode) {
        let mut filter = self.filter.clone();
        match key {
            KeyCode::Char(letter) => filter.push(letter),
            KeyCode::Backspace => {
                filter.pop();
            }
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                self.typing = false;
                filter.clear();
            }
            _ => return,
        }
        self.set_filter(filter);
    }

    fn set_filter(&mut self, filter: String) {
        self.filter = filter;
        self.voice.set_filter(&self.filter);
        self.sockets.set_filter(&self.filter);
    }
}

fn steer<S: Subject>(list: &mut List<S>, details: &mut bool, key: KeyCode) {
    match key {
        KeyCode::Up | KeyCode::Char('k') => list.step(Step::Up),
        KeyCode::Down | KeyCode::Char('j') => list.step(Step::Down),
        KeyCode::PageUp => list.step(Step::PageUp),
        KeyCode::PageDown => list.step(Step::PageDown),
        KeyCode::Home | KeyCode::Char('g') => list.step(Step::Home),
        KeyCode::End | KeyCode::Char('G') => list.step(Step::End),
        KeyCode::Char('s') => list.next_order(),
        KeyCode::Char('r') => list.reverse(),
        KeyCode::Enter => {
            *details = !*details;
            if *details {
                list.stay();
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;

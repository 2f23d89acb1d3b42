//! Whether somebody talks, by the audio levels that come with the packets (RFC 6464).

use std::time::{Duration, Instant};

/// Louder than this is speech, in dBov: people at a microphone are at -20 to -40, and rooms
/// at -60 and below.
const SPEECH: i8 = -50;

/// So many loud packets in a row are more than a click.
const RUN: u8 = 2;

/// A pause that is shorter is part of the speech.
const PAUSE: Duration = Duration::from_millis(400);

/// Whether somebody talks.
#[derive(Debug, Default)]
pub(super) struct Speech {
    /// Loud packets in a row.
    run: u8,
    /// When a loud packet came last, while there is speech.
    heard: Option<Instant>,
}

impl Speech {
    /// Whether there is speech.
    pub(super) const fn is_heard(&self) -> bool {
        self.heard.is_some()
    }

    /// A packet of this level, from -127 to 0; one without a level may be speech. Says
    /// whether speech has begun with it.
    pub(super) fn hear(&mut self, level: Option<i8>, now: Instant) -> bool {
        if level.is_some_and(|level| level < SPEECH) {
            self.run = 0;
            return false;
        }
        self.run = self.run.saturating_add(1);
        if self.run < RUN && self.heard.is_none() {
            return false;
        }
        self.heard.replace(now).is_none()
    }

    /// Whether speech has ended since.
    pub(super) fn lapse(&mut self, now: Instant) -> bool {
        let has_ended =
            self.heard.is_some_and(|heard| now.saturating_duration_since(heard) >= PAUSE);
        if has_ended {
            *self = Self::default();
        }
        has_ended
    }

    /// Ends it. Says whether there was any.
    pub(super) fn stop(&mut self) -> bool {
        std::mem::take(self).is_heard()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_click_is_no_speech_and_a_pause_no_end() {
        let (mut speech, start) = (Speech::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert!(!speech.hear(Some(-20), at(0)));
        assert!(!speech.hear(Some(-90), at(20)));
        assert!(!speech.hear(Some(-20), at(40)), "one by one");
        assert!(speech.hear(Some(-30), at(60)));
        assert!(!speech.hear(Some(-30), at(80)), "it has begun before");
        assert!(!speech.lapse(at(479)));
        assert!(!speech.hear(Some(-50), at(479)), "as loud as speech is at least");
        assert!(!speech.lapse(at(878)));
        assert!(speech.lapse(at(879)));
        assert!(!speech.lapse(at(5_000)));
        assert!(!speech.is_heard());
    }

    #[test]
    fn without_levels_whoever_sends_talks() {
        let (mut speech, now) = (Speech::default(), Instant::now());
        assert!(!speech.hear(None, now));
        assert!(speech.hear(None, now));
        assert!(speech.stop());
        assert!(!speech.stop());
    }
}

//! What comes from a participant's microphone.

use std::time::{Duration, Instant};

use super::{numbering::Numbering, speech::Speech};

/// How long a stream is there before another may take its place. A client that makes up a
/// stream a packet would have every listener begin anew each time.
const LEAST: Duration = Duration::from_secs(1);

/// What comes from a participant's microphone.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) is_muted: bool,
    pub(super) speech: Speech,
    stream: Option<Stream>,
}

#[derive(Debug)]
struct Stream {
    /// As the participant sends it.
    ssrc: u32,
    began: Instant,
    /// As others are sent it, while it has a seat.
    sent_as: Option<u32>,
    /// Whether it lost a seat. A receiver that knew it would take it for the stream that it
    /// knew, and browsers play the one that they met last.
    is_spent: bool,
    numbering: Numbering,
}

impl Source {
    pub(super) fn new(is_muted: bool) -> Self {
        Self { is_muted, speech: Speech::default(), stream: None }
    }

    /// Mutes or does not. Says whether that ended speech.
    pub(super) fn mute(&mut self, is_muted: bool) -> bool {
        self.is_muted = is_muted;
        is_muted && self.speech.stop()
    }

    /// Whether a packet of this stream is to be looked at.
    pub(super) fn admits(&mut self, ssrc: u32, now: Instant) -> bool {
        match &self.stream {
            Some(stream) if stream.ssrc == ssrc => return true,
            Some(stream) if now.saturating_duration_since(stream.began) < LEAST => return false,
            _ => {}
        }
        let numbering = Numbering::default();
        self.stream = Some(Stream { ssrc, began: now, sent_as: None, is_spent: false, numbering });
        true
    }

    /// As what others are sent it.
    pub(super) fn sent_as(&self) -> Option<u32> {
        self.stream.as_ref()?.sent_as
    }

    /// Its identifier if others can be sent it under that.
    pub(super) fn own_ssrc(&self) -> Option<u32> {
        self.stream.as_ref().filter(|stream| !stream.is_spent).map(|stream| stream.ssrc)
    }

    /// It has a seat, and others are sent it so.
    pub(super) fn send_as(&mut self, ssrc: u32) {
        if let Some(stream) = &mut self.stream {
            stream.sent_as = Some(ssrc);
        }
    }

    /// It has no seat any more.
    pub(super) fn unseat(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.sent_as = None;
            stream.is_spent = true;
            stream.numbering = Numbering::default();
        }
    }

    /// A packet is held back.
    pub(super) fn hold(&mut self, number: u64) {
        if let Some(stream) = &mut self.stream {
            stream.numbering.hold(number);
        }
    }

    /// A packet is passed on, under this number.
    pub(super) fn pass(&mut self, number: u64) -> Option<u64> {
        self.stream.as_mut()?.numbering.pass(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_stream_takes_the_place_of_one_that_was_there_a_while() {
        let (mut source, start) = (Source::new(false), Instant::now());
        assert!(source.admits(7, start));
        source.send_as(7);
        assert!(!source.admits(8, start + Duration::from_millis(999)));
        assert_eq!(source.sent_as(), Some(7));
        assert!(source.admits(8, start + LEAST));
        assert_eq!((source.sent_as(), source.own_ssrc()), (None, Some(8)));
    }

    #[test]
    fn who_lost_a_seat_comes_back_as_another_stream() {
        let (mut source, start) = (Source::new(false), Instant::now());
        source.admits(7, start);
        source.send_as(7);
        assert_eq!(source.pass(70_000), Some(70_000));
        source.unseat();
        source.hold(70_001);
        assert_eq!((source.sent_as(), source.own_ssrc()), (None, None));
        source.send_as(9);
        assert_eq!(source.pass(70_002), Some(70_002));
    }
}

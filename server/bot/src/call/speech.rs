//! What bots say: half a minute of speech with pauses, as packets of RTP would carry it.

use std::{io::Cursor, sync::Arc};

use ogg::{OggReadError, PacketReader};

/// Made by `speech.sh`.
const OPUS: &[u8] = include_bytes!("speech.opus");

/// The level of each frame, made by `speech.sh`.
const LEVELS: &[u8] = include_bytes!("speech.levels");

/// Packets before the sound: `OpusHead` and `OpusTags` (RFC 7845 section 3).
const HEADERS: usize = 2;

/// A frame of so many bytes says that nothing is said, and need not be sent: discontinuous
/// transmission of libopus.
const SILENT_BYTES: usize = 2;

/// Samples of a frame of 20 ms, in the clock of RTP: 48 kHz (RFC 7587 section 4.1).
pub(super) const FRAME_SAMPLES: u32 = 960;

/// A level in -dBov (RFC 6464 section 3) down to which somebody speaks.
const SPEECH_LEVEL: u8 = 50;

/// Speech, in frames of 20 ms.
#[derive(Clone, Debug)]
pub(super) struct Speech {
    frames: Vec<Frame>,
}

#[derive(Clone, Debug)]
struct Frame {
    payload: Arc<[u8]>,
    level: u8,
}

/// What cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub(super) enum SpeechError {
    /// The container is broken.
    #[error("no Ogg: {0}")]
    Container(#[from] OggReadError),
    /// It holds something else.
    #[error("no Opus")]
    NotOpus,
    /// The levels belong to other frames.
    #[error("{frames} frames, but {levels} levels")]
    Levels {
        /// So many frames.
        frames: usize,
        /// So many levels.
        levels: usize,
    },
}

/// Somebody who speaks, over and over: a state machine with a step for each 20 ms.
#[derive(Clone, Debug)]
pub(super) struct Talk {
    speech: Arc<Speech>,
    at: usize,
    /// Of the next packet.
    sequence: u64,
    /// Of the next frame, sent or not.
    timestamp: u32,
    was_sent: bool,
}

/// What one packet of RTP carries.
#[derive(Clone, Debug)]
pub(super) struct Spoken {
    /// With the rollovers above the 16 bits that are sent.
    pub(super) sequence: u64,
    /// In samples of 48 kHz.
    pub(super) timestamp: u32,
    /// Whether it is the first after a pause.
    pub(super) marker: bool,
    /// In -dBov, 0 to 127.
    pub(super) level: u8,
    /// Whether the level is that of speech.
    pub(super) is_speech: bool,
    /// One frame of Opus.
    pub(super) payload: Arc<[u8]>,
}

impl Speech {
    /// The speech that comes with the program.
    ///
    /// # Errors
    /// Never, unless its files are damaged.
    pub(super) fn built_in() -> Result<Self, SpeechError> {
        Self::read(OPUS, LEVELS)
    }

    /// From a file of Ogg Opus, and the level of each of its frames.
    ///
    /// # Errors
    /// [`SpeechError`].
    pub(super) fn read(opus: &[u8], levels: &[u8]) -> Result<Self, SpeechError> {
        let mut reader = PacketReader::new(Cursor::new(opus));
        let mut packets = Vec::new();
        while let Some(packet) = reader.read_packet()? {
            packets.push(packet.data);
        }
        if packets.len() <= HEADERS || !packets[0].starts_with(b"OpusHead") {
            return Err(SpeechError::NotOpus);
        }
        let frames = packets.split_off(HEADERS);
        if frames.len() != levels.len() {
            return Err(SpeechError::Levels { frames: frames.len(), levels: levels.len() });
        }
        let frames = frames
            .into_iter()
            .zip(levels)
            .map(|(payload, level)| Frame { payload: payload.into(), level: *level })
            .collect();
        Ok(Self { frames })
    }

    /// How many frames there are; at least one.
    #[must_use]
    pub(super) fn frames(&self) -> usize {
        self.frames.len()
    }
}

impl Talk {
    /// Begins at a frame of the speech, with the first sequence number and timestamp.
    #[must_use]
    pub(super) const fn new(speech: Arc<Speech>, at: usize, sequence: u16, timestamp: u32) -> Self {
        Self { speech, at, sequence: sequence as u64, timestamp, was_sent: false }
    }

    /// The next 20 ms; nothing when nothing is said. The timestamp goes on in pauses, the
    /// sequence number does not, and the first packet after a pause has the marker (RFC 3551
    /// section 4.1).
    pub(super) fn step(&mut self) -> Option<Spoken> {
        let frames = &self.speech.frames;
        let frame = &frames[self.at % frames.len()];
        self.at = (self.at + 1) % frames.len();
        let timestamp = self.timestamp;
        self.timestamp = timestamp.wrapping_add(FRAME_SAMPLES);
        if frame.payload.len() <= SILENT_BYTES {
            self.was_sent = false;
            return None;
        }
        let sequence = self.sequence;
        self.sequence += 1;
        Some(Spoken {
            sequence,
            timestamp,
            marker: !std::mem::replace(&mut self.was_sent, true),
            level: frame.level,
            is_speech: frame.level <= SPEECH_LEVEL,
            payload: Arc::clone(&frame.payload),
        })
    }
}

#[cfg(test)]
mod tests {
    use ogg::{PacketWriteEndInfo, PacketWriter};

    use super::*;

    fn talk(lengths: &[usize], sequence: u16, timestamp: u32) -> Talk {
        let frame = |length: &usize| Frame { payload: vec![0x48; *length].into(), level: 20 };
        let speech = Speech { frames: lengths.iter().map(frame).collect() };
        Talk::new(Arc::new(speech), 0, sequence, timestamp)
    }

    #[test]
    fn the_built_in_speech_is_half_a_minute_with_pauses() {
        let speech = Speech::built_in().unwrap();
        let seconds = speech.frames() / 50;
        assert!((28..40).contains(&seconds), "{seconds} s");
        let quiet =
            speech.frames.iter().filter(|frame| frame.payload.len() <= SILENT_BYTES).count();
        let share = quiet as f64 / speech.frames() as f64;
        assert!((0.2..0.4).contains(&share), "{share}");
        for frame in &speech.frames {
            // One frame of 20 ms, mono, in each packet (RFC 6716 section 3.1): SILK, wideband.
            assert_eq!(frame.payload[0], 0x48);
            assert!(frame.level <= 127);
            assert!(frame.payload.len() > SILENT_BYTES || frame.level == 127);
        }
    }

    #[test]
    fn silence_is_not_sent_but_takes_its_time() {
        let mut talk = talk(&[40, 2, 1, 41], 7, u32::MAX - 959);
        let sent: Vec<_> =
            (0..6).map(|_| talk.step().map(|it| (it.sequence, it.timestamp, it.marker))).collect();
        let expected = [
            Some((7, u32::MAX - 959, true)),
            None,
            None,
            Some((8, 1920, true)),
            // The speech begins again, and that is no pause.
            Some((9, 2880, false)),
            None,
        ];
        assert_eq!(sent, expected);
    }

    #[test]
    fn three_bytes_are_sound() {
        assert!(talk(&[3], 0, 0).step().is_some());
    }

    #[test]
    fn a_sequence_number_keeps_its_rollovers() {
        let mut talk = talk(&[40], u16::MAX, 0);
        assert_eq!(talk.step().map(|it| it.sequence), Some(65_535));
        assert_eq!(talk.step().map(|it| it.sequence), Some(65_536));
    }

    #[test]
    fn bytes_that_are_no_speech_are_refused() {
        assert!(matches!(Speech::read(b"RIFF", &[]), Err(SpeechError::Container(_))));
        assert!(matches!(Speech::read(OPUS, &[0]), Err(SpeechError::Levels { levels: 1, .. })));
        let mut vorbis = Vec::new();
        let mut writer = PacketWriter::new(&mut vorbis);
        for packet in ["\x01vorbis", "\x03vorbis", "sound"] {
            let end = PacketWriteEndInfo::EndPage;
            writer.write_packet(packet.as_bytes(), 1, end, 0).unwrap();
        }
        assert!(matches!(Speech::read(&vorbis, &[0]), Err(SpeechError::NotOpus)));
    }
}

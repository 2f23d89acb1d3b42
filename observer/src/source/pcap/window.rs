//! A bounded look into a byte stream.

use std::io::{self, ErrorKind, Read};

/// First size of the buffer, and the least that one `read` asks for, in bytes.
const INITIAL: usize = 256 * 1024;

/// The part of a stream that is held in memory: as much as the caller asked to see at once.
///
/// Consumed bytes stay where they are until the next [`Window::fill`], so that a packet can be lent
/// out after the reader has stepped past it.
#[derive(Debug)]
pub(super) struct Window<R> {
    reader: R,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    read: u64,
}

impl<R: Read> Window<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, bytes: vec![0; INITIAL], start: 0, end: 0, read: 0 }
    }

    /// Makes `want` unconsumed bytes available; false when the stream ends before that.
    ///
    /// The buffer grows only as bytes arrive, so a length field that lies costs nothing.
    pub(super) fn fill(&mut self, want: usize) -> io::Result<bool> {
        while self.available().len() < want {
            if self.start + want > self.bytes.len() {
                self.bytes.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            if self.end == self.bytes.len() {
                let size = want.min(self.bytes.len() * 2);
                self.bytes.resize(size, 0);
            }
            if !self.read_some()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Steps over `count` bytes that need not fit the buffer; false when the stream ends first.
    pub(super) fn discard(&mut self, mut count: u64) -> io::Result<bool> {
        loop {
            let held = self.available().len();
            let step = usize::try_from(count).map_or(held, |count| count.min(held));
            self.start += step;
            count -= step as u64;
            if count == 0 {
                return Ok(true);
            }
            (self.start, self.end) = (0, 0);
            if !self.read_some()? {
                return Ok(false);
            }
        }
    }

    /// Where the stream comes from.
    pub(super) fn reader(&self) -> &R {
        &self.reader
    }

    /// What is held and not consumed.
    pub(super) fn available(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Consumes `count` of the available bytes.
    pub(super) fn consume(&mut self, count: usize) {
        self.start = self.end.min(self.start + count);
    }

    /// `len` bytes that begin `back` bytes before the first unconsumed one.
    pub(super) fn behind(&self, back: usize, len: usize) -> &[u8] {
        let from = self.start.saturating_sub(back);
        self.bytes.get(from..from + len).unwrap_or_default()
    }

    /// Bytes taken from the stream.
    pub(super) fn bytes_read(&self) -> u64 {
        self.read
    }

    /// Offset in the stream of the first unconsumed byte.
    pub(super) fn offset(&self) -> u64 {
        self.read - self.available().len() as u64
    }

    fn read_some(&mut self) -> io::Result<bool> {
        loop {
            match self.reader.read(&mut self.bytes[self.end..]) {
                Ok(0) => return Ok(false),
                Ok(count) => {
                    // A reader that claims more than it was given room for breaks its contract.
                    let count = count.min(self.bytes.len() - self.end);
                    self.end += count;
                    self.read += count as u64;
                    return Ok(true);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

//! Capture files: pcap and pcapng, read as a stream in bounded memory.
//!
//! [`Capture`] lends out one IP packet at a time, whatever the link layer around it. What it cannot
//! give it counts in [`Skipped`]. It never holds more than one block, at most 16 MiB.
//!
//! Read are pcap (microseconds and nanoseconds, either byte order, Kuznetzov's variant) as
//! draft-ietf-opsawg-pcap has it, and pcapng as draft-ietf-opsawg-pcapng has it: any number of
//! sections and interfaces, each with its own link type, time resolution and time offset; enhanced,
//! simple and obsolete packet blocks; all other blocks are stepped over.

mod clock;
pub mod link;
mod record;
mod window;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::link::{LinkType, Skip, ip_bytes, ip_length};
use self::record::{Format, Frame, Step};
use self::window::Window;

/// One captured IP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpPacket<'a> {
    /// When it was captured, in nanoseconds since the Unix epoch by the capturing host's clock.
    ///
    /// A simple packet block has no time: its packet gets that of the packet before it, and
    /// [`Capture::untimed`] counts it.
    pub time_ns: u64,
    /// From the IP header on, without what pads the frame behind the packet's end.
    pub bytes: &'a [u8],
    /// Length of the IP packet on the wire, in bytes. More than `bytes` has where the capture's
    /// snapshot length cut the frame.
    pub wire_len: u32,
}

/// A capture file that is being read.
#[derive(Debug)]
pub struct Capture<R> {
    window: Window<R>,
    format: Format,
    skipped: Skipped,
    packets: u64,
    untimed: u64,
    last_time_ns: u64,
    backward_steps: BackwardSteps,
    ended: bool,
    truncated: bool,
}

impl Capture<File> {
    /// Opens the file at `path` and reads its header.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let file = File::open(path)
            .map_err(|source| CaptureError::Open { path: path.to_owned(), source })?;
        Self::new(file)
    }

    /// Size of the file in bytes, where it is one: a pipe has none.
    pub fn file_size(&self) -> Option<u64> {
        let metadata = self.window.reader().metadata().ok()?;
        metadata.is_file().then_some(metadata.len())
    }
}

impl<R: Read> Capture<R> {
    /// Reads the header of the capture in `reader`, which need not be buffered.
    pub fn new(reader: R) -> Result<Self, CaptureError> {
        let mut window = Window::new(reader);
        let format = Format::detect(&mut window)?;
        Ok(Self {
            window,
            format,
            skipped: Skipped::default(),
            packets: 0,
            untimed: 0,
            last_time_ns: 0,
            backward_steps: BackwardSteps::default(),
            ended: false,
            truncated: false,
        })
    }

    /// The next IP packet; `None` at the end of the file and after an error.
    ///
    /// A file that ends inside a block ends like any other once its whole packets are read;
    /// [`Capture::truncated`] tells them apart.
    pub fn next_packet(&mut self) -> Result<Option<IpPacket<'_>>, CaptureError> {
        while !self.ended {
            let step = self.format.step(&mut self.window).inspect_err(|_| self.ended = true)?;
            match step {
                Step::Other => {}
                Step::End => self.ended = true,
                Step::Cut => (self.ended, self.truncated) = (true, true),
                Step::Frame(frame) => {
                    let time_ns = self.time_of(&frame);
                    match locate(&frame, self.window.behind(frame.back, frame.len)) {
                        Ok(Located { back, len, wire_len }) => {
                            self.packets += 1;
                            let bytes = self.window.behind(back, len);
                            return Ok(Some(IpPacket { time_ns, bytes, wire_len }));
                        }
                        Err(skip) => self.skipped.count(skip),
                    }
                }
            }
        }
        Ok(None)
    }

    /// Bytes taken from the reader, which runs ahead of the packets by at most the buffer.
    pub fn bytes_read(&self) -> u64 {
        self.window.bytes_read()
    }

    /// IP packets given so far.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Frames that gave no IP packet, by reason.
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// Frames without a time of their own (simple packet blocks), skipped ones included.
    pub fn untimed(&self) -> u64 {
        self.untimed
    }

    /// Frames with a time before that of the frame in front of them.
    pub fn backward_steps(&self) -> BackwardSteps {
        self.backward_steps
    }

    /// Whether the file was found to end inside a block.
    pub fn truncated(&self) -> bool {
        self.truncated
    }

    fn time_of(&mut self, frame: &Frame) -> u64 {
        match frame.time_ns {
            Some(time_ns) => {
                self.backward_steps.advance(self.last_time_ns, time_ns);
                self.last_time_ns = time_ns;
            }
            None => self.untimed += 1,
        }
        self.last_time_ns
    }
}

/// How often, and how far, a capture's clock goes back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BackwardSteps {
    /// Steps from one frame to the next.
    pub count: u64,
    /// The longest of them.
    pub longest: Duration,
}

impl BackwardSteps {
    fn advance(&mut self, before_ns: u64, time_ns: u64) {
        if time_ns < before_ns {
            self.count += 1;
            self.longest = self.longest.max(Duration::from_nanos(before_ns - time_ns));
        }
    }
}

/// Frames of a capture that gave no IP packet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Frames that carry something else than IP.
    pub non_ip: u64,
    /// Frames that may carry IP inside something that is not read, such as MPLS.
    pub unsupported_encapsulation: u64,
    /// Frames whose link layer is not read, by its type.
    pub unsupported_link_types: BTreeMap<LinkType, u64>,
    /// Frames whose captured bytes end inside the link-layer or the IP header.
    pub truncated: u64,
    /// Frames with a link-layer header that cannot be.
    pub malformed_link_header: u64,
    /// Frames with an IP header that contradicts itself or the link layer.
    pub malformed_ip_header: u64,
}

impl Skipped {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.non_ip
            + self.unsupported_encapsulation
            + self.unsupported_link_types.values().sum::<u64>()
            + self.truncated
            + self.malformed_link_header
            + self.malformed_ip_header
    }

    fn count(&mut self, skip: Skip) {
        match skip {
            Skip::NonIp => self.non_ip += 1,
            Skip::UnsupportedEncapsulation => self.unsupported_encapsulation += 1,
            Skip::UnsupportedLinkType(link) => {
                *self.unsupported_link_types.entry(link).or_default() += 1;
            }
            Skip::Truncated => self.truncated += 1,
            Skip::MalformedLinkHeader => self.malformed_link_header += 1,
            Skip::MalformedIpHeader => self.malformed_ip_header += 1,
        }
    }
}

/// Why a capture cannot be read, or not any further.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Reading failed.
    #[error("reading the capture failed after {offset} bytes")]
    Read {
        /// Bytes read before.
        offset: u64,
        /// What the reader said.
        source: io::Error,
    },
    /// There is nothing in the file.
    #[error("the file is empty, not a pcap or pcapng capture")]
    Empty,
    /// The file is of another kind.
    #[error("the file begins with the bytes {}, neither as pcap nor as pcapng", hex(first))]
    NotACapture {
        /// Up to four of its first bytes.
        first: Vec<u8>,
    },
    /// The file is compressed.
    #[error("the file is compressed with {format}: decompress it first, with `{tool}`")]
    Compressed {
        /// How.
        format: &'static str,
        /// The command that undoes it.
        tool: &'static str,
    },
    /// The file ends inside the header it begins with.
    #[error("the file ends inside its {format} header")]
    HeaderCut {
        /// `pcap` or `pcapng`.
        format: &'static str,
    },
    /// A block or record is larger than any real one: the file is damaged.
    #[error(
        "the block at byte {offset} claims {length} bytes, more than the {limit} that are read"
    )]
    BlockTooLarge {
        /// Where it begins in the file.
        offset: u64,
        /// What it claims, at least.
        length: u64,
        /// The most that is read.
        limit: usize,
    },
    /// A block contradicts itself or what stood before it.
    #[error("the {what} at byte {offset} is damaged: its lengths or its interface are impossible")]
    Malformed {
        /// Kind of block.
        what: &'static str,
        /// Where it begins in the file.
        offset: u64,
    },
    /// A section describes more interfaces than are kept.
    #[error("the section describes more than {limit} interfaces, the next at byte {offset}")]
    TooManyInterfaces {
        /// Where the first one too many begins in the file.
        offset: u64,
        /// The most that are kept.
        limit: usize,
    },
}

struct Located {
    back: usize,
    len: usize,
    wire_len: u32,
}

/// Finds the IP packet in a frame, counted as the frame is: backwards from its block's end.
fn locate(frame: &Frame, bytes: &[u8]) -> Result<Located, Skip> {
    let ip = ip_bytes(frame.link, bytes)?;
    let link_header = bytes.len() - ip.len();
    // A record that claims less on the wire than it holds is not believed.
    let frame_rest = (frame.wire_len as usize).max(bytes.len()) - link_header;
    let wire_len = ip_length(ip, u32::try_from(frame_rest).unwrap_or(u32::MAX))?;
    let len = ip.len().min(wire_len as usize);
    Ok(Located { back: frame.back - link_header, len, wire_len })
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        let space = if text.is_empty() { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{space}{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests;

//! From the bytes of a capture file to the frames it holds, one at a time.
//!
//! `pcap-parser` reads the blocks; this module finds where they begin and end. Its own streaming
//! readers are not used because they lose the I/O error and cannot tell a damaged block from a file
//! that was cut off.

use std::io::Read;

use pcap_parser::nom::{self, IResult, Needed};
use pcap_parser::{
    BOM_MAGIC, Block, EPB_MAGIC, IDB_MAGIC, LegacyPcapBlock, PcapError, SHB_MAGIC, SPB_MAGIC,
    parse_block_be, parse_block_le, parse_pcap_frame, parse_pcap_frame_be,
    parse_pcap_frame_modified, parse_pcap_header,
};

use super::CaptureError;
use super::clock::{Clock, NS_PER_S};
use super::link::LinkType;
use super::window::Window;

/// Largest record or block read, in bytes: Wireshark's limit for a pcapng block.
pub(super) const MAX_BLOCK: usize = 16 * 1024 * 1024;

/// Interfaces accepted in one section: each costs memory for the rest of it.
pub(super) const MAX_INTERFACES: usize = 65_536;

/// Type of the packet block that the enhanced packet block replaced; some files still have it.
const OBSOLETE_PACKET: u32 = 2;

/// Bytes before the frame in an enhanced, or an obsolete, packet block.
const EPB_HEADER: usize = 28;
/// Bytes before the frame in a simple packet block.
const SPB_HEADER: usize = 12;
/// Bytes of the block length that closes each block.
const CLOSING_LENGTH: usize = 4;

/// One step through a file.
pub(super) enum Step {
    /// A frame, in the bytes the window has just stepped over.
    Frame(Frame),
    /// A block that holds none.
    Other,
    /// The file ends here, between two blocks.
    End,
    /// The file ends inside a block.
    Cut,
}

/// Where a frame stands and what its record says of it.
pub(super) struct Frame {
    pub(super) link: LinkType,
    /// Since the Unix epoch; a simple packet block has no time.
    pub(super) time_ns: Option<u64>,
    /// Bytes from the frame's first one to the end of its block.
    pub(super) back: usize,
    /// Bytes captured.
    pub(super) len: usize,
    /// Bytes there were on the wire.
    pub(super) wire_len: u32,
}

/// A file's format and what its headers have said so far.
#[derive(Debug)]
pub(super) enum Format {
    Pcap(Pcap),
    PcapNg(PcapNg),
}

impl Format {
    /// Recognises the file and reads the header that it must begin with.
    pub(super) fn detect<R: Read>(window: &mut Window<R>) -> Result<Self, CaptureError> {
        // A shorter file is described by the bytes it has.
        fill(window, 6)?;
        let first = window.available();
        if first.is_empty() {
            return Err(CaptureError::Empty);
        }
        for (magic, format, tool) in COMPRESSIONS {
            if first.starts_with(magic) {
                return Err(CaptureError::Compressed { format, tool });
            }
        }
        match first.first_chunk().map(|magic| u32::from_be_bytes(*magic)) {
            Some(SHB_MAGIC) => {
                let mut section = PcapNg { big_endian: false, interfaces: Vec::new() };
                match section.step(window)? {
                    Step::Cut => Err(CaptureError::HeaderCut { format: "pcapng" }),
                    _ => Ok(Self::PcapNg(section)),
                }
            }
            Some(0xD4C3_B2A1 | 0xA1B2_C3D4 | 0x4D3C_B2A1 | 0xA1B2_3C4D | 0x34CD_B2A1) => {
                Pcap::begin(window).map(Self::Pcap)
            }
            _ => Err(CaptureError::NotACapture { first: first[..first.len().min(4)].to_vec() }),
        }
    }

    /// The next frame, or what else stands there.
    pub(super) fn step<R: Read>(&mut self, window: &mut Window<R>) -> Result<Step, CaptureError> {
        match self {
            Self::Pcap(file) => file.step(window),
            Self::PcapNg(section) => section.step(window),
        }
    }
}

const COMPRESSIONS: [(&[u8], &str, &str); 5] = [
    (&[0x1F, 0x8B], "gzip", "gunzip"),
    (&[0x28, 0xB5, 0x2F, 0xFD], "zstd", "unzstd"),
    (&[0xFD, b'7', b'z', b'X', b'Z', 0], "xz", "unxz"),
    (&[0x04, 0x22, 0x4D, 0x18], "lz4", "unlz4"),
    (b"BZh", "bzip2", "bunzip2"),
];

type ParseRecord =
    for<'a> fn(&'a [u8]) -> IResult<&'a [u8], LegacyPcapBlock<'a>, PcapError<&'a [u8]>>;

/// The classic format: one link type and one resolution for the whole file.
#[derive(Debug)]
pub(super) struct Pcap {
    link: LinkType,
    ns_per_tick: u64,
    parse: ParseRecord,
}

impl Pcap {
    /// Bytes of the file header.
    const HEADER: usize = 24;

    fn begin<R: Read>(window: &mut Window<R>) -> Result<Self, CaptureError> {
        let cut = CaptureError::HeaderCut { format: "pcap" };
        if !fill(window, Self::HEADER)? {
            return Err(cut);
        }
        let (_, header) = parse_pcap_header(window.available()).map_err(|_| cut)?;
        window.consume(Self::HEADER);
        let parse: ParseRecord = match (header.is_modified_format(), header.is_bigendian()) {
            (true, _) => parse_pcap_frame_modified,
            (false, true) => parse_pcap_frame_be,
            (false, false) => parse_pcap_frame,
        };
        Ok(Self {
            // The upper half of the field says how long the frame check sequence is.
            link: LinkType((header.network.0 & 0xFFFF) as u16),
            ns_per_tick: if header.is_nanosecond_precision() { 1 } else { 1000 },
            parse,
        })
    }

    fn step<R: Read>(&self, window: &mut Window<R>) -> Result<Step, CaptureError> {
        loop {
            let held = window.available();
            let missing = match (self.parse)(held) {
                Ok((rest, record)) => {
                    let block_len = held.len() - rest.len();
                    let frame = Frame {
                        link: self.link,
                        time_ns: Some(
                            u64::from(record.ts_sec) * NS_PER_S
                                + u64::from(record.ts_usec) * self.ns_per_tick,
                        ),
                        back: record.data.len(),
                        len: record.data.len(),
                        wire_len: record.origlen,
                    };
                    window.consume(block_len);
                    return Ok(Step::Frame(frame));
                }
                Err(nom::Err::Incomplete(Needed::Size(missing))) => missing.get(),
                Err(_) => return Err(malformed(window, "packet record")),
            };
            let want = held.len().saturating_add(missing);
            if want > MAX_BLOCK {
                return Err(too_large(window, want as u64));
            }
            if !fill(window, want)? {
                return Ok(if window.available().is_empty() { Step::End } else { Step::Cut });
            }
        }
    }
}

/// The block format, as far as the current section has described itself.
#[derive(Debug)]
pub(super) struct PcapNg {
    big_endian: bool,
    interfaces: Vec<Interface>,
}

#[derive(Debug)]
struct Interface {
    link: LinkType,
    snaplen: u32,
    clock: Clock,
}

impl PcapNg {
    fn step<R: Read>(&mut self, window: &mut Window<R>) -> Result<Step, CaptureError> {
        if !fill(window, 8)? {
            return Ok(if window.available().is_empty() { Step::End } else { Step::Cut });
        }
        let kind = self.word(window.available(), 0);
        if kind == SHB_MAGIC {
            if !fill(window, 12)? {
                return Ok(Step::Cut);
            }
            self.big_endian = match le32(window.available(), 8) {
                BOM_MAGIC => false,
                magic if magic.swap_bytes() == BOM_MAGIC => true,
                _ => return Err(malformed(window, "section header block")),
            };
        }
        let length = self.word(window.available(), 4);
        if length < 12 || !length.is_multiple_of(4) {
            return Err(malformed(window, "block"));
        }
        let Some(name) = read_block_name(kind) else {
            return Ok(if discard(window, length)? { Step::Other } else { Step::Cut });
        };
        if length as usize > MAX_BLOCK {
            return Err(too_large(window, length.into()));
        }
        if !fill(window, length as usize)? {
            return Ok(Step::Cut);
        }
        if kind == IDB_MAGIC && self.interfaces.len() == MAX_INTERFACES {
            let (offset, limit) = (window.offset(), MAX_INTERFACES);
            return Err(CaptureError::TooManyInterfaces { offset, limit });
        }
        let step = self.block(&window.available()[..length as usize]);
        let step = step.ok_or_else(|| malformed(window, name))?;
        window.consume(length as usize);
        Ok(step)
    }

    /// Takes in one whole block; none when it is impossible.
    fn block(&mut self, bytes: &[u8]) -> Option<Step> {
        let parsed = if self.big_endian { parse_block_be(bytes) } else { parse_block_le(bytes) };
        match parsed.ok()?.1 {
            Block::SectionHeader(_) => {
                self.interfaces.clear();
                Some(Step::Other)
            }
            Block::InterfaceDescription(block) => {
                self.interfaces.push(Interface {
                    link: LinkType((block.linktype.0 & 0xFFFF) as u16),
                    snaplen: if block.snaplen == 0 { u32::MAX } else { block.snaplen },
                    clock: Clock::of(&block, self.big_endian),
                });
                Some(Step::Other)
            }
            Block::EnhancedPacket(block) => self.timed_frame(block.if_id, bytes),
            Block::SimplePacket(block) => {
                let interface = self.interfaces.first()?;
                let len = block.data.len().min(block.origlen.min(interface.snaplen) as usize);
                Some(Step::Frame(Frame {
                    link: interface.link,
                    time_ns: None,
                    back: bytes.len() - SPB_HEADER,
                    len,
                    wire_len: block.origlen,
                }))
            }
            Block::Unknown(_) => {
                // The obsolete packet block: interface and drop count share a word, and the rest is
                // as in its successor.
                let word = self.word(bytes, 8);
                self.timed_frame(if self.big_endian { word >> 16 } else { word & 0xFFFF }, bytes)
            }
            _ => None,
        }
    }

    /// The frame of an enhanced packet block or its predecessor; none when it names an interface
    /// that its section has not, or more bytes than it has.
    fn timed_frame(&self, interface: u32, block: &[u8]) -> Option<Step> {
        let interface = self.interfaces.get(interface as usize)?;
        let ticks = u64::from(self.word(block, 12)) << 32 | u64::from(self.word(block, 16));
        let len = self.word(block, 20) as usize;
        let back = block.len().checked_sub(EPB_HEADER)?;
        if len > back.checked_sub(CLOSING_LENGTH)? {
            return None;
        }
        Some(Step::Frame(Frame {
            link: interface.link,
            time_ns: Some(interface.clock.ns(ticks)),
            back,
            len,
            wire_len: self.word(block, 24),
        }))
    }

    fn word(&self, bytes: &[u8], at: usize) -> u32 {
        let word = le32(bytes, at);
        if self.big_endian { word.swap_bytes() } else { word }
    }
}

/// Name of a block that is read; none for one that is stepped over.
fn read_block_name(kind: u32) -> Option<&'static str> {
    match kind {
        SHB_MAGIC => Some("section header block"),
        IDB_MAGIC => Some("interface description block"),
        EPB_MAGIC => Some("enhanced packet block"),
        SPB_MAGIC => Some("simple packet block"),
        OBSOLETE_PACKET => Some("packet block"),
        _ => None,
    }
}

fn fill<R: Read>(window: &mut Window<R>, want: usize) -> Result<bool, CaptureError> {
    window.fill(want).map_err(|source| CaptureError::Read { offset: window.bytes_read(), source })
}

fn discard<R: Read>(window: &mut Window<R>, count: u32) -> Result<bool, CaptureError> {
    window
        .discard(count.into())
        .map_err(|source| CaptureError::Read { offset: window.bytes_read(), source })
}

fn malformed<R: Read>(window: &Window<R>, what: &'static str) -> CaptureError {
    CaptureError::Malformed { what, offset: window.offset() }
}

fn too_large<R: Read>(window: &Window<R>, length: u64) -> CaptureError {
    CaptureError::BlockTooLarge { offset: window.offset(), length, limit: MAX_BLOCK }
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..).and_then(|rest| rest.first_chunk());
    word.map_or(0, |word| u32::from_le_bytes(*word))
}

//! Bytes as a capture file, read whole and in pieces: the same packets, in memory that
//! follows what the file has and not what it claims.
#![no_main]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    io::{self, Read},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use libfuzzer_sys::fuzz_target;
use observer::{
    source::pcap::{Capture, Skipped},
    track::capture::CaptureFlows,
};

/// What a reader may hold without having read anything, in bytes: its first buffer is
/// half of this.
const IDLE: usize = 512 * 1024;

/// What it may hold for each byte read: a description of an interface takes 20 bytes of
/// the file, and 64 in a list that doubles as it grows.
const FACTOR: usize = 16;

#[global_allocator]
static MEMORY: Counted = Counted;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, and how much it has given out.
struct Counted;

// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        MOST.fetch_max(HELD.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's.
        unsafe { System.dealloc(block, layout) }
    }
}

fuzz_target!(|data: &[u8]| {
    let before = HELD.load(Relaxed);
    MOST.store(before, Relaxed);
    let whole = read(data, data.len());
    let held = MOST.load(Relaxed) - before;
    assert!(held <= IDLE + FACTOR * data.len(), "{held} bytes held for a file of {}", data.len());

    // Where the pieces end is the file's own choice, so that the fuzzer can move it.
    let piece = data.last().map_or(1, |byte| usize::from(*byte) + 1);
    assert_eq!(read(data, piece), whole);

    replay(data);
});

/// All that a capture gives.
#[derive(Debug, PartialEq, Default)]
struct Contents {
    packets: u64,
    /// Of each packet's time, lengths and bytes.
    digest: u64,
    skipped: Skipped,
    untimed: u64,
    truncated: bool,
    error: Option<String>,
}

fn read(data: &[u8], piece: usize) -> Contents {
    let mut contents = Contents::default();
    let mut capture = match Capture::new(Pieces { rest: data, piece: piece.max(1) }) {
        Ok(capture) => capture,
        Err(error) => {
            contents.error = Some(error.to_string());
            return contents;
        }
    };
    let mut bytes_read = 0;
    loop {
        match capture.next_packet() {
            Ok(Some(packet)) => {
                assert!(packet.bytes.len() <= packet.wire_len as usize);
                assert!(matches!(packet.bytes[0] >> 4, 4 | 6), "not an IP packet");
                contents.packets += 1;
                for word in [packet.time_ns, packet.wire_len.into(), packet.bytes.len() as u64] {
                    contents.digest = mix(contents.digest, word);
                }
                for byte in packet.bytes {
                    contents.digest = mix(contents.digest, (*byte).into());
                }
            }
            Ok(None) => break,
            Err(error) => {
                contents.error = Some(error.to_string());
                break;
            }
        }
        assert!(capture.bytes_read() >= bytes_read && capture.bytes_read() <= data.len() as u64);
        bytes_read = capture.bytes_read();
    }
    assert!(matches!(capture.next_packet(), Ok(None)), "an end is an end");
    assert_eq!(capture.packets(), contents.packets);
    assert!(capture.skipped().total() + capture.packets() <= data.len() as u64 / 12);
    contents.skipped = capture.skipped().clone();
    contents.untimed = capture.untimed();
    contents.truncated = capture.truncated();
    contents
}

/// Flows that a replay here may follow: few, so that the table is soon full.
const FLOWS: usize = 4;

/// Flows in probation there, for the same reason.
const CANDIDATES: usize = 8;

/// As `observer replay` does it: every packet is in the figures, or in none.
fn replay(data: &[u8]) {
    let Ok(mut capture) = Capture::new(data) else { return };
    let mut flows = CaptureFlows::new(FLOWS, CANDIDATES);
    while let Ok(Some(packet)) = capture.next_packet() {
        flows.advance(packet.bytes, packet.wire_len, packet.time_ns);
    }
    let found = flows.flows();
    assert!(found.len() <= FLOWS);
    for flow in &found {
        let stream = &flow.stream;
        assert!(stream.packets >= 2 && stream.lost() < stream.expected());
    }
    let followed: u64 = found.iter().map(|flow| flow.stream.packets + flow.stream.strays).sum();
    assert_eq!(followed, flows.packets());
    let given_up: u64 = flows.losses().values().sum();
    assert!(followed + given_up <= capture.packets());
}

/// One step of FNV-1a.
fn mix(digest: u64, word: u64) -> u64 {
    (digest ^ word).wrapping_mul(0x0000_0100_0000_01b3)
}

/// A reader that gives at most `piece` bytes at a time.
struct Pieces<'a> {
    rest: &'a [u8],
    piece: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.piece.min(self.rest.len()).min(buffer.len());
        let (now, later) = self.rest.split_at(count);
        buffer[..count].copy_from_slice(now);
        self.rest = later;
        Ok(count)
    }
}

//! The judge of voice: tshark's reading of a capture.

use std::process::Command;

use super::capture::CaptureFile;

/// A line of `tshark -z rtp,streams`.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    /// Synchronisation source.
    pub(crate) ssrc: u32,
    /// Port the packets come from.
    pub(crate) from: u16,
    /// Port the packets go to.
    pub(crate) port: u16,
    /// Name of the payload type.
    pub(crate) payload: String,
    /// Packets, duplicates among them.
    pub(crate) packets: u64,
    /// Packets missing, less duplicates.
    pub(crate) lost: i64,
    /// Longest time between two packets, in ms.
    pub(crate) delta_max_ms: f64,
    /// Mean of the jitter after each packet, in ms.
    pub(crate) jitter_mean_ms: f64,
    /// Largest jitter, in ms.
    pub(crate) jitter_max_ms: f64,
}

/// Packets of a stream and those missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    /// Packets, duplicates among them.
    pub(crate) packets: u64,
    /// Packets missing, less duplicates.
    pub(crate) lost: i64,
}

impl Stream {
    /// What tshark itself counts.
    pub(crate) const fn count(&self) -> Count {
        Count { packets: self.packets, lost: self.lost }
    }
}

impl Count {
    /// By the sequence numbers that tshark reads. Its own count leaves out a packet of SRTP
    /// whose payload looks like some other protocol, broken, and takes the last packet to
    /// come for the last of its stream, in whatever order they came.
    pub(crate) fn of(sequence_numbers: &[u16]) -> Self {
        let mut at = i64::from(sequence_numbers[0]);
        let (mut lowest, mut highest) = (at, at);
        for number in sequence_numbers {
            at += i64::from(number.wrapping_sub(at as u16) as i16);
            (lowest, highest) = (lowest.min(at), highest.max(at));
        }
        let packets = sequence_numbers.len() as u64;
        Self { packets, lost: highest - lowest + 1 - packets as i64 }
    }
}

/// The streams that go to `port`. Told that it is RTP, tshark counts every packet;
/// left to its heuristics, it rejects some and reports them lost.
pub(crate) fn streams(capture: &CaptureFile, port: u16) -> Vec<Stream> {
    let text = tshark(capture, port, &["-q", "-z", "rtp,streams"]);
    text.lines().filter_map(stream).filter(|stream| stream.port == port).collect()
}

/// The sequence numbers of one stream, in the order of arrival.
pub(crate) fn sequence_numbers(capture: &CaptureFile, port: u16, ssrc: u32) -> Vec<u16> {
    let filter = format!("udp.dstport == {port} && rtp.ssrc == {ssrc:#x}");
    let text = tshark(capture, port, &["-Y", &filter, "-T", "fields", "-e", "rtp.seq"]);
    text.lines().map(|line| line.parse().expect("a sequence number")).collect()
}

/// The same, of a stream in a TCP stream, framed by RFC 4571. tshark tells of a packet when all
/// of it has come, in whatever order.
pub(crate) fn framed_sequence_numbers(capture: &CaptureFile, port: u16, ssrc: u32) -> Vec<u16> {
    let filter = format!("tcp.dstport == {port} && rtp.ssrc == {ssrc:#x}");
    let decode = format!("tcp.port=={port},rtp");
    let reorder = "tcp.reassemble_out_of_order:TRUE";
    let words =
        ["-2", "-o", reorder, "-d", &decode, "-Y", &filter, "-T", "fields", "-e", "rtp.seq"];
    let text = tshark(capture, port, &words);
    let numbers = text.split_whitespace().flat_map(|line| line.split(','));
    numbers.map(|number| number.parse().expect("a sequence number")).collect()
}

/// The mean of the jitter of one stream, in ms: see [`jitter_ms`].
pub(crate) fn mean_jitter_ms(capture: &CaptureFile, port: u16, ssrc: u32, clock_rate: u32) -> f64 {
    jitter_ms(capture, port, ssrc, clock_rate, 0).0
}

/// The mean and the maximum of the jitter of one stream without its first packets, in ms: RFC 3550 appendix A.8, as it stands there,
/// over tshark's reading of times and timestamps. tshark's own needs to know the clock. As it
/// does, this leaves out packets out of order and the first of a talkspurt.
pub(crate) fn jitter_ms(
    capture: &CaptureFile,
    port: u16,
    ssrc: u32,
    clock_rate: u32,
    without: usize,
) -> (f64, f64) {
    let filter = format!("udp.dstport == {port} && rtp.ssrc == {ssrc:#x}");
    let mut words = vec!["-Y", &filter, "-T", "fields"];
    for field in ["frame.time_relative", "rtp.timestamp", "rtp.seq", "rtp.marker"] {
        words.extend(["-e", field]);
    }
    let text = tshark(capture, port, &words);
    let mut packets = text.lines().map(Packet::of).skip(without);
    let mut before = packets.next().expect("there is a first packet");
    let mut highest = before.sequence;
    let (mut jitter, mut sum, mut samples, mut largest) = (0.0, 0.0, 0.0, 0.0_f64);
    for packet in packets {
        // Timestamps wrap, and so do sequence numbers.
        let step = packet.timestamp.wrapping_sub(before.timestamp) as i32;
        let change = packet.at - before.at - f64::from(step) / f64::from(clock_rate);
        jitter += (change.abs() - jitter) / 16.0;
        if (packet.sequence.wrapping_sub(highest) as i16) > 0 {
            highest = packet.sequence;
            if !packet.marker {
                (sum, samples, largest) = (sum + jitter, samples + 1.0, largest.max(jitter));
            }
        }
        before = packet;
    }
    (sum / samples * 1e3, largest * 1e3)
}

/// What RFC 3550 wants to know of a packet.
struct Packet {
    /// When it came, in seconds.
    at: f64,
    timestamp: u32,
    sequence: u16,
    marker: bool,
}

impl Packet {
    fn of(line: &str) -> Self {
        let mut fields = line.split('\t');
        let mut next = || fields.next().expect("four fields");
        Self {
            at: next().parse().expect("seconds"),
            timestamp: next().parse().expect("a timestamp"),
            sequence: next().parse().expect("a sequence number"),
            marker: matches!(next(), "1" | "True"),
        }
    }
}

fn tshark(capture: &CaptureFile, port: u16, words: &[&str]) -> String {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(capture.path()).args(["-d", &format!("udp.port=={port},rtp")]);
    let output = command.args(words).output().expect("tshark starts");
    assert!(output.status.success(), "tshark refused: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Start, end, source, port, destination, port, SSRC, payload, packets, lost, the
/// share of it, then minimum, mean and maximum of delta and of jitter. The payload's
/// name may have blanks in it.
fn stream(line: &str) -> Option<Stream> {
    let words: Vec<_> = line.split_whitespace().collect();
    let share = words.iter().position(|word| word.ends_with("%)"))?;
    let number = |at: usize| words.get(at)?.parse::<f64>().ok();
    Some(Stream {
        ssrc: u32::from_str_radix(words.get(6)?.strip_prefix("0x")?, 16).ok()?,
        from: words[3].parse().ok()?,
        port: words[5].parse().ok()?,
        payload: words.get(7..share - 2)?.join(" "),
        packets: words[share - 2].parse().ok()?,
        lost: words[share - 1].parse().ok()?,
        delta_max_ms: number(share + 3)?,
        jitter_mean_ms: number(share + 5)?,
        jitter_max_ms: number(share + 6)?,
    })
}

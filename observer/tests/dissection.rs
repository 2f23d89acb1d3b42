//! What `observer replay` reads in header extensions, against tshark's dissection of the same
//! capture. Needs no privileges.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{path::PathBuf, process::Command};

use observer::export::snapshot::{HeaderExtensions, Snapshot};

/// The numbers that the browsers' signalling gave to the extensions.
const LEVEL: u8 = 1;
const SENT: u8 = 2;
const TRANSPORT: u8 = 3;

/// Ticks of the absolute send time in a second, and how many there are.
const TICKS: f64 = 262_144.0;
const ALL_TICKS: u32 = 1 << 24;

/// A packet as tshark dissects it.
struct Packet {
    time: f64,
    sequence: u16,
    elements: Vec<(u8, u32)>,
}

impl Packet {
    fn read(line: &str) -> Self {
        let [time, sequence, ids, data] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let ids = ids.split(',').map(|id| id.parse().unwrap());
        let data = data.split(',').map(|data| u32::from_str_radix(data, 16).unwrap());
        Self {
            time: time.parse().unwrap(),
            sequence: sequence.parse().unwrap(),
            elements: ids.zip(data).collect(),
        }
    }

    fn element(&self, id: u8) -> Option<u32> {
        self.elements.iter().find(|(its, _)| *its == id).map(|(_, data)| *data)
    }
}

fn capture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/captures").join(name)
}

/// Every packet that came from a port.
fn dissected(name: &str, port: u16) -> Vec<Packet> {
    let output = Command::new("tshark")
        .arg("-r")
        .arg(capture(name))
        .args(["-d", &format!("udp.port=={port},rtp")])
        .args(["-Y", &format!("rtp.ext && udp.srcport=={port}"), "-T", "fields"])
        .args(["-e", "frame.time_relative", "-e", "rtp.seq"])
        .args(["-e", "rtp.ext.rfc5285.id", "-e", "rtp.ext.rfc5285.data"])
        .output()
        .expect("tshark is there: `cargo xtask setup --only packages`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(Packet::read).collect()
}

fn replayed(name: &str) -> HeaderExtensions {
    let output = Command::new(env!("CARGO_BIN_EXE_observer"))
        .args(["replay", "--format", "json"])
        .arg(capture(name))
        .output()
        .unwrap();
    let snapshot: Snapshot = serde_json::from_slice(&output.stdout).unwrap();
    let [flow] = &snapshot.voice[..] else { panic!("{:?}", snapshot.voice) };
    flow.extensions.clone().unwrap()
}

/// Levels of the samples from the third change on, which makes the element the level.
fn levels(samples: &[&Packet]) -> Vec<u32> {
    let all: Vec<_> = samples.iter().filter_map(|packet| packet.element(LEVEL)).collect();
    let changes = all.windows(2).enumerate().filter(|(_, pair)| pair[0] != pair[1]);
    let third = changes.map(|(at, _)| at + 1).nth(2).unwrap();
    all[third..].to_vec()
}

/// The largest delay above the least so far, in ms, from the fourth sample on.
fn largest_excess_ms(samples: &[&Packet]) -> f64 {
    let times = samples.iter().filter_map(|packet| Some((packet.time, packet.element(SENT)?)));
    let times: Vec<_> = times.collect();
    let change = |pair: &[(f64, u32)]| {
        let ticks = pair[1].1.wrapping_sub(pair[0].1) % ALL_TICKS;
        (pair[1].0 - pair[0].0 - f64::from(ticks) / TICKS) * 1e3
    };
    let mut excess = 0.0_f64;
    let follow = times[3..].windows(2).map(change).map(|change| {
        excess = (excess + change).max(0.0);
        excess
    });
    follow.fold(0.0, f64::max)
}

#[test]
fn header_extensions_are_those_of_the_dissection() {
    const CAPTURE: &str = "chromium-opus-srtp-ice-switch.pcapng";
    let packets = dissected(CAPTURE, 46_490);
    assert_eq!(packets.len(), 1_523);
    let samples: Vec<_> =
        packets.iter().filter(|packet| packet.sequence.is_multiple_of(16)).collect();
    let told = replayed(CAPTURE);

    let levels = levels(&samples);
    let share = |of: fn(u32) -> bool| {
        let count = levels.iter().filter(|level| of(**level)).count();
        Some(count as f64 / levels.len() as f64)
    };
    assert_eq!(told.voice_ratio, share(|level| level >> 7 == 1));
    assert_eq!(told.silent_ratio, share(|level| level & 0x7f == 127));
    assert_eq!(told.clipped_ratio, share(|level| level & 0x7f == 0));
    assert!(told.silent_ratio.unwrap() > 0.1 && told.silent_ratio.unwrap() < 0.9);

    let mut numbers = samples.iter().filter_map(|packet| packet.element(TRANSPORT));
    let (first, last) = (numbers.clone().nth(3).unwrap(), numbers.next_back().unwrap());
    let came = packets.iter().filter_map(|packet| packet.element(TRANSPORT));
    let came = came.filter(|number| (first..last).contains(number)).count();
    let lost = 1.0 - came as f64 / f64::from(last - first);
    assert!((told.transport_loss_ratio.unwrap() - lost).abs() < 1e-9, "{lost}: {told:?}");

    let expected = largest_excess_ms(&samples);
    let largest = told.delay_variation_max_ms.unwrap();
    // The least delay is forgotten in time, which takes a little from a large one.
    assert!((largest - expected).abs() < expected / 20.0, "{expected}: {told:?}");
}

mod writer;

use std::io::{self, Cursor};
use std::path::PathBuf;

use proptest::prelude::*;

use self::writer::{Writer, ip, pcap};
use super::record::{MAX_BLOCK, MAX_INTERFACES};
use super::*;

/// What a capture gave, owned.
#[derive(Debug, Default, PartialEq)]
struct Contents {
    packets: Vec<(u64, Vec<u8>, u32)>,
    skipped: Skipped,
    truncated: bool,
    error: Option<String>,
}

fn read(reader: impl Read) -> Contents {
    let mut contents = Contents::default();
    let mut capture = match Capture::new(reader) {
        Ok(capture) => capture,
        Err(error) => return Contents { error: Some(error.to_string()), ..contents },
    };
    loop {
        match capture.next_packet() {
            Ok(Some(packet)) => {
                contents.packets.push((packet.time_ns, packet.bytes.to_vec(), packet.wire_len));
            }
            Ok(None) => break,
            Err(error) => contents.error = Some(error.to_string()),
        }
    }
    assert_eq!(capture.packets(), contents.packets.len() as u64);
    contents.skipped = capture.skipped().clone();
    contents.truncated = capture.truncated();
    contents
}

fn fixture(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/captures");
    std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Gives one byte a read.
struct Trickle<R>(R);

impl<R: Read> Read for Trickle<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(1);
        self.0.read(&mut buffer[..room])
    }
}

/// Packets as tshark 4.0 counts them, the sum of their IP lengths, and its first and last time.
const GOLDEN: [(&str, usize, u64, u64, u64); 20] = [
    ("sipp-g711-echo.pcapng", 498, 135_572, 1_795_448_372_688_639_636, 1_795_448_381_700_885_546),
    ("aiortc-opus-srtp.pcapng", 850, 60_069, 1_795_448_660_636_432_277, 1_795_448_676_638_204_590),
    (
        "chromium-opus-srtp-ice-switch.pcapng",
        2111,
        281_396,
        1_795_448_450_135_829_153,
        1_795_448_480_498_836_657,
    ),
    (
        "kakaotalk-four-streams.pcap",
        3203,
        384_544,
        1_430_069_140_120_551_000,
        1_430_069_216_559_027_000,
    ),
    ("sdp-prefix-opus.pcap", 2, 772, 1_795_448_440_000_000_000, 1_795_448_441_000_000_000),
    ("dns.pcapng", 400, 37_291, 1_795_455_358_182_699_159, 1_795_455_363_736_750_857),
    ("quic.pcapng", 282, 125_930, 1_795_455_367_469_585_900, 1_795_455_369_837_660_866),
    ("random-udp.pcapng", 2700, 159_949, 1_767_225_600_000_000_000, 1_767_225_604_495_000_000),
    ("rtcp-only.pcapng", 498, 45_164, 1_795_448_450_235_592_259, 1_795_448_480_454_226_651),
    ("stun-dtls-only.pcapng", 82, 13_683, 1_795_448_450_135_829_153, 1_795_448_479_189_076_785),
    ("g711-ethernet.pcapng", 100, 28_000, NANOSECONDS.0, NANOSECONDS.1),
    ("g711-big-endian.pcapng", 100, 28_000, NANOSECONDS.0, NANOSECONDS.1),
    ("g711-nanoseconds.pcap", 100, 28_000, NANOSECONDS.0, NANOSECONDS.1),
    ("g711-microseconds.pcap", 100, 28_000, MICROSECONDS.0, MICROSECONDS.1),
    ("g711-linux-cooked-v1.pcap", 100, 28_000, MICROSECONDS.0, MICROSECONDS.1),
    ("g711-linux-cooked-v2.pcap", 100, 28_000, MICROSECONDS.0, MICROSECONDS.1),
    ("g711-raw-ip.pcap", 100, 28_000, MICROSECONDS.0, MICROSECONDS.1),
    ("g711-loopback.pcap", 100, 28_000, MICROSECONDS.0, MICROSECONDS.1),
    ("g711-vlan.pcap", 100, 28_000, MICROSECONDS.0, MICROSECONDS.1),
    ("g711-stacked-vlan.pcap", 100, 28_000, MICROSECONDS.0, MICROSECONDS.1),
];
const NANOSECONDS: (u64, u64) = (1_795_448_372_691_392_682, 1_795_448_375_661_966_539);
const MICROSECONDS: (u64, u64) = (1_795_448_372_691_392_000, 1_795_448_375_661_966_000);

#[test]
fn real_captures_give_the_packets_that_tshark_counts() {
    for (name, packets, ip_bytes, first_ns, last_ns) in GOLDEN {
        let contents = read(&fixture(name)[..]);
        assert_eq!(contents.error, None, "{name}");
        assert_eq!((contents.packets.len(), contents.skipped.total()), (packets, 0), "{name}");
        let wire: u64 = contents.packets.iter().map(|packet| u64::from(packet.2)).sum();
        assert_eq!(wire, ip_bytes, "{name}");
        let times = (contents.packets[0].0, contents.packets[packets - 1].0);
        assert_eq!(times, (first_ns, last_ns), "{name}");
        assert!(!contents.truncated, "{name}");
    }
}

#[test]
fn the_same_packets_come_out_of_every_link_layer() {
    let bytes = |name: &str| -> Vec<_> {
        read(&fixture(name)[..]).packets.into_iter().map(|packet| packet.1).collect()
    };
    let reference = bytes("g711-ethernet.pcapng");
    for (name, ..) in GOLDEN.iter().filter(|(name, ..)| name.starts_with("g711-")) {
        assert_eq!(bytes(name), reference, "{name}");
    }
}

#[test]
fn byte_by_byte_reads_give_the_same() {
    for (name, ..) in GOLDEN {
        let file = fixture(name);
        assert_eq!(read(Trickle(&file[..])), read(&file[..]), "{name}");
    }
}

#[test]
fn classic_format_in_both_orders_and_resolutions() {
    let frames = [(7, 5, ip(1, 20)), (u32::MAX, 999_999, ip(2, 21))];
    for (magic, tick) in [(0xA1B2_C3D4, 1000), (0xA1B2_3C4D, 1), (0xA1B2_CD34, 1000)] {
        for big_endian in [false, true] {
            if big_endian && magic == 0xA1B2_CD34 {
                continue; // The variant is only known in the order of the PCs it was written on.
            }
            let contents = read(&pcap(magic, big_endian, 101, &frames)[..]);
            let seconds = u64::from(u32::MAX) * 1_000_000_000;
            let expected = vec![
                (7_000_000_000 + 5 * tick, ip(1, 20), 20),
                (seconds + 999_999 * tick, ip(2, 21), 21),
            ];
            assert_eq!(contents, Contents { packets: expected, ..Contents::default() });
        }
    }
}

#[test]
fn each_interface_has_its_own_link_type_resolution_and_offset() {
    for big_endian in [false, true] {
        let file = Writer::new(big_endian)
            .section()
            .interface(101, None, 0)
            .interface(228, Some(9), 0)
            .interface(108, Some(0x80 | 10), 0)
            .interface(101, Some(12), -1)
            .interface(101, Some(3), 1000)
            .interface(101, Some(127), 0)
            .packet(0, 1_500_000, &ip(0, 20), 20)
            .packet(1, 1_500_000_000_123_456_789, &ip(1, 20), 20)
            .packet(2, 1536, &[&[0, 0, 0, 2], &ip(2, 20)[..]].concat(), 24)
            .packet(3, 2_500_000_000_999, &ip(3, 20), 20)
            .packet(4, 1500, &ip(4, 20), 20)
            .packet(5, u64::MAX, &ip(5, 20), 20);
        let times: Vec<_> = read(&file.bytes[..]).packets.iter().map(|packet| packet.0).collect();
        let expected = [
            1_500_000_000,
            1_500_000_000_123_456_789,
            1_500_000_000,
            1_500_000_000,
            1_001_500_000_000,
            0,
        ];
        assert_eq!(times, expected);
    }
}

#[test]
fn times_beyond_either_end_stop_there() {
    let file = Writer::new(false)
        .section()
        .interface(101, Some(0), i64::MIN)
        .interface(101, Some(0), i64::MAX)
        .packet(0, 5, &ip(0, 20), 20)
        .packet(1, u64::MAX, &ip(0, 20), 20);
    let times: Vec<_> = read(&file.bytes[..]).packets.iter().map(|packet| packet.0).collect();
    assert_eq!(times, [0, u64::MAX]);
}

#[test]
fn steps_back_in_time_are_counted() {
    let seconds = [5, 6, 4, 4, 7, 6];
    let frames: Vec<_> = seconds.iter().map(|second| (*second, 0, ip(0, 20))).collect();
    let file = pcap(0xA1B2_C3D4, false, 101, &frames);
    let mut capture = Capture::new(&file[..]).expect("a capture");
    while capture.next_packet().expect("readable").is_some() {}
    let expected = BackwardSteps { count: 2, longest: Duration::from_secs(2) };
    assert_eq!(capture.backward_steps(), expected);
}

#[test]
fn a_section_forgets_the_interfaces_and_the_byte_order_before_it() {
    let first = Writer::new(false).section().interface(101, None, 0).packet(0, 1, &ip(1, 20), 20);
    let second = Writer::new(true).section().interface(229, None, 0).interface(101, Some(9), 0);
    let second = second.packet(1, 2, &ip(2, 20), 20);
    let file = [first.bytes, second.bytes.clone()].concat();
    let times: Vec<_> = read(&file[..]).packets.iter().map(|packet| packet.0).collect();
    assert_eq!(times, [1000, 2]);

    let orphan = Writer::new(true).section().packet(0, 2, &ip(2, 20), 20);
    let contents = read(&[&second.bytes[..], &orphan.bytes].concat()[..]);
    assert_eq!(contents.packets.len(), 1);
    let at = second.bytes.len() + 28;
    let message = format!(
        "the enhanced packet block at byte {at} is damaged: its lengths or its interface are impossible"
    );
    assert_eq!(contents.error, Some(message));
}

#[test]
fn simple_packet_blocks_borrow_the_time_before_them() {
    let simple = Writer::new(false).words(&[60]).raw(&ip(2, 30));
    let file = Writer::new(false)
        .section()
        .interface(101, None, 0)
        .packet(0, 1, &ip(1, 20), 20)
        .block(3, simple);
    let mut capture = Capture::new(&file.bytes[..]).expect("a capture");
    assert_eq!(capture.next_packet().expect("readable").expect("a packet").time_ns, 1000);
    let packet = capture.next_packet().expect("readable").expect("a packet");
    assert_eq!((packet.time_ns, packet.bytes, packet.wire_len), (1000, &ip(2, 30)[..], 30));
    assert_eq!(capture.untimed(), 1);
}

#[test]
fn obsolete_packet_blocks_are_read_and_other_blocks_stepped_over() {
    for big_endian in [false, true] {
        let obsolete = Writer::new(big_endian).halves(1, 7).words(&[0, 9, 20, 20]).raw(&ip(1, 20));
        let huge = Writer::new(big_endian).raw(&vec![0xEE; MAX_BLOCK + 64]);
        let file = Writer::new(big_endian)
            .section()
            .block(0x0BAD, huge)
            .interface(127, None, 0)
            .interface(101, None, 0)
            .block(5, Writer::new(big_endian).words(&[0, 0, 0]))
            .block(2, obsolete);
        let packets = vec![(9000, ip(1, 20), 20)];
        assert_eq!(read(&file.bytes[..]), Contents { packets, ..Contents::default() });
    }
}

#[test]
fn padding_is_cut_off_and_a_snapshot_length_is_told() {
    let padded = [&[0; 12], &[8, 0][..], &ip(1, 28), &[0xFF; 18]].concat();
    let mut cut = [&[0; 12], &[8, 0][..], &ip(2, 200)].concat();
    cut.truncate(14 + 60);
    let file = Writer::new(false)
        .section()
        .interface(1, None, 0)
        .packet(0, 0, &padded, 60)
        .packet(0, 0, &cut, 214);
    let packets = vec![(0, ip(1, 28), 28), (0, ip(2, 200)[..60].to_vec(), 200)];
    assert_eq!(read(&file.bytes[..]), Contents { packets, ..Contents::default() });
}

#[test]
fn frames_without_ip_are_counted_by_reason() {
    let ethernet =
        |ethertype: u16, rest: &[u8]| [&[0; 12], &ethertype.to_be_bytes()[..], rest].concat();
    let vlans = [0, 1, 0x81, 0].repeat(5);
    let file = Writer::new(false)
        .section()
        .interface(1, None, 0)
        .interface(127, None, 0)
        .interface(105, None, 0)
        .packet(0, 0, &ethernet(0x0806, &[0; 28]), 42)
        .packet(0, 0, &ethernet(0x8847, &[0; 46]), 60)
        .packet(0, 0, &ethernet(0x0800, &[0x45; 10]), 60)
        .packet(0, 0, &[0; 5], 60)
        .packet(0, 0, &ethernet(0x8100, &vlans), 60)
        .packet(0, 0, &ethernet(0x86DD, &ip(1, 60)), 74)
        .packet(1, 0, &[0; 40], 40)
        .packet(1, 0, &[0; 40], 40)
        .packet(2, 0, &[], 0);
    let contents = read(&file.bytes[..]);
    let skipped = Skipped {
        non_ip: 1,
        unsupported_encapsulation: 1,
        unsupported_link_types: BTreeMap::from([(LinkType(127), 2), (LinkType(105), 1)]),
        truncated: 2,
        malformed_link_header: 1,
        malformed_ip_header: 1,
    };
    assert_eq!(contents.skipped.total(), 9);
    assert_eq!(contents, Contents { skipped, ..Contents::default() });
}

#[test]
fn a_file_cut_anywhere_gives_its_whole_packets() {
    let classic = pcap(0xA1B2_C3D4, false, 101, &[(1, 0, ip(1, 20)), (2, 0, ip(2, 20))]);
    let blocks = Writer::new(false)
        .section()
        .interface(101, None, 0)
        .block(5, Writer::new(false).words(&[1, 2, 3]))
        .packet(0, 1, &ip(1, 20), 20)
        .packet(0, 2, &ip(2, 20), 20)
        .bytes;
    for (file, header, whole) in
        [(classic, 24, vec![24, 60, 96]), (blocks, 28, vec![28, 48, 72, 124, 176])]
    {
        let all = read(&file[..]).packets;
        assert_eq!((all.len(), file.len()), (2, whole[whole.len() - 1]));
        for cut in header..file.len() {
            let contents = read(&file[..cut]);
            assert_eq!(contents.error, None, "cut at {cut}");
            assert_eq!(contents.truncated, !whole.contains(&cut), "cut at {cut}");
            assert!(all.starts_with(&contents.packets), "cut at {cut}");
        }
        for cut in 6..header {
            let error = read(&file[..cut]).error.expect("no header");
            assert!(error.starts_with("the file ends inside its pcap"), "{error}");
        }
    }
}

#[test]
fn what_is_no_capture_says_what_it_is() {
    let told = |bytes: &[u8]| read(bytes).error.expect("an error");
    assert_eq!(told(b""), "the file is empty, not a pcap or pcapng capture");
    assert_eq!(
        told(b"PK\x03\x04rest"),
        "the file begins with the bytes 50 4b 03 04, neither as pcap nor as pcapng"
    );
    assert_eq!(told(b"#"), "the file begins with the bytes 23, neither as pcap nor as pcapng");
    assert_eq!(
        told(b"\x1f\x8b\x08\x00"),
        "the file is compressed with gzip: decompress it first, with `gunzip`"
    );
    let missing = Capture::open(Path::new("/nonexistent/x.pcap")).expect_err("no such file");
    assert_eq!(missing.to_string(), "cannot open /nonexistent/x.pcap");
    assert!(std::error::Error::source(&missing).is_some());
}

#[test]
fn a_read_error_is_kept_with_its_place() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let file = pcap(0xA1B2_C3D4, false, 101, &[(1, 0, ip(1, 20))]);
    let mut capture = Capture::new(file.chain(Broken)).expect("a header");
    assert!(capture.next_packet().expect("whole").is_some());
    let error = capture.next_packet().expect_err("the disk is gone");
    assert!(matches!(error, CaptureError::Read { offset: 60, .. }), "{error:?}");
    assert!(matches!(capture.next_packet(), Ok(None)));
}

#[test]
fn damage_is_told_with_its_place_and_reading_ends() {
    let header = pcap(0xA1B2_C3D4, false, 101, &[]);
    let record = Writer::new(false).words(&[0, 0, u32::MAX, 0]);
    let error = read(&[&header[..], &record.bytes].concat()[..]).error.expect("an error");
    assert_eq!(
        error,
        "the block at byte 24 claims 4294967311 bytes, more than the 16777216 that are read"
    );

    let start = Writer::new(false).section().interface(101, None, 0).bytes;
    let at = start.len();
    let block = |words: &[u32]| [&start[..], &Writer::new(false).words(words).bytes].concat();
    let damaged: [(Vec<u8>, &str); 6] = [
        (block(&[6, 0, 0, 0]), "the block at"),
        (block(&[6, 13, 0, 0]), "the block at"),
        (block(&[6, 0x0200_0000]), "the block at byte 48 claims 33554432 bytes"),
        // More captured bytes than the block has, then two lengths that disagree.
        (block(&[6, 36, 0, 0, 0, 5, 5, 0, 36]), "the enhanced packet block at"),
        (block(&[6, 36, 0, 0, 0, 4, 4, 0, 40]), "the enhanced packet block at"),
        (block(&[0x0A0D_0D0A, 28, 0xDEAD_BEEF]), "the section header block at"),
    ];
    for (file, expected) in damaged {
        let error = read(&file[..]).error.expect("an error");
        assert!(error.starts_with(expected), "{error}");
        assert!(error.contains(&format!("byte {at} ")), "{error}");
    }
}

#[test]
fn interfaces_are_bounded() {
    let one = Writer::new(false).interface(101, None, 0).bytes;
    let mut file = Writer::new(false).section().bytes;
    for _ in 0..MAX_INTERFACES {
        file.extend(&one);
    }
    assert_eq!(read(&file[..]).error, None);
    file.extend(&one);
    let error = read(&file[..]).error.expect("an error");
    assert!(error.starts_with("the section describes more than 65536 interfaces"), "{error}");
}

#[test]
fn the_last_block_that_fits_is_read() {
    let mut frame = vec![0; MAX_BLOCK - 16];
    frame[..20].copy_from_slice(&ip(1, 20));
    let file = pcap(0xA1B2_C3D4, false, 101, &[(0, 0, frame), (1, 0, ip(2, 20))]);
    let contents = read(Cursor::new(file));
    assert_eq!((contents.packets.len(), contents.error), (2, None));
}

/// A magic that the reader knows, so that random bytes get past the door.
fn magic() -> impl Strategy<Value = Vec<u8>> {
    let section = |big| Writer::new(big).section().interface(1, None, 0).bytes;
    prop::sample::select(vec![
        Vec::new(),
        pcap(0xA1B2_C3D4, false, 1, &[]),
        pcap(0xA1B2_3C4D, true, 113, &[]),
        pcap(0xA1B2_CD34, false, 101, &[]),
        section(false),
        section(true),
    ])
}

/// Some packets in, so that a mutation hits a block and not only a header.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let names = ["g711-ethernet.pcapng", "g711-big-endian.pcapng", "g711-vlan.pcap", "dns.pcapng"];
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..12);
    (prop::sample::select(names.to_vec()), edits).prop_map(|(name, edits)| {
        let mut file = fixture(name);
        file.truncate(4000);
        for (place, value, kind) in edits {
            let at = place.index(file.len());
            match kind {
                0 => file[at] ^= value,
                1 => file.truncate(at.max(64)),
                _ => drop(file.drain(at..(at + usize::from(value)).min(file.len()))),
            }
            if file.is_empty() {
                break;
            }
        }
        file
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn random_bytes_never_panic_and_read_alike_in_pieces(
        start in magic(),
        noise in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let file = [start, noise].concat();
        prop_assert_eq!(read(&file[..]), read(Trickle(&file[..])));
    }

    #[test]
    fn mutated_captures_never_panic_and_read_alike_in_pieces(file in mutated()) {
        let whole = read(&file[..]);
        for (_, bytes, wire_len) in &whole.packets {
            prop_assert!(bytes.len() <= *wire_len as usize);
        }
        prop_assert_eq!(whole, read(Trickle(&file[..])));
    }
}

use super::*;
use proptest::prelude::*;
use std::vec::Vec;

/// A packet of a type with a count and so many words behind the SSRC.
fn packet(kind: u8, count: u8, body: &[u32]) -> Vec<u8> {
    let words = body.len() as u16 + 1;
    let mut bytes = std::vec![0x80 | count, kind];
    bytes.extend(words.to_be_bytes());
    bytes.extend(7_u32.to_be_bytes());
    bytes.extend(body.iter().flat_map(|word| word.to_be_bytes()));
    bytes
}

fn read(bytes: &[u8]) -> Option<Compound> {
    Compound::read(&bytes, 0, bytes.len() as u32)
}

#[test]
fn a_compound_whose_lengths_add_up_can_be_read() {
    let report = [1, 0x0200_0003, 0x0001_0004, 5, 6, 7];
    let sender = [0xb44a_b705, 0x2000_0000, 1, 2, 3];
    let mut bytes = packet(200, 1, &[&sender[..], &report].concat());
    bytes.extend(packet(202, 1, &[0x0103_6162, 0]));
    let compound = read(&bytes).unwrap();
    let expected = Compound { kind: 200, blocks: 1, first: 52, ssrc: 7, is_plain: true };
    assert_eq!((compound, compound.is_sender_report()), (expected, true));
    let at = compound.first_block().unwrap();
    let block = Block::parse(bytes.as_slice().words(at).unwrap());
    assert_eq!((block.ssrc, block.fraction, block.lost, block.highest), (1, 2, 3, 0x0001_0004));
    assert_eq!((block.jitter, block.last_report, block.delay), (5, 6, 7));
    let time = bytes.as_slice().words(HEADER).unwrap();
    assert_eq!(middle_of_ntp(time), 0xb705_2000);
}

#[test]
fn loss_has_a_sign() {
    let block = |loss: u32| Block::parse([0, loss.to_be(), 0, 0, 0, 0]);
    assert_eq!((block(0x40ff_ffff).lost, block(0x40ff_ffff).fraction), (-1, 64));
    assert_eq!((block(0x007f_ffff).lost, block(0x0080_0000).lost), (8_388_607, -8_388_608));
}

#[test]
fn srtcp_has_a_first_header_and_a_trailer() {
    let mut bytes = packet(201, 1, &[0x5a17_93c4; 6]);
    assert!(read(&bytes).unwrap().is_plain);
    bytes.extend([0x80, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    let compound = read(&bytes).unwrap();
    assert_eq!((compound.is_plain, compound.ssrc), (false, 7));
    assert_eq!((compound.first_block(), compound.is_sender_report()), (None, false));
    bytes.truncate(32 + 7);
    assert_eq!(read(&bytes), None, "no tag is that short");
}

#[test]
fn what_is_no_rtcp() {
    let good = packet(201, 0, &[]);
    assert!(read(&good).unwrap().is_plain);
    for (at, byte) in [(0, 0x40), (1, 96), (1, 224), (3, 0), (3, 9)] {
        let mut bad = good.clone();
        bad[at] = byte;
        assert_eq!(read(&bad), None, "byte {at} of {byte}");
    }
    assert_eq!(read(&good[..7]), None);
}

#[test]
fn a_report_has_room_for_the_blocks_it_claims() {
    assert_eq!(read(&packet(201, 2, &[0; 12])).unwrap().first_block(), Some(8));
    assert_eq!(read(&packet(201, 2, &[0; 11])).unwrap().first_block(), None);
    assert_eq!(read(&packet(200, 1, &[0; 11])).unwrap().first_block(), Some(28));
    assert_eq!(read(&packet(200, 1, &[0; 10])).unwrap().first_block(), None);
    assert_eq!(read(&packet(205, 1, &[0; 11])).unwrap().first_block(), None, "feedback");
    assert_eq!(read(&packet(201, 0, &[])).unwrap().first_block(), None);
}

#[test]
fn a_compound_of_too_many_packets_is_not_read() {
    let bytes = packet(201, 0, &[]).repeat(16);
    assert!(read(&bytes).unwrap().is_plain);
    let bytes = packet(201, 0, &[]).repeat(17);
    assert!(!read(&bytes).unwrap().is_plain);
}

proptest! {
    #[test]
    fn blocks_lie_in_the_datagram(mut bytes in prop::collection::vec(any::<u8>(), 8..400)) {
        bytes[0] = 0x80 | bytes[0] & 0x1f;
        bytes[1] = 200 | bytes[1] & 1;
        bytes[2] = 0;
        let Some(compound) = read(&bytes) else { return Ok(()) };
        if let Some(at) = compound.first_block() {
            prop_assert!(compound.blocks > 0);
            prop_assert!((at + compound.blocks * BLOCK) as usize <= bytes.len());
        }
        if compound.is_sender_report() {
            prop_assert!(bytes.as_slice().words::<5>(HEADER).is_some());
        }
    }

    /// Encryption hides that there are more packets: hardly one in two million looks plain.
    #[test]
    fn noise_behind_the_first_packet_is_not_plain(noise in prop::collection::vec(any::<u8>(), 14..80)) {
        prop_assume!(noise[0] >> 6 != 2 || noise[1] & 0xe0 != 0xc0);
        let mut bytes = packet(200, 0, &[1, 2, 3, 4, 5]);
        bytes.extend(noise);
        prop_assert!(!read(&bytes).unwrap().is_plain);
    }
}

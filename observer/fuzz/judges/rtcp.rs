//! RTCP, against a walk that reads bytes.

use observer_common::{
    bytes::Bytes,
    rtcp::{Block, Compound, report::Report},
};

/// Packets that are walked at most.
const MAX_PACKETS: usize = 16;

/// Judges the reading of a datagram.
pub(crate) fn judge(data: &[u8]) {
    let compound = Compound::read(&data, 0, data.len() as u32);
    let lengths = lengths(data);
    let first = lengths.first().copied().filter(|first| (8..=data.len()).contains(first));
    let is_plain = first.is_some() && lengths.iter().sum::<usize>() == data.len();
    let is_whole = first.is_some_and(|first| is_plain || first + 8 <= data.len());
    assert_eq!(compound.is_some(), is_whole);
    let (Some(compound), Some(first)) = (compound, first) else { return };
    assert_eq!((compound.is_plain, compound.first as usize), (is_plain, first));
    assert_eq!((compound.kind, compound.blocks), (data[1], u32::from(data[0] & 0x1f)));
    assert_eq!(compound.ssrc.to_be_bytes(), data[4..8]);
    let Some(begin) = compound.first_block() else { return };
    assert!(matches!(data[1], 200 | 201));
    let mut report = Report::NONE;
    for number in 0..compound.blocks {
        let at = begin + 24 * number;
        let block = Block::parse(data.words(at).expect("blocks lie in the datagram"));
        let bytes = &data[at as usize..];
        let word = |at: usize| u32::from_be_bytes(*bytes[at..].first_chunk().unwrap());
        assert_eq!((block.ssrc, block.highest, block.jitter), (word(0), word(8), word(12)));
        assert_eq!((block.last_report, block.delay), (word(16), word(20)));
        assert_eq!(block.fraction, bytes[4]);
        let sign = if bytes[5] & 0x80 == 0 { 0 } else { 0xff };
        assert_eq!(block.lost, i32::from_be_bytes([sign, bytes[5], bytes[6], bytes[7]]));
        report.send(block.last_report, u64::from(number));
        report.receive(&block, u64::from(block.highest) << 20);
        assert!(report.loss_ratio().is_some_and(|ratio| (0.0..=1.0).contains(&ratio)));
    }
    assert!(report.round_trip.count <= report.blocks);
}

/// Lengths of the packets that follow each other, until one is none or reaches too far.
fn lengths(data: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    let mut at = 0;
    while lengths.len() < MAX_PACKETS
        && let Some(head) = data.get(at..at + 4)
        && head[0] >> 6 == 2
        && (192..=223).contains(&head[1])
    {
        lengths.push(4 * usize::from(u16::from_be_bytes([head[2], head[3]])) + 4);
        at += lengths[lengths.len() - 1];
    }
    lengths
}

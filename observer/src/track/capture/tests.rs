use super::*;

fn datagram(sequence: u16, ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    packet.extend([0x13, 0x8c, 0x13, 0x8c, 0, 0, 0, 0, 0x80, 8]);
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0; 160]);
    packet
}

fn feed(flows: &mut CaptureFlows, packet: &[u8], time_ns: u64) {
    flows.advance(packet, packet.len() as u32, time_ns);
}

#[test]
fn a_flow_has_both_ends_and_every_packet() {
    let mut flows = CaptureFlows::new(10);
    for sequence in [1, 2, 4] {
        feed(&mut flows, &datagram(sequence, 7), u64::from(sequence) * 20_000_000);
    }
    let [flow] = flows.flows()[..] else { panic!("one flow") };
    assert_eq!(flow.source().to_string(), "10.0.0.1:5004");
    assert_eq!((flow.stream.packets, flow.stream.lost(), flow.stream.bytes), (3, 1, 516));
    assert_eq!(flows.packets(), 3);
}

#[test]
fn flows_beyond_the_limit_are_counted() {
    let mut flows = CaptureFlows::new(1);
    for ssrc in [1, 2] {
        for sequence in [1, 2, 3] {
            feed(&mut flows, &datagram(sequence, ssrc), 0);
        }
    }
    assert_eq!(flows.flows().len(), 1);
    assert!(flows.losses()[&("voice", "table_full")] > 0);
}

#[test]
fn candidates_are_bounded() {
    let mut flows = CaptureFlows::new(10);
    for ssrc in 0..100_000 {
        feed(&mut flows, &datagram(1, ssrc), u64::from(ssrc));
    }
    assert!(flows.candidates.len() <= MAX_CANDIDATES);
    feed(&mut flows, &datagram(2, 99_999), 100_000);
    assert_eq!(flows.flows().len(), 1);
}

#[test]
fn what_cannot_be_followed_is_counted() {
    let mut flows = CaptureFlows::new(10);
    feed(&mut flows, &[0x45, 0], 0);
    feed(&mut flows, &[0x10; 40], 0);
    assert_eq!(flows.losses()[&("packet", "truncated")], 1);
    assert_eq!(flows.losses()[&("packet", "not_ip")], 1);
}

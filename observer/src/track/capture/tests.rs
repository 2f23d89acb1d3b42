use super::*;

const CANDIDATES: usize = 256;

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
    let mut flows = CaptureFlows::new(10, CANDIDATES);
    for sequence in [1, 2, 4] {
        feed(&mut flows, &datagram(sequence, 7), u64::from(sequence) * 20_000_000);
    }
    let [flow] = flows.flows()[..] else { panic!("one flow") };
    assert_eq!(flow.source().to_string(), "10.0.0.1:5004");
    assert_eq!((flow.stream.packets, flow.stream.lost(), flow.stream.bytes), (3, 1, 516));
    assert_eq!(flows.packets(), 3);
}

#[test]
fn a_digit_at_the_end_is_not_what_a_flow_carries() {
    let mut flows = CaptureFlows::new(10, CANDIDATES);
    for sequence in 1..10 {
        let mut packet = datagram(sequence, 7);
        packet[29] = if sequence < 9 { 8 } else { 101 };
        feed(&mut flows, &packet, u64::from(sequence) * 20_000_000);
    }
    let [flow] = flows.flows()[..] else { panic!("one flow") };
    assert_eq!(flow.stream.other_payload_type, 101);
    assert_eq!((flow.codec(), flow.media()), ("pcma", "audio"));
}

#[test]
fn every_packet_of_a_flow_without_room_is_counted_from_its_second_on() {
    let mut flows = CaptureFlows::new(1, CANDIDATES);
    for ssrc in [1, 2, 3] {
        for sequence in 1..=100 {
            feed(&mut flows, &datagram(sequence, ssrc), 0);
        }
    }
    assert_eq!((flows.flows().len(), flows.packets()), (1, 100));
    assert_eq!(flows.losses()[&("voice", "table_full")], 2 * 99);
}

#[test]
fn a_candidate_that_is_evicted_is_counted() {
    let mut flows = CaptureFlows::new(10, CANDIDATES);
    let mut time_ns = 0;
    for sequence in 1..=4 {
        for ssrc in 0..10 * CANDIDATES as u32 {
            time_ns += 1;
            feed(&mut flows, &datagram(sequence, ssrc), time_ns);
            assert!(flows.candidates.len() <= CANDIDATES);
        }
    }
    assert!(flows.flows().is_empty());
    let evicted = flows.losses()[&("voice", "candidate_evicted")];
    assert_eq!(evicted + flows.candidates.len() as u64, 40 * CANDIDATES as u64);
    feed(&mut flows, &datagram(5, 10 * CANDIDATES as u32 - 1), time_ns + 1);
    assert_eq!(flows.packets(), 2);
}

#[test]
fn a_packet_is_lost_once() {
    let mut flows = CaptureFlows::new(1, 1);
    for ssrc in [1, 2, 3] {
        for sequence in [1, 2] {
            feed(&mut flows, &datagram(sequence, ssrc), 0);
        }
    }
    // The second packets of 2 and 3; 2's is held when 3 comes, and pushed out.
    assert_eq!(flows.losses()[&("voice", "table_full")], 2);
    assert_eq!(flows.losses()[&("voice", "candidate_evicted")], 0);
}

#[test]
fn candidates_that_go_on_leave_each_other_in_place() {
    let mut flows = CaptureFlows::new(CANDIDATES, CANDIDATES);
    for sequence in [1, 3, 4] {
        for ssrc in 0..CANDIDATES as u32 {
            feed(&mut flows, &datagram(sequence, ssrc), 0);
        }
    }
    assert_eq!(flows.flows().len(), CANDIDATES);
    assert!(flows.losses().is_empty());
}

#[test]
fn what_cannot_be_followed_is_counted() {
    let mut flows = CaptureFlows::new(10, CANDIDATES);
    feed(&mut flows, &[0x45, 0], 0);
    feed(&mut flows, &[0x10; 40], 0);
    assert_eq!(flows.losses()[&("packet", "truncated")], 1);
    assert_eq!(flows.losses()[&("packet", "not_ip")], 1);
}

#[test]
fn a_capture_that_ends_inside_the_rtp_header_is_counted() {
    let truncated = |packet: &[u8], captured: usize| {
        let mut flows = CaptureFlows::new(10, CANDIDATES);
        flows.advance(&packet[..captured], packet.len() as u32, 0);
        flows.losses().get(&("packet", "truncated")).copied().unwrap_or_default()
    };
    let rtp = datagram(1, 7);
    for captured in 20..40 {
        assert_eq!(truncated(&rtp, captured), 1, "{captured} bytes");
    }
    assert_eq!(truncated(&rtp, 40), 0);
    // Shorter than any RTP packet on the wire.
    assert_eq!(truncated(&rtp[..39], 39), 0);
    // STUN, and RTCP: the first word says that it is no RTP.
    let not_rtp = |first: [u8; 2]| [&rtp[..28], &first, &rtp[30..]].concat();
    for first in [[0, 1], [0x80, 200]] {
        assert_eq!(truncated(&not_rtp(first), 36), 0);
    }
}

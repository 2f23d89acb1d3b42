//! Datagrams of a path, one after another: a length in two bytes, of which the highest bit
//! is the direction, and the datagram.

use observer_common::{
    demux::{Kind, Seen},
    path::Path,
    stun::{Name, Span},
};

/// Judges a path that takes in every datagram.
pub(crate) fn judge(mut data: &[u8]) {
    let mut path = Path::NONE;
    let mut now = 1;
    while let [high, low, rest @ ..] = data {
        let length = usize::from(u16::from_be_bytes([high & 0x7f, *low])).min(rest.len());
        let (datagram, behind) = rest.split_at(length);
        see(&mut path, datagram, high >> 7, now);
        data = behind;
        now += 1_000_000;
    }
}

fn see(path: &mut Path, datagram: &[u8], direction: u8, now: u64) {
    let seen = Seen::read(&datagram, 0, datagram.len() as u32);
    let Some(seen) = seen else { return };
    let kind = Kind::of(u32::from_ne_bytes(*datagram.first_chunk().expect("it was read")));
    let before = *path;
    let mut name = Name::NONE;
    match seen {
        Seen::Check { username, .. } => {
            assert_eq!(kind, Kind::Stun);
            assert!(lies_in(username, datagram));
            name = Name::read(&datagram, username);
        }
        Seen::Answer { .. } => assert_eq!(kind, Kind::Stun),
        Seen::Relayed(span) => {
            assert!(matches!(kind, Kind::Stun | Kind::Channel));
            assert!(lies_in(span, datagram));
            let inner = Seen::read(&datagram, span.at, span.length);
            let alone = &datagram[span.at as usize..][..span.length as usize];
            let outer = Seen::read(&alone, 0, span.length);
            assert_eq!(inner.map(|_| ()), outer.map(|_| ()), "an offset changes nothing");
        }
        Seen::Hello => assert_eq!(kind, Kind::Dtls),
        Seen::Rtcp(_) => assert_eq!(kind, Kind::Rtcp),
    }
    path.take(&seen, &name, false, direction, now);
    assert!(!before.is_proved() || path.is_proved(), "what is proved stays so");
    assert!(path.in_use_ns == 0 || path.first_check_ns <= path.in_use_ns);
    assert!(before.in_use_ns == 0 || before.in_use_ns == path.in_use_ns);
    assert!(before.hello_ns == 0 || before.hello_ns == path.hello_ns);
    for times in [path.round_trip, path.stall] {
        assert!(times.count == 0 || times.min_ns <= times.max_ns && times.max_ns < now);
        assert!(times.sum_ns <= times.count * now);
    }
}

const fn lies_in(span: Span, datagram: &[u8]) -> bool {
    (span.at + span.length) as usize <= datagram.len()
}

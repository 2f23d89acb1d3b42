//! Datagrams of a path, one after another: a length in two bytes, of which the highest bit
//! is the direction, and the datagram.

use observer_common::{
    demux::{Kind, Seen, What},
    path::Path,
    stun::Name,
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
    let Seen { what, span, .. } = seen;
    assert!((span.at + span.length) as usize <= datagram.len());
    match what {
        What::Check => {
            assert_eq!(kind, Kind::Stun);
            name = Name::read(&datagram, span);
        }
        What::Answer => assert_eq!(kind, Kind::Stun),
        What::Relayed => {
            assert!(matches!(kind, Kind::Stun | Kind::Channel));
            let inner = Seen::read(&datagram, span.at, span.length);
            let alone = &datagram[span.at as usize..][..span.length as usize];
            let alone = Seen::read(&alone, 0, span.length);
            let same = |seen: Option<Seen>| seen.map(|seen| (seen.what, seen.transaction));
            assert_eq!(same(inner), same(alone), "an offset changes nothing");
        }
        What::Hello => assert_eq!(kind, Kind::Dtls),
        What::Rtcp => assert_eq!(kind, Kind::Rtcp),
    }
    path.take(&seen, &name, false, direction, now);
    assert!(!before.is_proved() || path.is_proved(), "what is proved stays so");
    assert!(path.in_use_ns == 0 || path.first_check_ns <= path.in_use_ns);
    if before.name.hash == 0 || before.name == path.name {
        assert!(before.in_use_ns == 0 || before.in_use_ns == path.in_use_ns);
        assert!(before.hello_ns == 0 || before.hello_ns == path.hello_ns);
    }
    for times in [path.round_trip, path.stall] {
        assert!(times.count == 0 || times.min_ns <= times.max_ns && times.max_ns < now);
        assert!(times.sum_ns <= times.count * now);
    }
}

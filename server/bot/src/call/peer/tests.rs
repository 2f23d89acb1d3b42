//! Two connections, one of them as a server would have it.

use str0m::change::SdpOffer;

use super::*;
use crate::call::speech::{Speech, Talk};

const LOCALHOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Answers an offer on a socket of its own.
async fn accept(offer: &str, began: Instant) -> (Peer, String) {
    let (mut peer, _) = Peer::offer(LOCALHOST, 0, Loss::default(), began).await.unwrap();
    // The offer that it made is taken back.
    let offer = SdpOffer::from_sdp_string(offer).unwrap();
    let answer = peer.rtc.sdp_api().accept_offer(offer).unwrap();
    peer.drain().unwrap();
    (peer, answer.to_sdp_string())
}

/// Both go on till something is so.
async fn run(
    peers: [&mut Peer; 2],
    mut is_over: impl FnMut(usize, Happened) -> bool,
    mut talk: Option<Talk>,
) {
    let mut clock = tokio::time::interval(Duration::from_millis(20));
    let [one, other] = peers;
    let stop = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let wake_at = one.wake_at().min(other.wake_at());
        tokio::select! {
            _ = one.readable() => one.receive().unwrap(),
            _ = other.readable() => other.receive().unwrap(),
            _ = clock.tick() => {
                if let Some(spoken) = talk.as_mut().and_then(Talk::step) {
                    one.speak(spoken).unwrap();
                }
            }
            () = tokio::time::sleep_until(wake_at.into()) => {
                let now = Instant::now();
                one.wake(now).unwrap();
                other.wake(now).unwrap();
            }
            () = tokio::time::sleep_until(stop) => panic!("it takes too long"),
        }
        for (number, peer) in [&mut *one, &mut *other].into_iter().enumerate() {
            while let Some(happened) = peer.happened() {
                if is_over(number, happened) {
                    return;
                }
            }
        }
    }
}

#[tokio::test]
async fn speech_arrives_with_its_level_marker_and_number() {
    let began = Instant::now();
    let (mut bot, offer) = Peer::offer(LOCALHOST, 2, Loss::default(), began).await.unwrap();
    assert_eq!(offer.matches("m=audio").count(), 3);
    assert_eq!(offer.matches("a=sendonly").count(), 1);
    assert_eq!(offer.matches("a=recvonly").count(), 2);
    assert!(offer.contains("urn:ietf:params:rtp-hdrext:ssrc-audio-level"), "{offer}");
    let (mut server, answer) = accept(&offer, began).await;
    bot.answer(&answer).unwrap();
    let mut connected = [false; 2];
    let is_connected = |number: usize, happened: Happened| {
        connected[number] |= matches!(happened, Happened::Connected);
        connected == [true; 2]
    };
    run([&mut bot, &mut server], is_connected, None).await;
    let sent = Arc::new(Sent::new(1, 2, began.elapsed()));
    bot.note_in(Arc::clone(&sent));
    let speech = Arc::new(Speech::built_in().unwrap());
    let talk = Talk::new(Arc::clone(&speech), 0, 65_000, 5);
    let mut expected = talk.clone();
    let mut count = 0;
    let has_heard_all = |number: usize, happened: Happened| {
        if let (1, Happened::Heard(packet)) = (number, happened) {
            let spoken = std::iter::repeat_with(|| expected.step()).flatten().next().unwrap();
            assert_eq!(packet.payload, spoken.payload);
            let header = &packet.header;
            assert_eq!(header.sequence_number, spoken.sequence as u16);
            assert_eq!((header.timestamp, header.marker), (spoken.timestamp, spoken.marker));
            let level = header.ext_vals.audio_level.unwrap();
            assert_eq!(level, -spoken.level.cast_signed());
            assert_eq!(header.ext_vals.voice_activity, Some(spoken.is_speech));
            let departure = sent.find(header.timestamp).unwrap();
            assert_eq!(departure.sequence, header.sequence_number);
            assert!(departure.at <= packet.timestamp.duration_since(began));
            count += 1;
        }
        count == 60
    };
    run([&mut bot, &mut server], has_heard_all, Some(talk)).await;
}

#[tokio::test]
async fn what_is_dropped_on_purpose_is_told_and_not_heard() {
    let began = Instant::now();
    let (mut bot, offer) = Peer::offer(LOCALHOST, 0, Loss::default(), began).await.unwrap();
    let (mut server, answer) = accept(&offer, began).await;
    bot.answer(&answer).unwrap();
    let mut connected = [false; 2];
    let is_connected = |number: usize, happened: Happened| {
        connected[number] |= matches!(happened, Happened::Connected);
        connected == [true; 2]
    };
    run([&mut bot, &mut server], is_connected, None).await;
    bot.loss.outward = 0.5;
    server.loss.inward = 0.5;
    let sent = Arc::new(Sent::new(1, 2, began.elapsed()));
    bot.note_in(Arc::clone(&sent));
    let speech = Arc::new(Speech::built_in().unwrap());
    let talk = Talk::new(speech, 0, 0, 0);
    let (mut left, mut kept, mut dropped, mut heard) = (0, 0, 0, 0);
    let has_sent_enough = |_: usize, happened: Happened| {
        match happened {
            Happened::Sent => left += 1,
            Happened::DroppedOutward => kept += 1,
            Happened::DroppedInward(_, sequence) => {
                assert!(!sent.has_dropped(sequence));
                dropped += 1;
            }
            Happened::Heard(packet) => {
                assert!(!sent.has_dropped(packet.header.sequence_number));
                heard += 1;
            }
            _ => {}
        }
        left + kept == 90
    };
    run([&mut bot, &mut server], has_sent_enough, Some(talk)).await;
    // The last one may be under way.
    assert!(left - (dropped + heard) <= 1, "{left} left, {dropped} dropped, {heard} heard");
    assert!(kept > 10 && dropped > 5 && heard > 5, "{kept} kept, {dropped} dropped, {heard} heard");
}

#[test]
fn rtp_is_told_from_what_shares_its_port() {
    let mut rtp = [0_u8; 20];
    rtp[..12].copy_from_slice(&[0x90, 111, 1, 2, 0, 0, 0, 3, 0xde, 0xad, 0xbe, 0xef]);
    let header = Header { sequence: 0x0102, timestamp: 3, ssrc: 0xdead_beef };
    assert_eq!(rtp_of(&rtp), Some(header));
    rtp[1] |= 0x80;
    assert_eq!(rtp_of(&rtp), Some(header), "with a marker");
    // A sender report, a STUN request, a record of DTLS, and half a header.
    assert_eq!(rtp_of(&[0x80, 200, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0]), None);
    assert_eq!(rtp_of(&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0]), None);
    assert_eq!(rtp_of(&[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0]), None);
    assert_eq!(rtp_of(&rtp[..11]), None);
}

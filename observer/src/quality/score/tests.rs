use super::*;
use crate::quality::emodel::Model;

const PCMA: u8 = 8;
const OPUS: u8 = 111;

const WELL: Reception = Reception {
    expected: 50,
    lost: 0,
    late: 0,
    burst_ratio: 1.0,
    buffer: Buffer::Fixed50.length(Length::FIRST),
    rtt: None,
};

fn opus() -> Assumptions {
    let codecs = serde_json::from_str(r#"{"111": "opus"}"#).unwrap();
    Assumptions { codecs, ..Assumptions::default() }
}

fn received(came: Reception) -> Result<Score, Unknown> {
    opus().score(PCMA, "audio", &Evidence::Received(came))
}

fn mos(came: Reception) -> f64 {
    received(came).unwrap().rating.mos
}

#[test]
fn a_call_without_fault_scores_well_and_says_by_what() {
    let score = received(WELL).unwrap();
    // 93.2 less the delay of 50 ms of network, 50 of buffer and 20 of packet.
    assert!((score.rating.r - (93.2 - 0.024 * 120.0)).abs() < 1e-9, "{score:?}");
    assert_eq!((score.equipment.model, score.vantage), (Model::Narrowband, Vantage::Receiver));
    assert_eq!(score.delay_source, Source::Assumed);
    let measured = Reception { rtt: Some(Duration::from_millis(300)), ..WELL };
    let measured = received(measured).unwrap();
    assert_eq!(measured.delay_source, Source::Measured);
    assert!(
        measured.path.delay == Duration::from_millis(220) && measured.rating.r < score.rating.r
    );
}

#[test]
fn an_outage_is_bad_or_unknown_and_never_good() {
    let nothing = Reception { expected: 0, ..WELL };
    assert_eq!(received(nothing), Err(Unknown::Silence));
    assert!((mos(Reception { lost: 50, ..WELL }) - 1.0).abs() < f64::EPSILON);
    // The packet that ends ten seconds of nothing.
    let after = Reception { expected: 501, lost: 500, burst_ratio: 2.0, ..WELL };
    assert!((mos(after) - 1.0).abs() < f64::EPSILON);
    assert!(mos(Reception { lost: 25, burst_ratio: 12.0, ..WELL }) < 1.5);
    for report in [None, Some(Report { loss: Percent::default(), rtt: None })] {
        let sent = Evidence::Sent { packets: 0, report };
        assert_eq!(opus().score(PCMA, "audio", &sent), Err(Unknown::Silence));
    }
}

#[test]
fn a_packet_that_comes_too_late_is_as_good_as_lost() {
    let lost = mos(Reception { lost: 5, ..WELL });
    assert!((mos(Reception { late: 5, ..WELL }) - lost).abs() < 1e-9);
    assert!((mos(Reception { lost: 2, late: 3, ..WELL }) - lost).abs() < 1e-9);
    assert!((mos(Reception { late: 60, ..WELL }) - 1.0).abs() < f64::EPSILON);
}

#[test]
fn what_is_sent_is_scored_by_the_far_end_alone() {
    let score = |report| opus().score(PCMA, "audio", &Evidence::Sent { packets: 50, report });
    assert_eq!(score(None), Err(Unknown::NotReported));
    let report = |lost| Report { loss: Percent::of(lost, 256), rtt: None };
    let [well, badly] = [0, 26].map(|lost| score(Some(report(lost))).unwrap());
    assert_eq!((well.vantage, well.vantage.as_str()), (Vantage::FarEnd, "far_end"));
    assert!(well.rating.mos > 4.2 && badly.rating.mos < 3.5, "{well:?} {badly:?}");
}

#[test]
fn video_has_no_score_and_what_may_be_video_has_none_either() {
    let score = |payload_type, media| {
        opus().score(payload_type, media, &Evidence::Received(WELL)).map(|score| score.vantage)
    };
    assert_eq!(score(34, "video"), Err(Unknown::Video));
    assert_eq!(score(96, "video"), Err(Unknown::Video));
    assert_eq!(score(96, "unknown"), Err(Unknown::Media));
    assert_eq!(score(96, "audio"), Ok(Vantage::Receiver));
    assert_eq!(score(OPUS, "unknown"), Ok(Vantage::Receiver));
}

#[test]
fn opus_is_not_scored_by_the_curve_of_g711() {
    let lossy = Reception { expected: 100, lost: 5, ..WELL };
    let score = opus().score(OPUS, "audio", &Evidence::Received(lossy)).unwrap();
    assert_eq!(score.equipment.model, Model::Fullband);
    let g711 = received(lossy).unwrap();
    assert!(score.rating.mos < g711.rating.mos - 0.3, "{score:?} {g711:?}");
}

#[test]
fn an_unknown_codec_is_said_to_be_unknown() {
    let plain = Assumptions::default();
    let score = plain.score(OPUS, "audio", &Evidence::Captured(WELL)).unwrap();
    assert_eq!(score.equipment.model.as_str(), "codec_unknown");
    assert_eq!(score.vantage.as_str(), "capture");
}

#[test]
fn half_a_percent_of_loss_shows() {
    let lossy = Reception { expected: 1_000, lost: 5, ..WELL };
    let whole = Reception { expected: 1_000, ..WELL };
    assert!(received(whole).unwrap().rating.r - received(lossy).unwrap().rating.r > 1.5);
}

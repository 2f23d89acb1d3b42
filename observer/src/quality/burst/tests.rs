use proptest::prelude::*;

use super::*;

const GMIN: usize = 16;

/// RFC 3611 appendix A.2, packet by packet, of a stream that is preceded and followed by
/// Gmin packets that came, as section 4.7.2 has it.
fn count(came: &[bool]) -> Losses {
    let (mut counts, mut pkt) = (Transitions::default(), GMIN as u64);
    for came in came {
        if *came {
            pkt += 1;
            continue;
        }
        if pkt >= GMIN as u64 {
            if counts.run == 1 {
                counts.c14 += 1;
            } else {
                counts.c13 += 1;
            }
            counts.run = 1;
            counts.c11 += pkt;
        } else {
            counts.run += 1;
            if pkt == 0 {
                counts.c33 += 1;
            } else {
                counts.c23 += 1;
                counts.c22 += pkt - 1;
            }
        }
        pkt = 0;
    }
    counts.c11 += pkt;
    counts.c11 -= GMIN as u64;
    Losses(counts)
}

/// What section 4.7.2 says in words, found by trying: the longest sequences that start and
/// end with a loss, of two losses at least, and in which never Gmin packets in a row came.
fn bursts(came: &[bool]) -> Vec<(usize, usize)> {
    let is_burst = |from: usize, to: usize| {
        !came[from] && !came[to] && !came[from..=to].windows(GMIN).any(|run| run.iter().all(|c| *c))
    };
    let mut found: Vec<(usize, usize)> = Vec::new();
    for from in 0..came.len() {
        for to in (from + 1..came.len()).rev() {
            if is_burst(from, to) && !found.iter().any(|(_, end)| *end >= to) {
                found.push((from, to));
            }
        }
    }
    found
}

fn pattern() -> impl Strategy<Value = Vec<bool>> {
    proptest::collection::vec((0_usize..40, 0_usize..4), 1..12).prop_map(|pieces| {
        let mut came = vec![true];
        for (received, lost) in pieces {
            came.extend(std::iter::repeat_n(true, received));
            came.extend(std::iter::repeat_n(false, lost));
        }
        came.push(true);
        came
    })
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole != 0).then(|| part as f64 / whole as f64)
}

fn equal(found: Option<f64>, expected: Option<f64>) -> bool {
    match (found, expected) {
        (Some(found), Some(expected)) => (found - expected).abs() < 1e-9,
        (found, expected) => found == expected,
    }
}

proptest! {
    #[test]
    fn figures_are_those_of_bursts_found_by_their_definition(came in pattern()) {
        let counts = count(&came);
        let bursts = bursts(&came);
        let lost = came.iter().filter(|came| !**came).count();
        let inside: usize = bursts.iter().map(|(from, to)| to - from + 1).sum();
        let lost_inside: usize = bursts
            .iter()
            .map(|(from, to)| came[*from..=*to].iter().filter(|came| !**came).count())
            .sum();
        let outside = came.len() - inside;
        prop_assert_eq!(counts.bursts(), bursts.len() as u64);
        prop_assert!(equal(counts.runs().in_bursts(), share(lost_inside, lost)));
        prop_assert!(equal(counts.burst_density(), share(lost_inside, inside)));
        prop_assert!(equal(counts.gap_density(), share(lost - lost_inside, outside)));
        prop_assert!(equal(counts.burst_packets(), share(inside, bursts.len())));
        prop_assert!(equal(counts.gap_packets(), share(outside, bursts.len() + 1)));
        // Between two losses of a gap lie 16 packets at least; the first and the last may lie
        // at the ends.
        prop_assert!((lost - lost_inside) * (GMIN + 1) <= outside + GMIN);
    }

    #[test]
    fn burst_ratio_is_that_of_runs_found_one_by_one(came in pattern()) {
        let runs: Vec<usize> = came
            .split(|came| *came)
            .map(<[bool]>::len)
            .filter(|length| *length > 0)
            .collect();
        let lost: usize = runs.iter().sum();
        let expected = if lost == 0 {
            1.0
        } else {
            let mean = lost as f64 / runs.len() as f64;
            let at_random = 1.0 / (1.0 - lost as f64 / came.len() as f64);
            (mean / at_random).max(1.0)
        };
        let found = count(&came).runs().burst_ratio(came.len() as u64);
        prop_assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }

    #[test]
    fn intervals_add_up_to_the_whole(came in pattern(), at in 0.0..1.0) {
        let half = (came.len() as f64 * at) as usize;
        let (first, whole) = (count(&came[..half]), count(&came));
        let second = whole.since(&first);
        prop_assert_eq!(first.lost() + second.lost, whole.lost());
        prop_assert!(second.in_bursts().is_none_or(|share| (0.0..=1.0).contains(&share)));
    }
}

#[test]
fn random_loss_has_a_burst_ratio_of_about_one_and_loss_in_tens_one_of_about_ten() {
    // A linear congruential generator, so that the pattern is the same everywhere.
    let mut state = 7_u64;
    let mut at_random = |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        !(state >> 33).is_multiple_of(20)
    };
    let came: Vec<bool> = (0..200_000).map(&mut at_random).collect();
    let ratio = count(&came).runs().burst_ratio(came.len() as u64);
    assert!((1.0..1.03).contains(&ratio), "{ratio}");
    let came: Vec<bool> = (0..200_000).map(|at| at % 200 >= 10).collect();
    let ratio = count(&came).runs().burst_ratio(came.len() as u64);
    assert!((ratio - 9.5).abs() < 1e-9, "{ratio}");
}

#[test]
fn nothing_lost_has_no_bursts() {
    let counts = count(&[true; 100]);
    assert_eq!((counts.bursts(), counts.runs().in_bursts()), (0, None));
    assert_eq!((counts.burst_density(), counts.gap_density()), (None, Some(0.0)));
    assert_eq!((counts.burst_packets(), counts.gap_packets()), (None, Some(100.0)));
    assert!((counts.runs().burst_ratio(100) - 1.0).abs() < f64::EPSILON);
}

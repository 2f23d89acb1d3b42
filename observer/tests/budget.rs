//! What the programs may cost, as ratios to programs that do next to nothing. Both
//! sides run in turns on one kernel, so a slow machine is no reason to fail.

#[expect(dead_code, reason = "more is measured than has a budget")]
#[path = "../examples/bench_kernel/measure.rs"]
mod measure;

use std::time::Duration;

use anyhow::Result;
use measure::{
    Bench, Traffic,
    figures::{Rounds, Verdict},
};

/// How much noise a ratio may carry on a machine that does other things too. The
/// budgets themselves are judged by `cargo xtask bench kernel`.
const TOLERANCE: f64 = 1.15;

/// One attempt, and how many there are before a budget counts as exceeded.
const ATTEMPT: Duration = Duration::from_secs(4);
const ATTEMPTS: u32 = 3;

#[test]
fn an_rtp_packet_stays_near_the_floor() -> Result<()> {
    judge(&[Traffic::OneFlow, Traffic::ManyFlows])
}

#[test]
fn an_rtp_packet_that_nobody_asks_about_stays_near_the_clock() -> Result<()> {
    judge(&[Traffic::Excluded])
}

#[test]
fn a_tcp_segment_stays_near_the_clock() -> Result<()> {
    judge(&[Traffic::PingPong, Traffic::Bulk])
}

/// Measures until all ratios are within their budgets, or for the last time.
fn judge(traffic: &[Traffic]) -> Result<()> {
    if let Err(reason) = measure::statistics().map(drop) {
        println!("skipped: {reason:#}");
        return Ok(());
    }
    let mut bench = Bench::start()?;
    for &traffic in traffic {
        let measure = || bench.time(traffic, ATTEMPT);
        let verdicts = settled(measure, |rounds| Verdict::of(traffic, rounds))?;
        for verdict in &verdicts {
            println!("{verdict}");
        }
        assert_eq!(verdicts.len(), 2, "both directions are judged");
        assert!(verdicts.iter().all(is_near), "{} is not within its budget", traffic.name());
    }
    Ok(())
}

/// Less than nothing is as wrong as too much: then the measurement is none.
fn is_near(verdict: &Verdict) -> bool {
    verdict.ratio <= verdict.budget * TOLERANCE && verdict.over_empty >= 1.0 / TOLERANCE
}

/// The verdicts of the first attempt that is within its budgets, else of the last.
fn settled(
    mut measure: impl FnMut() -> Result<Rounds>,
    verdicts: impl Fn(&Rounds) -> Vec<Verdict>,
) -> Result<Vec<Verdict>> {
    let mut last = Vec::new();
    for _ in 0..ATTEMPTS {
        last = verdicts(&measure()?);
        if last.iter().all(is_near) {
            break;
        }
    }
    Ok(last)
}

/// Rounds in which the observer costs so many times the floor.
fn rounds(times: f64) -> Rounds {
    let mut rounds = Rounds::default();
    for noise in [1.0, 1.5, 0.9, 1.1, 3.0] {
        rounds.begin();
        for hook in ["ingress", "egress"] {
            rounds.add("empty", hook, 50.0 * noise);
            rounds.add("floor", hook, 200.0 * noise);
            rounds.add("observer", hook, 200.0 * noise * times);
        }
    }
    rounds
}

#[test]
fn a_program_that_costs_too_much_or_too_little_fails_after_the_last_attempt() -> Result<()> {
    for (times, near, attempts_made) in
        [(1.3, true, 1), (1.5, true, 1), (1.6, false, ATTEMPTS), (0.8, true, 1), (0.2, false, 3)]
    {
        let mut made = 0;
        let measure = || {
            made += 1;
            Ok(rounds(times))
        };
        let verdicts = settled(measure, |rounds| Verdict::of(Traffic::OneFlow, rounds))?;
        assert_eq!((verdicts.iter().all(is_near), made), (near, attempts_made), "{times}");
    }
    Ok(())
}

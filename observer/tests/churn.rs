//! What comes and goes leaves nothing in the observer: for half a minute here, for as
//! long as one likes by `cargo xtask verify churn`.

#[expect(dead_code, reason = "other measurements look into its maps")]
#[path = "../examples/bench/running.rs"]
mod running;

#[path = "../examples/bench/voice.rs"]
mod voice;

#[path = "../examples/churn/load.rs"]
mod load;

#[path = "../examples/churn/watch.rs"]
mod watch;

#[path = "../examples/churn/judge.rs"]
mod judge;

use std::{
    os::unix::process::ExitStatusExt as _,
    process::ExitStatus,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::Result;
use load::Made;
use watch::{Sample, Watched};

#[test]
fn nothing_stays_of_what_came_and_went() -> Result<()> {
    let watched = watch::watch(env!("CARGO_BIN_EXE_observer"), Duration::from_secs(16))?;
    println!("{}", watched.made);
    for verdict in judge::of(&watched) {
        println!("{verdict}");
        // So soon after its start the observer's memory still grows to what it needs.
        assert!(verdict.holds || verdict.what == "memory", "{verdict}");
    }
    Ok(())
}

/// A run of which nothing stayed.
fn well() -> Watched {
    let made = Made::default();
    made.packets.store(100, Relaxed);
    made.connections.store(10, Relaxed);
    let before = Sample {
        memory_bytes: 20e6,
        descriptors: 20.0,
        completeness: 1.0,
        flows: 4.0,
        connections: 2.0,
        ..Sample::default()
    };
    let busy = Sample { flows: 900.0, connections: 90.0, ..before.clone() };
    let after = Sample { packets: 200.0, closes: 20.0, ..before.clone() };
    Watched {
        made: Arc::new(made),
        before,
        during: vec![busy; 40],
        after,
        end: Some(ExitStatus::from_raw(0)),
    }
}

/// What is found wrong with a run that went well but for this.
fn wrong(change: impl Fn(&mut Watched)) -> Vec<&'static str> {
    let mut watched = well();
    change(&mut watched);
    let verdicts = judge::of(&watched).into_iter();
    verdicts.filter(|verdict| !verdict.holds).map(|verdict| verdict.what).collect()
}

#[test]
fn whatever_stays_is_found() {
    let lost = || vec!["observer_events_lost_total{reason=\"r\",stage=\"s\"} 1".to_owned()];
    assert_eq!(wrong(|_| ()), [""; 0]);
    assert_eq!(wrong(|run| leak(run, |sample| &mut sample.memory_bytes, 0.11e6)), ["memory"]);
    assert_eq!(wrong(|run| leak(run, |sample| &mut sample.memory_bytes, 0.09e6)), [""; 0]);
    assert_eq!(wrong(|run| leak(run, |sample| &mut sample.descriptors, 0.2)), ["descriptors"]);
    assert_eq!(
        wrong(|run| {
            run.after.ledger = lost();
            run.after.completeness = 0.999;
        }),
        ["completeness"]
    );
    assert_eq!(
        wrong(|run| {
            run.before.ledger = lost();
            run.after.ledger = lost();
            run.after.completeness = 0.999;
        }),
        [""; 0],
        "it was lost before the load"
    );
    let evicted = r#"observer_events_lost_total{reason="candidate_evicted",stage="voice"} 9"#;
    assert_eq!(wrong(|run| run.after.ledger = vec![evicted.to_owned()]), [""; 0], "no loss");
    assert_eq!(wrong(|run| run.after.packets = 199.0), ["packets"]);
    assert_eq!(wrong(|run| run.after.closes = 19.0), ["closes"]);
    assert_eq!(wrong(|run| run.after.flows = 50.0), ["flows"]);
    assert_eq!(wrong(|run| run.after.connections = 50.0), ["connections"]);
    assert_eq!(wrong(|run| run.end = Some(ExitStatus::from_raw(256))), ["end"]);
    assert_eq!(wrong(|run| run.end = None), ["end"]);
    assert_eq!(wrong(|run| run.during.clear()), ["memory", "descriptors"]);
}

/// Has a figure grow by this much from one sample to the next.
fn leak(run: &mut Watched, figure: fn(&mut Sample) -> &mut f64, by: f64) {
    for (number, sample) in run.during.iter_mut().enumerate() {
        *figure(sample) += by * number as f64;
    }
}

//! What a reading takes and what memory holds grow with the number of entries and no
//! faster: ratios of one machine at one time, so a slow machine is no reason to fail.

#[expect(dead_code, reason = "other measurements want other clocks")]
#[path = "../examples/bench/clock.rs"]
mod clock;

#[expect(dead_code, reason = "other measurements want to see more of it")]
#[path = "../examples/bench/running.rs"]
mod running;

#[path = "../examples/bench/tables.rs"]
mod tables;

use anyhow::Result;
use tables::{Row, measure};

const FEW: u64 = 1_000;
const MANY: u64 = 100_000;

/// How many times a figure for each entry may be that of a hundredth of them. A sort
/// makes it 1.7, a list that is searched for each entry a hundred.
const TIMES: f64 = 3.0;

/// How often it is measured before growth counts as something else.
const ATTEMPTS: u32 = 3;

#[test]
fn time_and_memory_grow_with_the_number_of_entries() -> Result<()> {
    let observer = env!("CARGO_BIN_EXE_observer");
    let mut grows = false;
    for _ in 0..ATTEMPTS {
        let rows = [measure(observer, 0)?, measure(observer, FEW)?, measure(observer, MANY)?];
        let time = growth(rows.each_ref().map(|row: &Row| row.reading_ms));
        let memory = growth(rows.each_ref().map(|row| row.memory_mib));
        println!("an entry of {MANY}, to one of {FEW}: time {time:.2}, memory {memory:.2}");
        grows = is_linear(time) && is_linear(memory);
        if grows {
            break;
        }
    }
    assert!(grows, "not within {TIMES} times");
    Ok(())
}

/// What one entry of many adds to nothing, as a multiple of what one of few adds.
fn growth([none, few, many]: [f64; 3]) -> f64 {
    ((many - none) / MANY as f64) / ((few - none) / FEW as f64)
}

/// An entry that costs next to nothing among many was not read.
fn is_linear(growth: f64) -> bool {
    (1.0 / TIMES..=TIMES).contains(&growth)
}

#[test]
fn squares_and_what_does_not_grow_are_not_linear() {
    let costs =
        |cost: fn(f64) -> f64| [0.0, FEW as f64, MANY as f64].map(|entries| 5.0 + cost(entries));
    assert!(is_linear(growth(costs(|entries| 2.0 * entries))));
    assert!(is_linear(growth(costs(|entries| entries * (entries + 2.0).log2()))));
    assert!(!is_linear(growth(costs(|entries| entries * entries))));
    assert!(!is_linear(growth(costs(|entries| entries.sqrt()))));
    assert!(!is_linear(growth(costs(|_| 0.0))), "no growth at all is no number");
}

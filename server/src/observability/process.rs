//! What the process itself uses.

use std::{fs, sync::OnceLock, time::Instant};

use opentelemetry::{KeyValue, metrics::Meter};
use procfs::process::Process;

use super::contract;

/// When the first server of this process began.
static BEGAN: OnceLock<Instant> = OnceLock::new();

/// Has the instruments of the process ask for it at each export.
pub(super) fn observe(meter: &Meter) {
    BEGAN.get_or_init(Instant::now);
    let metric = &contract::CPU_TIME;
    let builder = meter.f64_observable_counter(metric.name).with_unit(metric.unit);
    let cpu = builder.with_description(metric.meaning).with_callback(|observer| {
        let Ok(stat) = Process::myself().and_then(|process| process.stat()) else { return };
        let ticks = procfs::ticks_per_second() as f64;
        for (mode, time) in [("user", stat.utime), ("system", stat.stime)] {
            observer.observe(time as f64 / ticks, &[KeyValue::new("cpu.mode", mode)]);
        }
    });
    cpu.build();
    let metric = &contract::MEMORY;
    let builder = meter.i64_observable_up_down_counter(metric.name).with_unit(metric.unit);
    let memory = builder.with_description(metric.meaning).with_callback(|observer| {
        let Ok(stat) = Process::myself().and_then(|process| process.statm()) else { return };
        let bytes = stat.resident.saturating_mul(procfs::page_size());
        observer.observe(i64::try_from(bytes).unwrap_or(i64::MAX), &[]);
    });
    memory.build();
    let metric = &contract::DESCRIPTORS;
    let builder = meter.i64_observable_up_down_counter(metric.name).with_unit(metric.unit);
    let descriptors = builder.with_description(metric.meaning).with_callback(|observer| {
        let Ok(entries) = fs::read_dir("/proc/self/fd") else { return };
        // One of them is what reads the folder.
        let count = entries.count().saturating_sub(1);
        observer.observe(i64::try_from(count).unwrap_or(i64::MAX), &[]);
    });
    descriptors.build();
    let metric = &contract::UPTIME;
    let builder = meter.f64_observable_gauge(metric.name).with_unit(metric.unit);
    let uptime = builder.with_description(metric.meaning).with_callback(|observer| {
        let began = BEGAN.get_or_init(Instant::now);
        observer.observe(began.elapsed().as_secs_f64(), &[]);
    });
    uptime.build();
}

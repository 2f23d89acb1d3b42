//! Whether anything stays of what came and went.

use std::{fmt, os::unix::process::ExitStatusExt as _, sync::atomic::Ordering::Relaxed};

use observer::ledger::HARMLESS;

use super::watch::{Sample, Watched};

/// How much memory may grow from the second quarter of the load to the last: either.
const MEMORY_SHARE: f64 = 0.05;
const MEMORY_BYTES: f64 = (2 << 20) as f64;

/// Descriptors that may be open for a moment, as of whoever reads the metrics.
const DESCRIPTORS: f64 = 2.0;

/// Entries that the rest of the host may have opened meanwhile.
const OTHERS: f64 = 20.0;

/// One thing that is wanted.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) what: &'static str,
    said: String,
    pub(crate) holds: bool,
}

impl fmt::Display for Verdict {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.holds { "ok" } else { "FAILED" };
        write!(to, "  {:<12} {word:<6} {}", self.what, self.said)
    }
}

/// All that is wanted of a run.
pub(crate) fn of(watched: &Watched) -> Vec<Verdict> {
    let Watched { made, before, during, after, end } = watched;
    let quarter = during.len() / 4;
    let second = &during[quarter..2 * quarter];
    let last = &during[during.len() - quarter..];
    let medians = |of: fn(&Sample) -> f64| (median(second, of), median(last, of));

    let (was, is) = medians(|sample| sample.memory_bytes);
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    let memory = Verdict {
        what: "memory",
        said: format!("{:.1} MiB in the second quarter, {:.1} in the last", mib(was), mib(is)),
        holds: is - was <= MEMORY_BYTES.max(was * MEMORY_SHARE),
    };

    let (was, is) = medians(|sample| sample.descriptors);
    let descriptors = Verdict {
        what: "descriptors",
        said: format!("{was} in the second quarter, {is} in the last"),
        holds: is - was <= DESCRIPTORS,
    };

    // What the host refused at the start is no matter of the load.
    let grown: Vec<_> =
        after.ledger.iter().filter(|line| !before.ledger.contains(line)).cloned().collect();
    let completeness = Verdict {
        what: "completeness",
        said: format!(
            "{} after the load; lost before it:{}; lost since:{}",
            after.completeness,
            list(&before.ledger),
            list(&grown)
        ),
        holds: after.completeness > 0.0 && grown.iter().all(|line| is_harmless(line)),
    };

    // Both ends of all of it are on this host.
    let counted = |what, made: u64, before: f64, after: f64| Verdict {
        what,
        said: format!("{} counted, {} made for two ends each", after - before, made),
        holds: made > 0 && after - before >= 2.0 * made as f64,
    };
    let packets = counted("packets", made.packets.load(Relaxed), before.packets, after.packets);
    let closes = counted("closes", made.connections.load(Relaxed), before.closes, after.closes);

    let returned = |what, before: f64, after: f64| Verdict {
        what,
        said: format!("{before} before the load, {after} after it"),
        holds: after <= before + OTHERS,
    };
    let flows = returned("flows", before.flows, after.flows);
    let connections = returned("connections", before.connections, after.connections);

    let ended = Verdict {
        what: "end",
        said: match end {
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("exit code {code} on SIGTERM"),
                (None, signal) => format!("ended by signal {}", signal.unwrap_or_default()),
            },
            None => "did not end on SIGTERM".to_owned(),
        },
        holds: end.is_some_and(|status| status.success()),
    };
    vec![memory, descriptors, completeness, packets, closes, flows, connections, ended]
}

/// No samples say nothing, and nothing holds of that.
fn median(samples: &[Sample], of: fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<f64> = samples.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Whether a line of the ledger takes nothing from completeness.
fn is_harmless(line: &str) -> bool {
    HARMLESS.into_iter().any(|(stage, reason)| {
        line.contains(&format!("stage=\"{stage}\""))
            && line.contains(&format!("reason=\"{reason}\""))
    })
}

fn list(ledger: &[String]) -> String {
    if ledger.is_empty() { " nothing".to_owned() } else { format!(" {}", ledger.join(", ")) }
}

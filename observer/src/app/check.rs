//! `observer check`.

use std::fmt::Write as _;

use serde::Serialize;

use super::{
    cli::Format,
    config::Config,
    failure::{Failure, print, sentence},
};
use crate::source::ebpf::{load::LoadError, read::Kernel};

/// What a kernel and these privileges allow.
#[derive(Debug, Serialize)]
struct Report {
    kernel: String,
    verdict: &'static str,
    reason: Option<String>,
    cgroup_root: Option<String>,
    probes: Vec<ProbeLine>,
    features: Vec<FeatureLine>,
    notes: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct ProbeLine {
    probe: &'static str,
    program: &'static str,
    kind: &'static str,
    state: &'static str,
    instructions: Option<u32>,
    verified_instructions: Option<u32>,
    metrics: Vec<&'static str>,
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
struct FeatureLine {
    feature: &'static str,
    state: &'static str,
    metrics: Vec<&'static str>,
}

/// Tries everything, says what came of it.
pub(super) fn check(config: &Config, format: Format) -> Result<(), Failure> {
    let report = match Kernel::start(&config.options(false)) {
        Ok(mut kernel) => of_kernel(&mut kernel),
        Err(error) => Report::cannot(&error),
    };
    print(&match format {
        Format::Json => serde_json::to_string_pretty(&report).map_err(Failure::cannot_run)? + "\n",
        Format::Table => report.table(),
    })?;
    match report.verdict {
        "all" => Ok(()),
        "degraded" => Err(Failure::Degraded(None)),
        _ => Err(Failure::CannotRun(None)),
    }
}

fn of_kernel(kernel: &mut Kernel) -> Report {
    let probes: Vec<_> = kernel
        .probes()
        .iter()
        .map(|state| ProbeLine {
            probe: state.probe.name,
            program: state.program,
            kind: state.probe.hook.as_str(),
            state: if state.failure.is_none() { "ok" } else { "failed" },
            instructions: state.instructions,
            verified_instructions: state.verified_instructions,
            metrics: state.probe.metrics.to_vec(),
            reason: state.failure.clone(),
        })
        .collect();
    let features = vec![FeatureLine {
        feature: "batched map reading",
        state: if kernel.flows().is_ok() && kernel.connections().is_ok() { "ok" } else { "failed" },
        metrics: vec!["all"],
    }];
    let verdict = if features.iter().any(|line| line.state != "ok") {
        "cannot"
    } else if probes.iter().all(|line| line.state == "ok") {
        "all"
    } else {
        "degraded"
    };
    Report {
        kernel: kernel_release(),
        verdict,
        reason: None,
        cgroup_root: Some(kernel.cgroup().display().to_string()),
        probes,
        features,
        notes: std::fs::read_to_string("/proc/modules")
            .map_or_else(|_| Vec::new(), |all| notes(&all)),
    }
}

/// What of this host no program can see, by the modules of its kernel.
fn notes(modules: &str) -> Vec<&'static str> {
    /// rtpengine's module, under its names of today and before.
    const FORWARDERS: [&str; 2] = ["nft_rtpengine", "xt_RTPENGINE"];
    const FORWARDED: &str = "rtpengine's kernel module is loaded: media that it forwards never \
        passes a socket, and is not seen. `--table=-1` makes rtpengine relay in user space";
    let is_forwarder =
        |line: &str| line.split_whitespace().next().is_some_and(|name| FORWARDERS.contains(&name));
    if modules.lines().any(is_forwarder) { vec![FORWARDED] } else { Vec::new() }
}

/// What the kernel said, down to its error number, and what that means here.
fn reason(error: &LoadError) -> String {
    let said = match error {
        LoadError::Object(cause) => {
            format!("the kernel refused the eBPF object: {}", chain(cause))
        }
        LoadError::NoProbe(first) => format!("no program attached; the first said: {first}"),
        other => return chain(other),
    };
    let is_host = std::fs::read_to_string("/proc/self/uid_map").map_or(true, |map| is_host(&map));
    if is_host {
        return said;
    }
    format!(
        "{said}\nThis process is in a user namespace (/proc/self/uid_map does not map every \
         user to itself), and eBPF wants the capabilities of the host's. Run it there, outside \
         of `unshare --user` and rootless containers, as root"
    )
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    sentence(std::iter::successors(Some(error), |error| error.source()))
}

/// Whether a map of users is that of the first user namespace (`user_namespaces(7)`).
fn is_host(map: &str) -> bool {
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

fn kernel_release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "unknown".to_owned(), |release| release.trim().to_owned())
}

impl Report {
    fn cannot(error: &LoadError) -> Self {
        Self {
            kernel: kernel_release(),
            verdict: "cannot",
            reason: Some(reason(error)),
            cgroup_root: None,
            probes: Vec::new(),
            features: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn table(&self) -> String {
        let mut text = format!("kernel {}\n", self.kernel);
        if let Some(root) = &self.cgroup_root {
            put(&mut text, format_args!("cgroup v2 root {root}\n\n"));
        }
        for line in &self.probes {
            let count = |number: Option<u32>| {
                number.map_or_else(|| "–".to_owned(), |number| number.to_string())
            };
            put(
                &mut text,
                format_args!(
                    "{:<14} {:<20} {:<7} {:>6} instructions, {:>7} verified\n",
                    line.probe,
                    line.kind,
                    line.state,
                    count(line.instructions),
                    count(line.verified_instructions)
                ),
            );
            if let Some(reason) = &line.reason {
                let metrics = line.metrics.join(", ");
                put(
                    &mut text,
                    format_args!("               {reason}\n               missing: {metrics}\n"),
                );
            }
        }
        for line in &self.features {
            put(&mut text, format_args!("{:<35} {}\n", line.feature, line.state));
        }
        for note in &self.notes {
            put(&mut text, format_args!("note: {note}\n"));
        }
        put(
            &mut text,
            match self.verdict {
                "all" => format_args!("\nEverything is measured: `observer run`.\n"),
                "degraded" => {
                    format_args!("\nSome metrics are missing; `observer run` gives the rest.\n")
                }
                _ => format_args!("\nNothing can be observed.\n"),
            },
        );
        if let Some(reason) = &self.reason {
            put(&mut text, format_args!("{reason}\n"));
        }
        text
    }
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _written = text.write_fmt(line);
}

#[cfg(test)]
mod tests {
    use super::{is_host, notes};

    #[test]
    fn a_module_that_forwards_media_is_noted() {
        let line = |name| format!("{name} 16384 1 x_tables, Live 0x0000000000000000\n");
        for name in ["nft_rtpengine", "xt_RTPENGINE"] {
            assert_eq!(notes(&(line("veth") + &line(name))).len(), 1, "{name}");
        }
        assert!(notes(&line("nf_tables")).is_empty());
    }

    #[test]
    fn a_user_namespace_is_known_by_its_map() {
        assert!(is_host("         0          0 4294967295\n"));
        for map in
            ["         0       1000          1\n", "0 0 65536\n", "0 0 1\n1 1 4294967294\n", ""]
        {
            assert!(!is_host(map), "{map}");
        }
    }
}

//! Loading the object, and attaching what the kernel lets in.

use std::path::PathBuf;

use aya::{
    Ebpf, EbpfError, EbpfLoader, VerifierLogLevel,
    programs::{
        CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, CgroupSock, Program, ProgramError,
        ProgramInfo, SockOps,
    },
};
use observer_common::abi::map;
use thiserror::Error;

use super::{
    cgroup::{CgroupError, CgroupRoot},
    privilege,
    probe::{Hook, PROBES, Probe},
};

#[cfg(not(ebpf_stub))]
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/observer-ebpf"));

/// The hard bounds, fixed when the maps are made.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Voice flows.
    pub flows: u32,
    /// Flows in probation.
    pub candidates: u32,
    /// TCP connections.
    pub sockets: u32,
    /// Ring buffer, in bytes; a power of two and a multiple of the page size.
    pub ring_bytes: u32,
}

/// What loading depends on.
#[derive(Clone, Debug)]
pub struct Options {
    /// The bounds.
    pub limits: Limits,
    /// Where the cgroup v2 root is mounted, if it is not to be found.
    pub cgroup_root: Option<PathBuf>,
    /// Whether the programs send diagnostics.
    pub diagnostics: bool,
    /// Whether to load what the oldest kernels need on any kernel: for tests.
    pub oldest: bool,
}

/// Why nothing can be observed.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The programs were left out of this build.
    #[error(
        "this observer was built without its eBPF programs (OBSERVER_EBPF=stub): it can replay captures, not observe a host. Build it again without OBSERVER_EBPF"
    )]
    Stub,
    /// No right to load or attach.
    #[error("missing privilege: {}. Run as root, or grant the capabilities: sudo setcap cap_bpf,cap_net_admin,cap_perfmon+ep $(command -v observer)", missing.join(", "))]
    Privilege {
        /// What is missing.
        missing: Vec<&'static str>,
    },
    /// No cgroup root.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The kernel would not take the object.
    #[error(
        "the kernel refused the eBPF object: {0}. `observer check` says what this kernel allows"
    )]
    Object(#[from] EbpfError),
    /// The object is not the one this program was built for.
    #[error(
        "the eBPF map {name} {reason}: the object and this program do not belong together. Build again with `cargo xtask build-ebpf`"
    )]
    Map {
        /// Which map.
        name: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Not one program attached.
    #[error(
        "no program attached; the first said: {0}. `observer check` says what this kernel allows"
    )]
    NoProbe(String),
}

/// What became of a probe.
#[derive(Debug)]
pub struct ProbeState {
    /// Which.
    pub probe: Probe,
    /// The program that was loaded, or was tried last.
    pub program: &'static str,
    /// Instructions the verifier walked (kernel 5.16 and later).
    pub verified_instructions: Option<u32>,
    /// Instructions after translation.
    pub instructions: Option<u32>,
    /// Why it is down; `None` when it is up.
    pub failure: Option<String>,
}

/// The loaded object. Its programs stay attached as long as this lives.
#[derive(Debug)]
pub struct Loaded {
    /// The object.
    pub ebpf: Ebpf,
    /// Where it is attached.
    pub cgroup: PathBuf,
    /// Every probe.
    pub probes: Vec<ProbeState>,
}

/// Loads the object and attaches each program by link: a link goes with the process
/// that holds it, and stands beside the programs of others.
///
/// # Errors
/// [`LoadError`] when nothing at all can be observed; a program that fails alone is
/// a [`ProbeState`].
pub fn load(options: &Options) -> Result<Loaded, LoadError> {
    let object = object()?;
    let missing = privilege::missing();
    if !missing.is_empty() {
        return Err(LoadError::Privilege { missing });
    }
    privilege::raise_memory_limit();
    let cgroup = CgroupRoot::find(options.cgroup_root.as_deref())?;
    let limits = &options.limits;
    let weakly_ordered = u8::from(!cfg!(target_arch = "x86_64"));
    let level: u8 = if options.diagnostics { aya_log::Level::Debug as u8 } else { 0 };
    let mut ebpf = EbpfLoader::new()
        .verifier_log_level(VerifierLogLevel::STATS)
        .map_max_entries(map::FLOWS, limits.flows)
        .map_max_entries(map::PLACES, limits.flows)
        .map_max_entries(map::FREE, limits.flows)
        .map_max_entries(map::CANDIDATES, limits.candidates)
        // A path carries two flows or more.
        .map_max_entries(map::PATHS, limits.flows.div_ceil(2))
        .map_max_entries(map::REPORTS, limits.flows.div_ceil(2))
        .map_max_entries(map::PATH_CANDIDATES, limits.candidates.div_ceil(4))
        .map_max_entries(map::SOCKETS, limits.sockets)
        .map_max_entries(map::CREATORS, limits.sockets)
        .map_max_entries(map::EVENTS, limits.ring_bytes)
        .override_global(aya_log::LEVEL, &level, false)
        .override_global("WEAKLY_ORDERED", &weakly_ordered, true)
        .load(object)?;
    let probes: Vec<_> = PROBES
        .into_iter()
        .map(|probe| {
            let oldest = if options.oldest { probe.programs.len() - 1 } else { 0 };
            start(&mut ebpf, probe, &probe.programs[oldest..], &cgroup)
        })
        .collect();
    if let Some(failure) = probes.first().and_then(|probe| probe.failure.clone())
        && probes.iter().all(|probe| probe.failure.is_some())
    {
        return Err(LoadError::NoProbe(failure));
    }
    Ok(Loaded { ebpf, cgroup: cgroup.path, probes })
}

#[cfg(not(ebpf_stub))]
#[expect(clippy::unnecessary_wraps, reason = "the stub has nothing to give")]
fn object() -> Result<&'static [u8], LoadError> {
    Ok(OBJECT)
}

#[cfg(ebpf_stub)]
fn object() -> Result<&'static [u8], LoadError> {
    Err(LoadError::Stub)
}

/// Attaches the first of the programs that the kernel accepts.
fn start(
    ebpf: &mut Ebpf,
    probe: Probe,
    programs: &'static [&'static str],
    cgroup: &CgroupRoot,
) -> ProbeState {
    let mut state = ProbeState {
        probe,
        program: probe.name,
        verified_instructions: None,
        instructions: None,
        failure: Some("the object has no program for it".to_owned()),
    };
    for &name in programs {
        let Some(program) = ebpf.program_mut(name) else { continue };
        state.program = name;
        state.failure = attach(program, probe.hook, cgroup).map_err(|error| explain(&error)).err();
        let Some(reason) = &state.failure else {
            let info = program.info().ok();
            state.verified_instructions =
                info.as_ref().and_then(ProgramInfo::verified_instruction_count);
            state.instructions =
                info.and_then(|info| info.size_translated()).map(|bytes| bytes / INSTRUCTION_BYTES);
            break;
        };
        tracing::debug!(program = name, reason, "refused");
    }
    state
}

/// Length of an eBPF instruction in bytes.
const INSTRUCTION_BYTES: u32 = 8;

fn attach(program: &mut Program, hook: Hook, cgroup: &CgroupRoot) -> Result<(), ProgramError> {
    let directory = cgroup.directory();
    // A link always stands beside others: the flag that asks for it is refused (EINVAL).
    let mode = CgroupAttachMode::Single;
    match hook {
        Hook::CgroupIngress | Hook::CgroupEgress => {
            let direction = if hook == Hook::CgroupIngress {
                CgroupSkbAttachType::Ingress
            } else {
                CgroupSkbAttachType::Egress
            };
            let program: &mut CgroupSkb = program.try_into()?;
            program.load()?;
            program.attach(directory, direction, mode)?;
        }
        Hook::SockOps => {
            let program: &mut SockOps = program.try_into()?;
            program.load()?;
            program.attach(directory, mode)?;
        }
        Hook::SockCreate | Hook::SockRelease => {
            let program: &mut CgroupSock = program.try_into()?;
            program.load()?;
            program.attach(directory, mode)?;
        }
    }
    Ok(())
}

/// The cause in one line. A verifier's log is long, and its end says why.
fn explain(error: &ProgramError) -> String {
    match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            let log = verifier_log.to_string();
            let mut tail: Vec<_> =
                log.lines().rev().filter(|line| !line.is_empty()).take(4).collect();
            tail.reverse();
            format!("the verifier refused it ({io_error}): {}", tail.join(" | "))
        }
        ProgramError::SyscallError(call) if call.io_error.raw_os_error() == Some(libc::EPERM) => {
            format!(
                "{} was refused ({}): a program attached at the cgroup root without \
                 BPF_F_ALLOW_MULTI keeps others out; find it with `bpftool cgroup show`",
                call.call, call.io_error
            )
        }
        other => {
            let mut text = other.to_string();
            let mut cause = std::error::Error::source(other);
            while let Some(error) = cause {
                text = format!("{text}: {error}");
                cause = error.source();
            }
            text
        }
    }
}

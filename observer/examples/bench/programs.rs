//! The programs that are measured, loaded once and attached in turn.

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap},
    programs::{
        CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, ProgramInfo, SockOps,
        cgroup_skb::CgroupSkbLink, sock_ops::SockOpsLink,
    },
};

use anyhow::{Context as _, Result};
use observer_common::abi::{FlowEntry, FlowKey, map};
use zerocopy::transmute;

use super::group::Group;

#[cfg(not(ebpf_stub))]
static OURS: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/observer-ebpf"));
#[cfg(not(ebpf_stub))]
static FLOOR: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/floor"));
#[cfg(ebpf_stub)]
static OURS: &[u8] = &[];
#[cfg(ebpf_stub)]
static FLOOR: &[u8] = &[];

/// What is attached during a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Nothing.
    None,
    /// Programs that return at once.
    Empty,
    /// Programs that read 40 bytes in place.
    Direct,
    /// Programs that have 40 bytes copied.
    Load,
    /// Programs that ask for the time.
    Clock,
    /// Programs that know their flow, and nothing else.
    Floor,
    /// The observer's.
    Ours,
}

impl Subject {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Empty => "empty",
            Self::Direct => "direct read",
            Self::Load => "load_bytes",
            Self::Clock => "clock",
            Self::Floor => "floor",
            Self::Ours => "observer",
        }
    }

    /// Its programs, in the order of [`HOOKS`].
    const fn programs(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::Empty => &["empty_ingress", "empty_egress"],
            Self::Direct => &["direct_ingress", "direct_egress"],
            Self::Load => &["load_ingress", "load_egress"],
            Self::Clock => &["clock_ingress", "clock_egress"],
            Self::Floor => &["floor_ingress", "floor_egress"],
            Self::Ours => &["ingress", "egress", "lifecycle"],
        }
    }
}

/// Where programs attach.
pub(crate) const HOOKS: [&str; 3] = ["ingress", "egress", "sockops"];

/// How often a program ran, and how long in all.
#[derive(Clone, Copy)]
pub(crate) struct Runs {
    pub(crate) count: u64,
    ns: u128,
}

impl Runs {
    pub(crate) const fn since(&self, before: &Self) -> Self {
        Self { count: self.count - before.count, ns: self.ns - before.ns }
    }

    /// The time of one run.
    pub(crate) fn ns(&self) -> f64 {
        self.ns as f64 / self.count as f64
    }
}

/// Programs detach when their links go.
pub(crate) struct Attached {
    _packets: Vec<CgroupSkbLink>,
    _sockets: Option<SockOpsLink>,
}

/// Both objects. Their maps, and what they hold, outlive an attachment.
pub(crate) struct Programs {
    ours: Ebpf,
    floor: Ebpf,
}

impl Programs {
    pub(crate) fn load() -> Result<Self> {
        // Diagnostics are off, as they are unless someone asks for them.
        let silent = 0_u8;
        let mut ours = EbpfLoader::new()
            .override_global(aya_log::LEVEL, &silent, false)
            .load(OURS)
            .context("the observer's object does not load (was it built as a stub?)")?;
        let mut floor = Ebpf::load(FLOOR).context("the floor programs do not load")?;
        for ebpf in [&mut ours, &mut floor] {
            for (name, program) in ebpf.programs_mut() {
                let loaded = match program {
                    aya::programs::Program::CgroupSkb(program) => program.load(),
                    aya::programs::Program::SockOps(program) => program.load(),
                    _ => continue,
                };
                loaded.with_context(|| format!("the verifier refused {name}"))?;
            }
        }
        Ok(Self { ours, floor })
    }

    /// Attaches the programs of one subject.
    pub(crate) fn attach(&mut self, subject: Subject, group: &Group) -> Result<Attached> {
        const REFUSED: &str = "the kernel takes no program here: one that is attached at the \
                               root of cgroup v2 may keep others out";
        let mut attached = Attached { _packets: Vec::new(), _sockets: None };
        let directory = group.directory();
        for &name in subject.programs() {
            let program = self.of(subject).program_mut(name).context("a program is missing")?;
            if name == "lifecycle" {
                let program: &mut SockOps = program.try_into()?;
                let link = program.attach(directory, CgroupAttachMode::Single).context(REFUSED)?;
                attached._sockets = Some(program.take_link(link)?);
            } else {
                let hook = if name.ends_with("ingress") {
                    CgroupSkbAttachType::Ingress
                } else {
                    CgroupSkbAttachType::Egress
                };
                let program: &mut CgroupSkb = program.try_into()?;
                let link =
                    program.attach(directory, hook, CgroupAttachMode::Single).context(REFUSED)?;
                attached._packets.push(program.take_link(link)?);
            }
        }
        Ok(attached)
    }

    /// What the kernel has counted of each program of a subject.
    pub(crate) fn runs(&mut self, subject: Subject) -> Result<Vec<Runs>> {
        let ebpf = self.of(subject);
        let runs = |name: &&str| {
            let info: ProgramInfo = ebpf.program(name).context("a program is missing")?.info()?;
            Ok(Runs { count: info.run_count(), ns: info.run_time().as_nanos() })
        };
        subject.programs().iter().map(runs).collect()
    }

    /// Has the observer's programs pass over all flows that they know.
    pub(crate) fn exclude_flows(&mut self) -> Result<()> {
        self.set_exclusions(1)?;
        let places = self.ours.map(map::PLACES).context("a map is missing")?;
        let places = HashMap::<_, [u8; size_of::<FlowKey>()], u32>::try_from(places)?
            .iter()
            .collect::<Result<Vec<_>, _>>()?;
        let flows = self.ours.map_mut(map::FLOWS).context("a map is missing")?;
        let mut flows = Array::<_, [u8; size_of::<FlowEntry>()]>::try_from(flows)?;
        for (key, place) in places {
            let mark: [u8; size_of::<FlowEntry>()] =
                transmute!(FlowEntry::excluded(transmute!(key), 0));
            flows.set(place, mark, 0)?;
        }
        Ok(())
    }

    /// Whether the observer's programs look for such flows: 1, or 0.
    pub(crate) fn set_exclusions(&mut self, word: u32) -> Result<()> {
        let map = self.ours.map_mut(map::EXCLUSIONS).context("a map is missing")?;
        Ok(Array::<_, u32>::try_from(map)?.set(0, word, 0)?)
    }

    fn of(&mut self, subject: Subject) -> &mut Ebpf {
        if subject == Subject::Ours { &mut self.ours } else { &mut self.floor }
    }
}

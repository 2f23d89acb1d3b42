//! Rounds of the same traffic past one program after the other.
//!
//! Neighbours, turbo clocks and cache misses move all figures of a moment together.
//! So each round measures every program in a short slice, every other round in
//! reverse order, and what is compared are the figures of one round.

#[expect(dead_code, reason = "other measurements want other clocks")]
#[path = "../bench/clock.rs"]
mod clock;

#[path = "../bench/machine.rs"]
mod machine;

#[path = "../bench/voice.rs"]
mod voice;

#[path = "../bench/group.rs"]
mod group;

#[path = "../bench/programs.rs"]
mod programs;

mod rtp;

mod tcp;

pub(crate) mod figures;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use aya::sys::{Stats, enable_stats};

use figures::Rounds;
use group::Group;
use programs::{Programs, Subject};
use rtp::Rtp;
use tcp::Tcp;

/// Rounds of which a median says something.
const FEWEST_ROUNDS: usize = 7;

/// Flows whose entries no cache holds.
const MANY: u32 = 20_000;

/// What passes the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// RTP packets of one flow.
    OneFlow,
    /// RTP packets of 20,000 flows in turn, on four sockets.
    ManyFlows,
    /// RTP packets of one flow that nobody asks about.
    Excluded,
    /// 64 bytes there and back on one TCP connection.
    PingPong,
    /// 64 KiB at a time on one TCP connection.
    Bulk,
    /// TCP connections that open and close.
    Connections,
}

impl Traffic {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::OneFlow => "RTP, 1 flow",
            Self::ManyFlows => "RTP, 20,000 flows",
            Self::Excluded => "RTP, excluded",
            Self::PingPong => "TCP, 64 bytes there and back",
            Self::Bulk => "TCP, 64 KiB at a time",
            Self::Connections => "TCP, open and close",
        }
    }

    const fn is_rtp(self) -> bool {
        matches!(self, Self::OneFlow | Self::ManyFlows | Self::Excluded)
    }

    /// Programs whose own time is measured.
    const fn timed(self) -> &'static [Subject] {
        use Subject::{Clock, Direct, Empty, Floor, Load, Ours};
        match self {
            Self::OneFlow | Self::ManyFlows => &[Empty, Direct, Load, Clock, Floor, Ours],
            Self::Excluded | Self::PingPong | Self::Bulk => &[Empty, Clock, Ours],
            Self::Connections => &[Ours],
        }
    }

    /// Programs of which the whole cost is measured.
    const fn whole(self) -> &'static [Subject] {
        use Subject::{Clock, Empty, Floor, None, Ours};
        if self.is_rtp() { &[None, Empty, Floor, Ours] } else { &[None, Empty, Clock, Ours] }
    }

    /// Packets, exchanges or connections in a slice: a few milliseconds, so that most
    /// slices pass without an interruption.
    const fn slice(self) -> u32 {
        match self {
            Self::OneFlow | Self::Excluded => 2_000,
            Self::ManyFlows => 4_000,
            Self::PingPong => 1_000,
            Self::Bulk => 300,
            Self::Connections => 100,
        }
    }
}

/// One source of traffic for each program: it finds its flows as it left them.
enum Source {
    Rtp(Rtp),
    Tcp(Tcp),
}

impl Source {
    fn new(traffic: Traffic) -> Result<Self> {
        Ok(match traffic {
            Traffic::OneFlow | Traffic::Excluded => Self::Rtp(Rtp::new(1, 1)?),
            Traffic::ManyFlows => Self::Rtp(Rtp::new(4, MANY)?),
            Traffic::PingPong => Self::Tcp(Tcp::new(64, 64)?),
            Traffic::Bulk => Self::Tcp(Tcp::new(64 << 10, 1)?),
            Traffic::Connections => Self::Tcp(Tcp::connections()?),
        })
    }

    /// Makes the flows known to the program.
    fn begin(&mut self) -> Result<()> {
        match self {
            Self::Rtp(rtp) => rtp.confirm(),
            Self::Tcp(tcp) => tcp.send(10).map(drop),
        }
    }

    /// Sends, and says how much of this thread's time that took.
    fn send(&mut self, count: u32) -> Result<Duration> {
        match self {
            Self::Rtp(rtp) => rtp.send(count),
            Self::Tcp(tcp) => tcp.send(count),
        }
    }
}

/// Everything loaded, and a cgroup in which no traffic but ours passes.
pub(crate) struct Bench {
    programs: Programs,
    group: Group,
}

impl Bench {
    /// Loads all programs and moves this process into a cgroup of its own, and this
    /// thread onto one CPU.
    pub(crate) fn start() -> Result<Self> {
        group::stay_on_one_cpu()?;
        let programs = Programs::load()?;
        Ok(Self { programs, group: Group::enter()? })
    }

    /// The programs' own time, by the kernel's statistics, which are on only meanwhile.
    pub(crate) fn time(&mut self, traffic: Traffic, time: Duration) -> Result<Rounds> {
        let _statistics = statistics()?;
        self.rounds(traffic, traffic.timed(), time, Self::slice_of_programs)
    }

    /// What a packet costs in all, in time of the sender's thread.
    pub(crate) fn cost(&mut self, traffic: Traffic, time: Duration) -> Result<Rounds> {
        self.rounds(traffic, traffic.whole(), time, Self::slice_of_sender)
    }

    fn rounds(
        &mut self,
        traffic: Traffic,
        subjects: &'static [Subject],
        time: Duration,
        slice: fn(&mut Self, Subject, &mut Source, u32, &mut Rounds) -> Result<()>,
    ) -> Result<Rounds> {
        let mut sources = Vec::new();
        self.programs.set_exclusions(0)?;
        for &subject in subjects {
            let mut source = Source::new(traffic)?;
            let _attached = self.programs.attach(subject, &self.group)?;
            source.begin()?;
            if traffic == Traffic::Excluded && subject == Subject::Ours {
                self.programs.exclude_flows()?;
            }
            sources.push((subject, source));
        }
        let mut rounds = Rounds::default();
        let begun = Instant::now();
        while rounds.count() < FEWEST_ROUNDS || begun.elapsed() < time {
            rounds.begin();
            for (subject, source) in &mut sources {
                let attached = self.programs.attach(*subject, &self.group)?;
                source.send(traffic.slice() / 10)?;
                slice(self, *subject, source, traffic.slice(), &mut rounds)?;
                drop(attached);
            }
            sources.reverse();
        }
        Ok(rounds)
    }

    fn slice_of_programs(
        &mut self,
        subject: Subject,
        source: &mut Source,
        count: u32,
        rounds: &mut Rounds,
    ) -> Result<()> {
        let before = self.programs.runs(subject)?;
        source.send(count)?;
        let after = self.programs.runs(subject)?;
        let runs = before.iter().zip(&after).map(|(before, after)| after.since(before));
        for (hook, runs) in programs::HOOKS.into_iter().zip(runs) {
            if runs.count > 0 {
                rounds.add(subject.name(), hook, runs.ns());
            }
        }
        ensure!(
            after.iter().zip(&before).any(|(after, before)| after.count > before.count),
            "the programs did not run: does the kernel have CONFIG_CGROUP_BPF?"
        );
        Ok(())
    }

    fn slice_of_sender(
        &mut self,
        subject: Subject,
        source: &mut Source,
        count: u32,
        rounds: &mut Rounds,
    ) -> Result<()> {
        let time = source.send(count)?;
        rounds.add(subject.name(), "sender", time.as_nanos() as f64 / f64::from(count));
        Ok(())
    }
}

/// The kernel counts runs and their time as long as the descriptor is open.
pub(crate) fn statistics() -> Result<impl Drop + use<>> {
    let open = enable_stats(Stats::RunTime)
        .context("the kernel does not count run times: that takes root and Linux 5.8")?;
    Ok(open)
}

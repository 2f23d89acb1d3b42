//! What is in place while packets are measured.

use anyhow::Result;

use super::{
    capture::{Capture, Counts},
    group::Group,
    programs::{Attached, Programs, Subject},
};

/// What watches. The order is that of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Condition {
    /// Nothing.
    Off,
    /// The least that can know a flow. On loopback the checksum of TCP is the sum of its
    /// pseudo header, so what these programs take for an SSRC does not change either.
    Floor,
    /// The observer's programs.
    Observer,
    /// tcpdump.
    Tcpdump,
}

/// Those that are switched within microseconds, in short slices.
pub(crate) const ALTERNATING: [Condition; 3] =
    [Condition::Off, Condition::Floor, Condition::Observer];

/// Those that take long to start, in long slices.
pub(crate) const LASTING: [Condition; 2] = [Condition::Off, Condition::Tcpdump];

impl Condition {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Floor => "floor",
            Self::Observer => "observer",
            Self::Tcpdump => "tcpdump",
        }
    }
}

/// All that can be put in place, in a cgroup of its own.
pub(crate) struct Stage {
    programs: Programs,
    group: Group,
}

impl Stage {
    pub(crate) fn set() -> Result<Self> {
        Ok(Self { programs: Programs::load()?, group: Group::enter()? })
    }

    /// When this returns, the condition holds.
    pub(crate) fn put(&mut self, condition: Condition) -> Result<Watching> {
        let subject = match condition {
            Condition::Off => Subject::None,
            Condition::Floor => Subject::Floor,
            Condition::Observer => Subject::Ours,
            Condition::Tcpdump => return Ok(Watching::Capture(Capture::start()?)),
        };
        Ok(Watching::Programs(self.programs.attach(subject, &self.group)?))
    }
}

/// A condition that holds, until this goes.
pub(crate) enum Watching {
    Programs(Attached),
    Capture(Capture),
}

impl Watching {
    /// What a process that took packets away has counted.
    pub(crate) fn end(self) -> Result<Option<Counts>> {
        match self {
            Self::Programs(attached) => drop(attached),
            Self::Capture(capture) => return capture.end().map(Some),
        }
        Ok(None)
    }
}

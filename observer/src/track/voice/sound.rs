//! How a flow sounded: in an interval, or over all of it.

use crate::{
    model::{Direction, FarLoss, VoiceFlow},
    quality::{
        burst::{Losses, Runs},
        emodel::Percent,
        lateness::{Buffer, Delays, History, Length},
        score::{Assumptions, Evidence, Reception, Report, Score, Unknown},
    },
};

/// What a listener had of a flow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sound {
    /// Share of the expected packets that came too late, by buffer as in [`Buffer::ALL`];
    /// `None` where the clock that they are timed by is not known.
    pub late_ratios: Option<[f64; 3]>,
    /// Share of the losses that were in bursts; `None` where nothing was lost.
    pub burst_ratio: Option<f64>,
    /// The score, or why there is none.
    pub score: Result<Score, Unknown>,
}

/// Where flows are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// At a socket.
    Socket,
    /// Somewhere on the way.
    Capture,
}

/// Packets of some time.
struct Heard {
    expected: u64,
    lost: u64,
    delays: Delays,
    runs: Runs,
    adaptive: Length,
}

impl Sound {
    /// Of a flow as a whole.
    #[must_use]
    pub fn of(flow: &VoiceFlow, assumptions: &Assumptions, at: At) -> Self {
        let stream = &flow.stream;
        let delays = Delays(stream.delays());
        let heard = Heard {
            expected: stream.expected(),
            lost: stream.lost(),
            delays,
            runs: Losses(stream.transitions()).runs(),
            adaptive: delays.fitting(),
        };
        heard.sound(flow, assumptions, at, |far| Some(far.whole))
    }

    /// Of a flow since a reading `before`, in which `lost` of `expected` packets did not
    /// come. The adaptive buffer goes by its `history`, which goes on.
    pub(super) fn since(
        before: Option<&VoiceFlow>,
        flow: &VoiceFlow,
        (lost, expected): (u64, u64),
        history: &mut History,
        assumptions: &Assumptions,
    ) -> Self {
        let delays_of = |flow: &VoiceFlow| Delays(flow.stream.delays());
        let delays = delays_of(flow).since(&before.map(delays_of).unwrap_or_default());
        // Most intervals lose nothing, and their losses need not be told apart.
        let runs = if lost == 0 {
            Runs::default()
        } else {
            let losses_of = |flow: &VoiceFlow| Losses(flow.stream.transitions());
            losses_of(flow).since(&before.map(losses_of).unwrap_or_default())
        };
        let heard = Heard { expected, lost, delays, runs, adaptive: history.length() };
        if flow.stream.is_clock_known() {
            history.see(&delays);
        }
        heard.sound(flow, assumptions, At::Socket, |far| far.recent)
    }
}

impl Heard {
    fn sound(
        &self,
        flow: &VoiceFlow,
        assumptions: &Assumptions,
        at: At,
        far_loss: fn(FarLoss) -> Option<f64>,
    ) -> Sound {
        let late = |buffer: Buffer| self.delays.late(buffer.length(self.adaptive));
        let ratio = |buffer| (late(buffer) as f64 / self.expected.max(1) as f64).min(1.0);
        let is_timed = flow.stream.is_clock_known();
        let buffer = assumptions.buffer;
        let reception = Reception {
            expected: self.expected,
            lost: self.lost,
            late: if is_timed { late(buffer) } else { 0 },
            burst_ratio: self.runs.burst_ratio(self.expected),
            buffer: buffer.length(self.adaptive),
            rtt: flow.rtt,
        };
        let evidence = match (at, flow.key.direction) {
            (At::Capture, _) => Evidence::Captured(reception),
            (At::Socket, Direction::Receive) => Evidence::Received(reception),
            (At::Socket, Direction::Transmit) => {
                let report = |loss| Report { loss: Percent::fraction(loss), rtt: flow.rtt };
                let loss = flow.far_loss.and_then(far_loss);
                Evidence::Sent { packets: self.expected, report: loss.map(report) }
            }
        };
        Sound {
            late_ratios: is_timed.then(|| Buffer::ALL.map(ratio)),
            burst_ratio: self.runs.in_bursts(),
            score: assumptions.score(flow.stream.payload_type, flow.media(), &evidence),
        }
    }
}

#[cfg(test)]
mod tests;

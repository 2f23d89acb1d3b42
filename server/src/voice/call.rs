//! A call between two people, as states and what leads from one to the other. It knows no
//! clock: what time it is, it is told.

use std::time::{Duration, Instant};

/// A call that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    caller: i64,
    callee: i64,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// The caller is in, and the other is asked, until then.
    Ringing { until: Instant },
    /// Both were in. Whoever is alone waits, until then.
    Active { caller: bool, callee: bool, alone_until: Option<Instant> },
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The other did not want.
    Declined,
    /// The other did not answer.
    TimedOut,
    /// The caller did not wait, or the server ended.
    Cancelled,
    /// Both have left.
    Left,
    /// One has left, and did not come back.
    Alone,
}

/// Why something cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The call is not for this user.
    NotInvited,
    /// The user is not in it.
    NotIn,
    /// The user is in it.
    AlreadyIn,
    /// The invitation was answered.
    NotRinging,
}

impl End {
    /// For clients.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Declined => "declined",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Left | Self::Alone => "left",
        }
    }
}

impl Call {
    /// One that rings.
    pub(super) fn start(caller: i64, callee: i64, now: Instant, patience: Duration) -> Self {
        Self { caller, callee, state: State::Ringing { until: now + patience } }
    }

    /// Takes somebody in: the one who is asked, or one who left and comes back.
    pub(super) fn join(&mut self, user: i64) -> Result<(), Refusal> {
        let is_caller = self.is_caller(user)?;
        match &mut self.state {
            State::Ringing { .. } if is_caller => Err(Refusal::AlreadyIn),
            State::Ringing { .. } => {
                self.state = State::Active { caller: true, callee: true, alone_until: None };
                Ok(())
            }
            State::Active { caller, callee, alone_until } => {
                let is_in = if is_caller { caller } else { callee };
                if *is_in {
                    return Err(Refusal::AlreadyIn);
                }
                *is_in = true;
                *alone_until = None;
                Ok(())
            }
        }
    }

    /// Whether the one who is asked may refuse; then the call has ended.
    pub(super) fn decline(&self, user: i64) -> Result<(), Refusal> {
        match self.state {
            _ if self.is_caller(user)? => Err(Refusal::NotInvited),
            State::Ringing { .. } => Ok(()),
            State::Active { .. } => Err(Refusal::NotRinging),
        }
    }

    /// Lets somebody out, and says whether that ends the call. Who stays alone waits.
    pub(super) fn leave(
        &mut self,
        user: i64,
        now: Instant,
        patience: Duration,
    ) -> Result<Option<End>, Refusal> {
        let is_caller = self.is_caller(user)?;
        match &mut self.state {
            State::Ringing { .. } if is_caller => Ok(Some(End::Cancelled)),
            State::Ringing { .. } => Err(Refusal::NotIn),
            State::Active { caller, callee, alone_until } => {
                let (is_in, other) = if is_caller { (caller, callee) } else { (callee, caller) };
                if !std::mem::replace(is_in, false) {
                    return Err(Refusal::NotIn);
                }
                *alone_until = Some(now + patience);
                Ok((!*other).then_some(End::Left))
            }
        }
    }

    /// How it ended, if somebody waited too long.
    pub(super) fn overdue(&self, now: Instant) -> Option<End> {
        match self.state {
            State::Ringing { until } if until <= now => Some(End::TimedOut),
            State::Active { alone_until: Some(until), .. } if until <= now => Some(End::Alone),
            _ => None,
        }
    }

    /// When to ask whether it is overdue.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Ringing { until } => Some(until),
            State::Active { alone_until, .. } => alone_until,
        }
    }

    /// Whether the other is still asked.
    pub(super) const fn is_ringing(&self) -> bool {
        matches!(self.state, State::Ringing { .. })
    }

    /// Who is in it.
    pub(super) fn participants(&self) -> Vec<i64> {
        let (caller, callee) = match self.state {
            State::Ringing { .. } => (true, false),
            State::Active { caller, callee, .. } => (caller, callee),
        };
        let all = [(self.caller, caller), (self.callee, callee)];
        all.into_iter().filter(|(_, is_in)| *is_in).map(|(user, _)| user).collect()
    }

    /// Who began it.
    pub(super) const fn caller(&self) -> i64 {
        self.caller
    }

    fn is_caller(&self, user: i64) -> Result<bool, Refusal> {
        match user {
            _ if user == self.caller => Ok(true),
            _ if user == self.callee => Ok(false),
            _ => Err(Refusal::NotInvited),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: i64 = 1;
    const CALLEE: i64 = 2;
    const STRANGER: i64 = 3;
    const PATIENCE: Duration = Duration::from_secs(60);

    fn ringing() -> (Call, Instant) {
        let now = Instant::now();
        (Call::start(CALLER, CALLEE, now, PATIENCE), now)
    }

    fn active() -> (Call, Instant) {
        let (mut call, now) = ringing();
        call.join(CALLEE).unwrap();
        (call, now)
    }

    #[test]
    fn a_call_rings_until_it_is_answered() {
        let (mut call, now) = ringing();
        assert_eq!((call.is_ringing(), call.participants()), (true, vec![CALLER]));
        assert_eq!(call.join(CALLER), Err(Refusal::AlreadyIn));
        assert_eq!(call.join(STRANGER), Err(Refusal::NotInvited));
        assert_eq!(call.join(CALLEE), Ok(()));
        assert_eq!((call.is_ringing(), call.participants()), (false, vec![CALLER, CALLEE]));
        assert_eq!((call.deadline(), call.overdue(now + 9 * PATIENCE)), (None, None));
    }

    #[test]
    fn a_call_that_nobody_answers_times_out() {
        let (call, now) = ringing();
        assert_eq!(call.deadline(), Some(now + PATIENCE));
        assert_eq!(call.overdue(now + PATIENCE / 2), None);
        assert_eq!(call.overdue(now + PATIENCE), Some(End::TimedOut));
    }

    #[test]
    fn only_who_is_asked_may_decline_and_only_while_it_rings() {
        let (call, _) = ringing();
        assert_eq!(call.decline(CALLER), Err(Refusal::NotInvited));
        assert_eq!(call.decline(STRANGER), Err(Refusal::NotInvited));
        assert_eq!(call.decline(CALLEE), Ok(()));
        assert_eq!(active().0.decline(CALLEE), Err(Refusal::NotRinging));
    }

    #[test]
    fn a_caller_who_does_not_wait_cancels() {
        let (mut call, now) = ringing();
        assert_eq!(call.leave(CALLEE, now, PATIENCE), Err(Refusal::NotIn));
        assert_eq!(call.leave(CALLER, now, PATIENCE), Ok(Some(End::Cancelled)));
    }

    #[test]
    fn who_stays_alone_waits_for_a_while() {
        let (mut call, now) = active();
        assert_eq!(call.leave(CALLER, now, PATIENCE), Ok(None));
        assert_eq!(call.leave(CALLER, now, PATIENCE), Err(Refusal::NotIn));
        assert_eq!(call.participants(), [CALLEE]);
        assert_eq!(call.overdue(now + PATIENCE), Some(End::Alone));
        assert_eq!(call.join(CALLER), Ok(()));
        assert_eq!(call.overdue(now + PATIENCE), None);
        assert_eq!(call.leave(CALLEE, now, PATIENCE), Ok(None));
        assert_eq!(call.leave(CALLER, now, PATIENCE), Ok(Some(End::Left)));
    }

    /// Whatever two people and a stranger do, a call has one or two in it, and only they act.
    #[test]
    fn no_order_of_acts_leaves_a_call_without_anybody() {
        for mut acts in 0..6_u32.pow(6) {
            let (mut call, now) = ringing();
            for _ in 0..6 {
                let (act, user) = (acts % 6 / 3, i64::from(acts % 3) + 1);
                acts /= 6;
                let before = call.clone();
                let (is_refused, has_ended) = match act {
                    0 => (call.join(user).is_err(), false),
                    _ => match call.leave(user, now, PATIENCE) {
                        Ok(end) => (false, end.is_some()),
                        Err(_) => (true, false),
                    },
                };
                assert!(!is_refused || call == before, "what is refused changes nothing");
                assert!(user != STRANGER || is_refused);
                if has_ended {
                    break;
                }
                assert!((1..=2).contains(&call.participants().len()), "{call:?}");
            }
        }
    }
}

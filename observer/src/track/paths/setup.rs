//! How long the set-up of a call took, told once. ICE may try many paths and change them:
//! a call is what has one ICE session, and without one, a path.

use std::{collections::HashMap, time::Duration};

use crate::model::{IceSession, PathKey, Phase, ServiceId, VoicePath};

/// What its paths have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Call {
    Ice(IceSession),
    Path(PathKey),
}

impl Call {
    pub(super) fn of(path: &VoicePath) -> Self {
        path.session().map_or(Self::Path(path.key), Self::Ice)
    }
}

/// When what happened first in a call, in ns; `None` when it has not.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    check: Option<u64>,
    in_use: Option<u64>,
    hello: Option<u64>,
    media: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Setup {
    times: Times,
    service: Option<ServiceId>,
    /// Phases that were told of.
    told: [bool; 3],
    /// Whether a path of it was there at the last reading.
    stands: bool,
}

/// The calls whose paths are known.
#[derive(Debug, Default)]
pub(super) struct Setups {
    calls: HashMap<Call, Setup>,
}

impl Setups {
    /// Takes in every path, and what it carried first. Says which phases ended.
    pub(super) fn advance<'p>(
        &mut self,
        paths: impl Iterator<Item = &'p VoicePath>,
        carried: &HashMap<PathKey, u64>,
    ) -> Vec<(ServiceId, Phase, Duration)> {
        for path in paths {
            let call = Call::of(path);
            if !self.calls.contains_key(&call) {
                // A path whose session came to be known has told of what it told before.
                let before = self.calls.remove(&Call::Path(path.key)).unwrap_or_default();
                self.calls.insert(call, before);
            }
            let Some(setup) = self.calls.get_mut(&call) else { continue };
            setup.stands = true;
            setup.service = setup.service.or(path.service);
            setup.times.take(path, carried.get(&path.key).copied());
        }
        let mut ended = Vec::new();
        for setup in self.calls.values_mut() {
            for ((phase, time), told) in
                Phase::ALL.into_iter().zip(setup.times.phases()).zip(&mut setup.told)
            {
                if let (Some(service), Some(time), false) = (setup.service, time, *told) {
                    ended.push((service, phase, time));
                    *told = true;
                }
            }
        }
        self.calls.retain(|_, setup| std::mem::take(&mut setup.stands));
        ended
    }

    /// What the call that a path is of waits for, and since when in ns; `None` when it has had
    /// its media, or when nothing shows that it is to have any.
    pub(super) fn waits(&self, path: &VoicePath) -> Option<(Phase, u64)> {
        let times = self.calls.get(&Call::of(path))?.times;
        let since_ns = [times.check, times.hello].into_iter().flatten().min()?;
        let phase = match times {
            Times { media: Some(_), .. } => return None,
            Times { hello: Some(_), .. } => Phase::Media,
            Times { in_use: Some(_), .. } => Phase::Dtls,
            _ => Phase::Ice,
        };
        Some((phase, since_ns))
    }

    /// The phases of the call that a path is of, in the order of [`Phase::ALL`].
    pub(super) fn of(&self, path: &VoicePath) -> [Option<Duration>; 3] {
        self.calls.get(&Call::of(path)).map_or([None; 3], |setup| setup.times.phases())
    }
}

impl Times {
    fn take(&mut self, path: &VoicePath, media: Option<u64>) {
        let first = |known: &mut Option<u64>, new: u64| {
            if new != 0 {
                *known = Some(known.map_or(new, |known| known.min(new)));
            }
        };
        first(&mut self.check, path.path.first_check_ns);
        first(&mut self.in_use, path.path.in_use_ns);
        first(&mut self.hello, path.path.hello_ns);
        first(&mut self.media, media.unwrap_or(0));
    }

    /// Of a call that was under way when the first of it was seen, nothing is known: its
    /// media came before.
    fn phases(&self) -> [Option<Duration>; 3] {
        let began = [self.check, self.hello].into_iter().flatten().min();
        if let (Some(began), Some(media)) = (began, self.media)
            && media < began
        {
            return [None; 3];
        }
        // What a `ClientHello` goes over is in use, chosen or not.
        let in_use = match (self.in_use, self.hello) {
            (Some(in_use), Some(hello)) => Some(in_use.min(hello)),
            (in_use, _) => in_use,
        };
        let span = |from: Option<u64>, to: Option<u64>| {
            Some(Duration::from_nanos(to?.checked_sub(from?)?))
        };
        [span(self.check, in_use), span(in_use, self.hello), span(self.hello, self.media)]
    }
}

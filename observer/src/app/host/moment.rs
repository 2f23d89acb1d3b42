//! One moment of the host, on its way to the exports.

use std::{sync::Arc, time::SystemTime};

use crate::{
    export::snapshot::{Interruptions, Ledger, Process, Setup, Snapshot, Tcp, Voice},
    model::{Connection, Losses, Owner, PathFigures, SettingUp, VoiceFlow},
    quality::score::Assumptions,
    track::voice::{At, Course},
};

/// A copy of what was read: to make it takes far less time than to put it into words,
/// which need not keep the host from its next reading.
pub(in crate::app) struct Moment {
    pub(super) taken_at: Option<SystemTime>,
    pub(super) flows: Vec<Owned<(VoiceFlow, PathFigures, Course)>>,
    pub(super) setting_up: Vec<Owned<SettingUp>>,
    /// When it is, in ns of `CLOCK_MONOTONIC`.
    pub(super) now_ns: u64,
    pub(super) assumptions: Arc<Assumptions>,
    pub(super) open: Vec<Owned<Connection>>,
    pub(super) losses: Losses,
    pub(super) completeness: f64,
}

/// Something of a socket, with the service and the owner of that.
pub(super) struct Owned<T> {
    pub(super) one: T,
    pub(super) service: Option<String>,
    pub(super) owner: Option<Arc<Owner>>,
}

impl Moment {
    /// It as the exports have it.
    pub(in crate::app) fn snapshot(mut self) -> Snapshot {
        self.flows.sort_by_key(|Owned { one: (flow, ..), .. }| {
            (flow.stream.first_ns, flow.key.ssrc, flow.key.direction)
        });
        self.open.sort_by_key(|Owned { one, .. }| (one.established_ns, one.socket));
        let flow = |flow: Owned<(VoiceFlow, PathFigures, Course)>| Voice {
            mos_now: flow.one.2.mos,
            interruptions: Some(Interruptions::from(&flow.one.2.interruptions)),
            service: flow.service,
            process: flow.owner.as_deref().map(Process::from),
            ..Voice::new(&flow.one.0, At::Socket, &self.assumptions).on(&flow.one.1)
        };
        let setup = |setup: Owned<SettingUp>| Setup {
            service: setup.service,
            process: setup.owner.as_deref().map(Process::from),
            ..Setup::new(&setup.one, self.now_ns)
        };
        let connection = |connection: Owned<Connection>| Tcp {
            service: connection.service,
            process: connection.owner.as_deref().map(Process::from),
            ..Tcp::from(&connection.one)
        };
        Snapshot {
            taken_at: self.taken_at,
            voice: self.flows.into_iter().map(flow).collect(),
            setups: self.setting_up.into_iter().map(setup).collect(),
            websockets: Vec::new(),
            tcp: self.open.into_iter().map(connection).collect(),
            ledger: Ledger::new(&self.losses, self.completeness),
        }
    }
}

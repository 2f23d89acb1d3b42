//! Whom a socket is counted for: from the socket to its owner to its service.

use std::{collections::BTreeSet, sync::Arc};

use super::config::Config;
use crate::{
    model::{Connection, Endpoint, Owner, Role, ServiceId, SocketCookie, VoiceFlow, VoicePath},
    source::{
        ebpf::{cgroup::CgroupRoot, read::Creators},
        owner::Owners,
    },
    track::{
        services::{Claim, Services},
        targets::{Selection, Subject, Traffic},
    },
};

/// Owners and services.
pub(super) struct Who {
    owners: Owners,
    services: Services,
}

impl Who {
    /// Looks who has the sockets that there are.
    pub(super) fn start(config: &Config, selection: Selection) -> Self {
        // The programs have found it too: without one nothing is observed.
        let root = CgroupRoot::find(config.cgroup_root.as_deref()).ok();
        let most = config.max_connections.saturating_add(config.max_flows);
        let mut owners = Owners::start(root, most as usize);
        owners.read_labels(selection.asks_for_labels());
        Self { owners, services: Services::new(selection, config.max_services) }
    }

    /// A reading begins. Says how many sockets there were that had no owner.
    pub(super) fn begin(&mut self, now_ns: u64) -> u64 {
        let unowned = self.services.begin(now_ns);
        self.owners.begin(self.services.is_search_wanted());
        unowned
    }

    /// Watches something else from here on.
    pub(super) fn select(&mut self, selection: Selection) {
        self.owners.read_labels(selection.asks_for_labels());
        self.services.select(selection);
    }

    pub(super) fn flow(&mut self, flow: &VoiceFlow, creators: &Creators) -> Option<ServiceId> {
        self.voice(flow.key.socket, flow.local, flow.key.peer, creators)
    }

    pub(super) fn path(&mut self, path: &VoicePath, creators: &Creators) -> Option<ServiceId> {
        self.voice(path.key.socket, path.local, path.key.peer, creators)
    }

    fn voice(
        &mut self,
        socket: SocketCookie,
        local: Endpoint,
        peer: Endpoint,
        creators: &Creators,
    ) -> Option<ServiceId> {
        let subject = Subject {
            traffic: Traffic::Voice,
            role: Role::Unknown,
            local_port: Some(local.port()),
            remote_port: Some(peer.port()),
            owner: None,
        };
        self.socket(socket, None, subject, creators)
    }

    pub(super) fn connection(
        &mut self,
        connection: &Connection,
        creators: &Creators,
    ) -> Option<ServiceId> {
        let subject = Subject {
            traffic: Traffic::Tcp,
            role: connection.role,
            local_port: connection.local.map(|end| end.port()),
            remote_port: connection.remote.map(|end| end.port()),
            owner: None,
        };
        self.socket(connection.socket, connection.listener, subject, creators)
    }

    fn socket(
        &mut self,
        socket: SocketCookie,
        listener: Option<SocketCookie>,
        subject: Subject<'_>,
        creators: &Creators,
    ) -> Option<ServiceId> {
        let searches = self.owners.searches();
        if let Some(service) = self.services.decided(socket, searches) {
            return service;
        }
        let answer = self.owners.of(socket, listener, &|socket| creators.get(socket));
        let subject = Subject { owner: answer.owner.as_deref(), ..subject };
        let claim =
            Claim { owner: answer.owner.clone(), is_provisional: answer.is_provisional, searches };
        self.services.decide(socket, &subject, claim)
    }

    /// Whether nobody asks about a socket, and nothing more is to be learnt of it.
    pub(super) fn is_excluded(&self, socket: SocketCookie) -> bool {
        self.services.is_excluded(socket)
    }

    pub(super) fn owner(&self, socket: SocketCookie) -> Option<Arc<Owner>> {
        self.services.owner(socket).cloned()
    }

    pub(super) fn name(&self, service: Option<ServiceId>) -> Option<&str> {
        service.map(|service| self.services.name(service))
    }

    /// The processes that have watched sockets.
    pub(super) fn pids(&self) -> BTreeSet<u32> {
        self.services.owners().map(|owner| owner.pid).collect()
    }

    pub(super) fn take_gone(&mut self) -> Vec<String> {
        self.services.take_gone()
    }
}

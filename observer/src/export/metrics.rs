//! The instruments, as Prometheus exposes them.

mod maker;

mod voice;

mod path;

mod tcp;

mod cause;

mod own;

use std::{
    collections::{BTreeMap, HashMap, btree_map::Entry},
    ops::Deref,
};

use prometheus::{Encoder as _, Registry, TextEncoder, proto::MetricFamily};

use super::instruments::SERVICE;
use crate::{
    model::{Direction, Role, VoiceKind},
    track::{
        connections::ConnectionInterval,
        paths::PathInterval,
        voice::{VoiceInterval, interruption::Reason},
    },
};
use own::Own;
use path::PathMetrics;
use tcp::TcpMetrics;
use voice::VoiceMetrics;

/// Every instrument: those of the observer itself, which this leads to, and those of each
/// service.
#[derive(Clone, Debug)]
pub struct Metrics {
    own: Own,
    services: BTreeMap<String, Service>,
}

/// A service has the instruments of what it does.
#[derive(Clone, Debug)]
struct Service {
    registry: Registry,
    voice: Option<VoiceMetrics>,
    paths: Option<PathMetrics>,
    tcp: Option<TcpMetrics>,
}

impl Deref for Metrics {
    type Target = Own;

    fn deref(&self) -> &Own {
        &self.own
    }
}

impl Metrics {
    /// Registers the observer's own instruments; a service's come with its first figures.
    ///
    /// # Errors
    /// When two instruments have one name.
    pub fn new() -> Result<Self, prometheus::Error> {
        Ok(Self { own: Own::new()?, services: BTreeMap::new() })
    }

    /// Takes in what happened to the voice flows of a service.
    ///
    /// # Errors
    /// When two instruments have one name.
    pub fn voice(&mut self, service: &str, interval: &VoiceInterval) -> prometheus::Result<()> {
        self.service(service)?.voice()?.interval(interval);
        Ok(())
    }

    /// Takes in what happened on the paths of a service.
    ///
    /// # Errors
    /// When two instruments have one name.
    pub fn paths(&mut self, service: &str, interval: &PathInterval) -> prometheus::Result<()> {
        self.service(service)?.paths()?.interval(interval);
        Ok(())
    }

    /// Takes in so many new cases of audio that lacks a direction.
    ///
    /// # Errors
    /// When two instruments have one name.
    pub fn voice_one_way(
        &mut self,
        service: &str,
        direction: Direction,
        count: u64,
    ) -> prometheus::Result<()> {
        self.service(service)?.voice()?.interrupted(direction, Reason::OneWay, count);
        Ok(())
    }

    /// Takes in how many voice flows there are.
    ///
    /// # Errors
    /// When two instruments have one name.
    pub fn voice_flows<'a>(
        &mut self,
        flows: impl Iterator<Item = (&'a str, VoiceKind, i64)>,
    ) -> prometheus::Result<()> {
        for voice in self.services.values_mut().filter_map(|service| service.voice.as_mut()) {
            voice.no_flows();
        }
        for (service, kind, count) in flows {
            self.service(service)?.voice()?.flows(kind, count);
        }
        Ok(())
    }

    /// Takes in what happened to the connections of a service.
    ///
    /// # Errors
    /// When two instruments have one name.
    pub fn tcp(&mut self, service: &str, interval: &ConnectionInterval) -> prometheus::Result<()> {
        self.service(service)?.tcp()?.interval(interval);
        Ok(())
    }

    /// Takes in how many connections carry data.
    ///
    /// # Errors
    /// When two instruments have one name.
    pub fn tcp_open<'a>(
        &mut self,
        open: impl Iterator<Item = (&'a str, Role, i64)>,
    ) -> prometheus::Result<()> {
        for tcp in self.services.values().filter_map(|service| service.tcp.as_ref()) {
            tcp.none_open();
        }
        for (service, role, count) in open {
            self.service(service)?.tcp()?.open(role, count);
        }
        Ok(())
    }

    /// Leaves out a service from here on.
    pub fn forget(&mut self, service: &str) {
        self.services.remove(service);
    }

    /// Every series.
    #[must_use]
    pub fn gather(&self) -> Vec<MetricFamily> {
        let mut families = BTreeMap::<String, MetricFamily>::new();
        let registries = self.services.values().map(|service| &service.registry);
        for registry in registries.chain([self.own.registry()]) {
            for mut family in registry.gather() {
                match families.get_mut(family.name()) {
                    Some(known) => known.mut_metric().extend(family.take_metric()),
                    None => {
                        families.insert(family.name().to_owned(), family);
                    }
                }
            }
        }
        families.into_values().collect()
    }

    /// The text exposition format.
    ///
    /// # Errors
    /// When an instrument cannot be encoded.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn service(&mut self, name: &str) -> prometheus::Result<&mut Service> {
        match self.services.entry(name.to_owned()) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => {
                let labels = HashMap::from([(SERVICE.label(), name.to_owned())]);
                let registry = Registry::new_custom(None, Some(labels))?;
                Ok(place.insert(Service { registry, voice: None, paths: None, tcp: None }))
            }
        }
    }
}

impl Service {
    fn voice(&mut self) -> prometheus::Result<&mut VoiceMetrics> {
        match &mut self.voice {
            Some(voice) => Ok(voice),
            none => Ok(none.insert(VoiceMetrics::new(&self.registry)?)),
        }
    }

    fn paths(&mut self) -> prometheus::Result<&mut PathMetrics> {
        match &mut self.paths {
            Some(paths) => Ok(paths),
            none => Ok(none.insert(PathMetrics::new(&self.registry)?)),
        }
    }

    fn tcp(&mut self) -> prometheus::Result<&mut TcpMetrics> {
        match &mut self.tcp {
            Some(tcp) => Ok(tcp),
            none => Ok(none.insert(TcpMetrics::new(&self.registry)?)),
        }
    }
}

#[cfg(test)]
mod tests;

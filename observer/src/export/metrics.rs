//! The instruments, as Prometheus exposes them.

mod maker;

mod voice;

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
    model::{Connection, Role, VoiceFlow},
    track::{connections::ConnectionInterval, voice::VoiceInterval},
};
use own::Own;
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

    /// Takes in the voice flows that there are.
    ///
    /// # Errors
    /// When two instruments have one name.
    pub fn voice_flows<'a>(
        &mut self,
        flows: impl Iterator<Item = (&'a str, &'a VoiceFlow)>,
    ) -> prometheus::Result<()> {
        let mut counts = HashMap::<_, BTreeMap<_, i64>>::new();
        for (service, flow) in flows {
            *counts.entry(service).or_default().entry(voice::labels(flow)).or_default() += 1;
        }
        for service in counts.keys() {
            self.service(service)?.voice()?;
        }
        for (name, service) in &mut self.services {
            if let Some(voice) = &mut service.voice {
                voice.flows(&counts.remove(name.as_str()).unwrap_or_default());
            }
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

    /// Takes in the connections that carry data.
    ///
    /// # Errors
    /// When two instruments have one name.
    pub fn tcp_open<'a>(
        &mut self,
        open: impl Iterator<Item = (&'a str, &'a Connection)>,
    ) -> prometheus::Result<()> {
        let mut counts = HashMap::<_, BTreeMap<Role, i64>>::new();
        for (service, connection) in open {
            *counts.entry(service).or_default().entry(connection.role).or_default() += 1;
        }
        for service in counts.keys() {
            self.service(service)?.tcp()?;
        }
        for (name, service) in &self.services {
            if let Some(tcp) = &service.tcp {
                tcp.open(&counts.remove(name.as_str()).unwrap_or_default());
            }
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
                Ok(place.insert(Service { registry, voice: None, tcp: None }))
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

    fn tcp(&mut self) -> prometheus::Result<&mut TcpMetrics> {
        match &mut self.tcp {
            Some(tcp) => Ok(tcp),
            none => Ok(none.insert(TcpMetrics::new(&self.registry)?)),
        }
    }
}

#[cfg(test)]
mod tests;

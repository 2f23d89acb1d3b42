//! The services that figures are counted for, and which socket is of which.

use std::{collections::HashMap, sync::Arc, time::Duration};

use iddqd::{IdHashItem, IdHashMap, id_upcast};

use super::targets::{Selection, Subject};
use crate::model::{Owner, ServiceId, SocketCookie};

/// Readings after which a socket that was not seen is forgotten.
const MEMORY: u32 = 3;

/// How long a service must have been without a socket before another may have its place.
const REST: Duration = Duration::from_secs(600);

/// Names that are always there; the first is what SDKs of `OpenTelemetry` say of a process
/// that has no name.
const OWN_NAMES: [&str; 2] = ["unknown_service", "overflow"];

/// Longest name, in characters.
const LONGEST: usize = 128;

/// Every socket that was seen lately, and its service.
#[derive(Debug)]
pub struct Services {
    selection: Selection,
    names: Names,
    sockets: IdHashMap<Known>,
    readings: u32,
    unowned: u64,
    is_search_wanted: bool,
}

#[derive(Debug)]
struct Known {
    socket: SocketCookie,
    /// `None` when it is not watched.
    service: Option<ServiceId>,
    owner: Option<Arc<Owner>>,
    /// The last reading that had it.
    seen: u32,
    /// Searches for holders that had ended when it was first asked for; `None` when none
    /// can know better.
    asked: Option<u32>,
}

impl IdHashItem for Known {
    type Key<'a> = SocketCookie;

    fn key(&self) -> SocketCookie {
        self.socket
    }

    id_upcast!();
}

/// What is known of who has a socket.
#[derive(Debug)]
pub struct Claim {
    /// They.
    pub owner: Option<Arc<Owner>>,
    /// Whether a search for the holders of sockets may know better.
    pub is_provisional: bool,
    /// How many of those have ended.
    pub searches: u32,
}

impl Services {
    /// Watches what is selected, as at most `most` services.
    #[must_use]
    pub fn new(selection: Selection, most: u16) -> Self {
        Self {
            selection,
            names: Names::new(most),
            sockets: IdHashMap::new(),
            readings: 0,
            unowned: 0,
            is_search_wanted: false,
        }
    }

    /// Watches what is selected from here on.
    pub fn select(&mut self, selection: Selection) {
        self.selection = selection;
        self.sockets.clear();
    }

    /// A reading begins at `now_ns` of `CLOCK_MONOTONIC`: sockets that were not seen lately
    /// are forgotten. Says how many were that never had an owner.
    pub fn begin(&mut self, now_ns: u64) -> u64 {
        self.readings += 1;
        let mut unowned = std::mem::take(&mut self.unowned);
        self.names.now_ns = now_ns;
        self.is_search_wanted = false;
        self.sockets.retain(|known| {
            let stays = known.seen + MEMORY > self.readings;
            if stays {
                self.names.touch(known.service);
                self.is_search_wanted |= known.asked.is_some();
            } else {
                unowned += u64::from(known.owner.is_none() && known.asked.is_some());
            }
            stays
        });
        unowned
    }

    /// Whether a search for holders may tell more of some socket that there was when the
    /// reading began, or has come since.
    #[must_use]
    pub const fn is_search_wanted(&self) -> bool {
        self.is_search_wanted
    }

    /// What was decided of a socket, unless it has to be asked for once more: outer `None`.
    /// Inner `None` is for one that is not watched.
    pub fn decided(&mut self, socket: SocketCookie, searches: u32) -> Option<Option<ServiceId>> {
        let mut known = self.sockets.get_mut(&socket)?;
        known.seen = self.readings;
        known.asked.is_none_or(|asked| searches == asked).then_some(known.service)
    }

    /// Decides on a socket.
    pub fn decide(
        &mut self,
        socket: SocketCookie,
        subject: &Subject<'_>,
        claim: Claim,
    ) -> Option<ServiceId> {
        let name = self.selection.decide(subject);
        let service = name.map(|name| match (name, subject.owner) {
            (Some(name), _) => self.names.id(name),
            (None, Some(owner)) => self.names.id(&usual_name(owner)),
            (None, None) => ServiceId::UNKNOWN,
        });
        // One that ran when the socket was first asked for may have come too early.
        let first = self.sockets.get(&socket).and_then(|known| known.asked);
        let asked = match first {
            Some(first) if claim.searches >= first + 2 => None,
            first => claim.is_provisional.then(|| first.unwrap_or(claim.searches)),
        };
        self.unowned += u64::from(claim.owner.is_none() && asked.is_none());
        self.is_search_wanted |= asked.is_some();
        let known = Known { socket, service, owner: claim.owner, seen: self.readings, asked };
        self.sockets.insert_overwrite(known);
        service
    }

    /// Whether nobody asks about a socket, and nothing more is to be learnt of it.
    #[must_use]
    pub fn is_excluded(&self, socket: SocketCookie) -> bool {
        let known = self.sockets.get(&socket);
        known.is_some_and(|known| known.service.is_none() && known.asked.is_none())
    }

    /// Who has a socket.
    #[must_use]
    pub fn owner(&self, socket: SocketCookie) -> Option<&Arc<Owner>> {
        self.sockets.get(&socket)?.owner.as_ref()
    }

    /// Who has sockets that are watched; each as often as they have one.
    pub fn owners(&self) -> impl Iterator<Item = &Owner> {
        let watched = self.sockets.iter().filter(|known| known.service.is_some());
        watched.filter_map(|known| known.owner.as_deref())
    }

    /// The name of a service.
    #[must_use]
    pub fn name(&self, service: ServiceId) -> &str {
        self.names.name(service)
    }

    /// Services that had to give their place to others since this was asked last.
    pub fn take_gone(&mut self) -> Vec<String> {
        std::mem::take(&mut self.names.gone)
    }
}

/// What a service is called when no rule says so: what its environment says, or its unit,
/// container or name. A scope is named after nobody in particular.
fn usual_name(owner: &Owner) -> String {
    let place = &owner.place;
    let unit = || place.unit.as_deref()?.strip_suffix(".service").map(str::to_owned);
    let container = || Some(place.container.as_ref()?.id.get(..12)?.to_owned());
    let name = owner.service_name.clone().or_else(unit).or_else(container);
    let name = name.unwrap_or_else(|| owner.comm.clone());
    name.chars().filter(|character| !character.is_control()).take(LONGEST).collect()
}

/// A bounded list of names.
#[derive(Debug)]
struct Names {
    slots: Vec<Slot>,
    ids: HashMap<String, ServiceId>,
    most: usize,
    now_ns: u64,
    gone: Vec<String>,
}

#[derive(Debug)]
struct Slot {
    name: String,
    /// When it had a socket last, in ns of `CLOCK_MONOTONIC`.
    seen_ns: u64,
}

impl Names {
    fn new(most: u16) -> Self {
        let slots: Vec<_> =
            OWN_NAMES.iter().map(|name| Slot { name: (*name).to_owned(), seen_ns: 0 }).collect();
        let ids = OWN_NAMES.iter().zip(0..).map(|(name, id)| ((*name).to_owned(), ServiceId(id)));
        let most = usize::from(most) + OWN_NAMES.len();
        Self { slots, ids: ids.collect(), most, now_ns: 0, gone: Vec::new() }
    }

    fn name(&self, id: ServiceId) -> &str {
        self.slots.get(usize::from(id.0)).map_or(OWN_NAMES[1], |slot| &slot.name)
    }

    fn touch(&mut self, id: Option<ServiceId>) {
        if let Some(slot) = id.and_then(|id| self.slots.get_mut(usize::from(id.0))) {
            slot.seen_ns = self.now_ns;
        }
    }

    fn id(&mut self, name: &str) -> ServiceId {
        let name = if name.is_empty() { OWN_NAMES[0] } else { name };
        if let Some(id) = self.ids.get(name).copied() {
            self.touch(Some(id));
            return id;
        }
        let slot = Slot { name: name.to_owned(), seen_ns: self.now_ns };
        let at = if self.slots.len() < self.most {
            self.slots.push(slot);
            self.slots.len() - 1
        } else {
            let Some(at) = self.longest_at_rest() else { return ServiceId::OVERFLOW };
            let before = std::mem::replace(&mut self.slots[at], slot).name;
            self.ids.remove(&before);
            self.gone.push(before);
            at
        };
        let Ok(id) = u16::try_from(at).map(ServiceId) else { return ServiceId::OVERFLOW };
        self.ids.insert(name.to_owned(), id);
        id
    }

    fn longest_at_rest(&self) -> Option<usize> {
        let rest_ns = REST.as_nanos() as u64;
        let slots = self.slots.iter().enumerate().skip(OWN_NAMES.len());
        let at_rest = slots.filter(|(_, slot)| slot.seen_ns + rest_ns < self.now_ns);
        at_rest.min_by_key(|(_, slot)| slot.seen_ns).map(|(at, _)| at)
    }
}

#[cfg(test)]
mod tests;

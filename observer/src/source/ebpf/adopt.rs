//! Connections that are older than the observer.

use std::{
    collections::{HashMap, HashSet},
    io,
    net::IpAddr,
    thread::{Builder, scope},
};

use observer_common::{
    abi::socket::{ADOPTED, ROLE_SERVER, Socket},
    packet::Address,
};

use super::{
    diag::{connections, listeners},
    namespace::{Namespace, Namespaces},
    table::{Inserted, Table},
};
use crate::model::{Losses, address_words};

/// The stage of what could not be adopted.
const STAGE: &str = "adoption";
/// A network namespace could not be looked at, or not be entered.
const NAMESPACE_REFUSED: &str = "namespace_refused";
/// The kernel would not list the connections of a namespace, or not all of them.
const LIST_FAILED: &str = "list_failed";
/// A connection found no room.
const TABLE_FULL: &str = "table_full";
/// A connection could not be put into the table for another reason.
const INSERT_FAILED: &str = "insert_failed";

/// Everything that adoption can lose.
pub const LOSSES: [(&str, &str); 4] =
    [(STAGE, NAMESPACE_REFUSED), (STAGE, LIST_FAILED), (STAGE, TABLE_FULL), (STAGE, INSERT_FAILED)];

/// What came of it.
#[derive(Debug, Default)]
pub struct Adoption {
    /// Connections that are in the table as they were found.
    pub connections: u64,
    /// What could not be adopted.
    pub losses: Losses,
}

/// Puts the connections of every network namespace into `table`, except those that the
/// programs have put there.
pub(super) fn adopt(table: &mut Table<u64, Socket>) -> Adoption {
    let adoption = scope(|scope| {
        // A thread that has entered a namespace is of no other use.
        let thread = Builder::new().name("adopt".to_owned());
        thread.spawn_scoped(scope, || everywhere(table)).map(|thread| thread.join())
    });
    match adoption {
        Ok(Ok(adoption)) => adoption,
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(error) => {
            let mut adoption = Adoption::default();
            adoption.lose(LIST_FAILED, &error);
            adoption
        }
    }
}

fn everywhere(table: &mut Table<u64, Socket>) -> Adoption {
    let mut adoption = Adoption::default();
    match Namespaces::find() {
        Ok(namespaces) => {
            if namespaces.is_some_hidden {
                adoption.lose(NAMESPACE_REFUSED, &io::ErrorKind::PermissionDenied.into());
            }
            for namespace in &namespaces.found {
                adoption.take_in(namespace, table);
            }
        }
        Err(error) => adoption.lose(NAMESPACE_REFUSED, &error),
    }
    adoption
}

impl Adoption {
    fn take_in(&mut self, namespace: &Namespace, table: &mut Table<u64, Socket>) {
        if let Err(error) = namespace.enter() {
            return self.lose(NAMESPACE_REFUSED, &error);
        }
        let mut inserted = HashSet::new();
        let listeners = Listeners::find().unwrap_or_else(|error| {
            self.lose(LIST_FAILED, &error);
            Listeners::default()
        });
        let listed = connections(|cookie, mut socket| {
            if let Some(listener) = listeners.of(&socket) {
                socket.role = ROLE_SERVER;
                socket.listener = listener;
            }
            match table.insert_absent(&cookie, &socket) {
                Ok(Inserted::Yes) => {
                    inserted.insert(cookie);
                }
                Ok(Inserted::Known) => {}
                Ok(Inserted::Full) => self.lose(TABLE_FULL, &io::ErrorKind::StorageFull.into()),
                Err(error) => self.lose(INSERT_FAILED, &error),
            }
        });
        if let Err(error) = listed {
            self.lose(LIST_FAILED, &error);
        }
        self.connections += inserted.len() as u64;
        if !inserted.is_empty() {
            self.connections -= remove_closed(inserted, table);
        }
    }

    fn lose(&mut self, reason: &'static str, error: &io::Error) {
        tracing::debug!(%error, reason, "not adopted");
        *self.losses.entry((STAGE, reason)).or_default() += 1;
    }
}

/// Who listens in a namespace, by port: a connection at a port that is listened at came by
/// the listener. Where none listens any more, it is not known who began a connection.
#[derive(Default)]
struct Listeners(HashMap<u16, Vec<(Option<Address>, u64)>>);

impl Listeners {
    fn find() -> io::Result<Self> {
        let mut all = Self::default();
        listeners(|cookie, address: IpAddr, port| {
            let one = (!address.is_unspecified()).then(|| address_words(address));
            all.0.entry(port).or_default().push((one, cookie));
        })?;
        Ok(all)
    }

    /// The cookie of a connection's listener.
    fn of(&self, socket: &Socket) -> Option<u64> {
        let mut at_port = self.0.get(&socket.local_port)?.iter();
        let is_at = |address: &Option<Address>| address.is_none_or(|one| one == socket.local);
        at_port.find(|(address, _)| is_at(address)).map(|(_, cookie)| *cookie)
    }
}

/// A connection that was closed between being listed and being inserted is told of by
/// nobody: what a second list lacks is taken out again. Says how many those were.
fn remove_closed(mut inserted: HashSet<u64>, table: &mut Table<u64, Socket>) -> u64 {
    let mut standing = Vec::new();
    if connections(|cookie, _| standing.push(cookie)).is_err() {
        return 0;
    }
    for cookie in standing {
        inserted.remove(&cookie);
    }
    let gone = inserted.iter().filter(|cookie| {
        // A socket may have connected again, and that one was seen.
        let is_ours = |socket: Socket| socket.flags & ADOPTED != 0;
        matches!(table.get(cookie), Ok(Some(socket)) if is_ours(socket))
            && table.remove(cookie).is_ok()
    });
    gone.count() as u64
}

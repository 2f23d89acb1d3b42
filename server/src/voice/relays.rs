//! The relays, each on a thread of its own, and which of them a room is with.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Instant,
};

use tokio::sync::{Notify, mpsc};

use super::{
    leg::{Kit, Leg, OfferError},
    port::Port,
    relay::{News, Order, Plan, Relay},
};
use crate::{config, observability::VoiceTally};

/// The relays.
pub(super) struct Relays {
    kit: Kit,
    all: Vec<Handle>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    ended: Arc<Notify>,
}

/// Tells when a thread ends, however it does.
struct Alive(Arc<Notify>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// One of them.
struct Handle {
    addresses: Vec<SocketAddr>,
    cookie: Option<u64>,
    /// Nothing once it ends.
    orders: Mutex<Option<mpsc::UnboundedSender<Order>>>,
}

/// Why there are none.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// A port cannot be had.
    #[error(
        "cannot hear voice on {0}/udp: another program may, or give another address by --voice-listen"
    )]
    Port(SocketAddr, #[source] io::Error),
    /// The host has no address that a client could reach.
    #[error("no interface has an address for voice: give one by --voice-advertise")]
    NoAddress,
    /// A thread cannot be had.
    #[error("cannot start a thread for voice")]
    Thread(#[source] io::Error),
    /// The system has no randomness.
    #[error("cannot make a certificate for voice")]
    Certificate,
}

impl Relays {
    /// Hears all ports. What happens there is told.
    pub(super) fn start(
        config: &config::Voice,
        tally: &Arc<VoiceTally>,
        news: &mpsc::UnboundedSender<News>,
    ) -> Result<Self, RelayError> {
        let kit = Kit::new().ok_or(RelayError::Certificate)?;
        let (mut all, mut threads) = (Vec::new(), Vec::new());
        let ended = Arc::<Notify>::default();
        for number in 0..config.ports.get() {
            let mut listen = config.listen;
            if listen.port() != 0 {
                listen.set_port(listen.port().saturating_add(number.into()));
            }
            // Its own, so that nothing else the server does delays a packet.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(RelayError::Thread)?;
            let port = {
                let _entered = runtime.enter();
                Port::bind(listen, &config.advertise)
            };
            let port = port.map_err(|error| RelayError::Port(listen, error))?;
            if port.addresses().is_empty() {
                return Err(RelayError::NoAddress);
            }
            let (addresses, cookie) = (port.addresses().to_vec(), port.cookie());
            let plan = Plan {
                speakers: config.speakers.get().into(),
                patience: config.timeout,
                tally: Arc::clone(tally),
            };
            let relay = Relay::new(port, plan, news.clone());
            let (orders, taken) = mpsc::unbounded_channel();
            let thread = std::thread::Builder::new().name(format!("voice-{number}"));
            let alive = Alive(Arc::clone(&ended));
            let thread = thread.spawn(move || {
                let _alive = alive;
                runtime.block_on(relay.run(taken));
            });
            threads.push(thread.map_err(RelayError::Thread)?);
            all.push(Handle { addresses, cookie, orders: Mutex::new(Some(orders)) });
        }
        Ok(Self { kit, all, threads: Mutex::new(threads), ended })
    }

    /// The answer to an offer, and what there is behind it.
    pub(super) fn answer(&self, channel: i64, offer: &str) -> Result<(Leg, String), OfferError> {
        Leg::new(&self.kit, offer, &self.of(channel).addresses, Instant::now())
    }

    /// `SO_COOKIE` of the port that a channel's room is heard on.
    pub(super) fn cookie(&self, channel: i64) -> Option<u64> {
        self.of(channel).cookie
    }

    /// Tells the relay of a channel to do something. It does not, once it ends.
    pub(super) fn order(&self, channel: i64, order: Order) {
        let orders = self.of(channel).orders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(orders) = &*orders {
            let _ended = orders.send(order);
        }
    }

    fn of(&self, channel: i64) -> &Handle {
        &self.all[channel.unsigned_abs() as usize % self.all.len()]
    }

    /// When one of them has ended. Without it there is no talking in some rooms.
    pub(super) async fn ended(&self) {
        self.ended.notified().await;
    }

    /// Ends them all, when they have said goodbye to everybody.
    pub(super) async fn shut_down(&self) {
        for handle in &self.all {
            *handle.orders.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        let threads: Vec<_> =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let join = || threads.into_iter().for_each(|thread| drop(thread.join()));
        let _joined = tokio::task::spawn_blocking(join).await;
    }
}

//! The observer, and what it saw of the test's own sockets.

use std::{
    collections::HashMap,
    ops::{Deref, DerefMut},
    os::fd::AsRawFd,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use observer::{
    model::{Connection, Direction, Losses, SocketCookie, VoiceFlow},
    source::ebpf::{
        load::{Limits, LoadError, Options},
        read::Kernel,
    },
};

use observer_common::abi::loss::EVICTED;

use super::socket::{PATIENCE, cookie};

/// Enough for every test and whatever else the host does meanwhile.
pub(crate) const LIMITS: Limits =
    Limits { flows: 32_768, candidates: 4_096, sockets: 8_192, ring_bytes: 1 << 20 };

/// The programs, attached.
pub(crate) struct Observation {
    /// The product.
    pub(crate) kernel: Kernel,
    closed: HashMap<SocketCookie, Connection>,
    losses_before: Losses,
}

/// One observation serves all tests that ask for nothing special, one after another:
/// loading takes seconds where every instruction is emulated.
static SHARED: Mutex<Option<Observation>> = Mutex::new(None);

fn refused(error: &LoadError) -> ! {
    panic!("these tests need root, and a kernel that takes the programs: {error}")
}

/// The shared observation, for one test at a time.
pub(crate) struct Shared(MutexGuard<'static, Option<Observation>>);

impl Shared {
    fn lock() -> Self {
        Self(SHARED.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Nothing of this process is attached for as long as this lives, but what the test
    /// attaches itself.
    pub(crate) fn detached() -> Self {
        let mut shared = Self::lock();
        *shared.0 = None;
        shared
    }
}

impl Deref for Shared {
    type Target = Observation;

    fn deref(&self) -> &Observation {
        self.0.as_ref().expect("it was attached when it was locked")
    }
}

impl DerefMut for Shared {
    fn deref_mut(&mut self) -> &mut Observation {
        self.0.as_mut().expect("it was attached when it was locked")
    }
}

impl Observation {
    /// The shared one, attached, with a clean ledger.
    pub(crate) fn shared() -> Shared {
        let mut shared = Shared::lock();
        // Somebody else's traffic may have filled the tables that ours needs.
        if shared.0.as_mut().is_some_and(Self::is_crowded) {
            *shared.0 = None;
        }
        let observation = shared.0.get_or_insert_with(Self::start);
        while observation.kernel.next_closed().is_some() {}
        observation.losses_before = observation.kernel.losses().unwrap();
        shared
    }

    fn is_crowded(&mut self) -> bool {
        let half = |limit: u32| limit as usize / 2;
        self.kernel.flows().unwrap().len() > half(LIMITS.flows)
            || self.kernel.connections().unwrap().len() > half(LIMITS.sockets)
    }

    /// Loads and attaches everything, and wants every probe up.
    pub(crate) fn start() -> Self {
        Self::with(LIMITS, false)
    }

    /// With other bounds, with or without diagnostics.
    pub(crate) fn with(limits: Limits, diagnostics: bool) -> Self {
        Self::try_with(limits, diagnostics).unwrap_or_else(|error| refused(&error)).all_up()
    }

    /// With the programs that the oldest kernels need.
    pub(crate) fn of_the_oldest() -> Self {
        let options =
            Options { limits: LIMITS, cgroup_root: None, diagnostics: false, oldest: true };
        Self::of(&options).unwrap_or_else(|error| refused(&error)).all_up()
    }

    fn all_up(self) -> Self {
        for probe in self.kernel.probes() {
            assert_eq!(probe.failure, None, "{}", probe.probe.name);
        }
        self
    }

    /// Whatever attaches.
    pub(crate) fn try_with(limits: Limits, diagnostics: bool) -> Result<Self, LoadError> {
        Self::of(&Options { limits, cgroup_root: None, diagnostics, oldest: false })
    }

    fn of(options: &Options) -> Result<Self, LoadError> {
        let kernel = Kernel::start(options)?;
        Ok(Self { kernel, closed: HashMap::new(), losses_before: Losses::new() })
    }

    /// The flows of a socket.
    pub(crate) fn flows(&mut self, socket: &impl AsRawFd) -> Vec<VoiceFlow> {
        let cookie = cookie(socket);
        let mut flows = self.kernel.flows().unwrap();
        flows.retain(|flow| flow.key.socket == cookie);
        flows
    }

    /// The one flow of a socket with this SSRC and direction.
    pub(crate) fn flow(
        &mut self,
        socket: &impl AsRawFd,
        ssrc: u32,
        direction: Direction,
    ) -> VoiceFlow {
        let mut flows = self.flows(socket);
        flows.retain(|flow| flow.key.ssrc == ssrc && flow.key.direction == direction);
        let [flow] = flows[..] else { panic!("one flow of {ssrc:#x} wanted, not {flows:?}") };
        flow
    }

    /// The connections that the table holds of these sockets, in their order.
    pub(crate) fn connections(&mut self, sockets: &[SocketCookie]) -> Vec<Connection> {
        let table = self.kernel.connections().unwrap();
        let of = |cookie: &SocketCookie| table.iter().find(|one| one.socket == *cookie).copied();
        sockets.iter().filter_map(of).collect()
    }

    /// Takes from the ring what is there, and says what was said of a socket so far.
    pub(crate) fn closed(&mut self, socket: SocketCookie) -> Option<Connection> {
        while let Some(closed) = self.kernel.next_closed() {
            let before = self.closed.insert(closed.socket, closed);
            assert_eq!(before, None, "a connection closes once");
        }
        self.closed.get(&socket).copied()
    }

    /// The final figures of these sockets, in their order, as soon as they are there.
    pub(crate) fn all_closed<const N: usize>(
        &mut self,
        sockets: [SocketCookie; N],
    ) -> [Connection; N] {
        sockets.map(|socket| await_some("a closed connection", || self.closed(socket)))
    }

    /// What went uncounted since the test has it, without the zeros.
    pub(crate) fn losses(&mut self) -> Losses {
        let mut losses = self.kernel.losses().unwrap();
        for (labels, before) in &self.losses_before {
            losses.entry(*labels).and_modify(|count| *count -= before);
        }
        losses.retain(|_, count| *count != 0);
        losses
    }

    /// Nothing went uncounted, unless the host's own flows alone fill the table. Noise
    /// comes into probation and is pushed out of it: that is no loss.
    pub(crate) fn assert_clean(&mut self) {
        self.assert_clean_but(&[]);
    }

    /// [`Observation::assert_clean`], whatever these say.
    pub(crate) fn assert_clean_but(&mut self, expected: &[(&'static str, &'static str)]) {
        let mut losses = self.losses();
        losses.retain(|labels, _| *labels != EVICTED && !expected.contains(labels));
        if self.kernel.flows().unwrap().len() >= LIMITS.flows as usize {
            losses.remove(&("voice", "table_full"));
        }
        assert_eq!(losses, Losses::new());
    }
}

/// Waits for what comes without further ado.
pub(crate) fn await_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what} did not come");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A number that every kernel must agree on.
pub(crate) fn figure(name: &str, value: impl std::fmt::Display) {
    println!("figure {name}={value}");
}

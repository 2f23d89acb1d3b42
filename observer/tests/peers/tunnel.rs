//! A path with a delay between two namespaces: what netem would do, where the kernel
//! has none. A TUN device is at each end, and the test carries the packets.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    io::{Read as _, Write as _},
    os::fd::AsRawFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{device::open, ends::Ends};

/// How often a carrier looks whether it should end, in ms.
const LOOK_MS: i32 = 50;
/// Longer than any packet: the devices have the usual MTU of 1,500 bytes.
const PACKET: usize = 2_048;

/// Two ends and the path between them. The path ends when this goes.
#[derive(Debug)]
pub(crate) struct Tunnel {
    /// The ends.
    pub(crate) ends: Ends,
    ended: Arc<AtomicBool>,
    carriers: Vec<JoinHandle<()>>,
}

/// When a packet is to arrive, its number, and the packet.
type Packet = (Instant, u32, Vec<u8>);

/// Where packets of one direction are, and when each is to arrive.
#[derive(Clone, Copy, Debug)]
struct Way {
    delay: fn(u32) -> Duration,
    in_order: bool,
}

impl Tunnel {
    /// A path on which each packet takes as long as `delay` says of its number. None
    /// overtakes another.
    pub(crate) fn new(delay: fn(u32) -> Duration) -> Self {
        Self::by(Way { delay, in_order: true })
    }

    /// A path on which a packet with less delay overtakes those with more.
    pub(crate) fn out_of_order(delay: fn(u32) -> Duration) -> Self {
        Self::by(Way { delay, in_order: false })
    }

    fn by(way: Way) -> Self {
        let ends = Ends::apart();
        let (near, far) = (open(&ends.near, 0), open(&ends.far, 0));
        ends.address();
        let ended = Arc::new(AtomicBool::new(false));
        let mut carriers = Vec::new();
        for (from, to) in [(&near, &far), (&far, &near)] {
            let [mut from, mut to] =
                [from, to].map(|device| device.try_clone().expect("a descriptor is to be had"));
            let (queue, queued) = channel();
            let watch = Arc::clone(&ended);
            carriers.push(thread::spawn(move || take(&mut from, &queue, &watch, way)));
            carriers.push(thread::spawn(move || deliver(&mut to, &queued)));
        }
        Self { ends, ended, carriers }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        for carrier in self.carriers.drain(..) {
            let _outcome = carrier.join();
        }
    }
}

/// Takes packets from a device, each with its time of arrival at the other.
fn take(device: &mut File, queue: &Sender<Packet>, ended: &AtomicBool, way: Way) {
    let mut buffer = [0; PACKET];
    let mut number = 0;
    let mut last = Instant::now();
    while !ended.load(Ordering::Relaxed) {
        let mut poll = libc::pollfd { fd: device.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one structure, which outlives the call.
        if unsafe { libc::poll(&raw mut poll, 1, LOOK_MS) } != 1 {
            continue;
        }
        let Ok(length) = device.read(&mut buffer) else { continue };
        let mut due = Instant::now() + (way.delay)(number);
        if way.in_order {
            due = due.max(last);
            last = due;
        }
        if queue.send((due, number, buffer[..length].to_vec())).is_err() {
            return;
        }
        number += 1;
    }
}

/// Gives packets to a device when they are due.
fn deliver(device: &mut File, queued: &Receiver<Packet>) {
    let mut held = BinaryHeap::<Reverse<Packet>>::new();
    loop {
        let next = match held.peek() {
            None => queued.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(Reverse((due, ..))) => {
                queued.recv_timeout(due.saturating_duration_since(Instant::now()))
            }
        };
        match next {
            Ok(packet) => held.push(Reverse(packet)),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
        }
        let now = Instant::now();
        while held.peek().is_some_and(|Reverse((due, ..))| *due <= now) {
            let Some(Reverse((_, _, packet))) = held.pop() else { break };
            // A device that is down takes nothing, as a cut cable does.
            let _cut = device.write_all(&packet);
        }
    }
}

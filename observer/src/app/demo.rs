//! Bundled traffic: a bot call over RTP with a little loss, and TCP clients. All of it
//! on loopback, all of it real.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// 20 ms of G.711: 160 samples at 8 kHz, a byte each.
const FRAME: Duration = Duration::from_millis(20);
const FRAME_TICKS: u32 = 160;
/// One packet in this many is left out.
const LOSS: u32 = 50;
/// Clients of the echo server.
const CLIENTS: usize = 3;

/// The traffic. It ends with this.
pub(super) struct Demo {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Demo {
    pub(super) fn start() -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        let alice = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let bob = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        alice.connect(bob.local_addr()?)?;
        bob.connect(alice.local_addr()?)?;
        for (socket, ssrc) in [(alice, 0x0a11_ce00), (bob, 0x0000_0b0b)] {
            let stop = Arc::clone(&stop);
            threads.push(thread::spawn(move || talk(&socket, ssrc, &stop)));
        }
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = server.local_addr()?;
        threads.push(thread::spawn(move || serve(&server)));
        for _ in 0..CLIENTS {
            let stop = Arc::clone(&stop);
            let client = TcpStream::connect(address)?;
            threads.push(thread::spawn(move || chat(client, &stop)));
        }
        Ok(Self { stop, threads })
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A thread that panicked has ended too.
            let _ended = thread.join();
        }
    }
}

/// Sends a packet every 20 ms, give or take a little, and leaves a few out.
fn talk(socket: &UdpSocket, ssrc: u32, stop: &AtomicBool) {
    let begin = Instant::now();
    let mut random = Random(ssrc);
    let mut packet = [0xd5; 12 + FRAME_TICKS as usize];
    packet[..2].copy_from_slice(&[0x80, 8]);
    packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
    let mut index: u32 = 0;
    while !stop.load(Ordering::Relaxed) {
        packet[2..4].copy_from_slice(&(index as u16).to_be_bytes());
        packet[4..8].copy_from_slice(&(index.wrapping_mul(FRAME_TICKS)).to_be_bytes());
        if random.below(LOSS) != 0 {
            // Loopback refuses while the other end is not there: that is loss too.
            let _sent = socket.send(&packet);
        }
        index = index.wrapping_add(1);
        let early = Duration::from_micros(random.below(3_000).into());
        let due = FRAME * index + Duration::from_millis(3) - early;
        thread::sleep(due.saturating_sub(begin.elapsed()));
    }
}

/// Echoes what each of the clients sends, until they have all gone.
fn serve(listener: &TcpListener) {
    let threads: Vec<_> = (0..CLIENTS)
        .filter_map(|_| listener.accept().ok())
        .map(|(mut stream, _)| {
            thread::spawn(move || {
                let mut buffer = [0; 4_096];
                while let Ok(length @ 1..) = stream.read(&mut buffer) {
                    if stream.write_all(&buffer[..length]).is_err() {
                        return;
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        // A thread that panicked has ended too.
        let _ended = thread.join();
    }
}

fn chat(mut stream: TcpStream, stop: &AtomicBool) {
    let mut random = Random(u32::from(stream.local_addr().map_or(1, |end| end.port())));
    let mut buffer = [0; 4_096];
    while !stop.load(Ordering::Relaxed) {
        let length = 1 + random.below(2_000) as usize;
        let done = stream.write_all(&buffer[..length]).is_ok()
            && stream.read_exact(&mut buffer[..length]).is_ok();
        if !done {
            return;
        }
        thread::sleep(Duration::from_millis(50 + u64::from(random.below(200))));
    }
}

/// xorshift32 (Marsaglia 2003): the demo needs variety, not unpredictability.
struct Random(u32);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 % bound
    }
}

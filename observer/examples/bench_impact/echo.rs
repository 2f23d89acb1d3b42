//! A message there and back, between two threads on one CPU.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read as _, Write as _},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};

use super::{
    Slice, Traffic,
    clock::Clock,
    condition::Condition,
    group::stay_on_one_cpu,
    voice::{PACKET, Packet},
};

/// Longest wait for a message that is there within microseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// The first byte of a message that asks for the CPU time of the other end. It is none
/// that a packet of voice begins with.
const ASK: u8 = 0;

/// Where the answer stands, in ns.
const ANSWER: std::ops::Range<usize> = 8..16;

/// How messages travel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// RTP in UDP, 172 bytes.
    Udp,
    /// 64 bytes on one connection.
    Tcp,
}

impl Protocol {
    pub(crate) const ALL: [Self; 2] = [Self::Udp, Self::Tcp];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP echo, RTP of 172 bytes",
            Self::Tcp => "TCP echo, 64 bytes",
        }
    }

    const fn length(self) -> usize {
        match self {
            Self::Udp => PACKET,
            Self::Tcp => 64,
        }
    }
}

/// What some exchanges took.
pub(crate) struct Spell {
    /// CPU time of both ends.
    pub(crate) cpu: Duration,
    /// Packets that were sent, and received by the other end.
    pub(crate) packets: u64,
    /// Round trips, sorted, where there are any.
    pub(crate) round_trips: Vec<Duration>,
}

/// Both threads. Whoever holds this stays off their CPU unless there is no other.
pub(crate) struct Echo {
    protocol: Protocol,
    orders: Sender<(Condition, u32)>,
    spells: Receiver<Result<Spell>>,
}

impl Echo {
    pub(crate) fn start(protocol: Protocol) -> Result<Self> {
        let (near, far) = Line::pair(protocol).context("cannot talk on loopback")?;
        let (orders, ordered) = channel();
        let (told, spells) = channel();
        thread::spawn(move || answer(far, protocol.length()));
        thread::spawn(move || {
            let mut client = Client::new(near, protocol);
            let ready = stay_on_one_cpu();
            while let Ok((condition, exchanges)) = ordered.recv() {
                let spell = match &ready {
                    Ok(()) => client.exchange(condition, exchanges),
                    Err(error) => Err(anyhow!("{error:#}")),
                };
                if told.send(spell).is_err() {
                    break;
                }
            }
        });
        Ok(Self { protocol, orders, spells })
    }
}

impl Traffic for Echo {
    fn name(&self) -> &'static str {
        self.protocol.name()
    }

    fn has_budgets(&self) -> bool {
        true
    }

    fn alternations(&self) -> u32 {
        24
    }

    /// So many exchanges, one after another. Each condition has a stream of voice of its
    /// own, so none sees the others' packets as a gap.
    fn spell(&mut self, condition: Condition, slice: Slice) -> Result<Spell> {
        let exchanges = match slice {
            Slice::WarmUp => 70,
            Slice::Short => 700,
            Slice::Long => 35_000,
        };
        self.orders.send((condition, exchanges)).context("the sending thread has ended")?;
        self.spells.recv().context("the sending thread has ended")?
    }
}

struct Client {
    line: Line,
    message: Vec<u8>,
    voice: Option<Packet>,
    turns: BTreeMap<Condition, u32>,
}

impl Client {
    fn new(line: Line, protocol: Protocol) -> Self {
        Self {
            line,
            message: vec![0xd5; protocol.length()],
            voice: (protocol == Protocol::Udp).then(Packet::new),
            turns: BTreeMap::new(),
        }
    }

    fn exchange(&mut self, condition: Condition, exchanges: u32) -> Result<Spell> {
        let mut round_trips = Vec::with_capacity(exchanges as usize);
        let first = *self.turns.entry(condition).or_default();
        let (far, near) = (self.ask()?, Clock::THREAD.now());
        for turn in first..first + exchanges {
            if let Some(packet) = &mut self.voice {
                self.message.copy_from_slice(packet.of(0x5eed_0000 + condition as u32, turn));
            }
            let begun = Instant::now();
            self.line.send(&self.message)?;
            self.line.receive(&mut self.message)?;
            round_trips.push(begun.elapsed());
        }
        let near = Clock::THREAD.now().saturating_sub(near);
        let far = self.ask()?.saturating_sub(far);
        self.turns.insert(condition, first + exchanges);
        round_trips.sort_unstable();
        // One there and one back; an acknowledgement of TCP travels with the next message.
        Ok(Spell { cpu: near + far, packets: 2 * u64::from(exchanges), round_trips })
    }

    /// The CPU time of the other end so far.
    fn ask(&mut self) -> Result<Duration> {
        let mut question = self.message.clone();
        question[0] = ASK;
        self.line.send(&question)?;
        self.line.receive(&mut question)?;
        let ns = question[ANSWER].try_into().map(u64::from_be_bytes)?;
        Ok(Duration::from_nanos(ns))
    }
}

/// Sends back what comes, until nothing does any more. What goes wrong shows at the near
/// end, which waits for an answer.
fn answer(mut line: Line, length: usize) {
    let mut message = vec![0; length];
    if let Err(error) = stay_on_one_cpu() {
        eprintln!("the echo is wherever the scheduler has it: {error:#}");
    }
    while line.receive(&mut message).is_ok() {
        if message[0] == ASK {
            let ns = Clock::THREAD.now().as_nanos() as u64;
            message[ANSWER].copy_from_slice(&ns.to_be_bytes());
        }
        if line.send(&message).is_err() {
            break;
        }
    }
}

/// One end.
enum Line {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Line {
    /// The near end, which loses patience, and the far end.
    fn pair(protocol: Protocol) -> Result<(Self, Self)> {
        Ok(match protocol {
            Protocol::Udp => {
                let near = UdpSocket::bind("127.0.0.1:0")?;
                let far = UdpSocket::bind("127.0.0.1:0")?;
                near.connect(far.local_addr()?)?;
                far.connect(near.local_addr()?)?;
                near.set_read_timeout(Some(PATIENCE))?;
                (Self::Udp(near), Self::Udp(far))
            }
            Protocol::Tcp => {
                let listener = TcpListener::bind("127.0.0.1:0")?;
                let near = TcpStream::connect(listener.local_addr()?)?;
                let (far, _) = listener.accept()?;
                near.set_nodelay(true)?;
                far.set_nodelay(true)?;
                near.set_read_timeout(Some(PATIENCE))?;
                (Self::Tcp(near), Self::Tcp(far))
            }
        })
    }

    fn send(&mut self, message: &[u8]) -> Result<()> {
        match self {
            Self::Udp(socket) => ensure!(socket.send(message)? == message.len()),
            Self::Tcp(stream) => stream.write_all(message)?,
        }
        Ok(())
    }

    fn receive(&mut self, message: &mut [u8]) -> Result<()> {
        let received = match self {
            Self::Udp(socket) => socket.recv(message).map(|length| length == message.len()),
            Self::Tcp(stream) => stream.read_exact(message).map(|()| true),
        };
        match received {
            Ok(whole) => ensure!(whole, "something else came on loopback"),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Err(error).context("no answer came on loopback");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

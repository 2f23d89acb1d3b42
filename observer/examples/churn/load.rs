//! What comes and goes: bounded, the same in every second, and counted.

use std::{
    fmt,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsRawFd as _,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};

use super::voice::Packet;

/// How often each kind of load has its turn.
const TURN: Duration = Duration::from_millis(100);

/// Voice in a turn: sockets, streams on each, and packets of each. Two packets make a
/// flow; both ends see each.
const SOCKETS: u32 = 10;
const STREAMS: u32 = 5;
const PACKETS: u32 = 4;

/// Connections in a turn of this process, and in the life of a process that is started
/// in each turn. One in four of the former ends in good order and waits a minute for its
/// port; all others are cut off. So are ports enough.
const CONNECTIONS: u32 = 40;
const OF_A_PROCESS: u32 = 10;

/// Turns from one network namespace to the next: the kernel takes them down slowly.
const NAMESPACE_TURNS: u32 = 5;

/// Longest wait for bytes on loopback.
const PATIENCE: Duration = Duration::from_secs(10);

/// What has come and gone so far.
#[derive(Default, Debug)]
pub(crate) struct Made {
    pub(crate) streams: AtomicU64,
    pub(crate) packets: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) processes: AtomicU64,
    pub(crate) namespaces: AtomicU64,
}

impl fmt::Display for Made {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            to,
            "{} RTP streams of {PACKETS} packets, {} TCP connections, {} processes and {} \
             network namespaces came and went",
            self.streams.load(Relaxed),
            self.connections.load(Relaxed),
            self.processes.load(Relaxed),
            self.namespaces.load(Relaxed)
        )
    }
}

/// All kinds of it, each in a thread of its own.
pub(crate) struct Load {
    pub(crate) made: Arc<Made>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Load {
    pub(crate) fn start() -> Result<Self> {
        let server = serve()?;
        let mut load = Self { made: Arc::default(), stop: Arc::default(), threads: Vec::new() };
        load.each_turn(|made, _| talk(made));
        load.each_turn(move |made, _| {
            (0..CONNECTIONS).try_for_each(|number| connect(server, number % 4 != 0, made))
        });
        load.each_turn(move |made, _| connect_from_a_process(server.port(), made));
        load.each_turn(|made, turn| {
            if turn % NAMESPACE_TURNS == 0 { live_in_a_namespace(made) } else { Ok(()) }
        });
        Ok(load)
    }

    fn each_turn(&mut self, work: impl Fn(&Arc<Made>, u32) -> Result<()> + Send + 'static) {
        let (made, stop) = (Arc::clone(&self.made), Arc::clone(&self.stop));
        self.threads.push(thread::spawn(move || {
            let mut turn = 0;
            while !stop.load(Relaxed) {
                let begun = Instant::now();
                work(&made, turn)?;
                turn += 1;
                thread::sleep(TURN.saturating_sub(begun.elapsed()));
            }
            Ok(())
        }));
    }

    /// Waits for every turn that has begun, and says what was in its way.
    pub(crate) fn end(mut self) -> Result<Arc<Made>> {
        self.stop.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().map_err(|_| anyhow!("a thread of the load ended by itself"))??;
        }
        Ok(Arc::clone(&self.made))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

/// Streams that nobody had before, on sockets that nobody had before.
fn talk(made: &Made) -> Result<()> {
    static STREAM: AtomicU32 = AtomicU32::new(0x0c0f_fee0);
    let mut packet = Packet::new();
    let mut taken = [0; 1];
    for _ in 0..SOCKETS {
        let near = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let far = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        near.connect(far.local_addr()?)?;
        far.set_read_timeout(Some(PATIENCE))?;
        for _ in 0..STREAMS {
            let stream = STREAM.fetch_add(1, Relaxed);
            for turn in 0..PACKETS {
                near.send(packet.of(stream, turn))?;
                far.recv(&mut taken).context("a packet on loopback did not come")?;
            }
            made.streams.fetch_add(1, Relaxed);
            made.packets.fetch_add(PACKETS.into(), Relaxed);
        }
    }
    Ok(())
}

/// Answers a byte with a byte on each connection, and closes after the other end. It goes
/// with the process.
fn serve() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    Ok(address)
}

/// What goes wrong here, the client sees.
fn answer(mut stream: TcpStream) {
    let mut byte = [0];
    let _late = stream.set_read_timeout(Some(PATIENCE));
    while stream.read(&mut byte).is_ok_and(|length| length == 1) {
        if stream.write_all(&byte).is_err() {
            break;
        }
    }
}

/// One connection, with a byte there and back.
fn connect(server: SocketAddr, cut_off: bool, made: &Made) -> Result<()> {
    let mut stream = TcpStream::connect(server).context("cannot connect on loopback")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"x")?;
    stream.read_exact(&mut [0])?;
    if cut_off {
        abort_on_close(&stream)?;
    }
    made.connections.fetch_add(1, Relaxed);
    Ok(())
}

/// Makes close send an RST.
fn abort_on_close(stream: &TcpStream) -> Result<()> {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    // SAFETY: the kernel reads no more than the value.
    let result = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size_of_val(&linger) as libc::socklen_t,
        )
    };
    ensure!(result == 0, "SO_LINGER: {}", std::io::Error::last_os_error());
    Ok(())
}

/// A shell that connects a few times, and ends.
fn connect_from_a_process(port: u16, made: &Made) -> Result<()> {
    let script = format!(
        "for i in {{1..{OF_A_PROCESS}}}; do exec 3<>/dev/tcp/127.0.0.1/{port} && \
         printf x >&3 && read -r -n 1 -t 10 -u 3 && exec 3>&- || exit 1; done"
    );
    let status = Command::new("bash")
        .args(["-c", &script])
        .stdin(Stdio::null())
        .status()
        .context("cannot start bash: install it")?;
    ensure!(status.success(), "a shell could not connect on loopback");
    made.processes.fetch_add(1, Relaxed);
    made.connections.fetch_add(OF_A_PROCESS.into(), Relaxed);
    Ok(())
}

/// Voice and a connection in a namespace that lives as long as its thread and its sockets.
fn live_in_a_namespace(made: &Arc<Made>) -> Result<()> {
    let made = Arc::clone(made);
    let life = thread::spawn(move || {
        // SAFETY: the call changes this thread alone, which ends after this.
        let result = unsafe { libc::unshare(libc::CLONE_NEWNET) };
        ensure!(result == 0, "no new network namespace: {}", std::io::Error::last_os_error());
        let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
        ensure!(up.context("cannot start ip: install iproute2")?.success(), "lo stays down");
        talk(&made)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let near = TcpStream::connect(listener.local_addr()?)?;
        let (far, _) = listener.accept()?;
        for end in [near, far] {
            abort_on_close(&end)?;
        }
        made.connections.fetch_add(1, Relaxed);
        made.namespaces.fetch_add(1, Relaxed);
        Ok(())
    });
    life.join().map_err(|_| anyhow!("the thread of a namespace ended by itself"))?
}

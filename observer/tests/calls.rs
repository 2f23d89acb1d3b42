//! Calls that are under way when an observer starts, and calls that nobody asks about.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod peers {
    #[expect(dead_code, reason = "these tests ask for voice alone")]
    pub(crate) mod observer;
    pub(crate) mod patience;
}

use std::{
    collections::BTreeMap,
    env, fs,
    net::UdpSocket,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use peers::{
    observer::{Observer, PATIENCE},
    patience::until,
};

/// One test at a time: each sees the whole host.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_voice_flow_that_is_excluded_is_passed_over_until_a_reload() {
    let _turn = turn();
    let mut call = Call::new(0x7a26_0001);
    let ssrc = call.ssrc;
    let file = env::temp_dir().join(format!("observer-voice-{}.yaml", std::process::id()));
    let rules = |port: u16| format!("targets:\n  exclude:\n    - port: {port}\n");
    fs::write(&file, rules(port(&call.receiver))).unwrap();
    let observer = Observer::start(&["--config", file.to_str().unwrap()]);
    let has = |ends: &[(&str, u64)]| observer.packets(ssrc) == packets(ends);
    call.talk(10);
    until(PATIENCE, "the sender's flow", || has(&[("transmit", 10)]));
    thread::sleep(Duration::from_millis(500));
    call.talk(10);
    until(PATIENCE, "ten more", || has(&[("transmit", 20)]));

    // The other end from here on: what it sent before was passed over.
    fs::write(&file, rules(port(&call.sender))).unwrap();
    observer.signal(libc::SIGHUP);
    until(PATIENCE, "an end to it", || has(&[]));
    call.talk(10);
    until(PATIENCE, "the receiver's flow", || has(&[("receive", 10)]));
    assert!(observer.get("/readyz").contains("200 OK"));
    fs::remove_file(file).unwrap();
}

#[test]
fn a_call_in_progress_is_followed_from_its_next_packet_on() {
    let _turn = turn();
    let mut call = Call::new(0x7a26_0002);
    call.talk(50);
    for round in 0..3 {
        let observer = Observer::start(&[]);
        call.talk(20);
        let both = packets(&[("receive", 20), ("transmit", 20)]);
        until(PATIENCE, "both ends", || observer.packets(call.ssrc) == both);
        let lost = observer.flows(call.ssrc).iter().map(|flow| flow.lost).sum::<u64>();
        assert_eq!(lost, 0, "round {round}: what was missed is no loss");
        observer.signal(libc::SIGKILL);
        drop(observer);
        call.talk(10);
    }
}

/// A stream of RTP over loopback.
struct Call {
    ssrc: u32,
    sender: UdpSocket,
    receiver: UdpSocket,
    number: u16,
}

impl Call {
    fn new(ssrc: u32) -> Self {
        let [sender, receiver] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        Self { ssrc, sender, receiver, number: 0 }
    }

    /// Sends so many packets of 20 ms, at once.
    fn talk(&mut self, count: u16) {
        for number in self.number..self.number + count {
            let mut packet = [0xd5; 172];
            packet[..2].copy_from_slice(&[0x80, 8]);
            packet[2..4].copy_from_slice(&number.to_be_bytes());
            packet[4..8].copy_from_slice(&(u32::from(number) * 160).to_be_bytes());
            packet[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
            self.sender.send_to(&packet, self.receiver.local_addr().unwrap()).unwrap();
        }
        self.number += count;
    }
}

fn port(socket: &UdpSocket) -> u16 {
    socket.local_addr().unwrap().port()
}

fn packets(ends: &[(&str, u64)]) -> BTreeMap<String, u64> {
    ends.iter().map(|(direction, packets)| ((*direction).to_owned(), *packets)).collect()
}

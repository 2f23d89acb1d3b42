//! Voice over loopback.

use std::{io, net::UdpSocket, os::fd::AsRawFd as _, time::Duration};

use anyhow::{Context as _, Result, ensure};

use super::{clock::Clock, voice::Packet};

/// Packets sent before they are taken away at the other end: a receive buffer of the
/// default size holds them all.
const BATCH: u32 = 64;

/// Some flows on some pairs of sockets.
pub(crate) struct Rtp {
    pairs: Vec<(UdpSocket, UdpSocket)>,
    flows: u32,
    /// The flow whose turn it is.
    flow: u32,
    /// How many packets each flow before it has sent.
    turn: u32,
    packet: Packet,
}

impl Rtp {
    pub(crate) fn new(pairs: usize, flows: u32) -> Result<Self> {
        let pair = || {
            let receiver = UdpSocket::bind("127.0.0.1:0")?;
            receiver.set_nonblocking(true)?;
            let sender = UdpSocket::bind("127.0.0.1:0")?;
            sender.connect(receiver.local_addr()?)?;
            io::Result::Ok((sender, receiver))
        };
        let pairs = (0..pairs).map(|_| pair()).collect::<io::Result<Vec<_>>>()?;
        Ok(Self { pairs, flows, flow: 0, turn: 0, packet: Packet::new() })
    }

    /// Two packets of each flow in a row, which makes it one.
    pub(crate) fn confirm(&mut self) -> Result<()> {
        for flow in 0..self.flows {
            for turn in 0..2 {
                self.send_one(flow, turn)?;
            }
            if flow % (BATCH / 2) == 0 {
                self.receive();
            }
        }
        self.receive();
        self.turn = 2;
        Ok(())
    }

    /// Sends the next packets. Time is this thread's, in the send calls alone: on
    /// loopback that is the way out and the way in, to the receiver's queue.
    pub(crate) fn send(&mut self, count: u32) -> Result<Duration> {
        let mut time = Duration::ZERO;
        let (mut left, mut received) = (count, 0);
        while left > 0 {
            let batch = left.min(BATCH);
            let begun = Clock::THREAD.now();
            for _ in 0..batch {
                self.send_one(self.flow, self.turn)?;
                self.flow += 1;
                if self.flow == self.flows {
                    self.flow = 0;
                    self.turn += 1;
                }
            }
            time += Clock::THREAD.now().saturating_sub(begun);
            left -= batch;
            received += self.receive();
        }
        ensure!(received == count, "of {count} packets {received} arrived");
        Ok(time)
    }

    fn send_one(&mut self, flow: u32, turn: u32) -> Result<()> {
        let (sender, _) = &self.pairs[flow as usize % self.pairs.len()];
        sender.send(self.packet.of(0x5eed_0000 + flow, turn)).context("cannot send on loopback")?;
        Ok(())
    }

    /// Takes away what has come.
    fn receive(&self) -> u32 {
        let mut received = 0;
        let mut byte = [0_u8; 1];
        for (_, receiver) in &self.pairs {
            // SAFETY: the buffer is as long as said; the rest of a datagram is dropped.
            while unsafe { libc::recv(receiver.as_raw_fd(), byte.as_mut_ptr().cast(), 1, 0) } >= 0 {
                received += 1;
            }
        }
        received
    }
}

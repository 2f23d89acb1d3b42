//! Voice over loopback.

use std::{io, net::UdpSocket, os::fd::AsRawFd as _, time::Duration};

use anyhow::{Context as _, Result, ensure};

use super::tcp::thread_time;

/// RTP header and 20 ms of G.711.
const PACKET: usize = 172;

/// Ticks of 20 ms at 8 kHz.
const TICKS: u32 = 160;

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
    packet: [u8; PACKET],
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
        let mut packet = [0xd5; PACKET];
        // Version 2; payload type 8, G.711 A-law (RFC 3551 table 4).
        packet[..2].copy_from_slice(&[0x80, 8]);
        Ok(Self { pairs, flows, flow: 0, turn: 0, packet })
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
            let begun = thread_time();
            for _ in 0..batch {
                self.send_one(self.flow, self.turn)?;
                self.flow += 1;
                if self.flow == self.flows {
                    self.flow = 0;
                    self.turn += 1;
                }
            }
            time += thread_time().saturating_sub(begun);
            left -= batch;
            received += self.receive();
        }
        ensure!(received == count, "of {count} packets {received} arrived");
        Ok(time)
    }

    fn send_one(&mut self, flow: u32, turn: u32) -> Result<()> {
        self.packet[2..4].copy_from_slice(&(turn as u16).to_be_bytes());
        self.packet[4..8].copy_from_slice(&turn.wrapping_mul(TICKS).to_be_bytes());
        self.packet[8..12].copy_from_slice(&(0x5eed_0000 + flow).to_be_bytes());
        let (sender, _) = &self.pairs[flow as usize % self.pairs.len()];
        sender.send(&self.packet).context("cannot send on loopback")?;
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

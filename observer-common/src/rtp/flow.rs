//! One RTP stream: what came, what is missing, how evenly it came.

use super::{
    Header, Telling,
    bursts::{Bursts, Transitions},
    clock::Clock,
    clock_rate, delay, is_comfort_noise, is_dynamic, telling,
};

/// A step forward of fewer sequence numbers than this is loss, of more a jump
/// (RFC 3550 appendix A.1).
pub const MAX_DROPOUT: u16 = 3_000;
/// A step back of fewer sequence numbers than this is reordering or duplication,
/// of more a jump (RFC 3550 appendix A.1).
pub const MAX_MISORDER: u16 = 100;
/// A change of transit time beyond this many ns is a timestamp that was set
/// anew, not a delay: it is no sample of jitter.
const MAX_TRANSIT_CHANGE_NS: u64 = 5_000_000_000;
/// [`Flow::resync`] when no jump is being watched.
const NO_RESYNC: u32 = 1 << 16;
/// The last packet had no part in timing: the next difference means nothing.
const TIMING_BROKEN: u8 = 1;
/// [`Flow::look_ns`] when the payload type says what the clock is.
const NEVER: u64 = u64::MAX;
/// Packets of another payload type, each with a timestamp of its own, that make it the main
/// one. More telephone events in a row, with no audio between, hardly anyone dials.
const RUN_OF_A_CODEC: u8 = 8;
/// Shorter silences are not looked at, in ms.
pub const LEAST_SILENCE_MS: u64 = 1_000;

/// The state of one stream, kept up by [`Flow::advance`].
///
/// Sequence numbers are extended to 64 bits with a first cycle of 1, so that a
/// packet from before the first one has a number too. What every packet moves stands
/// first: memory is fetched in lines, and the rest is rarely wanted.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct Flow {
    /// Packets that belong to the sequence, duplicates and late ones among them.
    pub packets: u64,
    /// Their length and that of the strays: RTP header and payload, in bytes.
    pub bytes: u64,
    /// Arrival of the last packet of the sequence, in ns of the caller's clock.
    pub last_ns: u64,
    /// Highest extended sequence number.
    pub highest: u64,
    /// Which of the last 128 sequence numbers came: bit 0 of the first word is
    /// [`Flow::highest`].
    pub window: [u64; 2],
    /// Interarrival jitter (RFC 3550 appendix A.8) in 1/16 ns. In time and not in
    /// ticks, because a tick of 8 kHz is 125 µs, longer than the jitter of a
    /// local network.
    pub jitter_q4_ns: u64,
    /// Sum of the jitter after each sample, in ns.
    pub jitter_sum_ns: u64,
    /// Samples in [`Flow::jitter_sum_ns`].
    pub jitter_samples: u64,
    /// Largest jitter after a sample, in ns.
    pub jitter_max_ns: u64,
    /// Longest time between two packets, in ns.
    pub delta_max_ns: u64,
    /// Where the last packet stands above the least delay, in ns: see [`delay`].
    pub excess_ns: u64,
    /// When to look at the clock again, in ns of the caller's clock.
    pub look_ns: u64,
    /// Timestamp of the last packet of the main payload type, in ticks.
    pub timestamp: u32,
    /// Ticks a second.
    pub clock_rate: u32,
    /// The main payload type: that of the codec, and not of the events or the comfort
    /// noise among its packets.
    pub payload_type: u8,
    /// Bit 0: the next difference in timing means nothing.
    pub flags: u8,
    /// Payload type of the last packet that had another one.
    pub other_payload_type: u8,
    /// How many of those came in a row with a timestamp of their own.
    pub other_run: u8,
    /// Timestamp of the last of them.
    pub other_timestamp: u32,
    /// Packets that came a second time, within the last 128 sequence numbers.
    pub duplicates: u64,
    /// Packets that came after a later one (RFC 4737 section 3).
    pub reordered: u64,
    /// Single packets far from the sequence, which began no new one.
    pub strays: u64,
    /// Packets expected in the sequences before the last jump.
    pub expected_before: u64,
    /// Arrival of the first packet, in ns of the caller's clock.
    pub first_ns: u64,
    /// Lowest extended sequence number since the last jump.
    pub base: u64,
    /// Packets that no delay is known of: events, noise, repeats, and those from before the
    /// clock was corrected.
    pub untimed: u64,
    /// Sequence number that would confirm a jump; 2^16 when none would.
    pub resync: u32,
    /// Times the sequence jumped and went on from there.
    pub restarts: u32,
    /// Times without a packet of [`LEAST_SILENCE_MS`] and more in which packets were lost as fast
    /// as speech sends them. When a sender rests, by mute, hold or DTX, its sequence goes on
    /// where it stopped.
    pub silences: u32,
    /// How long the last of them was, in ms.
    pub silent_ms: u32,
    /// Late packets, by class: see [`delay`].
    pub late: [u32; delay::LATE_CLASSES],
    /// What is known of its clock.
    pub clock: Clock,
    /// Bursts of loss, as far as losses are settled: those that are 64 or more packets back.
    pub bursts: Bursts,
}

const _: () = assert!(size_of::<Flow>() == 288);

impl Flow {
    /// A flow of one packet of `length` bytes that arrived at `now_ns`.
    #[inline(always)]
    #[must_use]
    pub const fn new(first: &Header, length: u32, now_ns: u64) -> Self {
        let base = (1 << 16) | first.sequence as u64;
        let clock = Clock::new(first.timestamp, now_ns);
        Self {
            packets: 1,
            bytes: length as u64,
            last_ns: now_ns,
            highest: base,
            window: [1, 0],
            jitter_q4_ns: 0,
            jitter_sum_ns: 0,
            jitter_samples: 0,
            jitter_max_ns: 0,
            delta_max_ns: 0,
            excess_ns: 0,
            look_ns: if is_dynamic(first.payload_type) { clock.due_ns(now_ns) } else { NEVER },
            timestamp: first.timestamp,
            clock_rate: clock_rate(first.payload_type),
            payload_type: first.payload_type,
            flags: 0,
            other_payload_type: 0,
            other_run: 0,
            other_timestamp: 0,
            duplicates: 0,
            reordered: 0,
            strays: 0,
            expected_before: 0,
            first_ns: now_ns,
            base,
            untimed: 0,
            resync: NO_RESYNC,
            restarts: 0,
            silences: 0,
            silent_ms: 0,
            late: [0; delay::LATE_CLASSES],
            clock,
            bursts: Bursts::new(base),
        }
    }

    /// Takes in the next packet of `length` bytes, which arrived at `now_ns`.
    #[inline(always)]
    pub fn advance(&mut self, packet: &Header, length: u32, now_ns: u64) {
        self.bytes += u64::from(length);
        let ahead = packet.sequence.wrapping_sub(self.highest as u16);
        let behind = ahead.wrapping_neg();
        if ahead != 0 && ahead < MAX_DROPOUT {
            self.settle(u32::from(ahead));
            if ahead != 1 {
                self.mark_silence(u32::from(ahead) - 1, now_ns);
            }
            self.move_window(u32::from(ahead));
            self.highest += u64::from(ahead);
            self.packets += 1;
            self.time(packet, now_ns, Came::InOrder);
        } else if behind < MAX_MISORDER {
            self.packets += 1;
            let came = self.fill(u32::from(behind));
            self.time(packet, now_ns, came);
        } else if self.resync == u32::from(packet.sequence) {
            self.restart(packet, now_ns);
        } else {
            self.resync = u32::from(packet.sequence.wrapping_add(1));
            self.strays += 1;
        }
    }

    /// Packets that the sequence numbers call for.
    #[must_use]
    pub const fn expected(&self) -> u64 {
        self.expected_before + (self.highest - self.base) + 1
    }

    /// Packets expected that did not come. A duplicate makes up for nothing.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.packets - self.duplicates)
    }

    /// Interarrival jitter in ns (RFC 3550 section 6.4.1).
    #[must_use]
    pub const fn jitter_ns(&self) -> u64 {
        self.jitter_q4_ns >> 4
    }

    /// Whether the rate of its clock is known: its payload type says so, or its timestamps.
    #[must_use]
    pub const fn is_clock_known(&self) -> bool {
        !is_dynamic(self.payload_type) || self.clock.known != 0
    }

    /// Packets by how late they came: first those that were not late, then by class of
    /// [`delay`]. They add up to the packets of which a delay is known.
    #[must_use]
    pub fn delays(&self) -> [u64; delay::LATE_CLASSES + 1] {
        let mut all = [0; delay::LATE_CLASSES + 1];
        let mut late = 0;
        for (into, count) in all[1..].iter_mut().zip(self.late) {
            *into = u64::from(count);
            late += *into;
        }
        all[0] = self.packets.saturating_sub(self.untimed).saturating_sub(late);
        all
    }

    /// Bursts and gaps (RFC 3611 appendix A.2), of all losses to the last packet.
    #[must_use]
    pub fn transitions(&self) -> Transitions {
        let mut ended = *self;
        ended.settle(u64::BITS);
        ended.bursts.transitions(self.highest)
    }

    /// Two packets in a row, far from the rest: the sender began anew (RFC 3550
    /// appendix A.1). The first of them was taken for a stray.
    #[inline(always)]
    fn restart(&mut self, packet: &Header, now_ns: u64) {
        self.settle(u64::BITS);
        self.expected_before = self.expected();
        self.strays -= 1;
        self.packets += 2;
        self.untimed += 1;
        self.restarts += 1;
        let base = (1 << 16) + u64::from(packet.sequence.wrapping_sub(1));
        self.bursts.jump(self.highest, base);
        self.base = base;
        self.highest = base + 1;
        self.window = [0b11, 0];
        self.resync = NO_RESYNC;
        self.flags |= TIMING_BROKEN;
        self.time(packet, now_ns, Came::InOrder);
    }

    /// Marks the time since the last packet as a silence, if the `lost` packets since make it
    /// one: ten a second at least, which Opus at rest (2.5) and comfort noise do not send.
    #[inline(always)]
    fn mark_silence(&mut self, lost: u32, now_ns: u64) {
        let silent_ms = now_ns.saturating_sub(self.last_ns) / 1_000_000;
        if silent_ms >= LEAST_SILENCE_MS && u64::from(lost) * 100 >= silent_ms {
            self.silences += 1;
            self.silent_ms = silent_ms as u32;
        }
    }

    #[inline(always)]
    fn move_window(&mut self, by: u32) {
        let [recent, old] = self.window;
        self.window = match by {
            1..64 => [recent << by | 1, old << by | recent >> (64 - by)],
            64 => [1, recent],
            65..128 => [1, recent << (by - 64)],
            _ => [1, 0],
        };
    }

    /// Settles what will have left the first word of the window once it moved `by` sequence
    /// numbers: what is missing there is lost, for a packet that late is of no use.
    #[inline(always)]
    fn settle(&mut self, by: u32) {
        let mut leaving = self.window[0];
        if by == 1 && leaving >> 63 != 0 {
            return;
        }
        let mut sequence = self.highest.wrapping_sub(63);
        for at in 0..u64::BITS {
            if at >= by {
                return;
            }
            if leaving >> 63 == 0 && sequence >= self.base {
                self.bursts.lose(sequence, 1);
            }
            leaving <<= 1;
            sequence = sequence.wrapping_add(1);
        }
        if by > u64::BITS {
            self.bursts.lose(sequence, by - u64::BITS);
        }
    }

    /// Marks the packet `behind` the highest one as come.
    #[inline(always)]
    fn fill(&mut self, behind: u32) -> Came {
        let bit = 1 << (behind & 63);
        let word = if behind < 64 { &mut self.window[0] } else { &mut self.window[1] };
        let came_before = *word & bit != 0;
        *word |= bit;
        if came_before {
            self.duplicates += 1;
            return Came::Again;
        }
        self.reordered += 1;
        let sequence = self.highest - u64::from(behind);
        if sequence < self.base {
            self.bursts.widen(self.base, sequence);
            self.base = sequence;
        }
        Came::Late
    }

    /// RFC 3550 appendix A.8, in ns. Jitter follows every packet; its mean and
    /// maximum, and the longest gap, leave out what tshark leaves out, so that
    /// both can be compared: packets out of order and the first of a talkspurt.
    #[inline(always)]
    fn time(&mut self, packet: &Header, now_ns: u64, came: Came) {
        let arrival = now_ns.saturating_sub(self.last_ns);
        self.last_ns = now_ns;
        if packet.payload_type != self.payload_type {
            self.time_other(packet, now_ns);
            return;
        }
        let step = packet.timestamp.wrapping_sub(self.timestamp) as i32;
        let broken = self.flags & TIMING_BROKEN != 0;
        self.timestamp = packet.timestamp;
        self.flags = 0;
        let in_order = matches!(came, Came::InOrder);
        let talks = in_order && !packet.marker && !is_comfort_noise(packet.payload_type) && !broken;
        if talks && arrival > self.delta_max_ns {
            self.delta_max_ns = arrival;
        }
        // A capture's clock may leap to the end of time. Half of that is no delay either.
        let arrival = arrival & i64::MAX as u64;
        let media = ticks_to_ns(step.unsigned_abs(), self.clock_rate) as i64;
        let media = if step < 0 { -media } else { media };
        let change = (arrival as i64).saturating_sub(media);
        if broken || change.unsigned_abs() > MAX_TRANSIT_CHANGE_NS {
            self.untimed += 1;
            self.clock.begin(packet.timestamp, now_ns);
            return;
        }
        let difference = change.unsigned_abs();
        self.jitter_q4_ns = self.jitter_q4_ns + difference - ((self.jitter_q4_ns + 8) >> 4);
        if talks {
            let jitter = self.jitter_ns();
            self.jitter_sum_ns += jitter;
            self.jitter_samples += 1;
            if jitter > self.jitter_max_ns {
                self.jitter_max_ns = jitter;
            }
        }
        self.excess_ns = delay::advance(self.excess_ns, change, arrival);
        if matches!(came, Came::Again) {
            self.untimed += 1;
        } else if delay::is_late(self.excess_ns) {
            self.late[delay::class(self.excess_ns) & (delay::LATE_CLASSES - 1)] += 1;
        }
        if now_ns >= self.look_ns && in_order {
            self.look(packet, now_ns);
        }
    }

    /// A packet of another payload type than the main one has no part in its timing: comfort
    /// noise (RFC 3389) and telephone events (RFC 4733), whose timestamp stands still, are
    /// neither late nor jitter. It becomes the main one when nothing but a codec can have it:
    /// RFC 3551 gives it to one, or several packets in a row went on in time.
    #[inline(always)]
    fn time_other(&mut self, packet: &Header, now_ns: u64) {
        let goes_on =
            self.flags & TIMING_BROKEN != 0 && self.other_payload_type == packet.payload_type;
        if !goes_on {
            self.other_run = 1;
        } else if self.other_timestamp != packet.timestamp {
            self.other_run = self.other_run.saturating_add(1);
        }
        self.untimed += 1;
        self.other_payload_type = packet.payload_type;
        self.other_timestamp = packet.timestamp;
        self.flags = TIMING_BROKEN;
        let is_codec = match telling(packet.payload_type) {
            Telling::Nothing => false,
            Telling::Little => {
                is_comfort_noise(self.payload_type) || self.other_run >= RUN_OF_A_CODEC
            }
            Telling::Codec => true,
        };
        if is_codec {
            self.flags = 0;
            self.timestamp = packet.timestamp;
            self.payload_type = packet.payload_type;
            self.clock_rate = clock_rate(packet.payload_type);
            self.clock = Clock {
                corrections: self.clock.corrections,
                ..Clock::new(packet.timestamp, now_ns)
            };
            self.look_ns =
                if is_dynamic(packet.payload_type) { self.clock.due_ns(now_ns) } else { NEVER };
        }
    }

    /// Looks at the clock. When it is corrected, what was taken by the wrong one goes; the
    /// flow goes on.
    #[inline(always)]
    fn look(&mut self, packet: &Header, now_ns: u64) {
        if let Some(rate) = self.clock.look(self.clock_rate, packet.timestamp, now_ns) {
            // Of a zero that it knows the compiler makes a call of memset, and who holds a
            // lock of the kernel may call nothing.
            let zero = core::hint::black_box(0_u32);
            self.clock_rate = rate;
            self.jitter_q4_ns = zero.into();
            self.jitter_sum_ns = zero.into();
            self.jitter_samples = zero.into();
            self.jitter_max_ns = zero.into();
            self.excess_ns = zero.into();
            self.late = [zero; delay::LATE_CLASSES];
            self.untimed = self.packets;
        }
        self.look_ns = self.clock.due_ns(now_ns);
    }
}

/// How a packet of the sequence came.
enum Came {
    /// After all before it, as far as they came.
    InOrder,
    /// After a later one.
    Late,
    /// A second time.
    Again,
}

/// `ticks` of a clock of `rate` Hz in ns. The product fits: 2^31 × 10^9 < 2^61. No
/// clock stands still, but a division that could panic keeps the verifier out.
#[inline(always)]
fn ticks_to_ns(ticks: u32, rate: u32) -> u64 {
    (u64::from(ticks) * 1_000_000_000).checked_div(u64::from(rate)).unwrap_or(0)
}

#[cfg(test)]
mod tests;

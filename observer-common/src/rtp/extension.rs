//! Header extensions (RFC 8285) of one packet in so many: what SRTP leaves in the clear.
//!
//! Signalling gives each extension its number, and nobody shows us that. Their lengths and
//! how they change tell them apart: the audio level (RFC 6464) is one byte that changes, a
//! media identification (RFC 8843) one that never does; the transport-wide sequence number
//! is two bytes that grow; the absolute send time is three that keep time, a playout delay
//! three that stand still.

use super::{HEADER, delay};
use crate::bytes::{Bytes, is_zero, negative};

/// Every so manieth sequence number is looked at.
pub const SAMPLED: u16 = 16;

/// Elements that are walked. Browsers send three to six.
const MAX_ELEMENTS: u32 = 8;
/// Bytes of elements that are looked at, two words of 8.
const LOOKED_AT: u32 = 16;
/// Profile of one-byte headers (RFC 8285 section 4.2).
const ONE_BYTE: u32 = 0xbede;
/// Profile of two-byte headers, the application's four bits left out (section 4.3).
const TWO_BYTE: u32 = 0x1000;

/// Changes of value that make a one-byte element the audio level.
const LEVEL_CHANGES: u8 = 3;
/// Steps in a row that keep time, or grow, before an element is believed.
const PROOF: u8 = 3;
/// Largest step of a transport-wide sequence number between two samples.
const MAX_TRANSPORT_STEP: u16 = 1 << 13;
/// Ticks a second of the absolute send time: 6 bits of seconds, 18 of fraction.
const SEND_TICKS: u64 = 1 << 18;
/// The audio level of digital silence, in −dBov (RFC 6464 section 3).
const SILENCE: u8 = 127;

/// The elements of one packet that may mean something. 0 is no number of an element.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Elements {
    /// Number and value of the first element of one byte.
    pub byte: (u8, u8),
    /// And of the second.
    pub other_byte: (u8, u8),
    /// Number and value of the first element of two bytes.
    pub pair: (u8, u16),
    /// Number and value of the first element of three bytes.
    pub triple: (u8, u32),
    /// And of the second.
    pub other_triple: (u8, u32),
}

/// What the extensions of a stream's sampled packets have told. Two processors that carry one
/// stream may lose a sample to each other.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct Extensions {
    /// Largest delay by the absolute send time above the least of late, in ns.
    pub send_excess_max_ns: u64,
    /// Sum of those delays, in ns.
    pub send_excess_sum_ns: u64,
    /// That of the last sample, in ns.
    pub send_excess_ns: u64,
    /// Arrival of the last sample that had an absolute send time, in ns.
    pub send_arrival_ns: u64,
    /// Samples in [`Extensions::send_excess_sum_ns`].
    pub send_samples: u32,
    /// The last absolute send time, in its ticks.
    pub send_time: u32,
    /// Packets of the stream that came before the first sample that counts with a
    /// transport-wide number, or while there was none.
    pub transport_first_packets: u32,
    /// Packets of the stream at the last such sample.
    pub transport_last_packets: u32,
    /// From the number of the first such sample to that of the last.
    pub transport_span: u32,
    /// The number of the last.
    pub transport_last: u16,
    /// The element of the transport-wide number, and how far it is proved.
    pub transport_id: u8,
    /// See [`Extensions::transport_id`].
    pub transport_proof: u8,
    /// Samples with an audio level.
    pub level_samples: u32,
    /// Of these, how many the sender says hold voice (RFC 6464's V bit).
    pub level_voice: u32,
    /// Of these, how many were digital silence.
    pub level_silent: u32,
    /// Of these, how many were at the loudest level there is: 0 dBov, where speech clips.
    pub level_clipped: u32,
    /// Elements of one byte, and their last value and changes.
    pub byte_id: [u8; 2],
    /// See [`Extensions::byte_id`].
    pub byte_value: [u8; 2],
    /// See [`Extensions::byte_id`].
    pub byte_changes: [u8; 2],
    /// The element of the absolute send time, and how far it is proved.
    pub send_id: u8,
    /// See [`Extensions::send_id`].
    pub send_proof: u8,
}

const _: () = assert!(size_of::<Extensions>() == 80);

impl Elements {
    /// Reads the extension of the RTP packet at `payload`, of which the first word is
    /// `first`; `None` when it has none of a known form.
    #[inline(always)]
    pub fn read<B: Bytes>(packet: &B, payload: u32, first: u32) -> Option<Self> {
        let first = u32::from_be(first);
        if first >> 28 & 1 == 0 {
            return None;
        }
        let sources = first >> 24 & 0xf;
        let [head, a, b, c, d] = packet.words(payload + HEADER + 4 * sources)?;
        let head = u32::from_be(head);
        let is_short = head >> 16 == ONE_BYTE;
        if !is_short && head >> 20 != TWO_BYTE >> 4 {
            return None;
        }
        let pair = |high, low| u64::from(u32::from_be(high)) << 32 | u64::from(u32::from_be(low));
        let length = (head & 0xffff) * 4;
        let rest = if length < LOOKED_AT { length } else { LOOKED_AT };
        Some(Self::walk(packet, pair(a, b), pair(c, d), rest, is_short))
    }

    /// Walks `rest` bytes of elements. They are shifted through two registers: the verifiers
    /// of old kernels let nothing be indexed that lies on the stack. And without a branch: of
    /// a loop that has one they walk two to the power of its length. A mask is all ones or 0.
    #[inline(always)]
    fn walk<B: Bytes>(packet: &B, high: u64, low: u64, rest: u32, is_short: bool) -> Self {
        let short = packet.forget(0_u32.wrapping_sub(is_short.into()));
        let (mut high, mut low, mut rest) = (high, low, rest);
        let (mut byte, mut other_byte, mut pair) = (Found::NONE, Found::NONE, Found::NONE);
        let (mut triple, mut other_triple) = (Found::NONE, Found::NONE);
        for _ in 0..MAX_ELEMENTS {
            let first = (high >> 56) as u32;
            let second = (high >> 48) as u32 & 0xff;
            let is_element = !zero(packet, first); // else padding
            let id = (first >> 4 & short | first & !short) & is_element;
            let length = (((first & 0xf) + 1) & short | second & !short) & is_element;
            let skip = 1 + (1 & !short & is_element);
            let whole = skip + length;
            // An element beyond what is looked at, or the number that ends all (15).
            let fits = below(packet, whole, 8)
                & !below(packet, rest, whole)
                & !below(packet, rest, 2)
                & !(short & zero(packet, id ^ 15));
            let value = high << (8 * skip);
            let counts = fits & !zero(packet, id);
            let one = zero(packet, length ^ 1) & counts;
            let two = zero(packet, length ^ 2) & counts;
            let three = zero(packet, length ^ 3) & counts;
            let value_of = |bytes: u32| (value >> (64 - 8 * bytes)) as u32;
            let later = one & byte.put(packet, one, id, value_of(1));
            other_byte.put(packet, later, id, value_of(1));
            pair.put(packet, two, id, value_of(2));
            let later = three & triple.put(packet, three, id, value_of(3));
            other_triple.put(packet, later, id, value_of(3));
            let bits = (8 * whole) & 63;
            high = high << bits | (low >> 1) >> (63 - bits);
            low <<= bits;
            rest = rest.wrapping_sub(whole) & fits;
        }
        Self {
            byte: (byte.id as u8, byte.value as u8),
            other_byte: (other_byte.id as u8, other_byte.value as u8),
            pair: (pair.id as u8, pair.value as u16),
            triple: (triple.id as u8, triple.value),
            other_triple: (other_triple.id as u8, other_triple.value),
        }
    }
}

impl Elements {
    /// They in two numbers, for a function that takes no more.
    #[inline(always)]
    #[must_use]
    pub const fn packed(&self) -> [u64; 2] {
        let Self { byte, other_byte, pair, triple, other_triple } = *self;
        let small = (byte.0 as u64) << 48
            | (byte.1 as u64) << 40
            | (other_byte.0 as u64) << 32
            | (other_byte.1 as u64) << 24
            | (pair.0 as u64) << 16
            | pair.1 as u64;
        let large = (triple.0 as u64) << 56
            | (triple.1 as u64 & 0xff_ffff) << 32
            | (other_triple.0 as u64) << 24
            | other_triple.1 as u64 & 0xff_ffff;
        [small, large]
    }

    /// What was packed.
    #[inline(always)]
    #[must_use]
    pub const fn unpacked([small, large]: [u64; 2]) -> Self {
        Self {
            byte: ((small >> 48) as u8, (small >> 40) as u8),
            other_byte: ((small >> 32) as u8, (small >> 24) as u8),
            pair: ((small >> 16) as u8, small as u16),
            triple: ((large >> 56) as u8, (large >> 32) as u32 & 0xff_ffff),
            other_triple: ((large >> 24) as u8, large as u32 & 0xff_ffff),
        }
    }
}

/// [`is_zero`], of which the compiler does not see what it is: it would make a branch of it.
#[inline(always)]
fn zero<B: Bytes>(packet: &B, number: u32) -> u32 {
    packet.forget(is_zero(packet.forget(number)))
}

/// All ones where one number is below another, neither above 2^31, else 0; as [`zero`].
#[inline(always)]
fn below<B: Bytes>(packet: &B, number: u32, other: u32) -> u32 {
    packet.forget(negative(packet.forget(number.wrapping_sub(other))))
}

/// The first element of its kind.
#[derive(Clone, Copy)]
struct Found {
    id: u32,
    value: u32,
}

impl Found {
    const NONE: Self = Self { id: 0, value: 0 };

    /// Keeps an element where the mask says so, unless there is one; the mask of that.
    #[inline(always)]
    fn put<B: Bytes>(&mut self, packet: &B, mask: u32, id: u32, value: u32) -> u32 {
        let is_taken = !zero(packet, self.id);
        let mask = mask & !is_taken;
        self.id |= id & mask;
        self.value |= value & mask;
        is_taken
    }
}

impl Extensions {
    /// Nothing is known.
    pub const NONE: Self = Self {
        send_excess_max_ns: 0,
        send_excess_sum_ns: 0,
        send_excess_ns: 0,
        send_arrival_ns: 0,
        send_samples: 0,
        send_time: 0,
        transport_first_packets: 0,
        transport_last_packets: 0,
        transport_span: 0,
        transport_last: 0,
        transport_id: 0,
        transport_proof: 0,
        level_samples: 0,
        level_voice: 0,
        level_silent: 0,
        level_clipped: 0,
        byte_id: [0; 2],
        byte_value: [0; 2],
        byte_changes: [0; 2],
        send_id: 0,
        send_proof: 0,
    };

    /// Takes in the elements of a sampled packet, the `packets`th of its stream, that arrived
    /// at `now_ns`.
    #[inline(always)]
    pub fn advance(&mut self, elements: &Elements, packets: u64, now_ns: u64) {
        self.level(elements.byte);
        self.level(elements.other_byte);
        self.transport(elements.pair, packets as u32);
        let is_other = elements.other_triple.0 != 0 && elements.other_triple.0 == self.send_id;
        let sent = if is_other { elements.other_triple } else { elements.triple };
        if !self.sent(sent, now_ns) && self.send_proof == 0 {
            // It stands still, or anything but keeps time: the other one may be it.
            self.begin_sent(elements.other_triple, now_ns);
        }
    }

    #[inline(always)]
    fn level(&mut self, (id, value): (u8, u8)) {
        if id == 0 {
            return;
        }
        let is_first = self.byte_id[0] == id || self.byte_id[0] == 0;
        let at = usize::from(!is_first);
        if self.byte_id[at] != id {
            self.byte_id[at] = id;
            self.byte_changes[at] = 0;
        } else if self.byte_value[at] != value && self.byte_changes[at] < LEVEL_CHANGES {
            self.byte_changes[at] += 1;
        }
        self.byte_value[at] = value;
        if self.byte_changes[at] < LEVEL_CHANGES {
            return;
        }
        let level = value & 0x7f;
        self.level_samples += 1;
        self.level_voice += u32::from(value >> 7);
        self.level_silent += u32::from(level == SILENCE);
        self.level_clipped += u32::from(level == 0);
    }

    #[inline(always)]
    fn transport(&mut self, (id, number): (u8, u16), packets: u32) {
        if id == 0 {
            return;
        }
        let step = number.wrapping_sub(self.transport_last);
        self.transport_last = number;
        if self.transport_id != id || step == 0 || step > MAX_TRANSPORT_STEP {
            self.transport_id = id;
            self.transport_proof = 0;
            return;
        }
        if self.transport_proof < PROOF {
            self.transport_proof += 1;
            // What came since the number was last believed does not count.
            let apart = packets.wrapping_sub(self.transport_last_packets);
            self.transport_first_packets = self.transport_first_packets.wrapping_add(apart);
            self.transport_last_packets = packets;
            return;
        }
        self.transport_span = self.transport_span.wrapping_add(step.into());
        self.transport_last_packets = packets;
    }

    /// Begins to watch an element of three bytes.
    #[inline(always)]
    const fn begin_sent(&mut self, (id, time): (u8, u32), now_ns: u64) {
        self.send_id = id;
        self.send_time = time;
        self.send_arrival_ns = now_ns;
        self.send_proof = 0;
    }

    /// Whether it is the one that is watched, and kept time.
    #[inline(always)]
    fn sent(&mut self, (id, time): (u8, u32), now_ns: u64) -> bool {
        if id == 0 {
            return true;
        }
        if id != self.send_id {
            self.begin_sent((id, time), now_ns);
            return true;
        }
        let ticks = u64::from(time.wrapping_sub(self.send_time) & 0xff_ffff);
        let sent_ns = (ticks * 1_000_000_000) / SEND_TICKS;
        let arrival_ns = now_ns.wrapping_sub(self.send_arrival_ns);
        self.send_time = time;
        self.send_arrival_ns = now_ns;
        let off = arrival_ns.abs_diff(sent_ns);
        // Half a second late is far; more than its own time is no time at all.
        if ticks == 0 || off > 500_000_000 + arrival_ns / 4 || arrival_ns > 32_000_000_000 {
            self.send_proof = 0;
            self.send_excess_ns = 0;
            return false;
        }
        if self.send_proof < PROOF {
            self.send_proof += 1;
            return true;
        }
        let change = (arrival_ns as i64).wrapping_sub(sent_ns as i64);
        self.send_excess_ns = delay::advance(self.send_excess_ns, change, arrival_ns);
        self.send_samples += 1;
        self.send_excess_sum_ns += self.send_excess_ns;
        if self.send_excess_ns > self.send_excess_max_ns {
            self.send_excess_max_ns = self.send_excess_ns;
        }
        true
    }
}

#[cfg(test)]
mod tests;

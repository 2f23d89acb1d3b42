//! A packet at the socket: how it is read, and who looks at it.

use core::{arch::asm, mem::MaybeUninit};

use aya_ebpf::{
    bindings::{__sk_buff, bpf_sock},
    helpers::{bpf_get_socket_cookie, bpf_skb_load_bytes},
    programs::SkBuffContext,
};
use observer_common::{
    abi::loss::Count,
    bytes::Bytes,
    packet::{Ip, TCP, UDP},
};

use super::{ledger, stream, turn::Turn, voice};

/// Offsets up to here are tried by direct access. Everything that is read of a
/// packet without options lies below, and the verifier wants a bound.
const DIRECT: u32 = 96;

/// `AF_INET6`.
pub(super) const INET6: u32 = 10;

/// Loads 4 bytes at a constant offset from a pointer of the kernel's own. In
/// assembly, because a compiler that shares an address between two loads has done
/// arithmetic on it, and the verifier forbids that for sockets and contexts.
///
/// # Safety
/// The verifier proves the load, or refuses the program.
#[inline(always)]
pub(super) unsafe fn load_u32<const OFFSET: usize, T>(pointer: *const T) -> u32 {
    let value: u64;
    // SAFETY: the caller's.
    unsafe {
        asm!(
            "{value} = *(u32 *)({pointer} + {offset})",
            value = out(reg) value,
            pointer = in(reg) pointer,
            offset = const OFFSET,
            options(nostack, preserves_flags, pure, readonly),
        );
    }
    value as u32
}

/// A field of 4 bytes of a socket or context.
macro_rules! field {
    ($pointer:expr, $type:ty, $field:ident) => {
        $crate::kernel::skb::load_u32::<{ core::mem::offset_of!($type, $field) }, _>($pointer)
    };
}
pub(super) use field;

/// A field of 16 bytes: an IPv6 address.
macro_rules! address {
    ($pointer:expr, $type:ty, $field:ident) => {{
        const AT: usize = core::mem::offset_of!($type, $field);
        [
            $crate::kernel::skb::load_u32::<AT, _>($pointer),
            $crate::kernel::skb::load_u32::<{ AT + 4 }, _>($pointer),
            $crate::kernel::skb::load_u32::<{ AT + 8 }, _>($pointer),
            $crate::kernel::skb::load_u32::<{ AT + 12 }, _>($pointer),
        ]
    }};
}
pub(super) use address;

/// The packet of one run of a `cgroup_skb` program.
pub(super) struct Skb<'a> {
    /// For the helpers that want a context.
    pub(super) ctx: &'a SkBuffContext,
    skb: *mut __sk_buff,
    start: usize,
    end: usize,
}

impl<'a> Skb<'a> {
    #[inline(always)]
    pub(super) fn new(ctx: &'a SkBuffContext) -> Self {
        let skb = ctx.skb.skb;
        // SAFETY: the kernel hands every run a valid context.
        let (start, end) = unsafe { ((*skb).data, (*skb).data_end) };
        Self { ctx, skb, start: start as usize, end: end as usize }
    }

    /// The socket's cookie: one number for its whole life, in every namespace.
    #[inline(always)]
    pub(super) fn cookie(&self) -> u64 {
        // SAFETY: the context is valid.
        unsafe { bpf_get_socket_cookie(self.skb.cast()) }
    }

    /// The socket, if the packet has one.
    #[inline(always)]
    pub(super) fn socket(&self) -> Option<*mut bpf_sock> {
        // SAFETY: the context is valid.
        let socket = unsafe { (*self.skb).__bindgen_anon_2.sk };
        (!socket.is_null()).then_some(socket)
    }

    /// Size of the segments of an offloaded datagram; 0 for a single packet. Their number
    /// is no guide: it reads 0 where a tun or virtio device has put the datagram together.
    #[inline(always)]
    pub(super) fn segment_size(&self) -> u32 {
        // SAFETY: the context is valid.
        unsafe { field!(self.skb, __sk_buff, gso_size) }
    }
}

impl Bytes for Skb<'_> {
    /// Read where it is wanted: kept, it would take a slot of the stack.
    #[inline(always)]
    fn length(&self) -> u32 {
        // SAFETY: the context is valid.
        unsafe { field!(self.skb, __sk_buff, len) }
    }

    /// By the helper, which costs half a map look-up, and is one path.
    #[inline(always)]
    fn words<const N: usize>(&self, offset: u32) -> Option<[u32; N]> {
        let mut words = MaybeUninit::<[u32; N]>::uninit();
        // SAFETY: the helper fills exactly N words, or fails.
        unsafe {
            let failed = bpf_skb_load_bytes(
                self.skb.cast(),
                offset,
                words.as_mut_ptr().cast(),
                N as u32 * 4,
            );
            (failed == 0).then(|| words.assume_init())
        }
    }

    /// The helper clears what it cannot fill, so that nobody need ask.
    #[inline(always)]
    fn word(&self, offset: u32) -> u32 {
        let mut word = MaybeUninit::<u32>::uninit();
        // SAFETY: the helper writes the word, whether it fails or not.
        unsafe {
            let _failed = bpf_skb_load_bytes(self.skb.cast(), offset, word.as_mut_ptr().cast(), 4);
            word.assume_init()
        }
    }

    /// Cleared likewise.
    #[inline(always)]
    fn byte(&self, offset: u32) -> u8 {
        let mut byte = MaybeUninit::<u8>::uninit();
        // SAFETY: the helper writes the byte, whether it fails or not.
        unsafe {
            let _failed = bpf_skb_load_bytes(self.skb.cast(), offset, byte.as_mut_ptr().cast(), 1);
            byte.assume_init()
        }
    }

    /// Directly where the packet is linear, which costs next to nothing.
    #[inline(always)]
    fn head<const N: usize>(&self, offset: u32) -> Option<[u32; N]> {
        let from = self.start + offset as usize;
        if offset > DIRECT || from + N * 4 > self.end {
            return self.words(offset);
        }
        let mut words = [0; N];
        for (at, word) in words.iter_mut().enumerate() {
            // SAFETY: the verifier proves from the comparison above that the words lie
            // in the packet.
            *word = unsafe { load_u32::<0, _>((from + at * 4) as *const u8) };
        }
        Some(words)
    }

    /// The verifier follows values that are spilled to aligned slots of the stack; what lies in
    /// the second half of one it forgets, on every kernel. In assembly, or the compiler would
    /// make a slot of its own of the half.
    #[inline(always)]
    fn forget(&self, offset: u32) -> u32 {
        let mut slot = MaybeUninit::<u64>::uninit();
        let forgotten: u64;
        // SAFETY: the slot is valid, and is read as it was written.
        unsafe {
            asm!(
                "*(u32 *)({slot} + 4) = {offset}",
                "{forgotten} = *(u32 *)({slot} + 4)",
                slot = in(reg) slot.as_mut_ptr(),
                offset = in(reg) u64::from(offset),
                forgotten = lateout(reg) forgotten,
                options(nostack),
            );
        }
        forgotten as u32
    }
}

/// Looks at one packet.
#[inline(always)]
pub(super) fn observe<T: Turn, const DIRECTION: u8>(ctx: &SkBuffContext) {
    let skb = Skb::new(ctx);
    match Ip::parse(&skb) {
        Ok(ip) if ip.protocol == UDP => voice::observe::<T, DIRECTION>(&skb, &ip),
        Ok(ip) if ip.protocol == TCP => stream::observe::<T, DIRECTION>(&skb, &ip),
        Ok(_) => {}
        Err(why) => ledger::count_unparsed(why),
    }
}

/// The socket of a packet whose protocol asks for one.
#[inline(always)]
pub(super) fn socket_or_count(skb: &Skb<'_>) -> Option<*mut bpf_sock> {
    let socket = skb.socket();
    if socket.is_none() {
        ledger::count(Count::NoSocket);
    }
    socket
}

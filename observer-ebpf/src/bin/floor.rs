//! Programs that do next to nothing, to measure the others against: what a hook, a
//! clock, a read and a look-up cost on this kernel. For the host this is an empty
//! program. `cargo xtask bench kernel` attaches them; the observer never does.
//!
//! They take every packet for RTP over UDP over IPv4 without options, for that is
//! what the measurement sends.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
#[expect(
    clippy::needless_borrows_for_generic_args,
    reason = "by reference, as the programs that are measured against these"
)]
mod kernel {
    use core::mem::MaybeUninit;

    use aya_ebpf::{
        bindings::BPF_ANY,
        btf_maps::HashMap,
        helpers::{bpf_get_socket_cookie, bpf_ktime_get_ns, bpf_skb_load_bytes},
        macros::{btf_map, cgroup_skb},
        programs::SkBuffContext,
    };
    use observer_common::{
        abi::{Candidate, FlowEntry, FlowKey, RECEIVE, TRANSMIT},
        packet::mapped,
    };

    /// What a `cgroup_skb` program returns to let a packet pass.
    const PASS: i32 = 1;

    /// Words of an IPv4, a UDP and an RTP header.
    const WORDS: usize = 10;
    const SOURCE: usize = 3;
    const DESTINATION: usize = 4;
    const PORTS: usize = 5;
    const SSRC: usize = 9;

    /// A flow of which nothing is known. In `.rodata`, for the stack is small.
    static NOTHING: Candidate = Candidate::EMPTY;

    /// Entries as large and as many as those of `FLOWS`, found by their key.
    #[btf_map]
    static STATES: HashMap<FlowKey, FlowEntry, 65536> = HashMap::new();

    /// The hook alone.
    #[cgroup_skb(ingress)]
    pub(crate) fn empty_ingress(_ctx: SkBuffContext) -> i32 {
        PASS
    }

    /// The hook alone.
    #[cgroup_skb(egress)]
    pub(crate) fn empty_egress(_ctx: SkBuffContext) -> i32 {
        PASS
    }

    /// One look at the clock.
    #[cgroup_skb(ingress)]
    pub(crate) fn clock_ingress(_ctx: SkBuffContext) -> i32 {
        now();
        PASS
    }

    /// One look at the clock.
    #[cgroup_skb(egress)]
    pub(crate) fn clock_egress(_ctx: SkBuffContext) -> i32 {
        now();
        PASS
    }

    /// The headers, by direct access.
    #[cgroup_skb(ingress)]
    pub(crate) fn direct_ingress(ctx: SkBuffContext) -> i32 {
        direct(&ctx);
        PASS
    }

    /// The headers, by direct access.
    #[cgroup_skb(egress)]
    pub(crate) fn direct_egress(ctx: SkBuffContext) -> i32 {
        direct(&ctx);
        PASS
    }

    /// The headers, by the helper.
    #[cgroup_skb(ingress)]
    pub(crate) fn load_ingress(ctx: SkBuffContext) -> i32 {
        load(&ctx);
        PASS
    }

    /// The headers, by the helper.
    #[cgroup_skb(egress)]
    pub(crate) fn load_egress(ctx: SkBuffContext) -> i32 {
        load(&ctx);
        PASS
    }

    /// The least that can know a flow: its key, the clock, one look-up, one store.
    #[cgroup_skb(ingress)]
    pub(crate) fn floor_ingress(ctx: SkBuffContext) -> i32 {
        floor(&ctx, RECEIVE, SOURCE);
        PASS
    }

    /// The least that can know a flow: its key, the clock, one look-up, one store.
    #[cgroup_skb(egress)]
    pub(crate) fn floor_egress(ctx: SkBuffContext) -> i32 {
        floor(&ctx, TRANSMIT, DESTINATION);
        PASS
    }

    #[inline(always)]
    fn now() -> u64 {
        // SAFETY: the helper has no preconditions.
        unsafe { bpf_ktime_get_ns() }
    }

    #[inline(always)]
    fn direct(ctx: &SkBuffContext) -> Option<[u32; WORDS]> {
        let skb = ctx.skb.skb;
        // SAFETY: the kernel hands every run a valid context.
        let (start, end) = unsafe { ((*skb).data as usize, (*skb).data_end as usize) };
        if start + WORDS * 4 > end {
            return None;
        }
        let mut words = [0; WORDS];
        for (at, word) in words.iter_mut().enumerate() {
            // SAFETY: the verifier proves from the comparison above that the words lie
            // in the packet. Volatile, so that words that nobody needs are read too.
            *word = unsafe { (start as *const u32).add(at).read_volatile() };
        }
        Some(words)
    }

    #[inline(always)]
    fn load(ctx: &SkBuffContext) {
        let mut words = MaybeUninit::<[u32; WORDS]>::uninit();
        // SAFETY: the helper writes that many bytes.
        unsafe {
            bpf_skb_load_bytes(ctx.skb.skb.cast(), 0, words.as_mut_ptr().cast(), WORDS as u32 * 4);
        }
    }

    #[inline(always)]
    fn floor(ctx: &SkBuffContext, direction: u8, peer: usize) {
        let Some(words) = direct(ctx) else { return };
        let ports = u32::from_be(words[PORTS]);
        let key = FlowKey {
            // SAFETY: the context is valid.
            cookie: unsafe { bpf_get_socket_cookie(ctx.skb.skb.cast()) },
            peer: mapped(words[peer]),
            ssrc: words[SSRC],
            peer_port: if direction == RECEIVE { (ports >> 16) as u16 } else { ports as u16 },
            direction,
            reserved: 0,
        };
        let now = now();
        let Some(entry) = STATES.get_ptr_mut(&key) else {
            // SAFETY: both types have one layout, and every bit pattern is a value.
            let nothing = unsafe { &*(&raw const NOTHING).cast::<FlowEntry>() };
            // A table that is full leaves the flow out; the test of the budgets would see
            // a floor that costs more than what stands on it.
            let _full = STATES.insert(&key, nothing, u64::from(BPF_ANY));
            return;
        };
        // SAFETY: the entry is never freed, for the map is preallocated.
        unsafe { (&raw mut (*entry).flow.last_ns).write_volatile(now) };
    }

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        loop {}
    }

    /// As that of the observer's programs.
    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}

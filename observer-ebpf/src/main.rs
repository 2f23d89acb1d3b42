//! The observer's eBPF programs. For the host this is an empty program;
//! `observer/build.rs` builds it for the kernel.
//!
//! Every program only looks: it returns "pass" on every path, writes to nothing
//! but its own maps, and sends nothing per packet.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]

#[cfg(target_arch = "bpf")]
mod kernel {
    mod maps;

    mod ledger;

    mod skb;

    #[expect(
        clippy::needless_borrows_for_generic_args,
        reason = "by value, a key is copied to a stack that has no room for it"
    )]
    mod flows;

    #[expect(
        clippy::needless_borrows_for_generic_args,
        reason = "by value, a key is copied to a stack that has no room for it"
    )]
    mod voice;

    #[expect(
        clippy::needless_borrows_for_generic_args,
        reason = "by value, a key is copied to a stack that has no room for it"
    )]
    mod sample;

    #[expect(
        clippy::needless_borrows_for_generic_args,
        reason = "by value, a key is copied to a stack that has no room for it"
    )]
    mod path;

    mod frames;

    mod turn;

    mod stream;

    mod sockops;

    mod creator;

    use aya_ebpf::{
        macros::{cgroup_skb, cgroup_sock, sock_ops},
        programs::{SkBuffContext, SockContext, SockOpsContext},
    };
    use observer_common::abi;
    use turn::{Exchanged, Locked};

    /// What a program returns to let a packet, or a socket, pass.
    const PASS: i32 = 1;

    /// Every packet that a socket of the host receives.
    #[cgroup_skb(ingress)]
    pub(crate) fn ingress(ctx: SkBuffContext) -> i32 {
        skb::observe::<Exchanged, { abi::RECEIVE }>(&ctx);
        PASS
    }

    /// Every packet that a socket of the host sends.
    #[cgroup_skb(egress)]
    pub(crate) fn egress(ctx: SkBuffContext) -> i32 {
        skb::observe::<Exchanged, { abi::TRANSMIT }>(&ctx);
        PASS
    }

    /// [`ingress`] for kernels before 5.12.
    #[cgroup_skb(ingress)]
    pub(crate) fn ingress_locked(ctx: SkBuffContext) -> i32 {
        skb::observe::<Locked, { abi::RECEIVE }>(&ctx);
        PASS
    }

    /// [`egress`] for kernels before 5.12.
    #[cgroup_skb(egress)]
    pub(crate) fn egress_locked(ctx: SkBuffContext) -> i32 {
        skb::observe::<Locked, { abi::TRANSMIT }>(&ctx);
        PASS
    }

    /// The life of a TCP connection. Not named after its section: one name cannot be both.
    #[sock_ops]
    pub(crate) fn lifecycle(ctx: SockOpsContext) -> u32 {
        sockops::observe(&ctx);
        PASS as u32
    }

    /// A socket of an IP protocol, as it is made.
    #[cgroup_sock(sock_create)]
    pub(crate) fn socket_create(ctx: SockContext) -> i32 {
        creator::create(&ctx);
        PASS
    }

    /// A socket of an IP protocol, as its last descriptor is closed.
    #[cgroup_sock(sock_release)]
    pub(crate) fn socket_release(ctx: SockContext) -> i32 {
        creator::release(&ctx);
        PASS
    }

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        loop {}
    }

    /// The helpers that 5.10 reserves for GPL programs are used by none, but the
    /// kernel wants a licence, and this string is its name for ours.
    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}

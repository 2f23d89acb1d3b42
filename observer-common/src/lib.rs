//! What the kernel and the host share: the ABI of the maps, and the protocol
//! state machines. The eBPF programs, `observer replay`, the tests and the
//! fuzzers all run these lines.
//!
//! Everything here takes bytes and the time as arguments, allocates nothing and
//! holds no reference: a state is a plain `repr(C)` value that lives in a map.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod bytes;
pub mod packet;

pub mod dtls;
pub mod rtcp;
pub mod stun;
pub mod turn;

pub mod demux;

pub mod path;

pub mod rtp;

pub mod framing;

pub mod abi;

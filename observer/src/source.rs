//! Where measurements come from.

pub mod cause;
pub mod ebpf;
pub mod owner;
pub mod pcap;
pub mod process;

//! Where measurements come from.

pub mod ebpf;
pub mod owner;
pub mod pcap;
pub mod process;

//! Where measurements come from.

pub mod ebpf;
pub mod pcap;
pub mod process;

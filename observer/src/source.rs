//! Where measurements come from.

pub mod ebpf;
pub mod pcap;

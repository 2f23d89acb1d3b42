//! Where measurements come from.

pub mod ebpf;

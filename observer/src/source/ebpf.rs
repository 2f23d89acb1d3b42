//! The kernel: loading the programs, attaching them, reading their maps.

pub mod cgroup;

pub mod privilege;

pub mod probe;

pub mod table;

pub mod flows;

pub mod load;

pub mod namespace;

pub mod diag;

pub mod adopt;

pub mod paths;

pub mod read;

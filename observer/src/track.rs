//! What user space keeps of flows and connections between two readings.

pub mod capture;
pub mod connections;
pub mod voice;

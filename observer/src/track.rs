//! What user space keeps of flows and connections between two readings.

pub mod capture;
pub mod connections;
pub mod forwarding;
pub mod moves;
pub mod paths;
pub mod services;
pub mod targets;
pub mod voice;

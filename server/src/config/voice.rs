//! Of calls.

use std::{
    net::{IpAddr, SocketAddr},
    num::{NonZeroU8, NonZeroU32},
    time::Duration,
};

use super::ConfigError;

/// Of calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voice {
    /// Where voice is heard, over UDP: the first of its ports.
    pub listen: SocketAddr,
    /// How many ports there are.
    pub ports: NonZeroU8,
    /// Where clients are told to reach it; none means where it is heard.
    pub advertise: Vec<IpAddr>,
    /// Of a room, how many are heard at once.
    pub speakers: NonZeroU8,
    /// How many there may be in all rooms.
    pub sessions: NonZeroU32,
    /// Of a client that connects, or is lost.
    pub timeout: Duration,
}

impl Voice {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let (ports, from) = (self.ports, self.listen.port());
        // From port 0 on, the system chooses.
        if from.checked_add(u16::from(ports.get()) - 1).is_none() {
            return Err(ConfigError::Ports { ports, from });
        }
        let is_one = |ip: &&IpAddr| ip.is_unspecified() || ip.is_multicast();
        self.advertise.iter().find(is_one).map_or(Ok(()), |ip| Err(ConfigError::Advertise(*ip)))
    }
}

//! What is measured: keys, flows, connections, and the counts of what was not.

mod address;
mod cause;
mod clock;
mod connection;
mod cost;
mod flow;
mod loss;
mod owner;
mod path;
mod place;

pub use address::{Endpoint, address_words};
pub use cause::{HostCauses, ListenDrops, Softnet, Throttling, UdpErrors};
pub use clock::WallClock;
pub use connection::{CloseReason, Connection, ConnectionKey, Role, Totals};
pub use cost::{MapFill, ProbeCost, ProcessUsage};
pub use flow::{Direction, FarLoss, HopDelay, Transport, VoiceFlow, VoiceKey, VoiceKind};
pub use loss::Losses;
pub use owner::{Creator, Labels, Owner, ServiceId};
pub use path::{
    FlowReport, IceSession, PathFigures, PathKey, Phase, RttSource, SettingUp, VoicePath,
};
pub use place::{Container, Place, Runtime};

/// The kernel's number of a socket (`SO_COOKIE`): the same for its whole life and in
/// every network namespace, never used twice until the next boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketCookie(pub u64);

//! Two hosts that face each other: a namespace each, and addresses.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    process::id,
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use super::{
    namespace::{Namespace, ip},
    patience::until,
};

/// The device of each end.
pub(crate) const DEVICE: &str = "wire";

/// Longest wait for a device that was set up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pairs that this process has made.
static MADE: AtomicU16 = AtomicU16::new(0);

/// Two namespaces and the addresses they know each other by. The addresses differ
/// from pair to pair, so that a figure of one cannot be taken for one of another.
#[derive(Debug)]
pub(crate) struct Ends {
    /// Where senders and clients are.
    pub(crate) near: Namespace,
    /// Where receivers and servers are.
    pub(crate) far: Namespace,
    /// Address of the near end.
    pub(crate) near_v4: IpAddr,
    /// Address of the far end.
    pub(crate) far_v4: IpAddr,
    /// The same, of the other family.
    pub(crate) near_v6: IpAddr,
    /// The same, of the other family.
    pub(crate) far_v6: IpAddr,
}

impl Ends {
    /// Two ends with nothing between them yet.
    pub(crate) fn apart() -> Self {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let [_, _, high, low] = id().to_be_bytes();
        let v4 = |last| IpAddr::V4(Ipv4Addr::new(10, high, low, number as u8 * 4 + last));
        let v6 = |last| {
            let process = id() as u16;
            IpAddr::V6(Ipv6Addr::new(0xfd00, process, number, 0, 0, 0, 0, last))
        };
        Self {
            near: Namespace::new("near"),
            far: Namespace::new("far"),
            near_v4: v4(1),
            far_v4: v4(2),
            near_v6: v6(1),
            far_v6: v6(2),
        }
    }

    /// Two ends of a virtual Ethernet cable.
    pub(crate) fn by_cable() -> Self {
        let ends = Self::apart();
        let (near, far) = (ends.near.name(), ends.far.name());
        ip(&[
            "link", "add", DEVICE, "netns", near, "type", "veth", "peer", "name", DEVICE, "netns",
            far,
        ]);
        ends.address();
        // The kernel says so up to a second late, and until then libnice does not see the device.
        for namespace in [&ends.near, &ends.far] {
            let link = ["ip", "link", "show", DEVICE];
            until(PATIENCE, "the cable", || namespace.run(&link).contains("state UP"));
        }
        ends
    }

    /// Gives the devices their addresses, and sets them up.
    pub(crate) fn address(&self) {
        for (namespace, v4, v6) in
            [(&self.near, self.near_v4, self.near_v6), (&self.far, self.far_v4, self.far_v6)]
        {
            namespace.run(&["ip", "address", "add", &format!("{v4}/30"), "dev", DEVICE]);
            let v6 = format!("{v6}/64");
            namespace.run(&["ip", "address", "add", &v6, "dev", DEVICE, "nodad"]);
            namespace.run(&["ip", "link", "set", DEVICE, "up"]);
        }
    }
}

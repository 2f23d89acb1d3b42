//! The other end of a connection.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its address, never told to anyone.
    pub address: SocketAddr,
    /// `SO_COOKIE` of our end, by which the kernel's figures are found.
    pub cookie: Option<u64>,
}

impl Peer {
    /// Whose a request is: behind a proxy, what that says.
    pub(super) fn ip(&self, headers: &HeaderMap, trusts_forwarded: bool) -> IpAddr {
        let forwarded = || {
            let last = headers.get_all("x-forwarded-for").iter().next_back()?;
            last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
        };
        trusts_forwarded.then(forwarded).flatten().unwrap_or(self.address.ip())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_believed_only_where_it_is_trusted() {
        let peer = Peer { address: ([192, 0, 2, 1], 5).into(), cookie: None };
        let mut headers = HeaderMap::new();
        assert_eq!(peer.ip(&headers, true), peer.address.ip());
        headers.append("x-forwarded-for", "198.51.100.1, 198.51.100.2".parse().unwrap());
        headers.append("x-forwarded-for", "203.0.113.9".parse().unwrap());
        assert_eq!(peer.ip(&headers, true), IpAddr::from([203, 0, 113, 9]));
        assert_eq!(peer.ip(&headers, false), peer.address.ip());
        headers.append("x-forwarded-for", "nonsense".parse().unwrap());
        assert_eq!(peer.ip(&headers, true), peer.address.ip());
    }
}

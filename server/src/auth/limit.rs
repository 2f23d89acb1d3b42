//! How often one may try.

use std::{hash::Hash, net::IpAddr, num::NonZeroU32, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    state::keyed::DefaultKeyedStateStore,
};

use crate::problem::Problem;

/// So much a minute for each key, as evenly as one likes.
pub(super) struct Limiter<K: Clone + Eq + Hash>(
    RateLimiter<K, DefaultKeyedStateStore<K>, DefaultClock>,
);

impl<K: Clone + Eq + Hash> Limiter<K> {
    pub(super) fn per_minute(most: NonZeroU32) -> Self {
        Self(RateLimiter::keyed(Quota::per_minute(most)))
    }

    /// Takes one, or says how long to wait for it.
    pub(super) fn take(&self, key: &K) -> Result<(), Duration> {
        let clock = DefaultClock::default();
        self.0.check_key(key).map_err(|until| until.wait_time_from(clock.now()))
    }

    /// Forgets who has all of it again.
    pub(super) fn tidy(&self) {
        self.0.retain_recent();
    }
}

/// So much a minute for each user.
pub struct Limit(Limiter<i64>);

impl Limit {
    /// Of that much.
    #[must_use]
    pub fn per_minute(most: NonZeroU32) -> Self {
        Self(Limiter::per_minute(most))
    }

    /// Takes one.
    ///
    /// # Errors
    /// [`Problem::TooOften`].
    pub fn take(&self, user: i64) -> Result<(), Problem> {
        self.0.take(&user).map_err(Problem::TooOften)
    }

    /// Forgets who has all of it again.
    pub fn tidy(&self) {
        self.0.tidy();
    }
}

/// Whose requests are counted together: an IPv4 address, or the 64 bits of IPv6 that a
/// household has to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Network(u128);

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(u128::from(u32::from(address))),
            IpAddr::V6(address) => Self(u128::from(address) & !u128::from(u64::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own() {
        let limiter = Limiter::per_minute(NonZeroU32::new(2).unwrap());
        assert_eq!([limiter.take(&1), limiter.take(&1), limiter.take(&2)], [Ok(()); 3]);
        let wait = limiter.take(&1).unwrap_err();
        assert!((20..=30).contains(&wait.as_secs()), "{wait:?}");
    }

    #[test]
    fn a_household_is_one_network() {
        let of = |text: &str| Network::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}

//! Whose a datagram is: many sessions share a port.
//!
//! Media belongs to the session that has proven by a check of ICE that its address is its
//! own. A check names its session, and an answer to ours repeats a number that we made up.
//! So whatever is sent here, no search is longer than one look.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    time::{Duration, Instant},
};

/// Who proved that an address is theirs keeps it while heard from within this time: a check
/// that is overheard and sent again from the address of another takes nothing away.
const KEPT: Duration = Duration::from_secs(2);

/// How long an answer to a check of ours may take. It is repeated and given up before.
const ANSWER: Duration = Duration::from_secs(10);

/// Addresses that a session may have proven. One in use is heard from all the time, so what gives
/// way to another is none: a client moves now and then, and who sends checks from everywhere is
/// up to no good.
const ADDRESSES: usize = 16;

/// A check's number: RFC 8489, section 5.
type Transaction = [u8; 12];

/// Whose what is. Sessions are numbers that are used again, so each is to be forgotten.
#[derive(Debug, Default)]
pub(super) struct Demux {
    addresses: HashMap<SocketAddr, Owner>,
    /// By session, the same.
    proven: HashMap<usize, Vec<SocketAddr>>,
    /// By our part of the name that checks bear.
    names: HashMap<String, usize>,
    checks: HashMap<Transaction, usize>,
    /// The same, oldest first.
    sent: VecDeque<(Instant, Transaction)>,
}

#[derive(Debug)]
struct Owner {
    who: usize,
    heard: Instant,
}

/// What a datagram is, by RFC 7983.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A check of ICE that asks something.
    Check,
    /// An answer to one.
    Answer(Transaction),
    /// DTLS, RTP or RTCP, of whoever has the address.
    Media {
        /// Whether it is RTP.
        is_rtp: bool,
    },
}

impl Kind {
    /// Nothing when it is nothing that belongs here.
    pub(super) fn of(datagram: &[u8]) -> Option<Self> {
        match *datagram {
            [0..=1, kind, ..] if datagram.len() >= 20 => {
                // RFC 8489, section 5: the class is in bits 4 and 8.
                let is_answer = datagram[0] & 1 == 1;
                let transaction = datagram.get(8..20)?.try_into().ok()?;
                match (is_answer, kind & 0x10 != 0) {
                    (false, false) => Some(Self::Check),
                    (true, _) => Some(Self::Answer(transaction)),
                    (false, true) => None,
                }
            }
            [20..=63, ..] => Some(Self::Media { is_rtp: false }),
            // RFC 5761, section 4.
            [128..=191, kind, ..] if datagram.len() >= 12 => {
                Some(Self::Media { is_rtp: !(192..=223).contains(&kind) })
            }
            [128..=191, 192..=223, ..] if datagram.len() >= 8 => {
                Some(Self::Media { is_rtp: false })
            }
            _ => None,
        }
    }
}

impl Demux {
    /// A session whose checks bear this name.
    pub(super) fn name(&mut self, name: String, who: usize) {
        self.names.insert(name, who);
    }

    /// Whose checks bear this name.
    pub(super) fn named(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// A session sends a check.
    pub(super) fn asks(&mut self, check: &[u8], who: usize, now: Instant) {
        let Some(transaction) = check.get(8..20).and_then(|all| Transaction::try_from(all).ok())
        else {
            return;
        };
        self.checks.insert(transaction, who);
        self.sent.push_back((now, transaction));
        while let Some((sent, old)) = self.sent.front()
            && now.saturating_duration_since(*sent) > ANSWER
        {
            self.checks.remove(old);
            self.sent.pop_front();
        }
    }

    /// Who asked.
    pub(super) fn asked(&self, transaction: &Transaction) -> Option<usize> {
        self.checks.get(transaction).copied()
    }

    /// A session has proven that an address is its own. False when another's it is.
    pub(super) fn proves(&mut self, address: SocketAddr, who: usize, now: Instant) -> bool {
        if let Some(owner) = self.addresses.get_mut(&address) {
            if owner.who == who {
                owner.heard = now;
                return true;
            }
            if now.saturating_duration_since(owner.heard) < KEPT {
                return false;
            }
            let before = owner.who;
            self.proven.entry(before).or_default().retain(|of| *of != address);
        }
        let proven = self.proven.entry(who).or_default();
        if proven.len() >= ADDRESSES {
            let heard = |at: &usize| self.addresses.get(&proven[*at]).map(|owner| owner.heard);
            if let Some(stalest) = (0..proven.len()).min_by_key(heard) {
                self.addresses.remove(&proven.swap_remove(stalest));
            }
        }
        proven.push(address);
        self.addresses.insert(address, Owner { who, heard: now });
        true
    }

    /// Whose an address is.
    pub(super) fn owner(&self, address: &SocketAddr) -> Option<usize> {
        self.addresses.get(address).map(|owner| owner.who)
    }

    /// What came from an address was its owner's: it decrypted.
    pub(super) fn is_well(&mut self, address: &SocketAddr, now: Instant) {
        if let Some(owner) = self.addresses.get_mut(address) {
            owner.heard = now;
        }
    }

    /// A session is gone.
    pub(super) fn forget(&mut self, who: usize) {
        for address in self.proven.remove(&who).unwrap_or_default() {
            self.addresses.remove(&address);
        }
        self.names.retain(|_, of| *of != who);
        self.checks.retain(|_, of| *of != who);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(class: [u8; 2], number: u8) -> Vec<u8> {
        let mut check = vec![class[0], class[1], 0, 0, 0x21, 0x12, 0xA4, 0x42];
        check.extend([number; 12]);
        check
    }

    #[test]
    fn a_datagram_is_told_by_its_first_bytes() {
        let of = Kind::of;
        assert_eq!(of(&check([0, 1], 7)), Some(Kind::Check));
        assert_eq!(of(&check([1, 1], 7)), Some(Kind::Answer([7; 12])));
        assert_eq!(of(&check([1, 0x11], 7)), Some(Kind::Answer([7; 12])));
        assert_eq!(of(&check([0, 0x11], 7)), None, "an indication asks nothing");
        assert_eq!(of(&check([0, 1], 7)[..19]), None);
        assert_eq!(of(&[22, 254, 253]), Some(Kind::Media { is_rtp: false }));
        assert_eq!(of(&[128; 12]), Some(Kind::Media { is_rtp: true }));
        assert_eq!(of(&[128; 11]), None);
        assert_eq!(of(&[128, 200, 0, 1, 0, 0, 0, 1]), Some(Kind::Media { is_rtp: false }));
        for nothing in [&[][..], &[0], &[2; 30], &[64; 30], &[192; 30]] {
            assert_eq!(of(nothing), None);
        }
    }

    #[test]
    fn an_address_is_kept_by_who_is_heard_from_it() {
        let (mut demux, start) = (Demux::default(), Instant::now());
        let address = ([192, 0, 2, 1], 7).into();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(demux.owner(&address), None);
        assert!(demux.proves(address, 1, start));
        assert!(!demux.proves(address, 2, at(1_999)));
        demux.is_well(&address, at(1_999));
        assert!(!demux.proves(address, 2, at(3_998)));
        assert!(demux.proves(address, 2, at(3_999)), "it was used again");
        assert_eq!(demux.owner(&address), Some(2));
    }

    #[test]
    fn who_sends_checks_from_everywhere_keeps_what_is_in_use_and_little_else() {
        let (mut demux, start) = (Demux::default(), Instant::now());
        let address = |port| ([192, 0, 2, 1], port).into();
        demux.proves(address(1), 7, start);
        for port in 2..1_000 {
            let now = start + Duration::from_millis(port.into());
            demux.is_well(&address(1), now);
            assert!(demux.proves(address(port), 7, now));
        }
        assert_eq!((demux.owner(&address(1)), demux.owner(&address(999))), (Some(7), Some(7)));
        assert_eq!(demux.addresses.len(), ADDRESSES);
        demux.forget(7);
        assert!(demux.addresses.is_empty() && demux.proven.is_empty());
    }

    #[test]
    fn nothing_is_left_of_a_session_that_is_gone() {
        let (mut demux, start) = (Demux::default(), Instant::now());
        let address = ([192, 0, 2, 1], 7).into();
        demux.name("abcd".to_owned(), 3);
        demux.proves(address, 3, start);
        demux.asks(&check([0, 1], 9), 3, start);
        assert_eq!((demux.named("abcd"), demux.asked(&[9; 12])), (Some(3), Some(3)));
        demux.forget(3);
        assert_eq!((demux.named("abcd"), demux.asked(&[9; 12])), (None, None));
        assert_eq!(demux.owner(&address), None);
    }

    #[test]
    fn checks_that_nobody_answered_are_forgotten() {
        let (mut demux, start) = (Demux::default(), Instant::now());
        demux.asks(&check([0, 1], 1), 0, start);
        demux.asks(&check([0, 1], 2), 0, start + ANSWER);
        assert_eq!(demux.asked(&[1; 12]), Some(0));
        demux.asks(&check([0, 1], 3), 0, start + ANSWER + Duration::from_millis(1));
        assert_eq!(demux.asked(&[1; 12]), None);
        assert_eq!((demux.checks.len(), demux.sent.len()), (2, 2));
    }
}

use super::*;
use crate::{
    model::{Place, Role},
    track::targets::{Targets, Traffic},
};

const SECOND: u64 = 1_000_000_000;

fn services(most: u16) -> Services {
    Services::new(Targets::default().select().unwrap(), most)
}

fn owner(comm: &str) -> Owner {
    Owner { comm: comm.to_owned(), ..Owner::default() }
}

fn decide(services: &mut Services, socket: u64, owner: Option<Owner>) -> Option<ServiceId> {
    claim(services, socket, owner, false, 0)
}

fn claim(
    services: &mut Services,
    socket: u64,
    owner: Option<Owner>,
    is_provisional: bool,
    searches: u32,
) -> Option<ServiceId> {
    let owner = owner.map(Arc::new);
    let subject = Subject {
        traffic: Traffic::Voice,
        role: Role::Unknown,
        local_port: Some(5_004),
        remote_port: None,
        owner: owner.as_deref(),
    };
    let claim = Claim { owner: owner.clone(), is_provisional, searches };
    services.decide(SocketCookie(socket), &subject, claim)
}

#[test]
fn a_name_comes_from_the_best_that_is_known() {
    let id = "3f2a9c4b5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708";
    let at = |cgroup: &str| Owner { place: Place::of(cgroup), ..owner("node") };
    let named = Owner { service_name: Some("chat".to_owned()), ..at("/system.slice/a.service") };
    for (owner, name) in [
        (named, "chat"),
        (at("/system.slice/nginx.service"), "nginx"),
        (at(&format!("/docker/{id}")), "3f2a9c4b5d6e"),
        (at("/user.slice/session-3.scope"), "node"),
        (at("/"), "node"),
        (owner(""), "unknown_service"),
        (owner("a\u{1b}[31m"), "a[31m"),
    ] {
        let mut services = services(5);
        let service = decide(&mut services, 1, Some(owner)).unwrap();
        assert_eq!(services.name(service), name);
    }
}

#[test]
fn services_beyond_the_most_overflow_until_one_rests_for_long() {
    let mut services = services(2);
    services.begin(SECOND);
    let ids: Vec<_> = (1..=4)
        .map(|one| decide(&mut services, one, Some(owner(&format!("s{one}")))).unwrap())
        .collect();
    assert_eq!(ids, [ServiceId(2), ServiceId(3), ServiceId::OVERFLOW, ServiceId::OVERFLOW]);
    assert_eq!(services.name(ids[3]), "overflow");
    assert_eq!(decide(&mut services, 5, None), Some(ServiceId::UNKNOWN));
    // The first stays, the second goes.
    for second in 2..800 {
        services.begin(second * SECOND);
        assert_eq!(services.decided(SocketCookie(1), 0), Some(Some(ServiceId(2))));
    }
    assert_eq!(decide(&mut services, 6, Some(owner("s6"))), Some(ServiceId(3)));
    assert_eq!(decide(&mut services, 7, Some(owner("s7"))), Some(ServiceId::OVERFLOW));
    assert_eq!((services.take_gone(), services.take_gone()), (vec!["s2".to_owned()], vec![]));
    assert_eq!(decide(&mut services, 8, Some(owner("s2"))), Some(ServiceId::OVERFLOW));
}

#[test]
fn what_a_search_may_know_better_is_asked_after_it() {
    let mut services = services(9);
    services.begin(SECOND);
    claim(&mut services, 1, Some(owner("parent")), true, 4);
    assert!(services.is_search_wanted());
    assert!(services.decided(SocketCookie(1), 4).is_some(), "no search has ended since");
    assert_eq!(services.decided(SocketCookie(1), 5), None);
    claim(&mut services, 1, Some(owner("parent")), true, 5);
    let child = claim(&mut services, 1, Some(owner("child")), false, 6).unwrap();
    assert_eq!(services.decided(SocketCookie(1), 9), Some(Some(child)));
    services.begin(2 * SECOND);
    assert!(!services.is_search_wanted());
    assert_eq!(services.owner(SocketCookie(1)).unwrap().comm, "child");
}

#[test]
fn each_socket_without_an_owner_counts_once() {
    let mut services = services(9);
    services.begin(SECOND);
    for searches in 0..3 {
        claim(&mut services, 1, None, true, searches);
    }
    let first = services.begin(2 * SECOND);
    assert!(!services.is_search_wanted(), "two searches did not know");
    claim(&mut services, 2, None, true, 3);
    let later: u64 = (3..9).map(|second| services.begin(second * SECOND)).sum();
    assert_eq!((first, later), (1, 1));
}

#[test]
fn a_new_selection_decides_anew() {
    let mut services = services(9);
    services.begin(SECOND);
    assert!(decide(&mut services, 1, Some(owner("a"))).is_some());
    let none = Targets { include: Some(Vec::new()), ..Targets::default() };
    services.select(none.select().unwrap());
    assert_eq!(services.decided(SocketCookie(1), 0), None);
    assert_eq!(decide(&mut services, 1, Some(owner("a"))), None);
    assert_eq!(services.decided(SocketCookie(1), 0), Some(None));
}

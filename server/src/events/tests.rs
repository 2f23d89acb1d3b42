use super::*;

const WINDOW: Duration = Duration::from_secs(60);
const ROOM: Room = Room::Community(1);

fn hub() -> Hub {
    Hub::new(16, WINDOW)
}

fn enter(hub: &Hub, user: i64, id: &str) -> Attached {
    let (attached, departures) = begin(hub, user, id);
    assert_ne!(hub.enter(&attached, &[ROOM], departures), Entered::NotYet);
    attached
}

fn begin(hub: &Hub, user: i64, id: &str) -> (Attached, u64) {
    hub.begin(id.to_owned(), user, family(user), 50).unwrap()
}

fn family(user: i64) -> String {
    format!("family of {user}")
}

fn say(hub: &Hub, number: u64) {
    hub.tell(ROOM, Event::new("message.created", &number));
}

/// What is there to be told, without waiting.
fn told(attached: &Attached) -> Result<Vec<(u64, String)>, Ended> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let wait = tokio::time::timeout(Duration::from_millis(20), attached.backlog(64));
        match wait.await {
            Ok(backlog) => Ok(backlog?
                .into_iter()
                .map(|(number, event)| (number, event.body.clone()))
                .collect()),
            Err(_) => Ok(Vec::new()),
        }
    })
}

fn numbers(told: Result<Vec<(u64, String)>, Ended>) -> Vec<u64> {
    told.unwrap().into_iter().map(|(number, _)| number).collect()
}

#[test]
fn everybody_in_the_room_hears_it_and_nobody_else() {
    let hub = hub();
    let (here, also, elsewhere) = (enter(&hub, 1, "a"), enter(&hub, 2, "b"), enter(&hub, 3, "c"));
    hub.leave(3, ROOM);
    say(&hub, 7);
    assert_eq!(told(&here).unwrap(), [(1, "7".to_owned())]);
    assert_eq!(told(&also).unwrap(), [(1, "7".to_owned())]);
    assert_eq!(told(&elsewhere).unwrap(), []);
}

#[test]
fn a_client_that_comes_back_gets_what_it_missed_once() {
    let hub = hub();
    let first = enter(&hub, 1, "a");
    (0..3).for_each(|number| say(&hub, number));
    assert_eq!(numbers(told(&first)), [1, 2, 3]);
    drop(first);
    say(&hub, 3);
    // The third was given, and never arrived.
    let session = hub.session("a", &family(1)).unwrap();
    let Resumed::Done(second, missed) = session.resume(2) else { panic!("it can be resumed") };
    assert_eq!(missed, 2);
    assert_eq!(numbers(told(&second)), [3, 4]);
    assert_eq!(told(&second).unwrap(), []);
}

#[test]
fn the_old_connection_ends_when_another_takes_its_place() {
    let hub = hub();
    let first = enter(&hub, 1, "a");
    let Resumed::Done(second, 0) = first.session().resume(0) else { panic!("nothing was missed") };
    assert_eq!(told(&first), Err(Ended::Replaced));
    // And what it does counts no more, even if it was meant for good.
    assert_eq!(hub.end(&first), None);
    drop(first);
    say(&hub, 1);
    assert_eq!(numbers(told(&second)), [1]);
    assert!(hub.expire(Instant::now() + 2 * WINDOW).is_empty());
}

#[test]
fn what_cannot_be_resumed_is_said() {
    let hub = hub();
    let first = enter(&hub, 1, "a");
    let session = Arc::clone(first.session());
    drop(first);
    (0..17).for_each(|number| say(&hub, number));
    assert!(matches!(session.resume(0), Resumed::Gap));
    assert!(matches!(session.resume(18), Resumed::Unknown));
    assert!(matches!(session.resume(1), Resumed::Done(_, 16)));
    assert!(hub.session("a", &family(2)).is_none(), "it is somebody else's");
}

#[test]
fn a_slow_client_is_sent_away_and_may_come_back() {
    let hub = hub();
    let slow = enter(&hub, 1, "a");
    let quick = enter(&hub, 2, "b");
    for number in 0..9 {
        say(&hub, number);
        assert_eq!(numbers(told(&quick)), [number + 1]);
    }
    assert_eq!(told(&slow), Err(Ended::Slow));
    let session = Arc::clone(slow.session());
    drop(slow);
    let Resumed::Done(back, 9) = session.resume(0) else { panic!("all of it is there") };
    // What it missed is no sign that it is slow.
    say(&hub, 9);
    assert_eq!(numbers(told(&back)), (1..=10).collect::<Vec<_>>());
}

#[test]
fn what_is_acknowledged_makes_room() {
    let hub = hub();
    let one = enter(&hub, 1, "a");
    for number in 1..=40 {
        say(&hub, number);
        assert_eq!(numbers(told(&one)), [number]);
        one.acknowledge(number);
    }
    let session = Arc::clone(one.session());
    drop(one);
    assert!(matches!(session.resume(40), Resumed::Done(_, 0)));
    assert!(matches!(session.resume(39), Resumed::Gap), "it said that it had it");
}

#[test]
fn a_room_that_is_left_while_memberships_are_read_stays_left() {
    let hub = hub();
    let (attached, departures) = begin(&hub, 1, "a");
    hub.leave(1, ROOM);
    assert_eq!(hub.enter(&attached, &[ROOM], departures), Entered::NotYet);
    assert_eq!(hub.enter(&attached, &[], hub.departures(1)), Entered::First);
    say(&hub, 1);
    assert_eq!(told(&attached).unwrap(), []);
}

#[test]
fn a_room_that_is_joined_is_heard_by_every_session() {
    let hub = hub();
    let sessions = ["a", "b"].map(|id| begin(&hub, 1, id).0);
    hub.join(1, ROOM);
    say(&hub, 1);
    for session in &sessions {
        assert_eq!(numbers(told(session)), [1]);
    }
}

#[test]
fn sessions_end_after_their_window_and_the_last_says_where_its_user_was() {
    let hub = hub();
    let (one, other) = (enter(&hub, 1, "a"), enter(&hub, 1, "b"));
    drop(one);
    let now = Instant::now();
    assert!(hub.expire(now + WINDOW).is_empty(), "another session is there");
    assert_eq!(hub.statuses(&[1, 2]), [Status::Online, Status::Offline]);
    let session = Arc::clone(other.session());
    drop(other);
    assert!(hub.expire(now + WINDOW / 2).is_empty());
    assert_eq!(hub.expire(Instant::now() + WINDOW), [(1, vec![ROOM])]);
    assert!(hub.session("a", &family(1)).is_none());
    assert!(matches!(session.resume(0), Resumed::Unknown), "it is too late");
    assert_eq!(hub.statuses(&[1]), [Status::Offline]);
    assert!(hub.rooms.read().unwrap().is_empty(), "nothing is left");
    assert!(lock(&hub.users).is_empty() && lock(&hub.sessions).is_empty());
}

#[test]
fn a_user_is_there_once_and_has_only_so_many_sessions() {
    let hub = hub();
    let (first, departures) = begin(&hub, 1, "a");
    let (second, _) = begin(&hub, 1, "b");
    assert_eq!(hub.enter(&second, &[ROOM], departures), Entered::First);
    assert_eq!(hub.enter(&first, &[ROOM], departures), Entered::Again);
    assert!(hub.begin("c".to_owned(), 1, family(1), 2).is_none());
    assert_eq!(hub.end(&first), None);
    assert!(hub.begin("c".to_owned(), 1, family(1), 2).is_some());
}

#[test]
fn who_shares_two_rooms_hears_of_it_once() {
    let hub = hub();
    let one = enter(&hub, 1, "a");
    let other = Room::Dm(7);
    hub.join(1, other);
    hub.tell_all(&[ROOM, other], Event::new("presence", &1));
    assert_eq!(numbers(told(&one)), [1]);
}

#[test]
fn a_login_that_is_ended_ends_its_connections_only() {
    let hub = hub();
    let (one, other) = (enter(&hub, 1, "a"), enter(&hub, 2, "b"));
    hub.revoke(&family(1));
    assert_eq!(told(&one), Err(Ended::Revoked));
    let session = Arc::clone(one.session());
    drop(one);
    assert!(matches!(session.resume(0), Resumed::Unknown), "it was ended for good");
    assert_eq!(told(&other).unwrap(), []);
}

#[test]
fn two_threads_tell_and_nothing_is_lost_or_doubled() {
    let hub = Hub::new(65_536, WINDOW);
    let attached = enter(&hub, 1, "a");
    let (each, threads) = (5_000_u64, 2);
    let heard = std::thread::scope(|scope| {
        for thread in 0..threads {
            let hub = &hub;
            scope.spawn(move || (0..each).for_each(|number| say(hub, thread * each + number)));
        }
        let mut heard = Vec::new();
        while heard.len() < (each * threads) as usize {
            heard.extend(told(&attached).unwrap());
        }
        heard
    });
    assert!(heard.iter().zip(1..).all(|((number, _), expected)| *number == expected));
    let mut bodies: Vec<u64> = heard.iter().map(|(_, body)| body.parse().unwrap()).collect();
    bodies.sort_unstable();
    assert!(bodies.into_iter().eq(0..each * threads));
}

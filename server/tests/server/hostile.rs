//! What comes to a voice port and is no part of a call, while there is one.

use std::{
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use vc_bot::{
    Line, Login, Sent,
    call::{Call, Loss, Plan, Report},
};

use crate::{
    peers::{
        band::listen,
        otlp::{Collector, Kept},
        server::{PATIENCE, Server},
    },
    voice::{FRAME, HERE, LOUD, ask, join, room},
};

/// Datagrams of a kind that are sent at once, and the time until the next.
const BURST: usize = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// How long those who do not belong there go on.
const SIEGE: Duration = Duration::from_secs(6);

/// A call of three that lasts longer than what is done to it.
fn call(server: &Server, name: &str) -> tokio::task::JoinHandle<Report> {
    let plan = Plan {
        host: server.host(),
        bots: 3,
        rooms: 1,
        speakers: None,
        time: SIEGE + Duration::from_secs(4),
        churn: None,
        loss: Loss::default(),
        slots: 2,
        name: name.to_owned(),
    };
    tokio::spawn(async move {
        let call = Call::gather(plan, Default::default()).await.expect("bots are let in");
        call.run().await.expect("bots go on")
    })
}

fn assert_undisturbed(report: &Report) {
    let total = &report.total;
    assert!(report.is_well(), "{}", serde_json::to_string_pretty(total).unwrap());
    assert!(total.tally.received > 500, "{} packets were heard", total.tally.received);
}

/// Names that checks of sessions bear, as the log has them.
fn names(server: &Server) -> Vec<String> {
    let lines = server.lines();
    let opened = lines.iter().filter(|line| line["event"] == "voice.open");
    opened.map(|line| line["voice.ice_ufrag"].as_str().unwrap().to_owned()).collect()
}

/// Waits until so many sessions are connected.
async fn connected(server: &Server, count: usize) -> Vec<String> {
    let begun = Instant::now();
    loop {
        let names = names(server);
        if names.len() >= count {
            return names;
        }
        assert!(begun.elapsed() < PATIENCE, "{count} sessions are connected: {names:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A request of ICE with this name, and an integrity that is made up (RFC 8489, 14).
fn forged_check(name: &str, made_up: &mut impl FnMut() -> u8) -> Vec<u8> {
    let mut attributes = vec![0, 6];
    attributes.extend((name.len() as u16).to_be_bytes());
    attributes.extend(name.as_bytes());
    attributes.resize(attributes.len().next_multiple_of(4), 0);
    // PRIORITY, ICE-CONTROLLING, USE-CANDIDATE.
    attributes.extend([0, 0x24, 0, 4, 110, 0, 1, 255, 0x80, 0x2A, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
    attributes.extend([0, 0x25, 0, 0]);
    attributes.extend([0, 8, 0, 20]);
    attributes.extend(std::iter::repeat_with(&mut *made_up).take(20));
    let mut check = vec![0, 1];
    check.extend((attributes.len() as u16).to_be_bytes());
    check.extend([0x21, 0x12, 0xA4, 0x42]);
    check.extend(std::iter::repeat_with(made_up).take(12));
    check.extend(attributes);
    check
}

/// Everything that a stranger can think of.
fn datagrams(names: &[String], seed: &mut u64) -> Vec<Vec<u8>> {
    let mut made_up = || {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (*seed >> 56) as u8
    };
    let mut all = Vec::new();
    for name in names {
        let check = forged_check(name, &mut made_up);
        // An answer to nothing, a check that is cut, one of a stranger, one without a colon.
        let mut answer = check.clone();
        answer[0] = 1;
        all.extend([check[..check.len() / 2].to_vec(), check, answer]);
        all.push(forged_check("nobody:knows", &mut made_up));
        all.push(forged_check("nobody", &mut made_up));
        let (ours, _) = name.split_once(':').unwrap();
        all.push(forged_check(&format!("{ours}:else"), &mut made_up));
    }
    // RTP and RTCP of somebody, DTLS, and whatever begins with any byte.
    for first in 0..=255 {
        let length = usize::from(made_up()) * 5;
        let mut datagram: Vec<u8> = std::iter::repeat_with(&mut made_up).take(length).collect();
        if let Some(byte) = datagram.first_mut() {
            *byte = first;
        }
        all.push(datagram);
    }
    for kind in [111, 111 | 128, 200, 201, 205, 207] {
        let mut datagram = vec![0x90, kind];
        datagram.extend(std::iter::repeat_with(&mut made_up).take(98));
        all.push(datagram);
    }
    let mut hello = vec![22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 1];
    hello.extend(std::iter::repeat_with(&mut made_up).take(99));
    all.push(hello);
    all
}

/// Sends all of that, again and again, from addresses that nobody knows.
fn besiege(port: SocketAddr, names: &[String]) -> usize {
    let (begun, mut seed, mut sent) = (Instant::now(), 7, 0);
    let strangers: Vec<_> = (0..8).map(|_| UdpSocket::bind((HERE, 0)).unwrap()).collect();
    while begun.elapsed() < SIEGE {
        for burst in datagrams(names, &mut seed).chunks(BURST) {
            for (datagram, stranger) in burst.iter().zip(strangers.iter().cycle()) {
                // A full path loses some.
                sent += usize::from(stranger.send_to(datagram, port).is_ok());
            }
            std::thread::sleep(PAUSE);
        }
    }
    sent
}

/// Speaks, and sends everything twice: at once, later, and from an address of its own.
fn repeat(line: &mut Line) -> usize {
    let (begun, mut repeated) = (Instant::now(), 0);
    let stranger = UdpSocket::bind((HERE, 0)).unwrap();
    let mut all: Vec<Sent> = line.sent.take().unwrap();
    while begun.elapsed() < SIEGE {
        line.sent = Some(Vec::new());
        line.speak(&FRAME, LOUD).unwrap();
        line.step().unwrap();
        all.extend(line.sent.take().unwrap());
        let old = all.len().saturating_sub(200);
        for Sent { to, bytes } in all.iter().rev().take(2).chain(all.get(old)) {
            repeated += usize::from(line.send(*to, bytes).is_ok());
            repeated += usize::from(stranger.send_to(bytes, to).is_ok());
        }
        // Checks of its own, from elsewhere: whole, and not to be told from real ones.
        for Sent { to, bytes } in all.iter().filter(|sent| sent.bytes[..2] == [0, 1]).take(3) {
            repeated += usize::from(stranger.send_to(bytes, to).is_ok());
        }
        std::thread::sleep(PAUSE);
    }
    repeated
}

/// People whose DTLS stays with them.
async fn stall(server: &Server, users: &[Login], channel: i64) -> Vec<Line> {
    let mut lines = Vec::new();
    for login in users {
        let mut gateway = listen(server, login).await;
        let (mut line, _) = ask(&mut gateway, channel, 1).await;
        line.stalls_dtls = true;
        lines.push(line);
    }
    lines
}

fn dropped(kept: &Kept, reason: &str) -> f64 {
    kept.sum("vc.voice.packets.dropped", ("reason", reason))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_goes_on_whatever_comes_to_its_port() {
    let collector = Collector::start().await;
    let mut variables = collector.variables();
    variables.push(("VC_VOICE_TIMEOUT", "2s".to_owned()));
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let server = Server::with(&variables);
    let mallory = server.user("mallory").await;
    let mut stalled = Vec::new();
    for number in 0..5 {
        stalled.push(server.user(&format!("stalled-{number}")).await);
    }
    let everybody: Vec<_> = std::iter::once(&mallory).chain(&stalled).collect();
    let channel = room(&everybody).await;
    let in_progress = call(&server, "siege");

    let mut of_mallory = listen(&server, &mallory).await;
    let mut line = join(&mut of_mallory, mallory.user, channel, 1).await;
    let names = connected(&server, 4).await;
    let _checks_go_on = line.step();
    line.sent = Some(Vec::new());
    line.speak(&FRAME, LOUD).unwrap();
    let port = line.sent.as_ref().unwrap().last().unwrap().to;
    let lines = stall(&server, &stalled, channel).await;
    let stalling = std::thread::spawn(move || {
        let (begun, mut lines) = (Instant::now(), lines);
        while begun.elapsed() < SIEGE {
            for line in &mut lines {
                line.step().unwrap();
                assert!(!line.is_connected());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let repeating = std::thread::spawn(move || (repeat(&mut line), line));
    let besieging = std::thread::spawn(move || besiege(port, &names));

    let report = in_progress.await.unwrap();
    stalling.join().unwrap();
    let (repeated, line) = repeating.join().unwrap();
    let strange = besieging.join().unwrap();
    assert_undisturbed(&report);
    println!("{strange} strange datagrams, {repeated} repeated ones");
    drop(line);
    of_mallory.say(&json!({"op": "voice_leave"})).await.unwrap();
    let none = |kept: &Kept| {
        let sessions = kept.points("vc.voice.sessions");
        sessions.first().is_some_and(|point| point.value == 0.0)
            && kept.sum("vc.voice.joins", ("outcome", "timed_out")) == 5.0
    };
    let kept = collector.until("nobody to be in a room any more", none).await;
    for reason in ["malformed", "stranger", "refused", "discarded"] {
        let count = dropped(&kept, reason);
        println!("{reason} {count}");
        assert!(count > 50.0, "{reason}: {count}");
    }
    assert_eq!(dropped(&kept, "unsent"), 0.0);
    assert_eq!(kept.sum("vc.voice.joins", ("outcome", "success")), 4.0);
    let ended = server.stop();
    assert!(ended.status.success());
    let unwanted = |line: &&Value| {
        ["server.panic", "server.error", "dependency"].iter().any(|it| line["event"] == *it)
    };
    assert_eq!(ended.lines.iter().filter(unwanted).collect::<Vec<_>>(), Vec::<&Value>::new());
}

/// Who comes and goes all the time, with and without media.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_goes_on_while_others_come_and_go_and_nothing_is_left_of_them() {
    let server = Server::start();
    let in_progress = call(&server, "steady");
    let mut restless = Vec::new();
    for number in 0..4 {
        restless.push(server.user(&format!("restless-{number}")).await);
    }
    let channel = room(&restless.iter().collect::<Vec<_>>()).await;
    connected(&server, 3).await;
    let mut coming = tokio::task::JoinSet::new();
    for (number, login) in restless.into_iter().enumerate() {
        let mut gateway = listen(&server, &login).await;
        coming.spawn(async move {
            let (begun, mut joins) = (Instant::now(), 0);
            while begun.elapsed() < SIEGE {
                if number == 0 {
                    drop(join(&mut gateway, login.user, channel, 3).await);
                } else {
                    drop(ask(&mut gateway, channel, 3).await);
                }
                gateway.say(&json!({"op": "voice_leave"})).await.unwrap();
                joins += 1;
                // 20 messages a second are allowed, and each of these is two.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            joins
        });
    }
    let joins: u32 = coming.join_all().await.into_iter().sum();
    println!("{joins} joins");
    assert!(joins > 60, "{joins}");
    assert_undisturbed(&in_progress.await.unwrap());
    let ended = server.stop();
    assert!(!ended.lines.iter().any(|line| line["event"] == "server.panic"));
    let count = |event: &str| ended.lines.iter().filter(|line| line["event"] == event).count();
    assert_eq!(count("voice.open"), count("voice.close"));
}

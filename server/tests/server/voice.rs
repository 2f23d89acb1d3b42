//! Rooms: who is in, who is heard, and what is no part of a call.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use hyper::StatusCode;
use serde_json::{Value, json};
use vc_bot::{Gateway, Line, Login};

use crate::peers::{
    band::{community, dm, listen},
    server::{PATIENCE, Server},
};

pub(crate) const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A frame of Opus that has something in it (RFC 6716, 3.1), and how loud that is.
pub(crate) const FRAME: [u8; 20] = [0x78; 20];
pub(crate) const LOUD: i8 = -20;

/// A voice channel of everybody's.
pub(crate) async fn room(users: &[&Login]) -> i64 {
    let (community, _) = community(users).await;
    let path = format!("/api/v1/communities/{community}/channels");
    let body = json!({"name": "talk", "kind": "voice"});
    let made = users[0].api.post(&path, &body).await.unwrap();
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    made.body["id"].as_i64().unwrap()
}

/// Hears this, soon.
async fn wait(gateway: &mut Gateway, what: &str) -> Value {
    let heard = tokio::time::timeout(PATIENCE, gateway.wait_for(what)).await;
    heard.unwrap_or_else(|_| panic!("{what} is not heard, but {gateway:?}")).unwrap()
}

async fn participants(login: &Login, channel: i64) -> Value {
    let answer = login.api.get(&format!("/api/v1/channels/{channel}/voice")).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let mut participants = answer.body["participants"].as_array().unwrap().clone();
    participants.sort_by_key(|one| one["user_id"].as_i64());
    Value::Array(participants)
}

/// Asks to join, and has the line that was agreed on.
pub(crate) async fn ask(gateway: &mut Gateway, channel: i64, slots: usize) -> (Line, Value) {
    let (mut line, sdp) = Line::offer(HERE, slots).unwrap();
    gateway.say(&json!({"op": "voice_join", "channel_id": channel, "sdp": sdp})).await.unwrap();
    let joined = wait(gateway, "voice_joined").await;
    assert_eq!(joined["channel_id"], channel);
    line.answer(joined["sdp"].as_str().unwrap()).unwrap();
    (line, joined)
}

/// Joins, until the media is connected and the user was told of it.
pub(crate) async fn join(gateway: &mut Gateway, user: i64, channel: i64, slots: usize) -> Line {
    let (mut line, _) = ask(gateway, channel, slots).await;
    assert!(line.connect(Instant::now() + PATIENCE).unwrap(), "the media is connected");
    loop {
        let joined = wait(gateway, "voice.joined").await;
        if joined["data"]["user_id"] == user {
            return line;
        }
    }
}

/// Has these say something at once, so many times, 20 ms apart, and all take what they hear.
fn talk(lines: &mut [&mut Line], talkers: &[usize], frames: usize) -> Vec<Vec<(u32, u16)>> {
    let mut heard = vec![Vec::new(); lines.len()];
    let begun = Instant::now();
    for frame in 0..frames + 10 {
        for talker in talkers.iter().filter(|_| frame < frames) {
            lines[*talker].speak(&FRAME, LOUD).unwrap();
        }
        let next = begun + Duration::from_millis(20) * (frame as u32 + 1);
        while Instant::now() < next {
            for (line, heard) in lines.iter_mut().zip(&mut heard) {
                line.step().unwrap();
                while let Some(packet) = line.heard() {
                    heard.push((*packet.header.ssrc, packet.header.sequence_number));
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn people_in_a_room_hear_each_other_and_others_hear_of_it() {
    let server = Server::start();
    let [ada, bob, eve] =
        [server.user("ada").await, server.user("bob").await, server.user("eve").await];
    let channel = room(&[&ada, &bob, &eve]).await;
    let mut of_ada = listen(&server, &ada).await;
    let mut of_bob = listen(&server, &bob).await;
    let mut of_eve = listen(&server, &eve).await;
    let mut line_of_ada = join(&mut of_ada, ada.user, channel, 2).await;
    let mut line_of_bob = join(&mut of_bob, bob.user, channel, 2).await;
    let [first, second] =
        [wait(&mut of_eve, "voice.joined").await, wait(&mut of_eve, "voice.joined").await];
    assert_eq!(
        [&first["data"], &second["data"]],
        [
            &json!({"channel_id": channel, "user_id": ada.user, "muted": false}),
            &json!({"channel_id": channel, "user_id": bob.user, "muted": false})
        ]
    );
    let quiet = |user: i64| json!({"user_id": user, "muted": false, "speaking": false});
    assert_eq!(participants(&eve, channel).await, json!([quiet(ada.user), quiet(bob.user)]));

    let heard = talk(&mut [&mut line_of_ada, &mut line_of_bob], &[0], 50);
    assert_eq!(heard[0], [], "nobody hears themselves");
    let ssrc = heard[1][0].0;
    assert_eq!(heard[1], (0..50).map(|number| (ssrc, number)).collect::<Vec<_>>());
    let spoke = wait(&mut of_bob, "voice.speaking").await;
    let expected = json!({"channel_id": channel, "user_id": ada.user, "speaking": true});
    assert_eq!(spoke["data"], expected);
    let slots = wait(&mut of_bob, "voice.slots").await;
    let users: Vec<_> = slots["data"]["slots"].as_object().unwrap().values().collect();
    assert_eq!(users, [&json!(ada.user)]);
    let spoke = wait(&mut of_bob, "voice.speaking").await;
    assert_eq!(spoke["data"]["speaking"], false, "she has ended");

    of_ada.say(&json!({"op": "voice_leave"})).await.unwrap();
    let left = wait(&mut of_eve, "voice.left").await;
    let expected = json!({"channel_id": channel, "user_id": ada.user, "reason": "left"});
    assert_eq!(left["data"], expected);
    let slots = wait(&mut of_bob, "voice.slots").await;
    assert_eq!(slots["data"]["slots"], json!({}));
    assert_eq!(participants(&eve, channel).await, json!([quiet(bob.user)]));
    of_ada.say(&json!({"op": "voice_leave"})).await.unwrap();
    let error = wait(&mut of_ada, "error").await;
    assert_eq!((&error["about"], &error["code"]), (&json!("voice_leave"), &json!("conflict")));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_muted_is_not_heard_and_nothing_looks_lost_after_that() {
    let server = Server::start();
    let [ada, bob] = [server.user("ada").await, server.user("bob").await];
    let channel = room(&[&ada, &bob]).await;
    let mut of_ada = listen(&server, &ada).await;
    let mut of_bob = listen(&server, &bob).await;
    let mut line_of_ada = join(&mut of_ada, ada.user, channel, 1).await;
    let mut line_of_bob = join(&mut of_bob, bob.user, channel, 1).await;
    let mut lines = [&mut line_of_ada, &mut line_of_bob];
    let mut heard = talk(&mut lines, &[0], 25).swap_remove(1);
    of_ada.say(&json!({"op": "voice_mute", "muted": true})).await.unwrap();
    let muted = wait(&mut of_bob, "voice.muted").await;
    let expected = json!({"channel_id": channel, "user_id": ada.user, "muted": true});
    assert_eq!(muted["data"], expected);
    let view = json!([{"user_id": ada.user, "muted": true, "speaking": false}, {"user_id": bob.user, "muted": false, "speaking": false}]);
    assert_eq!(participants(&bob, channel).await, view);
    assert_eq!(talk(&mut lines, &[0], 25)[1], []);
    of_ada.say(&json!({"op": "voice_mute", "muted": false})).await.unwrap();
    wait(&mut of_bob, "voice.muted").await;
    heard.extend(talk(&mut lines, &[0], 25).swap_remove(1));
    let ssrc = heard[0].0;
    assert_eq!(heard, (0..50).map(|number| (ssrc, number)).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_talks_takes_the_place_of_the_silent() {
    let server = Server::with(&[("VC_VOICE_SPEAKERS", "1")]);
    let [ada, bob, eve] =
        [server.user("ada").await, server.user("bob").await, server.user("eve").await];
    let channel = room(&[&ada, &bob, &eve]).await;
    let mut all = Vec::new();
    for login in [&ada, &bob, &eve] {
        let mut gateway = listen(&server, login).await;
        let line = join(&mut gateway, login.user, channel, 1).await;
        all.push((gateway, line));
    }
    let mut lines: Vec<_> = all.iter_mut().map(|(_, line)| line).collect();
    let by_ada = talk(&mut lines, &[0], 20).swap_remove(2);
    assert_eq!(by_ada.len(), 20);
    let both = talk(&mut lines, &[0, 1], 20).swap_remove(2);
    assert!(both.iter().all(|(ssrc, _)| *ssrc == by_ada[0].0), "she has the floor");
    std::thread::sleep(Duration::from_millis(700));
    let by_bob = talk(&mut lines, &[1], 20).swap_remove(2);
    assert!(by_bob.iter().all(|(ssrc, _)| *ssrc != by_ada[0].0));
    // The first packet is no speech yet.
    assert_eq!(by_bob.len(), 19);
    std::thread::sleep(Duration::from_millis(700));
    let again = talk(&mut lines, &[0], 20).swap_remove(2);
    let known = [by_ada[0].0, by_bob[0].0];
    assert!(again.iter().all(|(ssrc, _)| !known.contains(ssrc)), "as a stream of its own");
    assert_eq!(again.len(), 19);
    assert!(again.windows(2).all(|two| two[1].1 == two[0].1 + 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_joined_is_refused_in_words() {
    let server = Server::with(&[("VC_MAX_VOICE_SESSIONS", "1"), ("VC_VOICE_TIMEOUT", "1s")]);
    let [ada, bob, eve] =
        [server.user("ada").await, server.user("bob").await, server.user("eve").await];
    let channel = room(&[&ada, &bob]).await;
    let (_, text) = community(&[&eve]).await;
    let mut of_ada = listen(&server, &ada).await;
    let mut of_bob = listen(&server, &bob).await;
    let mut of_eve = listen(&server, &eve).await;
    let (_line, sdp) = Line::offer(HERE, 1).unwrap();
    let without = |line: &str| {
        sdp.lines().filter(|one| !one.starts_with(line)).collect::<Vec<_>>().join("\r\n") + "\r\n"
    };
    let many = sdp.clone() + &"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n".repeat(40);
    let candidate = |port| format!("a=candidate:1 1 udp 1 192.0.2.1 {port} typ host\r\n");
    let crowded = sdp.clone() + &(1..=40).map(candidate).collect::<String>();
    for (is_eve, channel, sdp, code) in [
        (true, channel, sdp.clone(), "not_found"),
        (true, text, sdp.clone(), "conflict"),
        (false, channel, String::new(), "invalid"),
        (false, channel, "v=0\r\n".repeat(1_000), "invalid"),
        (false, channel, without("a=fingerprint"), "invalid"),
        (false, channel, without("a=ice-ufrag"), "invalid"),
        (false, channel, without("a=ice-pwd"), "invalid"),
        (false, channel, sdp.replace("a=ice-ufrag:", "a=ice-ufrag:ada@example.org"), "invalid"),
        (
            false,
            channel,
            sdp.replace("a=ice-ufrag:", &format!("a=ice-ufrag:{:a<32}", "")),
            "invalid",
        ),
        (false, channel, sdp.replace("m=audio", "m=video"), "invalid"),
        (false, channel, sdp.replace("opus/48000/2", "speex/8000"), "invalid"),
        (false, channel, many, "invalid"),
        (false, channel, crowded, "invalid"),
    ] {
        let said = json!({"op": "voice_join", "channel_id": channel, "sdp": sdp});
        let gateway = if is_eve { &mut of_eve } else { &mut of_ada };
        gateway.say(&said).await.unwrap();
        let error = wait(gateway, "error").await;
        assert_eq!(
            (&error["about"], &error["code"]),
            (&json!("voice_join"), &json!(code)),
            "{sdp}"
        );
    }
    for op in [
        json!({"op": "voice_offer", "sdp": sdp}),
        json!({"op": "voice_candidate", "candidate": ""}),
        json!({"op": "voice_mute", "muted": true}),
    ] {
        of_ada.say(&op).await.unwrap();
        let error = wait(&mut of_ada, "error").await;
        assert_eq!((&error["about"], &error["code"]), (&op["op"], &json!("conflict")));
    }
    let (_never_connects, _) = ask(&mut of_ada, channel, 1).await;
    of_bob.say(&json!({"op": "voice_join", "channel_id": channel, "sdp": sdp})).await.unwrap();
    assert_eq!(wait(&mut of_bob, "error").await["code"], "no_room");
    let left = wait(&mut of_ada, "voice.left").await;
    let expected = json!({"channel_id": channel, "user_id": ada.user, "reason": "timed_out"});
    assert_eq!(left["data"], expected);
    let line = join(&mut of_bob, bob.user, channel, 1).await;
    drop(line);
    let left = wait(&mut of_ada, "voice.left").await;
    let expected = json!({"channel_id": channel, "user_id": bob.user, "reason": "timed_out"});
    assert_eq!(left["data"], expected, "nothing is heard of him any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_ends_for_who_has_no_place_there_any_more() {
    let server = Server::start();
    let [ada, bob] = [server.user("ada").await, server.user("bob").await];
    let (community, _) = community(&[&ada, &bob]).await;
    let path = format!("/api/v1/communities/{community}/channels");
    let mut channels = Vec::new();
    for _ in 0..2 {
        let body = json!({"name": "talk", "kind": "voice"});
        channels.push(ada.api.post(&path, &body).await.unwrap().body["id"].as_i64().unwrap());
    }
    let mut of_ada = listen(&server, &ada).await;
    let mut of_bob = listen(&server, &bob).await;
    let reason = async |gateway: &mut Gateway, user: i64| loop {
        let left = wait(gateway, "voice.left").await;
        if left["data"]["user_id"] == user {
            return left["data"]["reason"].as_str().unwrap().to_owned();
        }
    };
    let _first = join(&mut of_bob, bob.user, channels[0], 1).await;
    let _second = join(&mut of_bob, bob.user, channels[1], 1).await;
    assert_eq!(reason(&mut of_ada, bob.user).await, "replaced");
    ada.api
        .request(hyper::Method::DELETE, &format!("/api/v1/channels/{}", channels[1]), None, &[])
        .await
        .unwrap();
    assert_eq!(reason(&mut of_ada, bob.user).await, "removed");
    let _third = join(&mut of_bob, bob.user, channels[0], 1).await;
    bob.api.act(&format!("/api/v1/communities/{community}/leave")).await.unwrap();
    assert_eq!(reason(&mut of_ada, bob.user).await, "removed");

    // A call of two has a room while it lasts.
    let channel = dm(&ada, "bob").await;
    let (_line, sdp) = Line::offer(HERE, 1).unwrap();
    of_bob.say(&json!({"op": "voice_join", "channel_id": channel, "sdp": sdp})).await.unwrap();
    assert_eq!(wait(&mut of_bob, "error").await["code"], "conflict", "there is no call");
    ada.api.act(&format!("/api/v1/dms/{channel}/call")).await.unwrap();
    bob.api.act(&format!("/api/v1/dms/{channel}/call/join")).await.unwrap();
    let mut line_of_ada = join(&mut of_ada, ada.user, channel, 1).await;
    let mut line_of_bob = join(&mut of_bob, bob.user, channel, 1).await;
    assert_eq!(talk(&mut [&mut line_of_ada, &mut line_of_bob], &[1], 10)[0].len(), 10);
    bob.api.act(&format!("/api/v1/dms/{channel}/call/leave")).await.unwrap();
    assert_eq!(reason(&mut of_ada, bob.user).await, "left");
    ada.api.act(&format!("/api/v1/dms/{channel}/call/leave")).await.unwrap();
    assert_eq!(reason(&mut of_ada, ada.user).await, "left");
}

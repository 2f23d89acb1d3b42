//! The gateway: what clients are told, and how connections end.

use std::time::Duration;

use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, time::timeout};
use tokio_tungstenite::tungstenite::Message;
use vc_bot::{Gateway, GatewayError, Heard, Login, Party, Plan};

use crate::peers::{
    band::{community, connect, dm, listen, write},
    server::{PATIENCE, Server},
};

/// The code that a connection ends with.
async fn end_of(gateway: &mut Gateway) -> Option<u16> {
    loop {
        match timeout(PATIENCE, gateway.hear()).await.expect("it ends") {
            Ok(Heard::Closed(code)) => return code,
            Ok(Heard::Said(_)) => {}
            Err(_) => return None,
        }
    }
}

/// What comes within a moment, of events.
async fn events(gateway: &mut Gateway) -> Vec<String> {
    let mut names = Vec::new();
    while let Ok(Ok(Heard::Said(said))) = timeout(Duration::from_millis(300), gateway.hear()).await
    {
        names.extend(said["event"].as_str().map(str::to_owned));
    }
    names
}

async fn send(gateway: &mut Gateway, channel: i64, content: &str, nonce: &str) -> Value {
    let message = json!({"op": "send", "channel_id": channel, "content": content, "nonce": nonce});
    gateway.say(&message).await.unwrap();
    gateway.wait_for("ack").await.unwrap()
}

#[tokio::test]
async fn a_message_reaches_everybody_in_the_channel_and_nobody_else() {
    let server = Server::start();
    let [ada, bob, eve] =
        [server.user("ada").await, server.user("bob").await, server.user("eve").await];
    let (_, channel) = community(&[&ada, &bob]).await;
    let mut all = Vec::new();
    for login in [&ada, &bob, &eve] {
        all.push(listen(&server, login).await);
    }
    let ack = send(&mut all[0], channel, "hello", "1").await;
    assert_eq!(ack["nonce"], "1");
    for gateway in &mut all[..2] {
        let told = gateway.wait_for("message.created").await.unwrap();
        assert_eq!(told["data"], ack["message"]);
        assert_eq!(told["data"]["content"], "hello");
    }
    assert!(!events(&mut all[2]).await.contains(&"message.created".to_owned()));
    // Sent twice, it is one message and told once.
    let again = send(&mut all[0], channel, "hello", "1").await;
    assert_eq!(again["message"], ack["message"]);
    assert!(!events(&mut all[1]).await.contains(&"message.created".to_owned()));
}

#[tokio::test]
async fn what_happens_is_told() {
    let server = Server::start();
    let [ada, bob] = [server.user("ada").await, server.user("bob").await];
    let (id, channel) = community(&[&ada, &bob]).await;
    let mut of_bob = listen(&server, &bob).await;
    let mut of_ada = listen(&server, &ada).await;
    // One's own too, for one may be there by another client.
    let there = of_bob.wait_for("presence").await.unwrap();
    assert_eq!(there["data"], json!({"user_id": bob.user, "status": "online"}));
    let there = of_bob.wait_for("presence").await.unwrap();
    assert_eq!(there["data"], json!({"user_id": ada.user, "status": "online"}));

    let message = write(&ada, channel, "hello").await["id"].clone();
    let path = format!("/api/v1/channels/{channel}/messages/{message}");
    let change = json!({"content": "changed"});
    ada.api.request(Method::PATCH, &path, Some(&change), &[]).await.unwrap();
    let updated = of_bob.wait_for("message.updated").await.unwrap();
    assert_eq!(updated["data"]["content"], "changed");
    of_ada.say(&json!({"op": "typing", "channel_id": channel})).await.unwrap();
    let typing = of_bob.wait_for("typing").await.unwrap();
    assert_eq!(typing["data"], json!({"channel_id": channel, "user_id": ada.user}));
    ada.api.act(&format!("/api/v1/channels/{channel}/typing")).await.unwrap();
    of_bob.wait_for("typing").await.unwrap();

    // How far one has read is one's own business, on all of one's clients.
    let mut also_of_bob = listen(&server, &bob).await;
    let read = json!({"op": "read", "channel_id": channel, "message_id": message});
    of_bob.say(&read).await.unwrap();
    for gateway in [&mut of_bob, &mut also_of_bob] {
        let read = gateway.wait_for("channel.read").await.unwrap();
        assert_eq!(read["data"], json!({"channel_id": channel, "message_id": message}));
    }
    assert!(!events(&mut of_ada).await.contains(&"channel.read".to_owned()));

    of_ada.say(&json!({"op": "presence", "status": "busy"})).await.unwrap();
    assert_eq!(of_bob.wait_for("presence").await.unwrap()["data"]["status"], "busy");
    let members = bob.api.get(&format!("/api/v1/communities/{id}/members")).await.unwrap().body;
    assert_eq!([&members[0]["status"], &members[1]["status"]], ["busy", "online"]);

    ada.api.request(Method::DELETE, &path, None, &[]).await.unwrap();
    assert_eq!(of_bob.wait_for("message.deleted").await.unwrap()["data"]["id"], message);
    let new = json!({"name": "plans", "kind": "text"});
    ada.api.post(&format!("/api/v1/communities/{id}/channels"), &new).await.unwrap();
    assert_eq!(of_bob.wait_for("channel.created").await.unwrap()["data"]["name"], "plans");
    of_ada.close().await.unwrap();
    assert_eq!(of_bob.wait_for("presence").await.unwrap()["data"]["status"], "offline");
}

#[tokio::test]
async fn who_comes_in_hears_and_who_is_out_hears_no_more() {
    let server = Server::start();
    let [ada, bob] = [server.user("ada").await, server.user("bob").await];
    let mut of_bob = listen(&server, &bob).await;
    let (id, channel) = community(&[&ada, &bob]).await;
    write(&ada, channel, "welcome").await;
    assert_eq!(of_bob.wait_for("message.created").await.unwrap()["data"]["content"], "welcome");
    bob.api.act(&format!("/api/v1/communities/{id}/leave")).await.unwrap();
    write(&ada, channel, "behind his back").await;
    assert!(!events(&mut of_bob).await.contains(&"message.created".to_owned()));
    let channel = dm(&ada, "bob").await;
    write(&ada, channel, "between us").await;
    assert_eq!(of_bob.wait_for("message.created").await.unwrap()["data"]["content"], "between us");
}

#[tokio::test]
async fn a_client_that_comes_back_misses_nothing_and_hears_nothing_twice() {
    let server = Server::start();
    let [ada, bob] = [server.user("ada").await, server.user("bob").await];
    let (_, channel) = community(&[&ada, &bob]).await;
    let mut first = listen(&server, &bob).await;
    write(&ada, channel, "1").await;
    first.wait_for("message.created").await.unwrap();
    let (session, seen) = (first.session.clone().unwrap(), first.seen);
    drop(first);
    for content in ["2", "3"] {
        write(&ada, channel, content).await;
    }
    let mut second = connect(&server, &bob).await;
    assert!(second.resume(&session, seen).await.unwrap());
    for (content, number) in [("2", seen + 1), ("3", seen + 2)] {
        let told = second.wait_for("message.created").await.unwrap();
        assert_eq!((&told["data"]["content"], &told["seq"]), (&json!(content), &json!(number)));
    }
    assert_eq!(events(&mut second).await, [""; 0]);
    // A third takes its place.
    let mut third = connect(&server, &bob).await;
    assert!(third.resume(&session, second.seen).await.unwrap());
    assert_eq!(end_of(&mut second).await, Some(4011));
    write(&ada, channel, "4").await;
    assert_eq!(third.wait_for("message.created").await.unwrap()["data"]["content"], "4");
}

#[tokio::test]
async fn a_session_that_cannot_go_on_is_said_to_and_another_begins() {
    let server = Server::with(&[("VC_RESUME_WINDOW", "1s"), ("VC_SESSION_BUFFER", "16")]);
    let [ada, bob] = [server.user("ada").await, server.user("bob").await];
    let (_, channel) = community(&[&ada, &bob]).await;
    let first = listen(&server, &bob).await;
    let session = first.session.clone().unwrap();
    drop(first);
    let mut gateway = connect(&server, &bob).await;
    // Somebody else's, one that never was, and events that never were.
    let mut of_ada = connect(&server, &ada).await;
    assert!(!of_ada.resume(&session, 0).await.unwrap());
    assert!(!gateway.resume("made up", 0).await.unwrap());
    assert!(!gateway.resume(&session, 1_000).await.unwrap());
    for number in 0..20 {
        write(&ada, channel, &number.to_string()).await;
    }
    let reason = json!({"op": "resume", "session_id": session, "seq": 0});
    gateway.say(&reason).await.unwrap();
    assert_eq!(gateway.wait_for("invalid_session").await.unwrap()["reason"], "gap");
    gateway.identify().await.unwrap();
    write(&ada, channel, "new").await;
    assert_eq!(gateway.wait_for("message.created").await.unwrap()["data"]["content"], "new");
    // After its window a session is gone.
    let session = gateway.session.clone().unwrap();
    let seen = gateway.seen;
    drop(gateway);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut late = connect(&server, &bob).await;
    assert!(!late.resume(&session, seen).await.unwrap());
}

#[tokio::test]
async fn bots_lose_their_connections_and_no_message() {
    let server = Server::start();
    let plan = Plan {
        host: server.host(),
        bots: 8,
        pause: Duration::from_millis(100),
        time: Duration::from_secs(5),
        drop_every: Some(Duration::from_secs(1)),
        name: "loss".to_owned(),
    };
    let report = Party::gather(plan).await.unwrap().chat().await.unwrap();
    println!("{report}");
    assert!(report.is_well() && report.sent > 100 && report.resumed > 10, "{report}");
    assert_eq!(report.heard, report.sent * 8);
}

#[tokio::test]
async fn a_server_that_is_killed_loses_nothing_that_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on(folder, &[("VC_JWT_SECRET", "0123456789abcdef0123456789abcdef")]);
    let [ada, bob] = [server.user("ada").await, server.user("bob").await];
    let (_, channel) = community(&[&ada, &bob]).await;
    let mut gateway = listen(&server, &ada).await;
    let mut acknowledged = Vec::new();
    for number in 0..50 {
        let ack = send(&mut gateway, channel, "x", &number.to_string()).await;
        acknowledged.push(ack["message"]["id"].as_i64().unwrap());
    }
    server.signal("KILL");
    let ended = server.wait();
    let server =
        Server::on(ended.folder.unwrap(), &[("VC_JWT_SECRET", "0123456789abcdef0123456789abcdef")]);
    let bob = server.api().with_token(&bob.access_token);
    let path = format!("/api/v1/channels/{channel}/messages?after=0&limit=100");
    let kept = bob.get(&path).await.unwrap().body;
    let kept: Vec<_> =
        kept.as_array().unwrap().iter().filter_map(|one| one["id"].as_i64()).collect();
    assert_eq!(kept, acknowledged);
}

#[tokio::test]
async fn what_is_not_understood_ends_the_connection_with_its_code() {
    let server = Server::start();
    let ada = server.user("ada").await;
    let deep = "[".repeat(60_000);
    for (message, code) in [
        (Message::text("nonsense"), 4002),
        (Message::text(r#"{"op":"fly"}"#), 4002),
        (Message::text(r#"{"op":"heartbeat","seq":-1}"#), 4002),
        (Message::text(deep), 4002),
        (Message::binary(vec![1, 2, 3]), 1003),
        (Message::text(r#"{"op":"identify"}"#), 4003),
        (Message::text("x".repeat(70_000)), 1009),
    ] {
        let mut gateway = listen(&server, &ada).await;
        let shown = message.clone().into_data().len();
        gateway.put(message).await.unwrap();
        assert_eq!(end_of(&mut gateway).await, Some(code), "{shown} bytes");
    }
    let mut early = connect(&server, &ada).await;
    early.say(&json!({"op": "typing", "channel_id": 1})).await.unwrap();
    assert_eq!(end_of(&mut early).await, Some(4003));
}

#[tokio::test]
async fn frames_that_are_none_end_the_connection() {
    let server = Server::start();
    let ada = server.user("ada").await;
    // Masked with zeros: text that is no UTF-8, a reserved opcode, a frame without a mask.
    for (bytes, code) in [
        (&[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe][..], 1007),
        (&[0x83, 0x80, 0, 0, 0, 0], 1002),
        (&[0x81, 0x02, b'{', b'}'], 1002),
    ] {
        let mut gateway = listen(&server, &ada).await;
        let stream = gateway.stream();
        stream.writable().await.unwrap();
        assert_eq!(stream.try_write(bytes).unwrap(), bytes.len());
        assert_eq!(end_of(&mut gateway).await, Some(code), "{bytes:x?}");
    }
    assert_eq!(server.api().get("/readyz").await.unwrap().status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_connection_needs_a_token_and_a_websocket() {
    let server = Server::start();
    let ada = server.user("ada").await;
    for token in ["", "made.up.token"] {
        let refused = Gateway::connect(&server.host(), token, &[]).await;
        assert!(
            matches!(refused, Err(GatewayError::Refused(StatusCode::UNAUTHORIZED))),
            "{refused:?}"
        );
    }
    let plain = ada.api.get("/api/v1/gateway").await.unwrap();
    assert_eq!(plain.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_connection_lasts_as_long_as_its_token_and_a_newer_one_extends_it() {
    let server = Server::with(&[("VC_ACCESS_TOKEN_LIFETIME", "2s")]);
    let ada = server.user("ada").await;
    let mut gateway = listen(&server, &ada).await;
    let body = json!({"refresh_token": ada.refresh_token});
    tokio::time::sleep(Duration::from_secs(1)).await;
    let newer = server.api().post("/api/v1/auth/refresh", &body).await.unwrap().body;
    gateway.say(&json!({"op": "authenticate", "token": "made.up.token"})).await.unwrap();
    assert_eq!(gateway.wait_for("error").await.unwrap()["code"], "unauthenticated");
    gateway.say(&json!({"op": "authenticate", "token": newer["access_token"]})).await.unwrap();
    gateway.wait_for("authenticated").await.unwrap();
    let begun = std::time::Instant::now();
    assert_eq!(end_of(&mut gateway).await, Some(4004));
    assert!(begun.elapsed() > Duration::from_millis(700), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn who_logs_out_is_out_everywhere_with_that_login() {
    let server = Server::start();
    let ada = server.user("ada").await;
    let other = server.api().log_in("ada", "a good password").await.unwrap();
    let mut gateway = listen(&server, &ada).await;
    let mut of_other = listen(&server, &other).await;
    ada.api.act("/api/v1/auth/logout").await.unwrap();
    assert_eq!(end_of(&mut gateway).await, Some(4005));
    of_other.say(&json!({"op": "heartbeat", "seq": 0})).await.unwrap();
    of_other.wait_for("heartbeat_ack").await.unwrap();
}

#[tokio::test]
async fn a_client_that_is_silent_is_let_go_and_one_that_only_listens_is_not() {
    let server = Server::with(&[("VC_HEARTBEAT_INTERVAL", "300ms")]);
    let ada = server.user("ada").await;
    // The library answers pings while it is read.
    let mut listening = listen(&server, &ada).await;
    assert!(timeout(Duration::from_secs(2), end_of(&mut listening)).await.is_err());
    // Nobody reads this one, so nobody answers.
    let silent = listen(&server, &ada).await;
    let mut server = server;
    let closed = server.wait_for_line("the silent one to be let go", |line| {
        line["event"] == "gateway.close" && line["websocket.close.code"] == "4009"
    });
    assert_eq!(closed["outcome"], "timed_out");
    drop(silent);
}

#[tokio::test]
async fn a_slow_reader_is_sent_away_and_holds_nobody_up() {
    let server = Server::with(&[("VC_SESSION_BUFFER", "256")]);
    let [ada, bob] = [server.user("ada").await, server.user("bob").await];
    let (_, channel) = community(&[&ada, &bob]).await;
    let slow = listen(&server, &bob).await;
    let session = slow.session.clone().unwrap();
    let mut quick = listen(&server, &ada).await;
    let content = "x".repeat(4_000);
    // More than the kernel's buffers and the session's together take.
    let mut slowest = Duration::ZERO;
    let mut server = server;
    for _ in 0..4_000 {
        let begun = std::time::Instant::now();
        write(&ada, channel, &content).await;
        quick.wait_for("message.created").await.unwrap();
        slowest = slowest.max(begun.elapsed());
        let is_gone = |line: &Value| line["websocket.close.code"] == "4010";
        if server.lines().iter().any(is_gone) {
            break;
        }
    }
    println!("the slowest delivery took {slowest:?}");
    server.wait_for_line("the slow one to be sent away", |line| {
        line["event"] == "gateway.close" && line["websocket.close.code"] == "4010"
    });
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    drop(slow);
    // It may come back; what it missed is there, or it is told that it is not.
    let mut back = connect(&server, &bob).await;
    back.resume(&session, 1).await.unwrap();
}

#[tokio::test]
async fn a_flood_ends_the_connection() {
    let server = Server::start();
    let ada = server.user("ada").await;
    let mut gateway = listen(&server, &ada).await;
    for _ in 0..150 {
        if gateway.say(&json!({"op": "heartbeat", "seq": 0})).await.is_err() {
            break;
        }
    }
    assert_eq!(end_of(&mut gateway).await, Some(4008));
    let limited = Server::with(&[("VC_MESSAGES_PER_MINUTE", "2")]);
    let bob = limited.user("bob").await;
    let (_, channel) = community(&[&bob]).await;
    let mut gateway = listen(&limited, &bob).await;
    for nonce in ["1", "2"] {
        send(&mut gateway, channel, "x", nonce).await;
    }
    let third = json!({"op": "send", "channel_id": channel, "content": "x", "nonce": "3"});
    gateway.say(&third).await.unwrap();
    let refused = gateway.wait_for("error").await.unwrap();
    assert_eq!((&refused["code"], &refused["nonce"]), (&json!("too_often"), &json!("3")));
    assert!(refused["retry_after_ms"].as_u64().unwrap() > 1_000);
}

#[tokio::test]
async fn there_are_only_so_many_connections() {
    let server = Server::with(&[("VC_MAX_CONNECTIONS", "2")]);
    let ada = server.user("ada").await;
    let first = listen(&server, &ada).await;
    let _second = listen(&server, &ada).await;
    let refused = Gateway::connect(&server.host(), &ada.access_token, &[]).await;
    assert!(matches!(refused, Err(GatewayError::Refused(StatusCode::SERVICE_UNAVAILABLE))));
    first.close().await.unwrap();
    let retry = async {
        while Gateway::connect(&server.host(), &ada.access_token, &[]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, retry).await.expect("there is room again");
}

#[tokio::test]
async fn a_user_has_only_so_many_sessions_and_may_come_back_to_each() {
    let server = Server::start();
    let ada = server.user("ada").await;
    let mut sessions = Vec::new();
    for _ in 0..50 {
        sessions.push(listen(&server, &ada).await);
    }
    let mut more = connect(&server, &ada).await;
    more.say(&json!({"op": "identify"})).await.unwrap();
    assert_eq!(end_of(&mut more).await, Some(4012));
    let lost = sessions.pop().unwrap();
    let (session, seen) = (lost.session.clone().unwrap(), lost.seen);
    drop(lost);
    assert!(connect(&server, &ada).await.resume(&session, seen).await.unwrap());
}

#[tokio::test]
async fn a_session_is_its_login_s_and_ends_with_it_for_good() {
    let server = Server::start();
    let ada = server.user("ada").await;
    let other = server.api().log_in("ada", "a good password").await.unwrap();
    let gateway = listen(&server, &ada).await;
    let (session, seen) = (gateway.session.clone().unwrap(), gateway.seen);
    drop(gateway);
    assert!(!connect(&server, &other).await.resume(&session, seen).await.unwrap());
    let mut early = connect(&server, &ada).await;
    ada.api.act("/api/v1/auth/logout").await.unwrap();
    assert!(!early.resume(&session, seen).await.unwrap());
    // The access token is good for a while, and lets nobody into the gateway.
    let refused = Gateway::connect(&server.host(), &ada.access_token, &[]).await;
    assert!(matches!(refused, Err(GatewayError::Refused(StatusCode::UNAUTHORIZED))));
}

#[tokio::test]
async fn who_left_hears_no_more_even_if_the_request_was_cut() {
    let server = Server::start();
    let [ada, bob] = [server.user("ada").await, server.user("bob").await];
    let (id, channel) = community(&[&ada, &bob]).await;
    let mut of_bob = listen(&server, &bob).await;
    let mut lock = writer(&server).await;
    let head = format!(
        "POST /api/v1/communities/{id}/leave HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
        bob.access_token
    );
    let mut stream = tokio::net::TcpStream::connect(server.host()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(stream);
    tokio::time::sleep(Duration::from_millis(200)).await;
    sqlx::query("ROLLBACK").execute(&mut lock).await.unwrap();
    let path = format!("/api/v1/communities/{id}");
    while bob.api.get(&path).await.unwrap().status == StatusCode::OK {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    write(&ada, channel, "behind his back").await;
    assert!(!events(&mut of_bob).await.contains(&"message.created".to_owned()));
}

/// A connection to the server's database that keeps others from writing.
async fn writer(server: &Server) -> sqlx::SqliteConnection {
    use sqlx::Connection as _;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(server.database());
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
    connection
}

#[tokio::test]
async fn a_connection_that_says_nothing_does_not_keep_the_server_from_its_end() {
    let server = Server::start();
    let ada = server.user("ada").await;
    let mut silent = connect(&server, &ada).await;
    let begun = std::time::Instant::now();
    server.signal("TERM");
    assert_eq!(end_of(&mut silent).await, Some(1001));
    drop(silent);
    assert!(server.wait().status.success());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_server_that_ends_says_so_and_finishes_what_it_began() {
    let server = Server::start();
    let ada = server.user("ada").await;
    let (_, channel) = community(&[&ada]).await;
    let mut gateway = listen(&server, &ada).await;
    // A request whose body is still on its way when the signal comes.
    let draft = json!({"content": "last words"}).to_string();
    let mut stream = tokio::net::TcpStream::connect(server.host()).await.unwrap();
    let head = format!(
        "POST /api/v1/channels/{channel}/messages HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{}",
        ada.access_token,
        draft.len(),
        &draft[..5]
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.signal("TERM");
    assert_eq!(end_of(&mut gateway).await, Some(1001));
    stream.write_all(&draft.as_bytes()[5..]).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer);
    timeout(PATIENCE, read).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 201 Created"), "{answer}");
    let ended = server.wait();
    assert!(ended.status.success(), "{:?} {}", ended.status, ended.errors);
    assert_eq!(ended.errors, "");
}

#[tokio::test]
async fn a_connection_that_does_not_let_go_does_not_keep_the_server_from_its_end() {
    let server = Server::with(&[("VC_SHUTDOWN_TIMEOUT", "1s")]);
    let ada: Login = server.user("ada").await;
    let stuck = listen(&server, &ada).await;
    let half = tokio::net::TcpStream::connect(server.host()).await.unwrap();
    half.writable().await.unwrap();
    half.try_write(b"POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n")
        .unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let begun = std::time::Instant::now();
    let ended = server.stop();
    assert!(ended.status.success());
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    drop((stuck, half));
}

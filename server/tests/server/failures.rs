//! Trouble on the host: a status that says so, nothing lost, and work goes on afterwards.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use hyper::StatusCode;
use serde_json::json;
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::peers::{
    band::community,
    server::{PATIENCE, Server, program},
};

#[tokio::test]
async fn a_locked_database_is_said_to_and_waited_for() {
    let server = Server::start();
    let ada = server.user("ada").await;
    let (_, channel) = community(&[&ada]).await;
    let path = format!("/api/v1/channels/{channel}/messages");
    let options = SqliteConnectOptions::new().filename(server.database());
    let mut other = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    // Reading goes on meanwhile, and a short lock is waited for.
    assert_eq!(ada.api.get(&path).await.unwrap().status, StatusCode::OK);
    let begun = Instant::now();
    let draft = json!({"content": "x", "nonce": "1"});
    let answer = ada.api.post(&path, &draft).await.unwrap();
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.body["code"], "database_busy");
    assert!(answer.headers.contains_key("retry-after"));
    assert!((4..8).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    let waiting = ada.api.post(&path, &draft);
    let unlock = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    };
    let (answer, ()) = tokio::join!(waiting, unlock);
    assert_eq!(answer.unwrap().status, StatusCode::CREATED);
    let ended = server.stop();
    let line = ended.lines.iter().find(|line| line["event"] == "server.error").unwrap();
    assert_eq!((&line["error.type"], &line["outcome"]), (&json!("database_busy"), &json!("error")));
}

/// A server whose database is on a file system of one megabyte, in namespaces of its own.
fn on_a_small_disk(folder: &std::path::Path) -> Option<Server> {
    let script = r#"mount -t tmpfs -o size=1m none "$0" && exec "$1" run"#;
    let server = program();
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
    let mut probe = Command::new("unshare");
    probe.args([
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        r#"mount -t tmpfs -o size=1m none "$0""#,
    ]);
    let can = probe.arg(folder).stderr(Stdio::null()).status();
    if !can.is_ok_and(|status| status.success()) {
        println!("skipped: a_full_disk_loses_nothing_that_was_acknowledged: no user namespaces");
        return None;
    }
    command.arg(folder).arg(server.get_program());
    Some(Server::launch(&mut command, &folder.join("vc.db"), &[]))
}

#[tokio::test]
async fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = on_a_small_disk(folder.path()) else { return };
    let ada = server.user("ada").await;
    let (_, channel) = community(&[&ada]).await;
    let path = format!("/api/v1/channels/{channel}/messages");
    let draft = json!({"content": "x".repeat(4_000)});
    let mut acknowledged = Vec::new();
    let refused = loop {
        let answer = ada.api.post(&path, &draft).await.unwrap();
        if answer.status != StatusCode::CREATED {
            break answer;
        }
        acknowledged.push(answer.body["id"].as_i64().unwrap());
        assert!(acknowledged.len() < 1_000, "the disk is small");
    };
    println!("{} messages were kept", acknowledged.len());
    assert_eq!(refused.status, StatusCode::INSUFFICIENT_STORAGE, "{}", refused.body);
    assert_eq!(refused.body["code"], "database_full");
    let mut kept = Vec::new();
    loop {
        let after = kept.last().copied().unwrap_or(0);
        let page = ada.api.get(&format!("{path}?after={after}&limit=100")).await.unwrap();
        let page = page.body.as_array().unwrap().clone();
        if page.is_empty() {
            break;
        }
        kept.extend(page.iter().filter_map(|one| one["id"].as_i64()));
    }
    assert_eq!(kept, acknowledged);
    let ended = server.stop();
    assert!(ended.status.success(), "{}", ended.errors);
    assert!(ended.lines.iter().any(|line| line["error.type"] == "database_full"));
}

#[tokio::test]
async fn what_is_no_http_is_answered_or_hung_up_on() {
    let server = Server::start();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET\r\n\r\n",
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99999999999\r\nconnection: close\r\n\r\n{",
        b"POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\nzz\r\n",
    ] {
        let mut stream = tokio::net::TcpStream::connect(server.host()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer));
        let _reset = read.await.expect("it ends");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert_eq!(server.api().get("/readyz").await.unwrap().status, StatusCode::NO_CONTENT);
    let ended = server.stop();
    assert!(ended.status.success() && ended.errors.is_empty(), "{}", ended.errors);
}

#[tokio::test]
async fn a_body_that_is_too_large_or_no_json_is_refused() {
    let server = Server::start();
    let api = server.api();
    let send = async |kind: &str, body: Vec<u8>| {
        let request = hyper::Request::builder()
            .method("POST")
            .uri(format!("http://{}/api/v1/auth/login", server.host()))
            .header("content-type", kind)
            .body(http_body_util::Full::new(body.into()))
            .unwrap();
        api.send(request).await.unwrap().status.as_u16()
    };
    let json = "application/json";
    assert_eq!(send(json, vec![b' '; 70_000]).await, 413);
    for body in [&b"{"[..], b"\xff\xfe", b"", &[b'['; 60_000]] {
        assert_eq!(send(json, body.to_vec()).await, 400);
    }
    assert_eq!(send("text/plain", b"{}".to_vec()).await, 400);
}

#[test]
fn a_database_that_cannot_be_had_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let nonsense = folder.path().join("nonsense.db");
    std::fs::write(&nonsense, "this is no database, and long enough to be looked at as one")
        .unwrap();
    for (path, said) in
        [("/nowhere/vc.db", "cannot open"), (nonsense.to_str().unwrap(), "nonsense.db")]
    {
        let output = program()
            .args(["run", "--listen", "127.0.0.1:0", "--database", path])
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.starts_with("error: ") && errors.contains(said), "{errors}");
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let output =
        program().args(["run", "--listen", &address]).current_dir(folder.path()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains(&address) && errors.contains("--listen"), "{errors}");
}

#[tokio::test]
async fn a_log_that_nobody_reads_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let host = format!("127.0.0.1:{port}");
    let mut child = program()
        .args(["run", "--listen", &host])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let api = vc_bot::Api::new(&host);
    let work = async {
        while api.get("/healthz").await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Some 300 bytes each: far more than a pipe holds.
        for _ in 0..2_000 {
            assert_eq!(api.get("/healthz").await.unwrap().status, StatusCode::NO_CONTENT);
        }
    };
    let outcome = tokio::time::timeout(PATIENCE, work).await;
    let ended = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() && begun.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let status = child.try_wait().unwrap();
    let _gone_already = child.kill();
    outcome.expect("requests are answered");
    assert!(ended.success() && status.is_some_and(|status| status.success()), "{status:?}");
}

#[tokio::test]
async fn who_does_not_finish_the_head_of_a_request_is_hung_up_on() {
    let server = Server::start();
    let begun = Instant::now();
    let mut silent = Vec::new();
    for part in [&b""[..], b"GET /healthz HTTP/1.1\r\nhost:"] {
        let mut stream = tokio::net::TcpStream::connect(server.host()).await.unwrap();
        stream.write_all(part).await.unwrap();
        silent.push(stream);
    }
    for mut stream in silent {
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let _reset = tokio::time::timeout(Duration::from_secs(45), read).await.expect("it ends");
    }
    println!("hung up on after {:?}", begun.elapsed());
    assert!(begun.elapsed() > Duration::from_secs(20), "a slow one has some time");
}

//! The seeds of the fuzz targets, and whatever they found, judged as the targets judge them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

#[path = "../../observer/fuzz/judges/demux.rs"]
mod demux;
#[path = "../../observer/fuzz/judges/dtls.rs"]
mod dtls;
#[path = "../../observer/fuzz/judges/framing.rs"]
mod framing;
#[path = "../../observer/fuzz/judges/rtcp.rs"]
mod rtcp;
#[path = "../../observer/fuzz/judges/stun.rs"]
mod stun;
#[path = "../../observer/fuzz/judges/turn.rs"]
mod turn;

/// Judges every file of a corpus, and every beginning of it.
fn judge_all(target: &str, judge: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../observer/fuzz/corpus").join(target);
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    for file in files {
        let bytes = fs::read(&file).unwrap();
        println!("{}", file.display());
        (0..=bytes.len()).for_each(|end| judge(&bytes[..end]));
    }
}

#[test]
fn stun_is_read_as_bytes_say() {
    judge_all("stun", stun::judge);
}

#[test]
fn rtcp_is_read_as_bytes_say() {
    judge_all("rtcp", rtcp::judge);
}

#[test]
fn dtls_is_read_as_bytes_say() {
    judge_all("dtls", dtls::judge);
}

#[test]
fn channel_data_is_read_as_bytes_say() {
    judge_all("turn", turn::judge);
}

#[test]
fn tcp_streams_are_read_as_bytes_say() {
    judge_all("framing", framing::judge);
}

#[test]
fn paths_hold_whatever_comes() {
    judge_all("demux", demux::judge);
}

//! What is said over the gateway: one JSON object a message, with `op` for what it is.

use std::fmt::Write as _;

use opentelemetry::propagation::Extractor;
use serde::{Deserialize, Serialize};

use crate::{
    chat::messages::Draft,
    events::{Event, Status},
    problem::Problem,
    store::Message,
    voice::{CallView, Participant},
};

/// The subprotocol.
pub(super) const PROTOCOL: &str = "vc.v1";
/// The subprotocol that a token comes in, which the server does not choose.
pub(super) const TOKEN: &str = "bearer.";

/// What a client says.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Said {
    /// First: begin a session.
    Identify {},
    /// First: go on with a session after event `seq`.
    Resume { session_id: String, seq: u64 },
    /// There still, and has every event up to `seq`.
    Heartbeat { seq: u64 },
    /// A newer access token of the same login.
    Authenticate { token: String },
    /// A message.
    Send {
        channel_id: i64,
        content: String,
        nonce: Option<String>,
        #[serde(flatten)]
        context: TraceContext,
    },
    /// Is writing.
    Typing { channel_id: i64 },
    /// Has read up to there.
    Read { channel_id: i64, message_id: i64 },
    /// Is there, or is not.
    Presence { status: Status },
    /// Wants to talk in a channel, and offers how.
    VoiceJoin {
        channel_id: i64,
        sdp: String,
        #[serde(default)]
        muted: bool,
        #[serde(flatten)]
        context: TraceContext,
    },
    /// Offers something else, such as another path.
    VoiceOffer { sdp: String },
    /// Names an address of its own.
    VoiceCandidate { candidate: String },
    /// Is not to be heard, or is.
    VoiceMute { muted: bool },
    /// Wants to talk no more.
    VoiceLeave {},
}

/// W3C Trace Context and Baggage, as headers have them.
#[derive(Debug, Default, Deserialize)]
pub(super) struct TraceContext {
    traceparent: Option<String>,
    tracestate: Option<String>,
    baggage: Option<String>,
}

impl Extractor for TraceContext {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => self.traceparent.as_deref(),
            "tracestate" => self.tracestate.as_deref(),
            "baggage" => self.baggage.as_deref(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate", "baggage"]
    }
}

impl Said {
    /// What a message's text says; nothing when that is nothing.
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// A message, as a draft.
pub(super) const fn draft(content: String, nonce: Option<String>) -> Draft {
    Draft { content, nonce }
}

/// What the server says, besides events.
#[derive(Debug, Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(super) enum Says<'a> {
    /// At once: show signs of life that often, and identify or resume.
    Hello { heartbeat_interval_ms: u64 },
    /// A session began, and these calls of the user's ring or are under way.
    Ready { session_id: &'a str, user_id: i64, calls: Vec<CallView> },
    /// A session goes on; so many events follow that were missed.
    Resumed { missed: u64 },
    /// It does not: identify, and read what was missed over REST.
    InvalidSession { reason: &'static str },
    /// A heartbeat was heard.
    HeartbeatAck {},
    /// A newer token is in force.
    Authenticated {},
    /// A message is kept.
    Ack { nonce: Option<&'a str>, message: &'a Message },
    /// A channel is about to be talked in, and these talk there.
    VoiceJoined { channel_id: i64, sdp: &'a str, participants: &'a [Participant] },
    /// What is agreed upon.
    VoiceAnswer { sdp: &'a str },
    /// Something was not done.
    Error {
        #[serde(skip_serializing_if = "Option::is_none")]
        about: Option<&'static str>,
        code: &'static str,
        title: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        nonce: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
}

impl<'a> Says<'a> {
    pub(super) fn error(
        problem: &Problem,
        about: Option<&'static str>,
        nonce: Option<&'a str>,
    ) -> Self {
        let retry_after_ms = match problem {
            Problem::TooOften(wait) => Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
            _ => None,
        };
        let (_, code) = problem.kind();
        Self::Error { about, code, title: problem.to_string(), nonce, retry_after_ms }
    }

    pub(super) fn text(&self) -> String {
        // Nothing in it has keys that are no strings.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// An event as it is told. Its body is in words already, so they are put around it.
pub(super) fn told(number: u64, event: &Event) -> String {
    let mut text = String::with_capacity(event.body.len() + 160);
    let _infallible = write!(text, r#"{{"op":"event","seq":{number},"event":"{}""#, event.name);
    if let Some(traceparent) = &event.traceparent {
        let _infallible = write!(text, r#","traceparent":"{traceparent}""#);
    }
    let _infallible = write!(text, r#","data":{}}}"#, event.body);
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_event_is_json_with_its_number() {
        let mut event = Event::new("typing", &json!({"a": "\"}"}));
        event.traceparent = Some("00-0-0-01".to_owned());
        let value: Value = serde_json::from_str(&told(7, &event)).unwrap();
        let expected = json!({
            "op": "event", "seq": 7, "event": "typing", "traceparent": "00-0-0-01", "data": {"a": "\"}"}
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn what_is_not_known_is_not_taken() {
        for text in [
            r#"{"op":"identify"}"#,
            r#"{"op":"heartbeat","seq":0}"#,
            r#"{"op":"send","channel_id":1,"content":"x","traceparent":"00"}"#,
            r#"{"op":"presence","status":"idle"}"#,
        ] {
            assert!(Said::parse(text).is_some(), "{text}");
        }
        for text in [
            "",
            "{}",
            "[]",
            "null",
            r#"{"op":"fly"}"#,
            r#"{"op":"heartbeat","seq":-1}"#,
            r#"{"op":"heartbeat","seq":18446744073709551616}"#,
            r#"{"op":"send","channel_id":"1","content":"x"}"#,
            r#"{"op":"identify"}{"op":"identify"}"#,
        ] {
            assert!(Said::parse(text).is_none(), "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(Said::parse(&deep).is_none());
    }
}

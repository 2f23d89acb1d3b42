//! One export, over gRPC or HTTP.

mod message;

mod grpc;

mod http;

use std::{
    error::Error,
    iter,
    time::{Duration, SystemTime},
};

use hyper::{HeaderMap, header::RETRY_AFTER};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::timeout;

use super::{Protocol, environment::Signal, settings::Settings};
pub use message::{Message, Partial};

/// As much of a collector's words as a line of the log may have, in characters.
const WORDS: usize = 200;
/// The longest wait that a collector can ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(900);

/// The way to a collector.
#[derive(Debug)]
pub struct Client {
    settings: Settings,
    wire: Wire,
}

/// Why a collector has not taken an export.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct Refusal {
    /// What happened, in words.
    pub words: String,
    /// Whether it may take it later.
    pub retry: Retry,
}

/// Whether to send once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It would be refused again.
    Never,
    /// After a time that grows with each attempt.
    Soon,
    /// Not before this has passed.
    After(Duration),
}

#[derive(Debug)]
enum Wire {
    Grpc(grpc::Wire),
    Http(http::Wire),
}

impl Client {
    /// Connects with the first export.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { wire: Wire::new(&settings), settings }
    }

    /// The time that an export may take.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    /// Where exports go.
    #[must_use]
    pub fn target(&self) -> String {
        self.settings.target.to_string()
    }

    /// What goes there.
    pub(super) const fn signal(&self) -> Signal {
        self.settings.signal
    }

    /// Sends a request, once. Gives what the collector left out of it, if it says so.
    ///
    /// # Errors
    /// When the collector did not take it, or could not be reached in time.
    pub async fn send<M: Message>(&mut self, request: M) -> Result<Option<Partial>, Refusal> {
        let sent = async {
            match &mut self.wire {
                Wire::Grpc(wire) => wire.send(&self.settings, request).await,
                Wire::Http(wire) => wire.send(&self.settings, &request).await,
            }
        };
        let outcome = timeout(self.settings.timeout, sent).await;
        let outcome = outcome.map(|sent| sent.map(M::partial));
        outcome.unwrap_or_else(|_| {
            // What does not answer may be a connection that has gone: the next is another.
            self.wire = Wire::new(&self.settings);
            let words = format!("no answer within {:?}", self.settings.timeout);
            Err(Refusal { words, retry: Retry::Soon })
        })
    }
}

impl Wire {
    fn new(settings: &Settings) -> Self {
        match settings.protocol {
            Protocol::Grpc => Self::Grpc(grpc::Wire::new(settings)),
            Protocol::HttpProtobuf => Self::Http(http::Wire::new(settings)),
        }
    }
}

/// HTTP of either version, encrypted where the URL says so.
type Hyper<B> = legacy::Client<HttpsConnector<HttpConnector>, B>;

fn hyper<B>(settings: &Settings) -> Hyper<B>
where
    B: hyper::body::Body + Send,
    B::Data: Send,
{
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(settings.tls.clone()).https_or_http();
    let is_http2 = settings.protocol == Protocol::Grpc;
    let connector =
        if is_http2 { connector.enable_http2().build() } else { connector.enable_http1().build() };
    legacy::Client::builder(TokioExecutor::new())
        .http2_only(is_http2)
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .build(connector)
}

/// A collector that is not there may be back soon.
fn unreachable(error: &legacy::Error) -> String {
    let causes = iter::successors(error.source(), |error: &&dyn Error| (*error).source());
    let words = causes.fold(error.to_string(), |words, cause| {
        let cause = cause.to_string();
        if words.contains(&cause) { words } else { format!("{words}: {cause}") }
    });
    quoted(&words)
}

/// Somebody else's words, short and on one line.
pub(super) fn quoted(words: &str) -> String {
    words.chars().take(WORDS).flat_map(char::escape_debug).filter(|c| *c != '\\').collect()
}

/// What a collector asks for by `Retry-After`, in seconds or as a date (RFC 9110 section
/// 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = text.parse().map(Duration::from_secs).ok();
    let date = || httpdate::parse_http_date(text).ok()?.duration_since(now).ok();
    seconds.or_else(date)
}

/// After what was asked for, else soon.
fn after(wait: Option<Duration>) -> Retry {
    wait.map_or(Retry::Soon, |wait| Retry::After(wait.min(LONGEST_WAIT)))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn a_wait_is_asked_for_in_seconds_or_by_a_date() {
        let now = httpdate::parse_http_date("Wed, 21 Oct 2015 07:28:00 GMT").unwrap();
        let wait = |text: &'static str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            after(retry_after(&headers, now))
        };
        assert_eq!(wait("3"), Retry::After(Duration::from_secs(3)));
        let date = "Wed, 21 Oct 2015 07:28:09 GMT";
        assert_eq!(wait(date), Retry::After(Duration::from_secs(9)));
        assert_eq!(wait("99999999999"), Retry::After(LONGEST_WAIT));
        for none in ["Wed, 21 Oct 2015 07:27:59 GMT", "soon", "-1"] {
            assert_eq!(wait(none), Retry::Soon, "{none}");
        }
    }

    #[test]
    fn somebody_elses_words_fit_a_line() {
        let words = quoted(&"a\n\u{1b}[0mb".repeat(100));
        assert!(words.chars().count() < 3 * WORDS && !words.chars().any(char::is_control));
    }
}

//! The gateway.

use std::collections::VecDeque;

use futures_util::{SinkExt as _, StreamExt as _};
use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        self, Message, Utf8Bytes,
        client::IntoClientRequest as _,
        http::HeaderValue,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};

/// Bytes that are read at once. So many are set to zero before each attempt to read, so
/// tungstenite's 128 KiB would cost more than all that is done with a message.
const READ_BUFFER: usize = 4 << 10;

/// A connection to the gateway, and how far it got.
#[derive(Debug)]
pub struct Gateway {
    socket: WebSocketStream<TcpStream>,
    /// Heard while something else was waited for.
    early: VecDeque<Value>,
    /// What to show to come back.
    pub session: Option<String>,
    /// Number of the last event that was heard.
    pub seen: u64,
}

/// What the other end does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It says something.
    Said(Value),
    /// It ends, with a code if it gives one.
    Closed(Option<u16>),
}

/// Why there is no connection, or no more of one.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The server answered with a status of HTTP.
    #[error("the server answers {0}")]
    Refused(StatusCode),
    /// The connection ended, with a code if it had one.
    #[error("the connection ended with {0:?}")]
    Closed(Option<u16>),
    /// Something else.
    #[error(transparent)]
    Broken(#[from] tungstenite::Error),
    /// No connection.
    #[error(transparent)]
    Unreachable(#[from] std::io::Error),
}

impl Gateway {
    /// Connects, with headers of its own, and hears `hello`.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub async fn connect(
        host: &str,
        token: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, GatewayError> {
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        let mut request = format!("ws://{host}/api/v1/gateway").into_client_request()?;
        let mut set = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                request.headers_mut().insert(name, value);
            }
        };
        set("sec-websocket-protocol", &format!("vc.v1, bearer.{token}"));
        for (name, value) in headers {
            set(name, value);
        }
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
        let opened = client_async_with_config(request, stream, Some(config)).await;
        let (socket, _) = opened.map_err(|error| match error {
            tungstenite::Error::Http(response) => GatewayError::Refused(response.status()),
            other => other.into(),
        })?;
        let mut gateway = Self { socket, early: VecDeque::new(), session: None, seen: 0 };
        gateway.wait_for("hello").await?;
        Ok(gateway)
    }

    /// Begins a session.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub async fn identify(&mut self) -> Result<(), GatewayError> {
        self.say(&json!({"op": "identify"})).await?;
        let ready = self.wait_for("ready").await?;
        self.session = ready["session_id"].as_str().map(str::to_owned);
        self.seen = 0;
        Ok(())
    }

    /// Goes on with a session after event `seen`; false when the server does not know it.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub async fn resume(&mut self, session: &str, seen: u64) -> Result<bool, GatewayError> {
        self.say(&json!({"op": "resume", "session_id": session, "seq": seen})).await?;
        loop {
            let said = self.next_said().await?;
            match said["op"].as_str() {
                Some("resumed") => {
                    self.session = Some(session.to_owned());
                    self.seen = seen;
                    return Ok(true);
                }
                Some("invalid_session") => return Ok(false),
                _ => self.early.push_back(said),
            }
        }
    }

    /// Says something.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn say(&mut self, value: &Value) -> Result<(), GatewayError> {
        self.put(Message::text(value.to_string())).await
    }

    /// Sends a message as it is.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn put(&mut self, message: Message) -> Result<(), GatewayError> {
        Ok(self.socket.send(message).await?)
    }

    /// The next thing that is heard, and how far that gets.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn hear(&mut self) -> Result<Heard, GatewayError> {
        if let Some(said) = self.early.pop_front() {
            return Ok(Heard::Said(self.note(said)));
        }
        let text = match self.hear_words().await {
            Ok(text) => text,
            Err(GatewayError::Closed(code)) => return Ok(Heard::Closed(code)),
            Err(error) => return Err(error),
        };
        let said = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Heard::Said(self.note(said)))
    }

    /// The next thing that comes in, as it is written: for those who hear much and look at
    /// little of it. What was heard early is not repeated, and nothing is noted.
    ///
    /// # Errors
    /// When the connection ends or breaks.
    pub async fn hear_words(&mut self) -> Result<Utf8Bytes, GatewayError> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text),
                Some(Ok(Message::Close(frame))) => {
                    return Err(GatewayError::Closed(frame.map(|frame| frame.code.into())));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Err(GatewayError::Closed(None)),
            }
        }
    }

    /// The next thing that is said.
    ///
    /// # Errors
    /// When the connection ends before.
    pub async fn next_said(&mut self) -> Result<Value, GatewayError> {
        match self.hear().await? {
            Heard::Said(said) => Ok(said),
            Heard::Closed(code) => Err(GatewayError::Closed(code)),
        }
    }

    /// The next thing that is said with this `op`, or event of this name; what else is heard
    /// till then is heard later.
    ///
    /// # Errors
    /// When the connection ends before.
    pub async fn wait_for(&mut self, what: &str) -> Result<Value, GatewayError> {
        let is_it = |said: &Value| said["op"] == what || said["event"] == what;
        let at = self.early.iter().position(is_it);
        if let Some(said) = at.and_then(|at| self.early.remove(at)) {
            return Ok(self.note(said));
        }
        let before = std::mem::take(&mut self.early);
        let mut passed = before;
        let found = loop {
            match self.next_said().await {
                Ok(said) if is_it(&said) => break Ok(said),
                Ok(said) => passed.push_back(said),
                Err(error) => break Err(error),
            }
        };
        self.early = passed;
        found
    }

    fn note(&mut self, said: Value) -> Value {
        if let Some(number) = said["seq"].as_u64() {
            self.seen = self.seen.max(number);
        }
        said
    }

    /// Ends the connection as one should; the session ends with it.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn close(mut self) -> Result<(), GatewayError> {
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        self.socket.close(Some(frame)).await?;
        while let Some(Ok(_)) = self.socket.next().await {}
        Ok(())
    }

    /// The connection below, which may be cut.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        self.socket.get_ref()
    }
}

//! Every name that leaves the process. `docs/ops/observability-contract.md` says the same
//! in words, and `tests/contract.rs` holds the two together.

/// Attributes of the resource.
pub const RESOURCE: [&str; 7] = [
    "service.name",
    "service.version",
    "service.instance.id",
    "deployment.environment.name",
    "telemetry.sdk.name",
    "telemetry.sdk.language",
    "telemetry.sdk.version",
];

/// Fields that a log line has besides attributes.
pub const LOG_FIELDS: [&str; 8] =
    ["timestamp", "severity", "event", "outcome", "message", "trace_id", "span_id", "request_id"];

/// An attribute, and what may carry it.
#[derive(Clone, Copy, Debug)]
pub struct Attribute {
    /// Its name.
    pub name: &'static str,
    /// Some of [`Carrier`], as bits.
    carriers: u8,
}

/// What carries attributes out of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// A span.
    Spans = 1,
    /// A metric's series.
    Metrics = 2,
    /// A log record.
    Logs = 4,
    /// Tags of an event of Sentry's.
    Sentry = 8,
}

impl Carrier {
    /// Each, with the contract's word for it.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Spans, "spans"),
        (Self::Metrics, "metrics"),
        (Self::Logs, "logs"),
        (Self::Sentry, "sentry"),
    ];

    /// Whether this may carry an attribute of that name.
    #[must_use]
    pub fn allows(self, name: &str) -> bool {
        ATTRIBUTES.iter().any(|one| one.name == name && one.is_for(self))
    }
}

impl Attribute {
    const fn new(name: &'static str, carriers: &[Carrier]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < carriers.len() {
            bits |= carriers[at] as u8;
            at += 1;
        }
        Self { name, carriers: bits }
    }

    /// Whether it may be carried by this.
    #[must_use]
    pub const fn is_for(&self, carrier: Carrier) -> bool {
        self.carriers & carrier as u8 != 0
    }
}

use Carrier::{Logs, Metrics, Sentry, Spans};

/// The one list. What is not on it is removed, whoever set it.
pub const ATTRIBUTES: [Attribute; 28] = [
    Attribute::new("http.request.method", &[Spans, Metrics, Logs, Sentry]),
    Attribute::new("http.route", &[Spans, Metrics, Logs, Sentry]),
    Attribute::new("http.response.status_code", &[Spans, Metrics, Logs, Sentry]),
    Attribute::new("url.scheme", &[Spans, Metrics]),
    Attribute::new("error.type", &[Spans, Metrics, Logs, Sentry]),
    Attribute::new("outcome", &[Spans, Metrics, Logs, Sentry]),
    Attribute::new("db.system.name", &[Spans, Metrics]),
    Attribute::new("db.operation.name", &[Spans, Metrics]),
    Attribute::new("db.collection.name", &[Spans, Metrics]),
    Attribute::new("cpu.mode", &[Metrics]),
    Attribute::new("vc.connect.kind", &[Spans, Metrics, Logs]),
    Attribute::new("vc.message.via", &[Spans, Metrics]),
    Attribute::new("vc.signal", &[Metrics, Logs]),
    Attribute::new("voice.ice_ufrag", &[Spans, Logs]),
    Attribute::new("reason", &[Metrics]),
    Attribute::new("websocket.close.code", &[Spans, Metrics, Logs]),
    Attribute::new("websocket.initiator", &[Spans, Metrics, Logs]),
    Attribute::new("socket.cookie", &[Spans, Logs]),
    Attribute::new("otlp.endpoint", &[Logs]),
    Attribute::new("otlp.protocol", &[Logs]),
    Attribute::new("sampler", &[Logs]),
    Attribute::new("signals", &[Logs]),
    Attribute::new("server.port", &[Logs]),
    Attribute::new("duration_ms", &[Logs]),
    Attribute::new("request_id", &[Logs, Sentry]),
    Attribute::new("code.file.path", &[Logs]),
    Attribute::new("code.line.number", &[Logs]),
    Attribute::new("code.namespace", &[Logs]),
];

/// A span.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Its name; that of a request is made of its method and route.
    pub name: &'static str,
    /// What it may carry.
    pub attributes: &'static [&'static str],
}

/// The span of a request, whose own name is never exported.
pub const REQUEST: &str = "{http.request.method} {http.route}";

/// Every span.
pub const SPANS: [Span; 10] = [
    Span {
        name: REQUEST,
        attributes: &[
            "http.request.method",
            "http.route",
            "http.response.status_code",
            "url.scheme",
            "error.type",
            "outcome",
        ],
    },
    Span { name: "auth.login", attributes: &["outcome"] },
    Span { name: "auth.token_refresh", attributes: &["outcome"] },
    Span { name: "chat.message_send", attributes: &["outcome", "vc.message.via", "socket.cookie"] },
    Span {
        name: "ws.connection_open",
        attributes: &["outcome", "vc.connect.kind", "socket.cookie"],
    },
    Span {
        name: "ws.session",
        attributes: &["outcome", "websocket.close.code", "websocket.initiator", "socket.cookie"],
    },
    Span { name: "voice.call_join", attributes: &["outcome"] },
    Span {
        name: "voice.session_join",
        attributes: &["outcome", "socket.cookie", "voice.ice_ufrag"],
    },
    Span { name: "voice.session", attributes: &["outcome", "socket.cookie", "voice.ice_ufrag"] },
    Span {
        name: "db.query",
        attributes: &[
            "db.system.name",
            "db.operation.name",
            "db.collection.name",
            "error.type",
            "outcome",
        ],
    },
];

/// How a metric adds up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A sum that only grows.
    Counter,
    /// A sum that grows and shrinks.
    UpDownCounter,
    /// What is at a moment.
    Gauge,
    /// A distribution, with the upper bounds of its buckets.
    Histogram(&'static [f64]),
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// How it adds up.
    pub kind: Kind,
    /// In UCUM.
    pub unit: &'static str,
    /// What tells its series apart.
    pub attributes: &'static [&'static str],
    /// What it measures.
    pub meaning: &'static str,
}

/// Requests over HTTP.
pub const HTTP_DURATION: Metric = Metric {
    name: "http.server.request.duration",
    kind: Kind::Histogram(&[
        0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    ]),
    unit: "s",
    attributes: &[
        "http.request.method",
        "http.route",
        "http.response.status_code",
        "url.scheme",
        "error.type",
    ],
    meaning: "From the request's head to the end of the handler",
};

/// Requests in progress.
pub const HTTP_ACTIVE: Metric = Metric {
    name: "http.server.active_requests",
    kind: Kind::UpDownCounter,
    unit: "{request}",
    attributes: &["http.request.method", "url.scheme"],
    meaning: "Requests in progress",
};

/// Operations on the database.
pub const DB_DURATION: Metric = Metric {
    name: "db.client.operation.duration",
    kind: Kind::Histogram(&[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0]),
    unit: "s",
    attributes: &["db.system.name", "db.operation.name", "db.collection.name", "error.type"],
    meaning: "One operation on the database, waiting for a connection included",
};

/// CPU time.
pub const CPU_TIME: Metric = Metric {
    name: "process.cpu.time",
    kind: Kind::Counter,
    unit: "s",
    attributes: &["cpu.mode"],
    meaning: "CPU time of the process",
};

/// Memory.
pub const MEMORY: Metric = Metric {
    name: "process.memory.usage",
    kind: Kind::UpDownCounter,
    unit: "By",
    attributes: &[],
    meaning: "Physical memory of the process",
};

/// Descriptors.
pub const DESCRIPTORS: Metric = Metric {
    name: "process.open_file_descriptor.count",
    kind: Kind::UpDownCounter,
    unit: "{file_descriptor}",
    attributes: &[],
    meaning: "Open file descriptors",
};

/// Age.
pub const UPTIME: Metric = Metric {
    name: "process.uptime",
    kind: Kind::Gauge,
    unit: "s",
    attributes: &[],
    meaning: "Time since the start",
};

const fn counter(
    name: &'static str,
    unit: &'static str,
    attributes: &'static [&'static str],
    meaning: &'static str,
) -> Metric {
    Metric { name, kind: Kind::Counter, unit, attributes, meaning }
}

/// Registrations.
pub const REGISTRATIONS: Metric =
    counter("vc.auth.registrations", "{registration}", &["outcome"], "Accounts asked for");

/// Logins.
pub const LOGINS: Metric = counter("vc.auth.logins", "{login}", &["outcome"], "Attempts to log in");

/// Refreshes.
pub const TOKEN_REFRESHES: Metric =
    counter("vc.auth.token_refreshes", "{refresh}", &["outcome"], "Attempts to refresh a token");

/// Gateway connections that are open.
pub const CONNECTIONS: Metric = Metric {
    name: "vc.gateway.connections",
    kind: Kind::UpDownCounter,
    unit: "{connection}",
    attributes: &[],
    meaning: "Gateway connections that are open",
};

/// Gateway connections by what they asked for.
pub const CONNECTS: Metric = counter(
    "vc.gateway.connects",
    "{connection}",
    &["vc.connect.kind"],
    "Connections that asked for a session, first ones told from those that come back",
);

/// Resumes.
pub const RESUMES: Metric =
    counter("vc.gateway.resumes", "{resume}", &["outcome"], "Attempts to go on with a session");

/// Ends of gateway connections.
pub const CLOSES: Metric = counter(
    "vc.gateway.closes",
    "{connection}",
    &["websocket.close.code", "websocket.initiator"],
    "Connections that ended",
);

/// Lifetimes of gateway connections.
pub const CONNECTION_DURATION: Metric = Metric {
    name: "vc.gateway.connection.duration",
    kind: Kind::Histogram(&[1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0]),
    unit: "s",
    attributes: &[],
    meaning: "How long a connection lasted",
};

/// Messages.
pub const MESSAGE_SENDS: Metric = counter(
    "vc.message.sends",
    "{message}",
    &["vc.message.via", "outcome"],
    "Messages that somebody sent",
);

/// Freshness.
pub const DELIVERY_DURATION: Metric = Metric {
    name: "vc.message.delivery.duration",
    kind: Kind::Histogram(&[
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0,
    ]),
    unit: "s",
    attributes: &[],
    meaning: "Freshness: from the server's receipt of a message to its hand-over to one recipient's socket; a resumed one counts from the receipt too",
};

/// Calls.
pub const CALLS: Metric = Metric {
    name: "vc.calls",
    kind: Kind::UpDownCounter,
    unit: "{call}",
    attributes: &[],
    meaning: "DM calls that ring or are under way",
};

/// Invitations.
pub const CALL_JOINS: Metric =
    counter("vc.call.joins", "{join}", &["outcome"], "Invitations by how they ended");

/// How long invitations took.
pub const CALL_JOIN_DURATION: Metric = Metric {
    name: "vc.call.join.duration",
    kind: Kind::Histogram(&[1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 120.0]),
    unit: "s",
    attributes: &["outcome"],
    meaning: "From a call's start to the end of an invitation",
};

/// Voice sessions.
pub const VOICE_SESSIONS: Metric = Metric {
    name: "vc.voice.sessions",
    kind: Kind::UpDownCounter,
    unit: "{session}",
    attributes: &[],
    meaning: "Voice sessions whose media is connected",
};

/// Attempts to join a voice room.
pub const VOICE_JOINS: Metric = counter(
    "vc.voice.joins",
    "{join}",
    &["outcome"],
    "Attempts to join a voice room: a success is one whose media was connected",
);

/// How long they took.
pub const VOICE_JOIN_DURATION: Metric = Metric {
    name: "vc.voice.join.duration",
    kind: Kind::Histogram(&[
        0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 30.0,
    ]),
    unit: "s",
    attributes: &["outcome"],
    meaning: "From the request to join a voice room to its media being connected, or to the end of the attempt",
};

/// Packets that were passed on.
pub const VOICE_FORWARDED: Metric = counter(
    "vc.voice.packets.forwarded",
    "{packet}",
    &[],
    "RTP packets sent to listeners: one that five hear counts five times",
);

/// Packets that were not.
pub const VOICE_DROPPED: Metric = counter(
    "vc.voice.packets.dropped",
    "{packet}",
    &["reason"],
    "Datagrams that were received on a voice port and not made use of, and RTP packets that were not passed on",
);

/// Exports that failed.
pub const EXPORTS_FAILED: Metric = counter(
    "vc.telemetry.exports_failed",
    "{export}",
    &["vc.signal"],
    "Exports that the collector did not take",
);

/// Telemetry that is gone.
pub const ITEMS_DROPPED: Metric = counter(
    "vc.telemetry.items_dropped",
    "{item}",
    &["vc.signal", "reason"],
    "Spans, log records and metric points that were not delivered; points of a sum come with the next export",
);

/// Every metric.
pub const METRICS: [&Metric; 27] = [
    &HTTP_DURATION,
    &HTTP_ACTIVE,
    &DB_DURATION,
    &CPU_TIME,
    &MEMORY,
    &DESCRIPTORS,
    &UPTIME,
    &REGISTRATIONS,
    &LOGINS,
    &TOKEN_REFRESHES,
    &CONNECTIONS,
    &CONNECTS,
    &RESUMES,
    &CLOSES,
    &CONNECTION_DURATION,
    &MESSAGE_SENDS,
    &DELIVERY_DURATION,
    &CALLS,
    &CALL_JOINS,
    &CALL_JOIN_DURATION,
    &VOICE_SESSIONS,
    &VOICE_JOINS,
    &VOICE_JOIN_DURATION,
    &VOICE_FORWARDED,
    &VOICE_DROPPED,
    &EXPORTS_FAILED,
    &ITEMS_DROPPED,
];

/// A kind of log line.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// Its name.
    pub name: &'static str,
    /// Attributes that it may have, besides the request's id.
    pub fields: &'static [&'static str],
}

/// Every kind of log line.
pub const EVENTS: [Event; 13] = [
    Event {
        name: "server.start",
        fields: &["otlp.endpoint", "otlp.protocol", "sampler", "signals"],
    },
    Event { name: "server.listen", fields: &["server.port"] },
    Event { name: "server.stop", fields: &[] },
    Event {
        name: "http.request",
        fields: &["http.request.method", "http.route", "http.response.status_code", "duration_ms"],
    },
    Event { name: "server.error", fields: &["error.type"] },
    Event { name: "server.panic", fields: &["code.file.path", "code.line.number"] },
    Event { name: "gateway.open", fields: &["vc.connect.kind", "socket.cookie"] },
    Event {
        name: "gateway.close",
        fields: &["websocket.close.code", "websocket.initiator", "socket.cookie", "duration_ms"],
    },
    Event { name: "call.end", fields: &["duration_ms"] },
    Event { name: "voice.open", fields: &["socket.cookie", "voice.ice_ufrag", "duration_ms"] },
    Event { name: "voice.close", fields: &["socket.cookie", "voice.ice_ufrag", "duration_ms"] },
    Event { name: "telemetry.export", fields: &["vc.signal"] },
    Event { name: DEPENDENCY, fields: &["code.namespace"] },
];

/// The line of a library, whose words are not passed on.
pub const DEPENDENCY: &str = "dependency";

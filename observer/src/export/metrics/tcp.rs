//! What a service's connections do.

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec, Registry};

use super::{maker::Maker, voice::DIRECTIONS};
use crate::{
    export::instruments as of,
    model::{CloseReason, Direction, Role},
    track::connections::{ConnectionInterval, Outcome},
};

const ROLES: [Role; 3] = [Role::Client, Role::Server, Role::Unknown];
const OUTCOMES: [Outcome; 3] = [Outcome::Success, Outcome::Refused, Outcome::Timeout];
/// How an established connection ends.
const ENDS: [CloseReason; 5] = [
    CloseReason::FinSent,
    CloseReason::FinReceived,
    CloseReason::ResetReceived,
    CloseReason::ResetSent,
    CloseReason::Timeout,
];
/// How an attempt to connect ends otherwise.
const FAILURES: [CloseReason; 2] = [CloseReason::Refused, CloseReason::ConnectTimeout];

#[derive(Clone, Debug)]
pub(super) struct TcpMetrics {
    connections: IntGaugeVec,
    connect: HistogramVec,
    accept: HistogramVec,
    rtt: HistogramVec,
    retransmissions: IntCounterVec,
    closes: IntCounterVec,
    io: IntCounterVec,
}

impl TcpMetrics {
    /// Makes every series that may come, so that its first event is an increase.
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let make = Maker(registry);
        let metrics = Self {
            connections: make.gauge(&of::TCP_CONNECTIONS)?,
            connect: make.histogram(&of::TCP_CONNECT)?,
            accept: make.histogram(&of::TCP_ACCEPT)?,
            rtt: make.histogram(&of::TCP_RTT)?,
            retransmissions: make.counter(&of::TCP_RETRANSMISSIONS)?,
            closes: make.counter(&of::TCP_CLOSES)?,
            io: make.counter(&of::TCP_IO)?,
        };
        for direction in DIRECTIONS.map(Direction::as_str) {
            metrics.io.with_label_values(&[direction]);
        }
        for outcome in OUTCOMES {
            metrics.connect.with_label_values(&[outcome.as_str()]);
        }
        metrics.accept.with_label_values(&[Outcome::Success.as_str()]);
        metrics.rtt.with_label_values::<&str>(&[]);
        metrics.retransmissions.with_label_values::<&str>(&[]);
        for role in ROLES {
            let failures: &[CloseReason] = if role == Role::Client { &FAILURES } else { &[] };
            for reason in ENDS.iter().chain(failures) {
                metrics.closes.with_label_values(&[role.as_str(), reason.as_str()]);
            }
        }
        metrics.none_open();
        Ok(metrics)
    }

    pub(super) fn interval(&self, interval: &ConnectionInterval) {
        for (role, outcome, duration) in &interval.handshakes {
            let histogram = if *role == Role::Server { &self.accept } else { &self.connect };
            histogram.with_label_values(&[outcome.as_str()]).observe(duration.as_secs_f64());
        }
        let rtt = self.rtt.with_label_values::<&str>(&[]);
        for round_trip in &interval.round_trips {
            rtt.observe(round_trip.as_secs_f64());
        }
        self.retransmissions.with_label_values::<&str>(&[]).inc_by(interval.retransmits);
        let io = |direction: Direction| self.io.with_label_values(&[direction.as_str()]);
        io(Direction::Receive).inc_by(interval.bytes_received);
        io(Direction::Transmit).inc_by(interval.bytes_acked);
        for closed in &interval.closed {
            if let Some(reason) = closed.close_reason {
                let labels = [closed.role.as_str(), reason.as_str()];
                self.closes.with_label_values(&labels).inc();
            }
        }
    }

    /// Says that so many carry data.
    pub(super) fn open(&self, role: Role, count: i64) {
        self.connections.with_label_values(&[role.as_str()]).set(count);
    }

    /// Says that none carries data.
    pub(super) fn none_open(&self) {
        ROLES.into_iter().for_each(|role| self.open(role, 0));
    }
}

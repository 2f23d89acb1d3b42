//! What the host itself does to traffic.

use prometheus::{CounterVec, IntCounterVec};

use super::{maker::Maker, own::set};
use crate::{export::instruments as of, model::HostCauses};

/// Counters of it. Each has all of its series from the start.
#[derive(Clone, Debug)]
pub(super) struct CauseMetrics {
    udp_receive: IntCounterVec,
    udp_send: IntCounterVec,
    listen: IntCounterVec,
    softnet_drops: IntCounterVec,
    softnet_squeezes: IntCounterVec,
    throttled_time: CounterVec,
    throttled_periods: IntCounterVec,
}

impl CauseMetrics {
    pub(super) fn new(make: &Maker<'_>) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            udp_receive: make.counter(&of::UDP_RECEIVE_ERRORS)?,
            udp_send: make.counter(&of::UDP_SEND_ERRORS)?,
            listen: make.counter(&of::LISTEN_DROPS)?,
            softnet_drops: make.counter(&of::SOFTNET_DROPS)?,
            softnet_squeezes: make.counter(&of::SOFTNET_SQUEEZES)?,
            throttled_time: make.seconds(&of::THROTTLED_TIME)?,
            throttled_periods: make.counter(&of::THROTTLED_PERIODS)?,
        };
        metrics.set(&HostCauses::default());
        Ok(metrics)
    }

    /// Brings each counter to what there was since the start.
    pub(super) fn set(&self, causes: &HostCauses) {
        let HostCauses { udp, listen, softnet, throttling } = causes;
        for (reason, count) in [
            ("buffer_full", udp.buffer_full),
            ("checksum", udp.checksum),
            ("memory", udp.memory),
            ("other", udp.other),
        ] {
            set(&self.udp_receive, &[reason], count);
        }
        set(&self.udp_send, &[], udp.send);
        set(&self.listen, &["queue_full"], listen.queue_full);
        set(&self.listen, &["other"], listen.other);
        set(&self.softnet_drops, &[], softnet.drops);
        set(&self.softnet_squeezes, &[], softnet.squeezes);
        set(&self.throttled_time, &[], throttling.time.as_secs_f64());
        set(&self.throttled_periods, &[], throttling.periods);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Metrics;
    use super::*;
    use crate::model::{ListenDrops, Softnet, Throttling, UdpErrors};

    #[test]
    fn each_figure_has_its_series_from_zero() {
        let metrics = Metrics::new().unwrap();
        let series = [
            "observer_host_udp_receive_errors_total{reason=\"buffer_full\"}",
            "observer_host_udp_receive_errors_total{reason=\"checksum\"}",
            "observer_host_udp_receive_errors_total{reason=\"memory\"}",
            "observer_host_udp_receive_errors_total{reason=\"other\"}",
            "observer_host_udp_send_errors_total",
            "observer_host_tcp_listen_drops_total{reason=\"queue_full\"}",
            "observer_host_tcp_listen_drops_total{reason=\"other\"}",
            "observer_host_softnet_drops_total",
            "observer_host_softnet_squeezes_total",
            "observer_cgroup_cpu_throttled_periods_total",
            "observer_cgroup_cpu_throttled_time_seconds_total",
        ];
        let text = metrics.text().unwrap();
        for one in series {
            assert!(text.contains(&format!("{one} 0\n")), "no {one} in {text}");
        }
        metrics.host_causes(&HostCauses {
            udp: UdpErrors { buffer_full: 1, checksum: 2, memory: 3, other: 4, send: 5 },
            listen: ListenDrops { queue_full: 6, other: 7 },
            softnet: Softnet { drops: 8, squeezes: 9 },
            throttling: Throttling { periods: 10, time: Duration::from_millis(11_500) },
        });
        let text = metrics.text().unwrap();
        let figures = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11.5"];
        for (one, figure) in series.iter().zip(figures) {
            assert!(text.contains(&format!("{one} {figure}\n")), "no {one} in {text}");
        }
    }
}

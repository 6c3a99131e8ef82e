//! What Prometheus is told, in the text form of OpenMetrics. PURE.

use super::health::Health;
use super::progress::{Phase, Progress};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::fmt;
use std::time::Duration;

/// The form, as HTTP names it.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All that is told.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// How far the run is.
    pub progress: Progress,
    /// How long it has run.
    pub uptime: Duration,
    /// How the cluster is, where that was asked.
    pub health: Option<Health>,
}

/// The text of it.
pub fn render(told: Told) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("local_cluster");
    registry.register_collector(Box::new(told));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

type Labels<'a> = Vec<(&'static str, &'a str)>;

impl Collector for Told {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let to = &mut encoder;
        let version = vec![("version", env!("CARGO_PKG_VERSION"))];
        gauge(
            to,
            "build_info",
            "The version of local-cluster",
            [(version, 1_u64)],
        )?;
        let uptime = [(vec![], self.uptime.as_secs_f64())];
        gauge(to, "uptime_seconds", "How long the run has lasted", uptime)?;
        let phases = Phase::ALL.map(|phase| {
            let is_now = u64::from(phase == self.progress.phase);
            (vec![("phase", phase.as_str())], is_now)
        });
        gauge(to, "phase", "Where the run is: one of them is 1", phases)?;
        let stages = self.progress.stages.iter();
        let stages =
            stages.map(|(stage, took)| (vec![("stage", stage.as_str())], took.as_secs_f64()));
        let help = "How long each stage of bringing the cluster up took";
        gauge(to, "up_stage_seconds", help, stages)?;
        let up = self.progress.up.map(|took| (vec![], took.as_secs_f64()));
        gauge(to, "up_seconds", "How long all of it took", up)?;

        let works = self
            .health
            .as_ref()
            .is_some_and(|health| health.problems.is_empty());
        let works = [(vec![], u64::from(works))];
        gauge(
            to,
            "healthy",
            "Whether the cluster works, as /healthz says it",
            works,
        )?;
        let Some(health) = &self.health else {
            return Ok(());
        };
        let nodes = || health.nodes.iter();
        let ready = nodes().map(|node| {
            let labels = vec![("node", node.name.as_str()), ("role", node.role.as_str())];
            (labels, u64::from(node.ready))
        });
        gauge(
            to,
            "node_ready",
            "Whether the node runs and is Ready",
            ready,
        )?;
        let versions = nodes().filter_map(|node| {
            let labels = vec![
                ("node", node.name.as_str()),
                ("kubelet", node.version.as_deref()?),
            ];
            Some((labels, 1_u64))
        });
        gauge(
            to,
            "node_info",
            "The version of the node's kubelet",
            versions,
        )?;
        let components = health.components.iter();
        let components =
            components.map(|(name, works)| (vec![("component", *name)], u64::from(*works)));
        let help = "Whether the component works wherever it should run";
        gauge(to, "component_healthy", help, components)?;
        let restarts = health.restarts.iter().map(|restarts| {
            let labels = vec![
                ("namespace", restarts.namespace.as_str()),
                ("pod", restarts.pod.as_str()),
                ("container", restarts.container.as_str()),
            ];
            (labels, restarts.count)
        });
        // No counter: it goes with its pod, and promtool does not know OpenMetrics' names of those.
        let help = "How often a container of a pod was started again";
        gauge(to, "container_restarts", help, restarts)
    }
}

fn gauge<'a, V: EncodeGaugeValue + fmt::Debug>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Labels<'a>, V)>,
) -> Result<(), fmt::Error> {
    let mut values = values.into_iter().peekable();
    // A head without samples says nothing.
    if values.peek().is_none() {
        return Ok(());
    }
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in values {
        let value = ConstGauge::new(value);
        if labels.is_empty() {
            value.encode(family)?;
            return Ok(());
        }
        value.encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;

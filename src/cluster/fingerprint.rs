//! What a running cluster cannot change, and how two such sets differ.

use std::collections::BTreeMap;

use super::ClusterSpec;
use super::problem::setting;

/// The value of a setting that leaves the choice to the tool: it agrees with whatever was chosen.
const ANY: &str = "any";

/// A setting that a running cluster has otherwise than is wanted now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The setting's dotted name.
    pub setting: String,
    /// What the running cluster was made with.
    pub running: String,
    /// What is wanted now.
    pub wanted: String,
}

/// The settings of this spec that are fixed once the cluster runs. Of the pool only the cluster's own network counts.
pub(super) fn of(spec: &ClusterSpec) -> BTreeMap<String, String> {
    let port = spec
        .api_server_port
        .map_or(ANY.to_owned(), |port| port.to_string());
    [
        (setting::POOL, spec.network.subnet.to_string()),
        (setting::POD_SUBNET, spec.network.pod_subnet.to_string()),
        (
            setting::SERVICE_SUBNET,
            spec.network.service_subnet.to_string(),
        ),
        (setting::CNI_PLUGIN, spec.cni.to_string()),
        (setting::VERSION, spec.version.to_string()),
        (
            setting::API_SERVER_ADDRESS,
            spec.api_server_address.to_string(),
        ),
        (setting::API_SERVER_PORT, port),
        (setting::NUM_NODES, spec.workers().count().to_string()),
        (setting::NO_DEDICATED, (!spec.taint_masters).to_string()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

/// The differences between two fingerprints. A setting that only one of them has was unknown to the release that made
/// the other, and is no difference.
pub(super) fn differences(
    wanted: &BTreeMap<String, String>,
    running: &BTreeMap<String, String>,
) -> Vec<Difference> {
    wanted
        .iter()
        .filter(|(_, value)| *value != ANY)
        .filter_map(|(setting, value)| {
            let running = running.get(setting)?;
            (running != value).then(|| Difference {
                setting: setting.clone(),
                running: running.clone(),
                wanted: value.clone(),
            })
        })
        .collect()
}

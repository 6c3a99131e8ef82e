//! What a running cluster cannot change, how two such sets differ, and how a cluster's own settings are read back.

use std::collections::BTreeMap;
use std::str::FromStr;

use ipnetwork::Ipv4Network;

use super::network::{self, SUBNET_PREFIX};
use super::problem::setting;
use super::{ClusterSpec, CniPlugin, SpecInput};

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

/// A setting of a running cluster that does not tell what it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its `{setting}` cannot be told from `{kept}`")]
pub struct Unreadable {
    /// The setting's dotted name.
    setting: &'static str,
    /// What is kept of it; nothing where it is not kept.
    kept: String,
}

/// The settings that a running cluster was made with, from its fingerprint.
pub(super) fn input(
    id: u8,
    label: Option<String>,
    running: &BTreeMap<String, String>,
) -> Result<SpecInput, Unreadable> {
    let subnet = read(running, setting::POOL)?;
    let port = kept(running, setting::API_SERVER_PORT);
    let cni = kept(running, setting::CNI_PLUGIN);
    Ok(SpecInput {
        id,
        label,
        num_nodes: read(running, setting::NUM_NODES)?,
        no_dedicated: read(running, setting::NO_DEDICATED)?,
        version: read(running, setting::VERSION)?,
        cni: CniPlugin::named(cni).ok_or_else(|| unreadable(setting::CNI_PLUGIN, cni))?,
        pool: pool(subnet, id).ok_or_else(|| unreadable(setting::POOL, &subnet.to_string()))?,
        pod_subnet: read(running, setting::POD_SUBNET)?,
        service_subnet: read(running, setting::SERVICE_SUBNET)?,
        api_server_port: match port {
            ANY => None,
            _ => Some(read(running, setting::API_SERVER_PORT)?),
        },
        api_server_address: read(running, setting::API_SERVER_ADDRESS)?,
    })
}

fn kept<'a>(running: &'a BTreeMap<String, String>, setting: &str) -> &'a str {
    running.get(setting).map_or("", String::as_str)
}

fn read<T: FromStr>(
    running: &BTreeMap<String, String>,
    setting: &'static str,
) -> Result<T, Unreadable> {
    let text = kept(running, setting);
    text.parse().map_err(|_| unreadable(setting, text))
}

fn unreadable(setting: &'static str, kept: &str) -> Unreadable {
    Unreadable {
        setting,
        kept: kept.to_owned(),
    }
}

/// The smallest pool in which a cluster's network has its place. Of which pool it was taken is not kept, and any gives
/// the same addresses.
fn pool(subnet: Ipv4Network, id: u8) -> Option<Ipv4Network> {
    let first = u32::from(subnet.network()).checked_sub(u32::from(id) << 8)?;
    let bits = u8::try_from(u8::BITS - id.leading_zeros()).expect("a byte has eight bits");
    Some(network::network(first.into(), SUBNET_PREFIX - bits))
}

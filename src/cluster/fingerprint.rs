//! What a running cluster cannot change, and how two such sets differ.

use std::collections::BTreeMap;

use ipnetwork::Ipv4Network;

use super::network::{self, SUBNET_PREFIX};
use super::problem::setting;
use super::{ClusterId, ClusterSpec, CniPlugin, Members, SpecInput, SpecProblem};

/// The value of a setting that leaves the choice to the tool: it agrees with whatever was chosen.
const ANY: &str = "any";

/// What is kept of the number of masters: whether there are several, before which a load balancer stands. The number
/// itself changes, as that of workers does.
const ONE: &str = "1";
const SEVERAL: &str = "several";

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
/// The number of workers is not among them: they come and go.
pub(super) fn of(spec: &ClusterSpec) -> BTreeMap<String, String> {
    let port = spec
        .api_server_port
        .map_or(ANY.to_owned(), |port| port.to_string());
    let inner = spec.network.node_subnet;
    let inner = spec
        .network
        .is_clone()
        .then(|| (setting::NODE_SUBNET, inner.to_string()));
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
        (setting::NO_DEDICATED, spec.no_dedicated.to_string()),
        (setting::UNSAFE_FAST, spec.unsafe_fast.to_string()),
        (
            setting::NUM_MASTERS,
            if spec.load_balancer.is_some() {
                SEVERAL
            } else {
                ONE
            }
            .to_owned(),
        ),
    ]
    .into_iter()
    .chain(inner)
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

/// Whether the cluster with this fingerprint may have several masters, behind a load balancer. What was made before there
/// could be any has one.
pub fn is_balanced(running: &BTreeMap<String, String>) -> bool {
    running.get(setting::NUM_MASTERS).map(String::as_str) == Some(SEVERAL)
}

/// The input of which a spec with this fingerprint is made.
pub(super) fn input(
    id: u8,
    label: Option<&str>,
    running: &BTreeMap<String, String>,
    members: Members,
) -> Result<SpecInput, SpecProblem> {
    let port = match running.get(setting::API_SERVER_PORT).map(String::as_str) {
        Some(ANY) => None,
        _ => Some(parsed(running, setting::API_SERVER_PORT)?),
    };
    let plugin = running.get(setting::CNI_PLUGIN);
    let cni = [CniPlugin::Bridge]
        .into_iter()
        .find(|known| plugin.is_some_and(|plugin| plugin == known.as_str()))
        .ok_or(SpecProblem::Kept(setting::CNI_PLUGIN))?;
    Ok(SpecInput {
        id,
        label: label.map(str::to_owned),
        members,
        balanced: is_balanced(running),
        no_dedicated: parsed(running, setting::NO_DEDICATED)?,
        unsafe_fast: parsed(running, setting::UNSAFE_FAST).unwrap_or_default(),
        version: parsed(running, setting::VERSION)?,
        cni,
        pool: pool(id, parsed(running, setting::POOL)?),
        node_subnet: node_subnet(running)?,
        pod_subnet: parsed(running, setting::POD_SUBNET)?,
        service_subnet: parsed(running, setting::SERVICE_SUBNET)?,
        api_server_port: port,
        api_server_address: parsed(running, setting::API_SERVER_ADDRESS)?,
    })
}

/// The fingerprint of a clone, see [`ClusterSpec::cloned_fingerprint`].
pub(super) fn cloned(
    of: &BTreeMap<String, String>,
    id: ClusterId,
    pool: Ipv4Network,
) -> Result<BTreeMap<String, String>, SpecProblem> {
    let own = network::cluster_subnet(pool, id)?;
    // A clone of a clone keeps what the first one kept.
    let inner = match node_subnet(of)? {
        Some(inner) => inner,
        None => slash_24(of, setting::POOL)?,
    };
    let mut settings = of.clone();
    settings.insert(setting::POOL.to_owned(), own.to_string());
    settings.insert(setting::API_SERVER_PORT.to_owned(), ANY.to_owned());
    if inner == own {
        settings.remove(setting::NODE_SUBNET);
    } else {
        settings.insert(setting::NODE_SUBNET.to_owned(), inner.to_string());
    }
    Ok(settings)
}

/// The addresses that a clone's nodes keep; none in other clusters.
pub(super) fn node_subnet(
    running: &BTreeMap<String, String>,
) -> Result<Option<Ipv4Network>, SpecProblem> {
    let kept = running.contains_key(setting::NODE_SUBNET);
    kept.then(|| slash_24(running, setting::NODE_SUBNET))
        .transpose()
}

/// A setting that is the range of a cluster's network.
fn slash_24(
    running: &BTreeMap<String, String>,
    setting: &'static str,
) -> Result<Ipv4Network, SpecProblem> {
    let range: Ipv4Network = parsed(running, setting)?;
    let is_one = range.prefix() == SUBNET_PREFIX && network::without_host_bits(range) == range;
    is_one.then_some(range).ok_or(SpecProblem::Kept(setting))
}

fn parsed<T: std::str::FromStr>(
    running: &BTreeMap<String, String>,
    setting: &'static str,
) -> Result<T, SpecProblem> {
    let kept = running.get(setting).and_then(|value| value.parse().ok());
    kept.ok_or(SpecProblem::Kept(setting))
}

/// The smallest pool of which cluster `id` gets this network.
fn pool(id: u8, subnet: Ipv4Network) -> Ipv4Network {
    let first = u32::from(subnet.network()).wrapping_sub(u32::from(id) << 8);
    let bits = u8::BITS - id.leading_zeros();
    let prefix = SUBNET_PREFIX.saturating_sub(u8::try_from(bits).unwrap_or(u8::MAX));
    network::network(first.into(), prefix)
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

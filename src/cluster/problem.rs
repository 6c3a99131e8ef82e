//! What can be wrong with the settings, all found at once.

use std::ops::RangeInclusive;

use ipnetwork::Ipv4Network;

use super::network::{self, MAX_MASTERS, MAX_WORKERS};
use super::version::{KubernetesVersion, OLDEST_MINOR};
use super::{ClusterId, Members, SpecInput, names};

/// Names of the settings that problems, fingerprints and overlaps speak of.
pub(super) mod setting {
    pub(crate) const POOL: &str = "dind.subnet";
    /// Nobody sets it: a clone has it of the cluster that it is a clone of.
    pub(crate) const NODE_SUBNET: &str = "cluster.nodeSubnet";
    pub(crate) const POD_SUBNET: &str = "cluster.podSubnet";
    pub(crate) const SERVICE_SUBNET: &str = "cluster.serviceSubnet";
    pub(crate) const CNI_PLUGIN: &str = "cluster.cniPlugin";
    pub(crate) const API_SERVER_PORT: &str = "cluster.apiServerPort";
    pub(crate) const API_SERVER_ADDRESS: &str = "cluster.apiServerAddress";
    pub(crate) const NO_DEDICATED: &str = "cluster.noDedicated";
    pub(crate) const UNSAFE_FAST: &str = "cluster.unsafeFast";
    pub(crate) const NUM_MASTERS: &str = "cluster.numMasters";
    pub(crate) const VERSION: &str = "source.kubernetesVersion";
}

/// One thing that is wrong with the settings. Each message says what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecProblem {
    /// The label cannot be part of names.
    #[error("`cluster.label` cannot be `{label}`: {fault}")]
    Label {
        /// The label given.
        label: String,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// There are more workers than addresses for them.
    #[error("`cluster.numNodes` is {0}, but a cluster has room for {MAX_WORKERS} workers")]
    TooManyNodes(usize),
    /// There are more masters than addresses for them, or none.
    #[error("`cluster.numMasters` is {0}, but a cluster has 1 to {MAX_MASTERS} masters")]
    Masters(usize),
    /// The Kubernetes version is too old (or of another major version).
    #[error(
        "`source.kubernetesVersion` {0} is not supported: it must be 1.{OLDEST_MINOR} or newer, as the containerd in \
         the nodes speaks only CRI v1"
    )]
    Version(KubernetesVersion),
    /// A range was given by an address inside it.
    #[error("`{setting}` {given} is not the start of a range: did you mean {right}?")]
    HostBits {
        /// The setting's name.
        setting: &'static str,
        /// The range as given.
        given: Ipv4Network,
        /// The range that the address lies in.
        right: Ipv4Network,
    },
    /// A range is too large or too small.
    #[error(
        "`{setting}` {given} has a prefix length of {}: it must be {} to {}",
        given.prefix(), allowed.start(), allowed.end()
    )]
    Prefix {
        /// The setting's name.
        setting: &'static str,
        /// The range as given.
        given: Ipv4Network,
        /// The prefix lengths allowed.
        allowed: RangeInclusive<u8>,
    },
    /// The pool does not reach to this cluster's network.
    #[error(
        "`dind.subnet` {pool} holds {fitting} clusters, number 0 to {}, but this is number {id}: \
         give a range with a smaller prefix length or a smaller cluster id", fitting - 1
    )]
    PoolTooSmall {
        /// The pool as given.
        pool: Ipv4Network,
        /// The cluster's number.
        id: ClusterId,
        /// How many clusters' networks fit into the pool.
        fitting: u32,
    },
    /// Two of the cluster's own ranges share addresses.
    #[error(
        "`{setting}` {range} overlaps `{other_setting}` {other_range}: give one of them another range"
    )]
    Overlap {
        /// The first setting's name.
        setting: &'static str,
        /// The first range.
        range: Ipv4Network,
        /// The second setting's name.
        other_setting: &'static str,
        /// The second range.
        other_range: Ipv4Network,
    },
    /// What a cluster keeps of its own settings cannot be understood.
    #[error(
        "the cluster does not say what its `{0}` is: another version of this program has made it"
    )]
    Kept(&'static str),
    /// Port 0 is no port.
    #[error("`cluster.apiServerPort` cannot be 0: leave it out to have a free port chosen")]
    PortZero,
}

/// Everything that is wrong with the input; nothing when a spec can be made of it.
pub(super) fn all(input: &SpecInput) -> Vec<SpecProblem> {
    let mut problems = Vec::new();
    problems.extend(label(input));
    let Members { masters, workers } = &input.members;
    if workers
        .iter()
        .any(|number| !(1..=MAX_WORKERS).contains(number))
    {
        problems.push(SpecProblem::TooManyNodes(workers.len()));
    }
    if masters.is_empty()
        || masters
            .iter()
            .any(|number| !(1..=MAX_MASTERS).contains(number))
    {
        problems.push(SpecProblem::Masters(masters.len()));
    }
    if !input.version.is_supported() {
        problems.push(SpecProblem::Version(input.version));
    }
    if input.api_server_port == Some(0) {
        problems.push(SpecProblem::PortZero);
    }
    problems.extend(ranges(input));
    problems
}

/// What is wrong with the label.
fn label(input: &SpecInput) -> Option<SpecProblem> {
    let label = input.label.as_deref()?;
    let fault = names::label_fault(label)?;
    Some(SpecProblem::Label {
        label: label.to_owned(),
        fault,
    })
}

/// What is wrong with the address ranges, each by itself and then against each other.
fn ranges(input: &SpecInput) -> Vec<SpecProblem> {
    let mut problems: Vec<_> = [
        (setting::POOL, input.pool, network::POOL_PREFIXES),
        (setting::POD_SUBNET, input.pod_subnet, network::POD_PREFIXES),
        (
            setting::SERVICE_SUBNET,
            input.service_subnet,
            network::SERVICE_PREFIXES,
        ),
    ]
    .into_iter()
    .flat_map(|(setting, given, allowed)| range(setting, given, allowed))
    .collect();
    if !problems.is_empty() {
        return problems;
    }
    match network::cluster_subnet(input.pool, ClusterId::new(input.id)) {
        Err(problem) => problems.push(problem),
        Ok(subnet) => problems.extend(mutual(subnet, input)),
    }
    problems
}

/// What is wrong with one range by itself.
fn range(
    setting: &'static str,
    given: Ipv4Network,
    allowed: RangeInclusive<u8>,
) -> Vec<SpecProblem> {
    let mut problems = Vec::new();
    let right = network::without_host_bits(given);
    if right != given {
        problems.push(SpecProblem::HostBits {
            setting,
            given,
            right,
        });
    }
    if !allowed.contains(&given.prefix()) {
        problems.push(SpecProblem::Prefix {
            setting,
            given,
            allowed,
        });
    }
    problems
}

/// Which of the cluster's own ranges share addresses.
fn mutual(subnet: Ipv4Network, input: &SpecInput) -> Vec<SpecProblem> {
    let nodes = (setting::POOL, subnet);
    let pods = (setting::POD_SUBNET, input.pod_subnet);
    let services = (setting::SERVICE_SUBNET, input.service_subnet);
    let inner = input.node_subnet.map(|range| (setting::NODE_SUBNET, range));
    let inner = inner
        .into_iter()
        .flat_map(|inner| [(inner, pods), (inner, services)]);
    [(nodes, pods), (nodes, services), (pods, services)]
        .into_iter()
        .chain(inner)
        .filter(|((_, one), (_, other))| one.overlaps(*other))
        .map(
            |((setting, range), (other_setting, other_range))| SpecProblem::Overlap {
                setting,
                range,
                other_setting,
                other_range,
            },
        )
        .collect()
}

/// Each problem on a line of its own.
pub fn in_lines(problems: &[SpecProblem]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

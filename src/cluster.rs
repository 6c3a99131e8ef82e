//! What is wanted: names, addresses, nodes and version of one cluster, complete and consistent before anything is touched.
//!
//! This room is pure: no I/O, no clock, no randomness, no environment. [`ClusterSpec::new`] turns a plain copy of the
//! settings into a [`ClusterSpec`], or into the list of everything that is wrong with them.

mod enough;
mod fingerprint;
mod names;
pub mod network;
pub mod overlap;
mod problem;
pub mod version;

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;
use serde::{Deserialize, Serialize};

pub use self::enough::enough;
pub use self::fingerprint::{Difference, is_balanced};
pub use self::names::{Names, label_fault};
pub use self::network::{MAX_MASTERS, MAX_WORKERS, NetworkPlan};
pub use self::problem::{SpecProblem, in_lines};
pub use self::version::{DEFAULT_VERSION, KubernetesVersion, VersionRequest};

/// The name under which every node finds the API server; each node's hosts file resolves it. A name and not an address,
/// so that certificates and kubeconfigs stay right when masters are added behind a load balancer.
pub const CONTROL_PLANE_NAME: &str = "control-plane.local-cluster.internal";

/// The port on which the API server listens inside its node (kubeadm's default).
pub const API_SERVER_PORT: u16 = 6443;

/// Number of a cluster on its engine: 0, the default cluster, to 255.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ClusterId(u8);

impl ClusterId {
    /// The cluster with this number.
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// The number itself.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl From<u8> for ClusterId {
    fn from(number: u8) -> Self {
        Self(number)
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a node is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Runs the control plane.
    Master,
    /// Runs pods only.
    Worker,
}

impl Role {
    /// The role as it is written in labels and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Worker => "worker",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which network plugin connects the pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CniPlugin {
    /// One bridge a node, and routes between the nodes.
    #[default]
    Bridge,
}

impl CniPlugin {
    /// The name, as it is written in the settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
        }
    }
}

impl fmt::Display for CniPlugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One node of the cluster, with everything that is fixed for its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSpec {
    /// Kubernetes node name, hostname and network alias: `kube-master`, `kube-node-1`; the same in every cluster.
    pub name: String,
    /// Name of the container: the node's name and the cluster's suffix.
    pub container: String,
    /// Name of the volume with all the node's mutable state.
    pub volume: String,
    /// What the node is for.
    pub role: Role,
    /// Number of the node, by which it has its addresses: 1 for the first master, i + 1 for worker i, 100 + i for
    /// master i.
    pub number: u16,
    /// The address that the node has in Kubernetes, and by which the others know it.
    pub address: Ipv4Addr,
    /// The address that Docker gives it, at which the engine's host reaches it: the same, but in a clone.
    pub docker_address: Ipv4Addr,
    /// The addresses of the node's pods, a /24.
    pub pod_subnet: Ipv4Network,
}

impl NodeSpec {
    /// The number of a master or worker among its like, as it is in its name.
    pub fn ordinal(&self) -> u16 {
        match (self.role, self.number) {
            (Role::Master, 1) => 1,
            (Role::Master, number) => number - MAX_WORKERS,
            (Role::Worker, number) => number - 1,
        }
    }
}

/// What stands before several masters, and publishes their API servers. It is no node: Kubernetes does not know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadBalancer {
    /// Hostname and network alias, the same in every cluster.
    pub name: String,
    /// Name of the container.
    pub container: String,
    /// The address by which the nodes know it.
    pub address: Ipv4Addr,
    /// The address that Docker gives it: the same, but in a clone.
    pub docker_address: Ipv4Addr,
}

/// The nodes of a cluster, by their numbers among their like. Either set may have holes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Members {
    /// The masters, 1 being `kube-master`.
    pub masters: BTreeSet<u16>,
    /// The workers.
    pub workers: BTreeSet<u16>,
}

/// The settings that a spec is made of, already of the right types but not yet checked against each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecInput {
    /// Number of the cluster.
    pub id: u8,
    /// Replaces `cluster-N` in names.
    pub label: Option<String>,
    /// The nodes, by number.
    pub members: Members,
    /// A load balancer stands before the masters, of which there may be several: fixed when the cluster is made.
    pub balanced: bool,
    /// Let ordinary pods run on the master even where there are workers.
    pub no_dedicated: bool,
    /// etcd does not wait for the disk.
    pub unsafe_fast: bool,
    /// The Kubernetes version, resolved to a full one.
    pub version: KubernetesVersion,
    /// The CNI plugin.
    pub cni: CniPlugin,
    /// The pool (`dind.subnet`) of which cluster N gets the Nth /24.
    pub pool: Ipv4Network,
    /// The nodes' own addresses, a /24, where they are not those of the cluster's network: a clone's nodes keep those
    /// that they had in the cluster that it is a clone of.
    pub node_subnet: Option<Ipv4Network>,
    /// All pods' addresses.
    pub pod_subnet: Ipv4Network,
    /// All services' addresses.
    pub service_subnet: Ipv4Network,
    /// The port on the engine's host for the API server; none means 6443 + N or another free one.
    pub api_server_port: Option<u16>,
    /// The address on the engine's host for the API server's port.
    pub api_server_address: Ipv4Addr,
}

/// One cluster, as wanted: every name, address and version that the rest of the program needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSpec {
    /// Number of the cluster.
    pub id: ClusterId,
    /// The label that replaces `cluster-N` in names, if any.
    pub label: Option<String>,
    /// How the cluster's objects are named.
    pub names: Names,
    /// The Kubernetes version.
    pub version: KubernetesVersion,
    /// The address ranges.
    pub network: NetworkPlan,
    /// The nodes, masters first, then workers, by number.
    pub nodes: Vec<NodeSpec>,
    /// What stands before the masters of a cluster that may have several.
    pub load_balancer: Option<LoadBalancer>,
    /// Ordinary pods may run on the master even where there are workers.
    pub no_dedicated: bool,
    /// etcd does not wait for the disk: what was acknowledged is lost if the host fails, and may be broken then.
    pub unsafe_fast: bool,
    /// What connects the pods.
    pub cni: CniPlugin,
    /// The port wanted on the engine's host for the API server; none leaves the choice to [`Self::preferred_port`].
    pub api_server_port: Option<u16>,
    /// The address on the engine's host on which that port is published.
    pub api_server_address: Ipv4Addr,
    /// The host name of the control plane endpoint, without port: [`CONTROL_PLANE_NAME`].
    pub control_plane_endpoint: String,
}

impl ClusterSpec {
    /// Checks all settings and completes them; all problems are reported at once.
    pub fn new(input: &SpecInput) -> Result<Self, Vec<SpecProblem>> {
        let problems = problem::all(input);
        if !problems.is_empty() {
            return Err(problems);
        }
        let id = ClusterId::new(input.id);
        let names = Names::new(id, input.label.as_deref());
        let network = NetworkPlan::new(&names, id, input).map_err(|problem| vec![problem])?;
        Ok(Self {
            id,
            label: input.label.clone(),
            version: input.version,
            nodes: nodes(&names, &network, &input.members),
            load_balancer: input.balanced.then(|| load_balancer(&names, &network)),
            names,
            network,
            no_dedicated: input.no_dedicated,
            unsafe_fast: input.unsafe_fast,
            cni: input.cni,
            api_server_port: input.api_server_port,
            api_server_address: input.api_server_address,
            control_plane_endpoint: CONTROL_PLANE_NAME.to_owned(),
        })
    }

    /// The first of the masters that there are; there is always one.
    pub fn master(&self) -> &NodeSpec {
        &self.nodes[0]
    }

    /// The masters, by number.
    pub fn masters(&self) -> impl Iterator<Item = &NodeSpec> {
        self.nodes.iter().filter(|node| node.role == Role::Master)
    }

    /// The workers, by number.
    pub fn workers(&self) -> impl Iterator<Item = &NodeSpec> {
        self.nodes.iter().filter(|node| node.role == Role::Worker)
    }

    /// The numbers of the nodes.
    pub fn members(&self) -> Members {
        Members {
            masters: self.masters().map(NodeSpec::ordinal).collect(),
            workers: self.workers().map(NodeSpec::ordinal).collect(),
        }
    }

    /// All masters that a cluster can have, whether it has them or not: each number's name and addresses are fixed.
    pub fn possible_masters(&self) -> impl Iterator<Item = NodeSpec> {
        (1..=MAX_MASTERS).map(|master| master_spec(&self.names, &self.network, master))
    }

    /// All workers that the cluster can have, whether it has them or not.
    pub fn possible_workers(&self) -> impl Iterator<Item = NodeSpec> {
        (1..=MAX_WORKERS).map(|worker| worker_spec(&self.names, &self.network, worker))
    }

    /// Whether ordinary pods are kept off a master that is made for this cluster: not without workers, and not with
    /// `cluster.noDedicated`.
    pub fn taint_masters(&self) -> bool {
        self.workers().next().is_some() && !self.no_dedicated
    }

    /// The port on the engine's host that is tried first for the API server where none is set: 6443 + N.
    pub fn preferred_port(&self) -> u16 {
        self.api_server_port
            .unwrap_or(API_SERVER_PORT + u16::from(self.id.get()))
    }

    /// The API server's address for everyone inside the cluster: `name:port`.
    pub fn control_plane_address(&self) -> String {
        format!("{}:{API_SERVER_PORT}", self.control_plane_endpoint)
    }

    /// The settings that a running cluster cannot change: dotted setting name to value. Kept as a label on the
    /// cluster's nodes, so it holds no secrets.
    pub fn fingerprint(&self) -> BTreeMap<String, String> {
        fingerprint::of(self)
    }

    /// The cluster that has this fingerprint, with these nodes: what it is, whatever the settings say today.
    pub fn of_fingerprint(
        id: u8,
        label: Option<&str>,
        running: &BTreeMap<String, String>,
        members: Members,
    ) -> Result<Self, Vec<SpecProblem>> {
        let input = fingerprint::input(id, label, running, members).map_err(|one| vec![one])?;
        Self::new(&input)
    }

    /// The fingerprint of cluster `id` as a clone of one with this fingerprint: a network of its own out of `pool`, nodes
    /// with the addresses that they had, and a port of its own.
    pub fn cloned_fingerprint(
        of: &BTreeMap<String, String>,
        id: ClusterId,
        pool: Ipv4Network,
    ) -> Result<BTreeMap<String, String>, SpecProblem> {
        fingerprint::cloned(of, id, pool)
    }

    /// The range of the nodes' own addresses in a clone with this fingerprint; none in other clusters.
    pub fn kept_node_subnet(
        of: &BTreeMap<String, String>,
    ) -> Result<Option<Ipv4Network>, SpecProblem> {
        fingerprint::node_subnet(of)
    }

    /// What differs between the fingerprint that is wanted and the one of the running cluster, by setting name.
    pub fn differences(
        wanted: &BTreeMap<String, String>,
        running: &BTreeMap<String, String>,
    ) -> Vec<Difference> {
        fingerprint::differences(wanted, running)
    }
}

fn load_balancer(names: &Names, network: &NetworkPlan) -> LoadBalancer {
    let (address, docker_address) = network.load_balancer();
    LoadBalancer {
        name: names::LOAD_BALANCER.to_owned(),
        container: names.container(names::LOAD_BALANCER),
        address,
        docker_address,
    }
}

/// The node list: the masters, then the workers.
fn nodes(names: &Names, network: &NetworkPlan, members: &Members) -> Vec<NodeSpec> {
    let masters = members.masters.iter();
    let workers = members.workers.iter();
    masters
        .map(|master| master_spec(names, network, *master))
        .chain(workers.map(|worker| worker_spec(names, network, *worker)))
        .collect()
}

/// The master of this number: the first is the first node, the others follow all workers that there can be.
fn master_spec(names: &Names, network: &NetworkPlan, master: u16) -> NodeSpec {
    let number = if master == 1 { 1 } else { MAX_WORKERS + master };
    node(names, network, names::master(master), Role::Master, number)
}

/// The worker of this number: it has the node number that follows, since the first master is the first node.
fn worker_spec(names: &Names, network: &NetworkPlan, worker: u16) -> NodeSpec {
    let name = names::worker(worker);
    node(names, network, name, Role::Worker, worker + 1)
}

fn node(names: &Names, network: &NetworkPlan, name: String, role: Role, number: u16) -> NodeSpec {
    let container = names.container(&name);
    NodeSpec {
        volume: names.volume(&container),
        container,
        name,
        role,
        number,
        address: network.node_address(number),
        docker_address: network.docker_address(number),
        pod_subnet: network.pod_range(number),
    }
}

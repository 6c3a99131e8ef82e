//! The steps of which plans are made.

use crate::cluster::{LoadBalancer, NodeSpec, Role};
use crate::e2e::suite::{BuiltSuite, ReleasedSuite};
use crate::engine::Found;
use crate::image::Programs;
use crate::snapshot::Snapshot;
use std::fmt;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Get the root file system of all images.
    ObtainBase,
    /// Build the image with Go and a C compiler.
    BuildBuilder,
    /// Build the node image as it is before Kubernetes.
    BuildNodeBase,
    /// Build the programs of a Go module.
    BuildPrograms(Programs),
    /// Download files of the release.
    Download(&'static [&'static str]),
    /// Find out which rights the engine gives, lay the programs over the node image.
    InstallPrograms,
    /// Fill the volume of unpacked images.
    FillPreload,
    /// Build the image with what Kubernetes' tests call.
    BuildTests(String),
    /// Assemble the images that Kubernetes' tests ask for.
    AssembleTests(BuiltSuite),
    /// Lay the released tests over the image with what they call.
    InstallTests(ReleasedSuite),
    /// Remove a network that an earlier cluster has left, and that does not fit the one to come.
    RemoveNetwork(String),
    /// Make the cluster's network.
    CreateNetwork,
    /// Make the volume of a node that is to come: from now on the cluster is known to have it.
    CreateVolume(NodeSpec),
    /// Remove a node that was left half-done, or whose master is made anew, with its volume.
    RemoveNode(NodeSpec),
    /// Make a node's container and volume, with all its files, and start it.
    CreateNode(NodeSpec),
    /// The same for a master of a cluster that has others: it becomes one more member of their etcd.
    JoinMaster(NodeSpec),
    /// Make the load balancer before several masters, in place of one that never ran, and start it.
    CreateLoadBalancer(LoadBalancer),
    /// Start a node's container that was stopped.
    StartNode(String),
    /// Thaw a node's container.
    UnpauseNode(String),
    /// Freeze a node's container.
    PauseNode(String),
    /// Stop a node's container; it keeps all that it has.
    StopNode(String),
    /// Stop a node's container whose state is not wanted any more: it is not given time to end well.
    HaltNode(String),
    /// Fill new volumes for all nodes with what a snapshot has kept of them.
    FillVolumes(Snapshot),
    /// Make a node's container for a volume that is filled already, and start it.
    RecreateNode(NodeSpec),
    /// Give a container another name.
    Rename {
        /// Its name.
        container: String,
        /// Its name from now on.
        other: String,
    },
    /// Remove a container with its own volumes.
    Discard(Found),
    /// Remove a data volume that no container has.
    DiscardVolume(String),
    /// Wait for the API server of a master.
    AwaitApiServer(NodeSpec),
    /// Wait for kubeadm's phases in a node.
    AwaitPhases(NodeSpec),
    /// Give CoreDNS its second replica, unless somebody else has chosen how many there are.
    ScaleDns,
    /// Let ordinary pods run on a master of a cluster that has no workers any more.
    UntaintMaster(NodeSpec),
    /// Keep new pods off a node and have those that are there go elsewhere.
    DrainNode(NodeSpec),
    /// Remove a node that Kubernetes knows: its container, what Kubernetes has of it, its volume.
    RetireNode(NodeSpec),
    /// Remove one that is made anew: its volume is there again at once, empty, so that the cluster is still known to have it.
    RenewNode(NodeSpec),
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ObtainBase => write!(formatter, "get the base of all images"),
            Self::BuildBuilder => write!(formatter, "build the builder image"),
            Self::BuildNodeBase => write!(formatter, "build the node image"),
            Self::BuildPrograms(programs) => {
                write!(
                    formatter,
                    "build {} {}",
                    programs.component.name, programs.component.version
                )
            }
            Self::Download(names) => write!(formatter, "download {}", names.join(", ")),
            Self::InstallPrograms => write!(formatter, "install the programs into the node image"),
            Self::FillPreload => write!(formatter, "unpack the preloaded images"),
            Self::BuildTests(_) => write!(formatter, "build the image with what the tests call"),
            Self::InstallTests(_) => write!(formatter, "install the tests into their image"),
            Self::AssembleTests(_) => write!(formatter, "assemble the images of the tests"),
            Self::RemoveNetwork(name) => {
                write!(formatter, "remove network {name}, which is made anew")
            }
            Self::CreateNetwork => write!(formatter, "create the network"),
            Self::CreateVolume(node) => write!(formatter, "create the volume {}", node.volume),
            Self::RemoveNode(node) => write!(
                formatter,
                "remove {}, which cannot be used as it is",
                node.container
            ),
            Self::CreateNode(node) | Self::RecreateNode(node) => {
                write!(formatter, "create {} at {}", node.container, node.address)
            }
            Self::JoinMaster(node) => write!(
                formatter,
                "add {} at {} to the control plane",
                node.container, node.address
            ),
            Self::CreateLoadBalancer(balancer) => write!(
                formatter,
                "create {} at {}",
                balancer.container, balancer.address
            ),
            Self::StartNode(container) => write!(formatter, "start {container}"),
            Self::UnpauseNode(container) => write!(formatter, "unpause {container}"),
            Self::PauseNode(container) => write!(formatter, "pause {container}"),
            Self::StopNode(container) | Self::HaltNode(container) => {
                write!(formatter, "stop {container}")
            }
            Self::FillVolumes(snapshot) => {
                write!(formatter, "copy what snapshot `{}` has", snapshot.name)
            }
            Self::Rename { container, other } => write!(formatter, "rename {container} to {other}"),
            Self::Discard(found) => write!(formatter, "remove {}", found.name),
            Self::DiscardVolume(volume) => {
                write!(formatter, "remove volume {volume}, which nothing uses")
            }
            Self::AwaitApiServer(node) => {
                write!(formatter, "wait for the API server on {}", node.container)
            }
            Self::AwaitPhases(node) => match node.role {
                Role::Master => write!(formatter, "wait for kubeadm init on {}", node.container),
                Role::Worker => write!(formatter, "wait for kubeadm join on {}", node.container),
            },
            Self::ScaleDns => write!(formatter, "see that CoreDNS has two replicas"),
            Self::UntaintMaster(node) => {
                write!(formatter, "let ordinary pods run on {}", node.container)
            }
            Self::DrainNode(node) => write!(formatter, "drain {}", node.container),
            Self::RetireNode(node) | Self::RenewNode(node) => write!(
                formatter,
                "remove {} and what Kubernetes knows of it",
                node.container
            ),
        }
    }
}

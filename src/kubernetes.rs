//! Configuration of kubeadm, kubelet and kube-proxy, in the form that a Kubernetes version understands.
//!
//! This room is pure: a [`ClusterSpec`] goes in, text comes out. The types hold only the fields that we set.

mod component;
mod kubeadm;

#[cfg(test)]
mod tests;

use serde::Serialize;

pub use self::kubeadm::cert_sans;
use crate::cluster::{ClusterSpec, NodeSpec};

/// How long certificates live: ten years, since a cluster that is kept outlives the one year that is usual.
const CERTIFICATE_VALIDITY: &str = "87600h0m0s";

/// What the configuration must know of the machine that the engine runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostFacts {
    /// Whether its cgroups are of version 1 (also where an unused version 2 hierarchy is mounted beside them).
    pub cgroup_v1: bool,
    /// Whether nodes may make a process dearer to the kernel than the container is (`CAP_SYS_RESOURCE`).
    pub sys_resource: bool,
}

/// The configuration file of `kubeadm init` on a master: kubeadm's own two documents, kubelet's and kube-proxy's.
pub fn init_documents(spec: &ClusterSpec, master: &NodeSpec, host: HostFacts) -> String {
    [
        render(&kubeadm::InitConfiguration::new(spec, master)),
        render(&kubeadm::ClusterConfiguration::new(spec)),
        render(&component::KubeletConfiguration::new(spec, host)),
        render(&component::KubeProxyConfiguration::new(spec, host)),
    ]
    .join("---\n")
}

/// The configuration file of `kubeadm join` on `node`. The kubeconfig at `discovery_kubeconfig_path`, a path in the
/// node, says where the API server is and how to trust it. Kubelet's configuration is not repeated: kubeadm takes it
/// from the cluster.
pub fn join_documents(
    spec: &ClusterSpec,
    node: &NodeSpec,
    discovery_kubeconfig_path: &str,
) -> String {
    render(&kubeadm::JoinConfiguration::new(
        spec,
        node,
        discovery_kubeconfig_path,
    ))
}

/// One YAML document.
fn render(document: &impl Serialize) -> String {
    serde_yaml::to_string(document)
        .expect("structs of strings, numbers and lists can be written as YAML")
}

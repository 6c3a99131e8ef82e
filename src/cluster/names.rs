//! How a cluster's objects are named.

use super::{ClusterId, MAX_MASTERS, MAX_WORKERS, Members};
use std::collections::BTreeSet;

/// The name of the load balancer before several masters, the same in every cluster.
pub(super) const LOAD_BALANCER: &str = "kube-lb";

/// The name of master `number`, the same in every cluster.
pub(super) fn master(number: u16) -> String {
    if number == 1 {
        "kube-master".to_owned()
    } else {
        format!("kube-master-{number}")
    }
}

/// The name of worker `number`, the same in every cluster.
pub(super) fn worker(number: u16) -> String {
    format!("kube-node-{number}")
}

/// Longest label: it is part of container names, which people type.
const MAX_LABEL: usize = 32;

/// The names of one cluster's objects. Two clusters that differ in id or label share none of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Follows the name of each container and of the network: empty, `-cluster-N` or `-LABEL`.
    suffix: String,
    /// Follows the name of the kubeconfig context: empty, `-N` or `-LABEL`.
    context_suffix: String,
    /// Empty, ` --cluster-id N` or ` --label LABEL`.
    flag: String,
}

impl Names {
    /// The names of the cluster with this id and (valid) label.
    pub fn new(id: ClusterId, label: Option<&str>) -> Self {
        let (suffix, context_suffix, flag) = match (label, id.get()) {
            (Some(label), _) => (
                format!("-{label}"),
                format!("-{label}"),
                format!(" --label {label}"),
            ),
            (None, 0) => Default::default(),
            (None, number) => (
                format!("-cluster-{number}"),
                format!("-{number}"),
                format!(" --cluster-id {number}"),
            ),
        };
        Self {
            suffix,
            context_suffix,
            flag,
        }
    }

    /// The flag that names this cluster, with a blank before it; nothing for the default one.
    pub fn flag(&self) -> &str {
        &self.flag
    }

    /// What distinguishes this cluster's containers: empty, `-cluster-N` or `-LABEL`.
    pub fn suffix(&self) -> &str {
        &self.suffix
    }

    /// The container of the node with this name.
    pub fn container(&self, node_name: &str) -> String {
        format!("{node_name}{}", self.suffix)
    }

    /// The data volume of the container with this name.
    pub fn volume(&self, container: &str) -> String {
        format!("{container}-data")
    }

    /// All names that data volumes of the container may have: a restore makes one beside the first, with a number.
    pub fn volumes(&self, container: &str) -> impl Iterator<Item = String> + use<> {
        let first = self.volume(container);
        std::iter::once(first.clone())
            .chain((2..).map(move |number: u32| format!("{first}.{number}")))
    }

    /// The name of the first data volume of the container that has this one. No other name of ours ends in a number after a
    /// dot, but those of snapshots, which are no node's.
    pub fn first_volume(volume: &str) -> &str {
        match volume.rsplit_once('.') {
            Some((first, number)) if number.parse::<u32>().is_ok() => first,
            _ => volume,
        }
    }

    /// The volume of the snapshot with this name. No label has a dot in it, so no two clusters have the same.
    pub fn snapshot(&self, name: &str) -> String {
        format!("{}.snapshot.{name}", self.context())
    }

    /// The masters and workers of whom there is something among these containers and volumes. A volume alone counts: it
    /// comes before its container, and goes after it.
    pub fn members_among<'name>(&self, found: impl IntoIterator<Item = &'name str>) -> Members {
        let found: BTreeSet<&str> = found.into_iter().map(Self::first_volume).collect();
        members(|name| {
            let container = self.container(name);
            found.contains(container.as_str()) || found.contains(self.volume(&container).as_str())
        })
    }

    /// The masters and workers among nodes with these names in Kubernetes.
    pub fn members_named<'name>(nodes: impl IntoIterator<Item = &'name str>) -> Members {
        let nodes: BTreeSet<&str> = nodes.into_iter().collect();
        members(|name| nodes.contains(name))
    }

    /// The Docker network of the cluster.
    pub fn network(&self) -> String {
        format!("k8s-kubeadm-local-cluster{}", self.suffix)
    }

    /// The cluster's context in a kubeconfig; Kubernetes' own cluster name is the same.
    pub fn context(&self) -> String {
        format!("local-cluster{}", self.context_suffix)
    }

    /// The cluster's directory, relative to `~/.kubeadm-local-cluster`: empty for the default cluster.
    pub fn directory(&self) -> String {
        if self.context_suffix.is_empty() {
            String::new()
        } else {
            format!("cluster{}", self.context_suffix)
        }
    }
}

/// The masters and workers whose names are there.
fn members(is_there: impl Fn(&str) -> bool) -> Members {
    Members {
        masters: (1..=MAX_MASTERS)
            .filter(|number| is_there(&master(*number)))
            .collect(),
        workers: (1..=MAX_WORKERS)
            .filter(|number| is_there(&worker(*number)))
            .collect(),
    }
}

/// Why a label cannot be used; nothing when it can.
///
/// A label becomes part of container names, so it has the form of a DNS label. It must not be what an unlabelled
/// cluster would use: `cluster-N` would give its containers' names, a mere number its context and directory. Nor may it begin
/// as another label's second master would go on: `kube-master-2-LABEL`.
pub fn label_fault(label: &str) -> Option<&'static str> {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if label.is_empty() || label.len() > MAX_LABEL {
        return Some("it must have 1 to 32 characters");
    }
    if !label.chars().all(|c| edge(c) || c == '-') {
        return Some("only lower case letters, digits and `-` are allowed");
    }
    if !label.starts_with(edge) || !label.ends_with(edge) {
        return Some("it must start and end with a letter or a digit");
    }
    if is_number(label) || label.strip_prefix("cluster-").is_some_and(is_number) {
        return Some(
            "numbers, alone or after `cluster-`, are the names of clusters without a label",
        );
    }
    if label
        .split_once('-')
        .is_some_and(|(first, _)| is_number(first))
    {
        return Some("a number before the first `-` is that of a master");
    }
    None
}

/// Whether there are only digits in the text.
fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

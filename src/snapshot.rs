//! Snapshots: what is kept of a cluster, under which name, and when it can be brought back. PURE.
//!
//! A snapshot is one volume: the data volumes of all nodes, copied, and labels that tell of which cluster, with which
//! settings and images. Everything else of a node follows from these.

pub mod file;

use crate::cluster::{Names, NodeSpec};
use crate::engine::{Found, label};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The snapshot that `up` takes by itself, of a cluster that has just become ready for the first time.
pub const FRESH: &str = "fresh";

/// What the names of snapshots begin with that are only there while a clone is made. No user can give such a name.
const PASSING: &str = "clone.";

/// The name of the snapshot of which the cluster with this context is made as a clone.
pub fn passing_name(clone: &str) -> String {
    format!("{PASSING}{clone}")
}

/// Longest name: it is part of a volume's name.
const MAX_NAME: usize = 64;

/// A snapshot, as the labels of its volume tell. That its content is whole is known only to who looks into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name, unique in its cluster.
    pub name: String,
    /// The volume that holds it.
    pub volume: String,
    /// The labels that everything of its cluster has.
    pub cluster: BTreeMap<String, String>,
    /// What it was made of.
    pub of: Origin,
}

/// What a snapshot was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// When, in UTC: `2026-11-21T12:30:00Z`.
    pub at: String,
    /// The names of the nodes, the master first.
    pub nodes: Vec<String>,
    /// The settings that a cluster keeps for life.
    pub settings: BTreeMap<String, String>,
    /// The node image.
    pub image: String,
    /// The preload volume.
    pub preload: String,
    /// The port of the API server on the engine's host.
    pub port: Option<u16>,
}

impl Snapshot {
    /// A snapshot that is to be made.
    pub fn new(names: &Names, name: &str, cluster: BTreeMap<String, String>, of: Origin) -> Self {
        Self {
            name: name.to_owned(),
            volume: names.snapshot(name),
            cluster,
            of,
        }
    }

    /// The labels of its volume.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.cluster.clone();
        labels.insert(label::SNAPSHOT.to_owned(), self.name.clone());
        let of = serde_json::to_string(&self.of).expect("texts and numbers are JSON");
        labels.insert(label::SNAPSHOT_OF.to_owned(), of);
        labels
    }

    /// The snapshot in this volume; none where it is a volume of something else, or nothing that can be understood.
    pub fn read(volume: &Found) -> Option<Self> {
        let mut cluster = volume.labels.clone();
        let name = cluster.remove(label::SNAPSHOT)?;
        let of = serde_json::from_str(&cluster.remove(label::SNAPSHOT_OF)?).ok()?;
        Some(Self {
            name,
            volume: volume.name.clone(),
            cluster,
            of,
        })
    }

    /// Whether it was taken for a clone, and is of no use when that is made.
    pub fn is_passing(&self) -> bool {
        self.name.starts_with(PASSING)
    }

    /// The same for a cluster that is a clone with these settings: its port is not the original's.
    #[must_use]
    pub fn for_clone(mut self, settings: BTreeMap<String, String>) -> Self {
        self.of.settings = settings;
        self.of.port = None;
        self
    }

    /// Why this program cannot bring it back; nothing where it can. What is in a snapshot is known to the version that
    /// made it only.
    pub fn refusal(&self) -> Option<String> {
        let by = self.cluster.get(label::VERSION).map_or("", String::as_str);
        let we = env!("CARGO_PKG_VERSION");
        (by != we).then(|| {
            format!(
                "snapshot `{}` was made by version {by} of local-cluster, and this is {we}",
                self.name
            )
        })
    }

    /// Whether it is what these nodes would be made as: then it stands for making them.
    pub fn stands_for(
        &self,
        settings: &BTreeMap<String, String>,
        nodes: &[NodeSpec],
        image: &str,
        preload: &str,
    ) -> bool {
        let names = nodes.iter().map(|node| &node.name);
        self.refusal().is_none()
            && self.of.settings == *settings
            && self.of.nodes.iter().eq(names)
            && self.of.image == image
            && self.of.preload == preload
    }
}

/// Why a name cannot be given to a snapshot; nothing where it can.
pub fn name_fault(name: &str) -> Option<&'static str> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > MAX_NAME {
        Some("it must have 1 to 64 characters")
    } else if !name.chars().all(inner) || name.starts_with('-') || name.ends_with('-') {
        Some("only lower case letters, digits and, between them, `-` are allowed")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::sample;

    fn snapshot() -> Snapshot {
        let spec = sample::spec(|_| {});
        let version = (
            label::VERSION.to_owned(),
            env!("CARGO_PKG_VERSION").to_owned(),
        );
        let of = Origin {
            at: "2026-11-21T12:30:00Z".to_owned(),
            nodes: spec.nodes.iter().map(|node| node.name.clone()).collect(),
            settings: spec.fingerprint(),
            image: "local-cluster/node:1".to_owned(),
            preload: "local-cluster-preload-1".to_owned(),
            port: Some(6443),
        };
        Snapshot::new(&spec.names, "before", BTreeMap::from([version]), of)
    }

    fn volume(snapshot: &Snapshot) -> Found {
        Found {
            name: snapshot.volume.clone(),
            labels: snapshot.labels(),
            state: crate::engine::State::Other,
            image: String::new(),
            volumes: Vec::new(),
        }
    }

    #[test]
    fn labels_tell_all_of_a_snapshot() {
        let snapshot = snapshot();
        assert_eq!(snapshot.volume, "local-cluster.snapshot.before");
        assert_eq!(Snapshot::read(&volume(&snapshot)), Some(snapshot.clone()));
        let mut other = volume(&snapshot);
        other
            .labels
            .insert(label::SNAPSHOT_OF.to_owned(), "{".to_owned());
        assert_eq!(Snapshot::read(&other), None);
        other.labels.remove(label::SNAPSHOT);
        assert_eq!(Snapshot::read(&other), None);
    }

    #[test]
    fn it_stands_for_the_same_and_nothing_else() {
        let (spec, snapshot) = (sample::spec(|_| {}), snapshot());
        let stands =
            |snapshot: &Snapshot, settings: &BTreeMap<String, String>, nodes: &[NodeSpec]| {
                snapshot.stands_for(
                    settings,
                    nodes,
                    "local-cluster/node:1",
                    "local-cluster-preload-1",
                )
            };
        let settings = spec.fingerprint();
        assert!(stands(&snapshot, &settings, &spec.nodes));
        assert!(!stands(&snapshot, &settings, &spec.nodes[..2]));
        assert!(!stands(&snapshot, &BTreeMap::new(), &spec.nodes));
        assert!(!snapshot.stands_for(
            &settings,
            &spec.nodes,
            "local-cluster/node:2",
            "local-cluster-preload-1"
        ));
        assert!(!snapshot.stands_for(
            &settings,
            &spec.nodes,
            "local-cluster/node:1",
            "local-cluster-preload-2"
        ));
        let mut old = snapshot;
        old.cluster
            .insert(label::VERSION.to_owned(), "0.0.1".to_owned());
        assert!(old.refusal().unwrap().contains("0.0.1"));
        assert!(!stands(&old, &settings, &spec.nodes));
    }

    #[test]
    fn nobody_else_can_name_a_snapshot_like_a_clone_s() {
        let name = passing_name("local-cluster-41");
        assert!(name_fault(&name).is_some());
        let mut snapshot = snapshot();
        assert!(!snapshot.is_passing());
        snapshot.name = name;
        assert!(snapshot.is_passing());
    }

    #[test]
    fn names_are_parts_of_names() {
        for good in ["a", "before-upgrade", "1", FRESH] {
            assert_eq!(name_fault(good), None, "{good}");
        }
        let long = "a".repeat(65);
        for bad in ["", "-a", "a-", "A", "a.b", "a/b", "..", "a b", "é", &long] {
            assert!(name_fault(bad).is_some(), "{bad}");
        }
    }
}

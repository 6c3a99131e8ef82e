//! A cluster as it stands: its containers and volumes, its workers, and the settings that it was made with.

use super::identity::Identity;
use crate::cluster::{self, ClusterSpec, Members, Names, NodeSpec, Role};
use crate::engine::{Engine, Found, State, label};
use crate::error::Error;
use crate::inventory::{self, is_load_balancer, is_master};
use crate::node::access::Way;
use crate::node::phases;
use crate::plan::{Observed, ObservedNode};
use crate::report::Reporter;
use futures_util::future;
use std::collections::{BTreeMap, BTreeSet};

/// Whether one of these containers has the volume.
fn is_used(volume: &Found, containers: &[Found]) -> bool {
    let mut mounted = containers.iter().flat_map(Found::own_volumes);
    mounted.any(|name| *name == volume.name)
}

/// The data volumes among these that no container has.
pub(super) fn unused(volumes: &[Found], containers: &[Found]) -> Vec<String> {
    let of_nodes = volumes
        .iter()
        .filter(|volume| !volume.labels.contains_key(label::SNAPSHOT));
    let unused = of_nodes.filter(|volume| !is_used(volume, containers));
    unused.map(|volume| volume.name.clone()).collect()
}

/// What the engine has of a cluster.
pub(super) struct Standing {
    pub(super) containers: Vec<Found>,
    volumes: BTreeSet<String>,
    /// Volumes that a restore has filled and then given to no container: it was broken off.
    pub(super) stray: BTreeSet<String>,
    /// The nodes that the cluster counts as its own.
    pub(super) members: Members,
}

impl Standing {
    pub(super) async fn of(engine: &Engine, identity: &Identity) -> Result<Self, Error> {
        let volumes = async {
            let found = engine.volumes(&identity.selector()).await;
            found.map_err(|source| identity.not_found(source))
        };
        let (containers, volumes) = future::try_join(identity.containers(engine), volumes).await?;
        Ok(Self::among(containers, volumes, &identity.names))
    }

    /// The cluster that has these containers and volumes.
    fn among(containers: Vec<Found>, volumes: Vec<Found>, cluster: &Names) -> Self {
        let restore = |volume: &Found| volume.labels.get(label::RESTORED).cloned();
        let used = volumes.iter().filter(|volume| is_used(volume, &containers));
        let used: BTreeSet<String> = used.filter_map(restore).collect();
        let (mut of_nodes, mut stray) = (BTreeSet::new(), BTreeSet::new());
        for volume in volumes {
            if restore(&volume).is_some_and(|restore| !used.contains(&restore)) {
                stray.insert(volume.name);
            } else if !volume.labels.contains_key(label::SNAPSHOT) {
                of_nodes.insert(volume.name);
            }
        }
        let volumes = of_nodes;
        let names = containers.iter().map(|container| &container.name);
        let members = cluster.members_among(names.chain(&volumes).map(String::as_str));
        Self {
            containers,
            volumes,
            stray,
            members,
        }
    }

    /// There is nothing of it.
    pub(super) fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.volumes.is_empty()
    }

    /// Takes the nodes out, which are to be removed with their volumes; what is left is what there is besides them.
    pub(super) fn take_nodes(&mut self) -> Vec<Found> {
        for volume in self.containers.iter().flat_map(Found::own_volumes) {
            self.volumes.remove(volume);
        }
        std::mem::take(&mut self.containers)
    }

    /// A master's container; of those that run, where one does.
    pub(super) fn master(&self) -> Option<&Found> {
        let way = self.way()?;
        self.containers
            .iter()
            .find(|found| found.name == way.master)
    }

    /// How the cluster is reached.
    pub(super) fn way(&self) -> Option<Way> {
        inventory::way(&self.containers)
    }

    /// How it is reached when these nodes are gone.
    pub(super) fn way_without(&self, gone: &[NodeSpec]) -> Option<Way> {
        let stays = |found: &&Found| gone.iter().all(|node| node.container != found.name);
        let left: Vec<Found> = self.containers.iter().filter(stays).cloned().collect();
        inventory::way(&left)
    }

    /// The settings that the cluster was made with; a master's count, as workers may have come later.
    pub(super) fn settings(
        &self,
        identity: &Identity,
    ) -> Result<Option<BTreeMap<String, String>>, Error> {
        let kept = |found: &Found| found.labels.get(label::SETTINGS).cloned();
        let kept = self
            .master()
            .and_then(kept)
            .or_else(|| self.containers.iter().find_map(kept));
        let read = kept.map(|kept| serde_json::from_str(&kept)).transpose();
        read.map_err(|source| {
            let name = identity.names.context();
            Error::other(format!("look at the settings of cluster `{name}`"), source)
        })
    }

    /// The cluster as it was made, with the nodes that it has, whatever the settings say today.
    pub(super) fn spec(&self, identity: &Identity) -> Result<ClusterSpec, Error> {
        self.spec_of(identity, self.members.clone())
    }

    /// The same with these nodes.
    pub(super) fn spec_of(
        &self,
        identity: &Identity,
        mut members: Members,
    ) -> Result<ClusterSpec, Error> {
        // A cluster whose masters are all gone had this one.
        if members.masters.is_empty() {
            members.masters.insert(1);
        }
        let settings = self.settings(identity)?.unwrap_or_default();
        let label = identity.label.as_deref();
        let mut spec = ClusterSpec::of_fingerprint(identity.id, label, &settings, members)
            .map_err(|problems| Error::message(cluster::in_lines(&problems)))?;
        self.name_volumes(&mut spec);
        Ok(spec)
    }

    /// Gives the nodes the names of the volumes that they have, or that are left of them: a restore gives them others.
    pub(super) fn name_volumes(&self, spec: &mut ClusterSpec) {
        let volumes = self.data_volumes();
        for node in &mut spec.nodes {
            let first = spec.names.volume(&node.container);
            let is_left = |volume: &&String| Names::first_volume(volume) == first;
            let left = || self.volumes.iter().find(is_left);
            if let Some(volume) = volumes.get(&node.container).or_else(left) {
                node.volume.clone_from(volume);
            }
        }
    }

    /// The data volume of each container.
    fn data_volumes(&self) -> BTreeMap<String, String> {
        let volume =
            |found: &Found| Some((found.name.clone(), found.own_volumes().next()?.clone()));
        self.containers.iter().filter_map(volume).collect()
    }

    /// A name for another data volume of this container.
    pub(super) fn free_volume(&self, container: &str, names: &Names) -> String {
        names
            .volumes(container)
            .find(|name| !self.volumes.contains(name) && !self.stray.contains(name))
            .unwrap_or_default()
    }

    /// What runs and what does not.
    pub(super) fn states(&self) -> Observed {
        let node = |container: &Found| {
            let found = ObservedNode {
                state: container.state,
                phases: None,
            };
            (container.name.clone(), found)
        };
        Observed {
            network: true,
            nodes: self.containers.iter().map(node).collect(),
            volumes: self.volumes.clone(),
            volume_of: self.data_volumes(),
            ..Observed::default()
        }
    }

    /// What runs and what does not, and how far kubeadm is in what runs.
    pub(super) async fn observe(
        &self,
        engine: &Engine,
        identity: &Identity,
    ) -> Result<Observed, Error> {
        let running = self
            .containers
            .iter()
            .filter(|container| container.state == State::Running && !is_load_balancer(container));
        let phases = running.map(|container| async move {
            let role = if is_master(container) {
                Role::Master
            } else {
                Role::Worker
            };
            match phases::observe(engine, &container.name, role).await {
                // It has stopped since.
                Err(error) if error.status() == Some(409) => Ok(None),
                phases => Ok(Some((container.name.clone(), phases?))),
            }
        });
        let phases = future::try_join_all(phases)
            .await
            .map_err(|source| identity.not_found(source))?;
        let mut observed = self.states();
        for (name, phases) in phases.into_iter().flatten() {
            if let Some(node) = observed.nodes.get_mut(&name) {
                node.phases = Some(phases);
            }
        }
        Ok(observed)
    }
}

/// Says which nodes of a cluster come and go, before they do.
pub(super) fn tell_change(
    reporter: &Reporter,
    now: &Members,
    spec: &ClusterSpec,
    master_stays: bool,
) {
    let wanted = spec.members();
    let changes = [
        (
            "master",
            &now.masters,
            &wanted.masters,
            spec.possible_masters().collect::<Vec<_>>(),
        ),
        (
            "worker",
            &now.workers,
            &wanted.workers,
            spec.possible_workers().collect(),
        ),
    ];
    for (what, now, wanted, possible) in changes {
        let names = |numbers: &BTreeSet<u16>| {
            let of_numbers = possible
                .iter()
                .filter(|node| numbers.contains(&node.ordinal()));
            let words: Vec<&str> = of_numbers.map(|node| node.name.as_str()).collect();
            words.join(", ")
        };
        let (added, gone) = (wanted - now, now - wanted);
        let then = match wanted.len() {
            0 => format!("then there is no {what}"),
            1 => format!("then there is 1 {what}"),
            count => format!("then there are {count} {what}s"),
        };
        if !added.is_empty() {
            reporter.note(format!("adding {}: {then}", names(&added)));
            if what == "worker" && now.is_empty() && master_stays && !spec.no_dedicated {
                let masters: Vec<&str> = spec.masters().map(|node| node.name.as_str()).collect();
                let alone = match masters.as_slice() {
                    [one] => format!("{one}, as they did while it was alone"),
                    several => format!("{}, as they did without workers", several.join(", ")),
                };
                reporter.note(format!("ordinary pods may go on running on {alone}"));
            }
        }
        if !gone.is_empty() {
            reporter.note(format!(
                "removing {}: {then}; pods go elsewhere, but for those of DaemonSets, and what they keep in emptyDir \
                 volumes is lost",
                names(&gone)
            ));
        }
    }
}

/// Says so where one master less would do as well: there may have been one more, which is lost.
pub(super) fn tell_even(reporter: &Reporter, spec: &ClusterSpec, identity: &Identity) {
    let count = spec.masters().count();
    if count.is_multiple_of(2) {
        reporter.warn(
            format!(
                "{count} masters survive the loss of no more of them than {} would",
                count - 1
            ),
            Some(&format!(
                "`local-cluster{} node add --master` adds one",
                identity.flag()
            )),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{ClusterId, sample};

    fn volume(name: &str, mark: Option<&str>) -> Found {
        let labels = mark.map(|mark| (mark.to_owned(), "one".to_owned()));
        Found {
            name: name.to_owned(),
            labels: labels.into_iter().collect(),
            state: State::Other,
            image: String::new(),
            volumes: Vec::new(),
        }
    }

    fn container(name: &str, volume: &str) -> Found {
        Found {
            volumes: vec![volume.to_owned()],
            ..self::volume(name, None)
        }
    }

    fn names() -> Names {
        Names::new(ClusterId::new(0), None)
    }

    #[test]
    fn what_a_restore_has_filled_for_nobody_is_stray() {
        let containers = vec![container("kube-master", "kube-master-data.2")];
        let volumes = vec![
            volume("kube-master-data.2", None),
            volume("kube-node-1-data.2", Some(label::RESTORED)),
            volume("kube-node-2-data", None),
            volume("local-cluster.snapshot.one", Some(label::SNAPSHOT)),
        ];
        let standing = Standing::among(containers, volumes, &names());
        assert_eq!(standing.stray, ["kube-node-1-data.2".to_owned()].into());
        assert_eq!(
            standing.volumes,
            ["kube-master-data.2", "kube-node-2-data"]
                .map(str::to_owned)
                .into()
        );
        assert_eq!(
            standing.members.workers,
            [2].into(),
            "a stray volume is no worker's"
        );
        assert!(!standing.is_empty());
        let kept = vec![volume("local-cluster.snapshot.one", Some(label::SNAPSHOT))];
        assert!(Standing::among(Vec::new(), kept, &names()).is_empty());
    }

    #[test]
    fn a_restored_node_whose_container_is_lost_stays_one() {
        let restored = |name: &str, when: &str| {
            let mut volume = volume(name, None);
            let when = format!("fresh {when}");
            volume.labels.insert(label::RESTORED.to_owned(), when);
            volume
        };
        let containers = vec![container("kube-master", "kube-master-data")];
        let volumes = vec![
            restored("kube-master-data", "1"),
            restored("kube-node-1-data", "1"),
            restored("kube-node-2-data.2", "2"),
        ];
        let standing = Standing::among(containers, volumes, &names());
        assert_eq!(standing.members.workers, [1].into());
        assert_eq!(standing.stray, ["kube-node-2-data.2".to_owned()].into());
    }

    #[test]
    fn a_node_that_has_only_a_later_volume_is_known_by_it() {
        let containers = vec![container("kube-master", "kube-master-data")];
        let volumes = vec![
            volume("kube-master-data", None),
            volume("kube-node-3-data.2", None),
            volume("kube-node-4-data.x", None),
        ];
        let standing = Standing::among(containers, volumes, &names());
        assert_eq!(standing.members.workers, [3].into());
        let mut spec = sample::spec(|input| input.members.workers = [3].into());
        standing.name_volumes(&mut spec);
        let names: Vec<&str> = spec.nodes.iter().map(|node| node.volume.as_str()).collect();
        assert_eq!(names, ["kube-master-data", "kube-node-3-data.2"]);
    }

    #[test]
    fn what_no_container_has_is_unused_unless_it_is_a_snapshot() {
        let containers = vec![container("kube-master", "kube-master-data.2")];
        let volumes = [
            volume("kube-master-data.2", Some(label::RESTORED)),
            volume("kube-node-2-data", None),
            volume("local-cluster.snapshot.one", Some(label::SNAPSHOT)),
        ];
        assert_eq!(unused(&volumes, &containers), ["kube-node-2-data"]);
    }

    #[test]
    fn a_free_volume_is_nobody_s() {
        let free = |volumes: &[(&str, Option<&str>)]| {
            let volumes = volumes.iter().map(|(name, mark)| volume(name, *mark));
            let standing = Standing::among(Vec::new(), volumes.collect(), &names());
            standing.free_volume("kube-master", &names())
        };
        assert_eq!(free(&[]), "kube-master-data");
        assert_eq!(free(&[("kube-node-1-data", None)]), "kube-master-data");
        assert_eq!(free(&[("kube-master-data", None)]), "kube-master-data.2");
        let both = [
            ("kube-master-data", None),
            ("kube-master-data.2", Some(label::RESTORED)),
        ];
        assert_eq!(free(&both), "kube-master-data.3");
        assert_eq!(free(&both[1..]), "kube-master-data");
    }
}

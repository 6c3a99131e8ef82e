//! Which clusters there are, and what is the matter with each. PURE: by the labels of what the engine has.

use crate::cluster::{self, Role};
use crate::engine::{Found, Network, State, label};
use crate::node::access::Way;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What there is of one cluster. Nothing of it need be whole: a part that was left over is shown, too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Its nodes' containers.
    pub nodes: Vec<Found>,
    /// How many data volumes it has.
    pub volumes: usize,
    /// How many snapshots are kept of it.
    pub snapshots: usize,
    /// It has its network.
    pub network: bool,
    /// Its number, as the labels of whatever is there have it.
    pub id: Option<u8>,
}

/// How a cluster is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterState {
    /// All nodes run.
    Running,
    /// All nodes are stopped.
    Stopped,
    /// All nodes are frozen.
    Paused,
    /// Some nodes are one thing and some another.
    Mixed,
    /// Its nodes were taken away, and snapshots of it are kept.
    Down,
    /// Something of it is missing, so that it is none.
    Incomplete(&'static str),
}

impl ClusterState {
    /// The state of a cluster with these containers.
    pub fn of(nodes: &[Found]) -> Self {
        let all = |state: fn(State) -> bool| nodes.iter().all(|node| state(node.state));
        match nodes {
            [] => Self::Incomplete("no nodes"),
            _ if !nodes.iter().any(is_master) => Self::Incomplete("no master"),
            _ if is_balanced(nodes) && !nodes.iter().any(is_load_balancer) => {
                Self::Incomplete("no load balancer")
            }
            _ if all(|state| state == State::Running) => Self::Running,
            _ if all(|state| matches!(state, State::Exited(_))) => Self::Stopped,
            _ if all(|state| state == State::Paused) => Self::Paused,
            _ => Self::Mixed,
        }
    }

    /// What is missing of a cluster that is incomplete.
    pub fn missing(self) -> Option<&'static str> {
        match self {
            Self::Incomplete(what) => Some(what),
            Self::Running | Self::Stopped | Self::Paused | Self::Mixed | Self::Down => None,
        }
    }

    /// One word, for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Paused => "paused",
            Self::Mixed => "mixed",
            Self::Down => "down",
            Self::Incomplete(_) => "incomplete",
        }
    }
}

impl fmt::Display for ClusterState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())?;
        self.missing()
            .map_or(Ok(()), |what| write!(formatter, ": {what}"))
    }
}

impl Inventory {
    /// How it is.
    pub fn state(&self) -> ClusterState {
        match (self.nodes.is_empty(), self.network, self.volumes) {
            (true, _, 0) if self.snapshots > 0 => ClusterState::Down,
            (true, true, 0) => ClusterState::Incomplete("only its network"),
            (true, true, _) => ClusterState::Incomplete("only its network and volumes"),
            (true, false, _) => ClusterState::Incomplete("only volumes"),
            (false, false, _) => ClusterState::Incomplete("no network"),
            (false, true, _) => ClusterState::of(&self.nodes),
        }
    }

    /// How it is reached.
    pub fn way(&self) -> Option<Way> {
        way(&self.nodes)
    }

    /// The version of Kubernetes that its nodes have.
    pub fn version(&self) -> Option<String> {
        let kept = self.nodes.iter().find_map(settings)?;
        kept.get("source.kubernetesVersion").cloned()
    }

    /// The range at which the engine's host reaches its nodes, and the one by which these know each other: the same, but
    /// in a clone.
    pub fn ranges(&self) -> Option<Ranges> {
        ranges(&self.nodes)
    }

    /// How many nodes are in which state, by the word for it.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for node in self.nodes.iter().filter(|node| !is_load_balancer(node)) {
            *counts.entry(word(node.state)).or_default() += 1;
        }
        counts
    }
}

/// All clusters of which anything is there, by name.
pub fn clusters(
    networks: &[Network],
    containers: Vec<Found>,
    volumes: &[Found],
) -> BTreeMap<String, Inventory> {
    let mut clusters: BTreeMap<String, Inventory> = BTreeMap::new();
    let mut of = |labels: &BTreeMap<String, String>, change: &mut dyn FnMut(&mut Inventory)| {
        // What has no such label is none of ours.
        if let Some(name) = labels.get(label::CLUSTER) {
            let inventory = clusters.entry(name.clone()).or_default();
            let id = labels.get(label::ID).and_then(|id| id.parse().ok());
            inventory.id = inventory.id.or(id);
            change(inventory);
        }
    };
    for network in networks {
        of(&network.labels, &mut |inventory| inventory.network = true);
    }
    for container in containers {
        of(&container.labels, &mut |inventory| {
            inventory.nodes.push(container.clone());
        });
    }
    for volume in volumes {
        let is_snapshot = volume.labels.contains_key(label::SNAPSHOT);
        of(&volume.labels, &mut |inventory| {
            if is_snapshot {
                inventory.snapshots += 1;
            } else {
                inventory.volumes += 1;
            }
        });
    }
    clusters
}

/// What the label of a load balancer says in place of a node's role.
pub const LOAD_BALANCER_ROLE: &str = "load-balancer";

/// Whether a container is a load balancer before masters, and no node.
pub fn is_load_balancer(container: &Found) -> bool {
    container
        .labels
        .get(label::ROLE)
        .is_some_and(|role| role == LOAD_BALANCER_ROLE)
}

/// How a cluster of these containers is reached: by a master that runs, where one does, and the load balancer where one
/// belongs to it. None where no master is there.
pub fn way(containers: &[Found]) -> Option<Way> {
    let masters = || containers.iter().filter(|found| is_master(found));
    let running = masters().find(|found| found.state == State::Running);
    let master = running.or_else(|| masters().next())?;
    let balancer = containers.iter().find(|found| is_load_balancer(found));
    Some(Way {
        master: master.name.clone(),
        publisher: balancer.unwrap_or(master).name.clone(),
    })
}

/// Whether a container is a master of its cluster.
pub fn is_master(container: &Found) -> bool {
    container
        .labels
        .get(label::ROLE)
        .is_some_and(|role| role == Role::Master.as_str())
}

/// Whether a load balancer belongs to a cluster of these nodes.
fn is_balanced(nodes: &[Found]) -> bool {
    let kept = nodes.iter().find_map(settings);
    kept.is_some_and(|kept| cluster::is_balanced(&kept))
}

/// The settings that a node's cluster was made with, where it keeps them in readable form.
pub fn settings(container: &Found) -> Option<BTreeMap<String, String>> {
    serde_json::from_str(container.labels.get(label::SETTINGS)?).ok()
}

/// Where the nodes of a cluster are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranges {
    /// Docker's addresses, at which the engine's host reaches them.
    pub host: String,
    /// Those by which they know each other: the same, but in a clone.
    pub nodes: String,
}

impl Ranges {
    /// Whether it is a clone, whose nodes keep the addresses that they had.
    pub fn are_of_a_clone(&self) -> bool {
        self.host != self.nodes
    }
}

/// Where these nodes are, by what they keep of their cluster's settings.
pub fn ranges(nodes: &[Found]) -> Option<Ranges> {
    let kept = nodes.iter().find_map(settings)?;
    let host = kept.get("dind.subnet")?;
    let nodes = kept.get("cluster.nodeSubnet").unwrap_or(host);
    Some(Ranges {
        host: host.clone(),
        nodes: nodes.clone(),
    })
}

/// What a container is doing, in a word.
pub fn word(state: State) -> &'static str {
    match state {
        State::Created => "created",
        State::Running => "running",
        State::Paused => "paused",
        State::Exited(_) => "stopped",
        State::Other => "changing",
    }
}

/// The command that brings back these nodes of a cluster, without the flags that name the cluster, and which those are.
///
/// None where there is nothing to bring back.
pub fn remedy(nodes: &[Found]) -> Option<(&'static str, Vec<&Found>)> {
    let away: Vec<&Found> = nodes
        .iter()
        .filter(|node| node.state != State::Running)
        .collect();
    let states: BTreeSet<&str> = away.iter().map(|node| word(node.state)).collect();
    let command = match states.into_iter().collect::<Vec<_>>().as_slice() {
        [] => return None,
        // A container that never ran may lack files.
        states if states.contains(&"created") => "up",
        ["paused"] => "unpause",
        _ => "start",
    };
    Some((command, away))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(cluster: &str, role: &str) -> BTreeMap<String, String> {
        let settings = r#"{ "source.kubernetesVersion": "1.36.3" }"#;
        [
            (label::CLUSTER, cluster),
            (label::ID, "7"),
            (label::ROLE, role),
            (label::SETTINGS, settings),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    fn node(cluster: &str, role: &str, state: State) -> Found {
        Found {
            name: role.to_owned(),
            labels: labels(cluster, role),
            state,
            image: String::new(),
            volumes: Vec::new(),
        }
    }

    fn network(cluster: &str) -> Network {
        Network {
            name: cluster.to_owned(),
            labels: labels(cluster, ""),
            subnets: Vec::new(),
            mtu: None,
        }
    }

    #[test]
    fn a_cluster_is_as_its_nodes_are() {
        let state = |states: &[State]| {
            let roles = ["master", "worker", "worker"];
            let nodes: Vec<Found> = roles
                .iter()
                .zip(states)
                .map(|(role, state)| node("one", role, *state))
                .collect();
            ClusterState::of(&nodes).to_string()
        };
        let (run, stop, freeze) = (State::Running, State::Exited(0), State::Paused);
        for (states, wanted) in [
            (vec![run, run], "running"),
            (vec![stop, State::Exited(137)], "stopped"),
            (vec![freeze], "paused"),
            (vec![run, stop], "mixed"),
            (vec![freeze, stop], "mixed"),
            (vec![run, State::Created], "mixed"),
            (vec![], "incomplete: no nodes"),
        ] {
            assert_eq!(state(&states), wanted, "{states:?}");
        }
        assert_eq!(
            ClusterState::of(&[node("one", "worker", run)]).to_string(),
            "incomplete: no master"
        );
    }

    #[test]
    fn nothing_that_is_left_is_hidden() {
        let volume = node("volumes", "", State::Other);
        let mut snapshot = node("kept", "", State::Other);
        snapshot
            .labels
            .insert(label::SNAPSHOT.to_owned(), "fresh".to_owned());
        let found = clusters(
            &[
                network("network"),
                network("whole"),
                Network {
                    labels: BTreeMap::new(),
                    ..network("")
                },
            ],
            vec![
                node("whole", "master", State::Running),
                node("whole", "worker", State::Exited(0)),
                node("homeless", "master", State::Running),
            ],
            &[volume.clone(), volume, snapshot],
        );
        let lines: Vec<String> = found
            .iter()
            .map(|(name, cluster)| {
                let (id, version) = (cluster.id.unwrap(), cluster.version().unwrap_or_default());
                format!(
                    "{name} {id} {version} {:?} {}",
                    cluster.counts(),
                    cluster.state()
                )
            })
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        homeless 7 1.36.3 {"running": 1} incomplete: no network
        kept 7  {} down
        network 7  {} incomplete: only its network
        volumes 7  {} incomplete: only volumes
        whole 7 1.36.3 {"running": 1, "stopped": 1} mixed
        "#);
        assert_eq!(found["volumes"].volumes, 2);
        assert_eq!(found["whole"].way().unwrap().master, "master");
    }

    #[test]
    fn a_clone_s_nodes_have_two_ranges() {
        let with = |settings: &str| {
            let mut node = node("one", "master", State::Running);
            let settings = settings.to_owned();
            node.labels.insert(label::SETTINGS.to_owned(), settings);
            let ranges = ranges(&[node])?;
            Some((ranges.are_of_a_clone(), ranges.host, ranges.nodes))
        };
        let range = |number: u8| format!("10.192.{number}.0/24");
        assert_eq!(with("{}"), None);
        assert_eq!(
            with(r#"{"dind.subnet":"10.192.7.0/24"}"#),
            Some((false, range(7), range(7)))
        );
        let clone = r#"{"dind.subnet":"10.192.7.0/24","cluster.nodeSubnet":"10.192.0.0/24"}"#;
        assert_eq!(with(clone), Some((true, range(7), range(0))));
    }

    #[test]
    fn what_is_away_is_brought_back_by_one_command() {
        let command = |states: &[State]| {
            let nodes: Vec<Found> = states
                .iter()
                .map(|state| node("one", "worker", *state))
                .collect();
            remedy(&nodes).map(|(command, away)| (command, away.len()))
        };
        let of = |command: &'static str, away| Some((command, away));
        assert_eq!(command(&[State::Running]), None);
        assert_eq!(command(&[State::Running, State::Paused]), of("unpause", 1));
        assert_eq!(command(&[State::Exited(0), State::Paused]), of("start", 2));
        assert_eq!(command(&[State::Exited(0), State::Created]), of("up", 2));
    }
}

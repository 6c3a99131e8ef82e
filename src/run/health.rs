//! Whether a cluster works, by what its engine and its API server say. PURE.

use crate::engine::{Found, State, label};
use crate::inventory::{is_load_balancer, is_master, word};
use crate::ready::{is_ready, pod_is_ready};
use k8s_openapi::api::core::v1::{ContainerState, Node, Pod};
use std::collections::BTreeMap;

/// Where the cluster's own pods live.
const SYSTEM: &str = "kube-system";

/// The components that run as pods: name, the label that tells them, and where they must run.
const COMPONENTS: [(&str, (&str, &str), Where); 6] = [
    (API_SERVER, ("component", "kube-apiserver"), Where::Masters),
    (ETCD, ("component", "etcd"), Where::Masters),
    (
        "kube-scheduler",
        ("component", "kube-scheduler"),
        Where::Masters,
    ),
    (
        "kube-controller-manager",
        ("component", "kube-controller-manager"),
        Where::Masters,
    ),
    ("kube-proxy", ("k8s-app", "kube-proxy"), Where::Nodes),
    ("coredns", ("k8s-app", "kube-dns"), Where::Somewhere),
];
const API_SERVER: &str = "kube-apiserver";
const ETCD: &str = "etcd";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    Masters,
    Nodes,
    Somewhere,
}

/// What was seen of a cluster.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its containers, or why the engine does not tell.
    pub containers: Result<Vec<Found>, String>,
    /// What the API server said, or why it said nothing.
    pub answers: Result<Answers, String>,
}

/// What the API server said.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// The text of `/readyz?verbose`.
    pub readyz: String,
    /// All nodes.
    pub nodes: Vec<Node>,
    /// All pods.
    pub pods: Vec<Pod>,
}

/// How a cluster is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// What is the matter; nothing where all works.
    pub problems: Vec<String>,
    /// Its nodes.
    pub nodes: Vec<NodeHealth>,
    /// Which components work everywhere they should; without those of which nothing can be known now.
    pub components: BTreeMap<&'static str, bool>,
    /// How often containers of pods were started again, where that has happened.
    pub restarts: Vec<Restarts>,
}

/// How a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeHealth {
    /// Its name in Kubernetes.
    pub name: String,
    /// `master` or `worker`.
    pub role: String,
    /// Its container runs, and it says that it is Ready.
    pub ready: bool,
    /// The version of its kubelet.
    pub version: Option<String>,
}

/// How often a container of a pod was started again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restarts {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The container.
    pub container: String,
    /// How often.
    pub count: u64,
}

/// How the cluster is of which this was seen.
pub fn health(seen: &Seen) -> Health {
    let mut health = Health::default();
    let containers = match &seen.containers {
        Ok(containers) if containers.is_empty() => {
            health.problems.push("there is no cluster".to_owned());
            return health;
        }
        Ok(containers) => containers.as_slice(),
        Err(error) => {
            health.problems.push(error.clone());
            return health;
        }
    };
    let away = containers.iter().filter(|one| !runs(one));
    health
        .problems
        .extend(away.map(|one| format!("{} does not run: it is {}", one.name, word(one.state))));
    let none = Answers::default();
    let answers = match &seen.answers {
        Ok(answers) => answers,
        Err(error) => {
            health
                .problems
                .push(format!("the API server does not answer: {error}"));
            health.components.insert(API_SERVER, false);
            &none
        }
    };
    let of_nodes = || containers.iter().filter(|one| !is_load_balancer(one));
    health.nodes = of_nodes().map(|one| node(one, answers)).collect();
    if seen.answers.is_err() {
        return health;
    }
    // Of one that does not run all is said.
    let unready = of_nodes()
        .zip(&health.nodes)
        .filter(|(one, node)| runs(one) && !node.ready);
    health
        .problems
        .extend(unready.map(|(_, node)| format!("node {} is not Ready", node.name)));
    let has_container = |name: &str| of_nodes().any(|one| name_of(one) == name);
    let names = answers
        .nodes
        .iter()
        .filter_map(|node| node.metadata.name.as_deref());
    let lost = names.filter(|name| !has_container(name));
    health
        .problems
        .extend(lost.map(|name| format!("node {name} has no container")));
    components(&mut health, containers, answers);
    health.restarts = answers.pods.iter().flat_map(restarts).collect();
    health
}

fn runs(container: &Found) -> bool {
    container.state == State::Running
}

/// A node's name in Kubernetes.
fn name_of(container: &Found) -> &str {
    container.labels.get(label::NODE).map_or("", String::as_str)
}

fn node(container: &Found, answers: &Answers) -> NodeHealth {
    let name = name_of(container);
    let mut nodes = answers.nodes.iter();
    let node = nodes.find(|node| node.metadata.name.as_deref() == Some(name));
    let info = node.and_then(|node| node.status.as_ref()?.node_info.as_ref());
    NodeHealth {
        name: name.to_owned(),
        role: container
            .labels
            .get(label::ROLE)
            .cloned()
            .unwrap_or_default(),
        // The API server goes on calling one so for 40 s after it has stopped.
        ready: runs(container) && node.is_some_and(is_ready),
        version: info.map(|info| info.kubelet_version.clone()),
    }
}

fn components(health: &mut Health, containers: &[Found], answers: &Answers) {
    // One line a check: `[+]etcd ok`, `[-]etcd failed: reason withheld`.
    let failed: Vec<&str> = answers
        .readyz
        .lines()
        .filter_map(|line| line.strip_prefix("[-]"))
        .collect();
    let said = failed
        .iter()
        .map(|check| format!("the API server is not ready: {check}"));
    health.problems.extend(said);
    for (name, (key, value), place) in COMPONENTS {
        // kubelet calls those of a control plane ready 10 to 20 s after they have begun to work, as its probes are so
        // patient; it starts those again that do not answer.
        let (works, fault): (fn(&Pod) -> bool, _) = match place {
            Where::Masters => (containers_run, "does not run"),
            Where::Nodes | Where::Somewhere => (pod_is_ready, "is not ready"),
        };
        let is_it = |pod: &&Pod| {
            let labels = pod.metadata.labels.as_ref();
            pod.metadata.namespace.as_deref() == Some(SYSTEM)
                && labels
                    .and_then(|labels| labels.get(key))
                    .is_some_and(|found| found == value)
                && pod.metadata.deletion_timestamp.is_none()
                && works(pod)
        };
        let ready: Vec<&str> = answers
            .pods
            .iter()
            .filter(is_it)
            .map(|pod| pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()))
            .map(Option::unwrap_or_default)
            .collect();
        let wanted = containers.iter().filter(|one| match place {
            Where::Masters => is_master(one),
            Where::Nodes => !is_load_balancer(one),
            Where::Somewhere => false,
        });
        let is_missing = |one: &&Found| !runs(one) || !ready.contains(&name_of(one));
        let missing: Vec<&Found> = wanted.filter(is_missing).collect();
        let mut everywhere = missing.is_empty();
        if place == Where::Somewhere {
            everywhere = !ready.is_empty();
            if !everywhere {
                health.problems.push(format!("{name} {fault}"));
            }
        }
        // Of a node that does not run all is said.
        let missing = missing.iter().filter(|one| runs(one));
        health
            .problems
            .extend(missing.map(|one| format!("{name} {fault} on {}", name_of(one))));
        let of_server = name == API_SERVER && !failed.is_empty();
        let of_etcd = name == ETCD && failed.iter().any(|check| check.starts_with(ETCD));
        health
            .components
            .insert(name, everywhere && !of_server && !of_etcd);
    }
}

/// Whether all containers of a pod run.
fn containers_run(pod: &Pod) -> bool {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref());
    statuses.is_some_and(|statuses| {
        let running = |state: &ContainerState| state.running.is_some();
        !statuses.is_empty()
            && statuses
                .iter()
                .all(|one| one.state.as_ref().is_some_and(running))
    })
}

fn restarts(pod: &Pod) -> Vec<Restarts> {
    let statuses = pod.status.iter().flat_map(|status| {
        let init = status.init_container_statuses.iter().flatten();
        init.chain(status.container_statuses.iter().flatten())
    });
    let restarted = statuses.filter_map(|status| {
        let count = u64::try_from(status.restart_count)
            .ok()
            .filter(|count| *count > 0)?;
        Some(Restarts {
            namespace: pod.metadata.namespace.clone().unwrap_or_default(),
            pod: pod.metadata.name.clone().unwrap_or_default(),
            container: status.name.clone(),
            count,
        })
    });
    restarted.collect()
}

#[cfg(test)]
mod tests;

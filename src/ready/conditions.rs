//! Conditions on Kubernetes objects. PURE. What is missing is told in words.

use super::watch::Watched;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, NodeCondition, Pod};
use k8s_openapi::jiff::Timestamp;

/// Fulfilled, or what is missing.
pub(super) type Verdict = Result<(), String>;

/// A node that must be Ready, and since when it has run.
#[derive(Clone, Debug)]
pub(super) struct Start {
    pub(super) node: String,
    pub(super) at: Option<Timestamp>,
}

fn verdict(missing: &[String]) -> Verdict {
    if missing.is_empty() {
        Ok(())
    } else {
        Err(missing.join("; "))
    }
}

/// Every one of these nodes is there, and has said that it is Ready since it was started.
pub(super) fn nodes(wanted: &[Start], found: &Watched<Node>) -> Verdict {
    let of_name = |name: &str| {
        found
            .values()
            .find(|node| node.metadata.name.as_deref() == Some(name))
    };
    let missing: Vec<String> = wanted
        .iter()
        .filter_map(|Start { node: name, at }| match of_name(name) {
            None => Some(format!("node {name} has not registered")),
            Some(node) if !is_ready(node) => {
                Some(format!("node {name} is not Ready: {}", reason(node)))
            }
            Some(node) if at.is_some_and(|at| !was_heard_of(node, at)) => Some(format!(
                "node {name} has not been heard of since it was started"
            )),
            Some(_) => None,
        })
        .collect();
    verdict(&missing)
}

/// Whether a node says that it is Ready.
pub fn is_ready(node: &Node) -> bool {
    ready_condition(node).is_some_and(|condition| condition.status == "True")
}

/// Whether a node's kubelet has reported at this time or later. Such times are whole seconds in the API.
fn was_heard_of(node: &Node, at: Timestamp) -> bool {
    let heartbeat = ready_condition(node).and_then(|condition| condition.last_heartbeat_time);
    heartbeat.is_some_and(|heartbeat| heartbeat.0.as_second() >= at.as_second())
}

fn reason(node: &Node) -> String {
    ready_condition(node).map_or_else(
        || "it has not said anything yet".to_owned(),
        |condition| condition.message.unwrap_or_default(),
    )
}

fn ready_condition(node: &Node) -> Option<NodeCondition> {
    let conditions = node.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .find(|condition| condition.type_ == "Ready")
        .cloned()
}

/// kube-proxy is ready on each of these nodes: a count of its DaemonSet would not say on which.
pub(super) fn kube_proxy(wanted: &[&str], found: &Watched<Pod>) -> Verdict {
    let runs_on = |node: &str| {
        found.values().any(|pod| {
            let spec = pod.spec.as_ref();
            spec.and_then(|spec| spec.node_name.as_deref()) == Some(node)
                && pod.metadata.deletion_timestamp.is_none()
                && pod_is_ready(pod)
        })
    };
    let missing: Vec<String> = wanted
        .iter()
        .filter(|node| !runs_on(node))
        .map(|node| format!("kube-proxy is not ready on {node}"))
        .collect();
    verdict(&missing)
}

/// Whether a pod says that it is Ready.
pub fn pod_is_ready(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let mut conditions = status
        .and_then(|status| status.conditions.as_ref())
        .into_iter()
        .flatten();
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// CoreDNS has all the replicas that it should have, of its newest template.
pub(super) fn coredns(found: &Watched<Deployment>) -> Verdict {
    let Some(deployment) = found.values().next() else {
        return Err("there is no CoreDNS".to_owned());
    };
    let wanted = deployment.spec.replicas.unwrap_or(1);
    let status = deployment.status.clone().unwrap_or_default();
    let observed = status.observed_generation >= deployment.metadata.generation;
    let available = status.available_replicas.unwrap_or(0);
    if wanted > 0
        && observed
        && available >= wanted
        && status.updated_replicas.unwrap_or(0) >= wanted
    {
        return Ok(());
    }
    Err(format!(
        "CoreDNS has {available} of {wanted} replicas available"
    ))
}

/// What a pod that is not well says of itself.
pub(super) fn trouble(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let name = pod.metadata.name.as_deref().unwrap_or("?");
    let containers = status.container_statuses.iter().flatten();
    let waiting = containers
        .filter(|container| !container.ready)
        .find_map(|container| {
            let state = container.state.as_ref()?;
            if let Some(waiting) = &state.waiting {
                let message = waiting.message.as_deref().unwrap_or_default();
                return Some(format!(
                    "{} {message}",
                    waiting.reason.as_deref().unwrap_or("waiting")
                ));
            }
            Some("it runs and is not ready".to_owned())
        });
    let phase = status.phase.as_deref().unwrap_or("?");
    match waiting {
        Some(words) => Some(format!("pod {name}: {}", words.trim())),
        None if phase == "Pending" => Some(format!("pod {name}: Pending")),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn start(node: &str, at: Option<&str>) -> Start {
        Start {
            node: node.to_owned(),
            at: at.map(|at| at.parse().unwrap()),
        }
    }

    fn node(name: &str, ready: &str) -> (String, Node) {
        let node = json!({ "metadata": { "name": name },
            "status": { "conditions": [{ "type": "Ready", "status": ready, "message": "cni plugin not initialized",
                                         "lastHeartbeatTime": "2026-11-21T12:00:05Z" }] } });
        (
            format!("uid of {name}"),
            serde_json::from_value(node).unwrap(),
        )
    }

    #[test]
    fn all_nodes_must_be_there_and_ready() {
        let wanted = ["a", "b"].map(|node| start(node, None));
        let found = Watched::from([node("a", "True"), node("b", "False")]);
        assert_eq!(
            nodes(&wanted, &found),
            Err("node b is not Ready: cni plugin not initialized".to_owned())
        );
        let both = Watched::from([node("a", "True"), node("b", "True")]);
        assert_eq!(nodes(&wanted, &both), Ok(()));
        let more = Watched::from([node("a", "True"), node("c", "False")]);
        assert_eq!(
            nodes(&[start("a", None)], &more),
            Ok(()),
            "others do not count"
        );
        assert!(
            nodes(&wanted, &more)
                .unwrap_err()
                .contains("b has not registered")
        );
    }

    #[test]
    fn kube_proxy_must_be_ready_on_each() {
        let pod = |uid: &str, node: &str, ready: &str| {
            let pod = json!({ "metadata": { "uid": uid }, "spec": { "nodeName": node, "containers": [] },
                "status": { "conditions": [{ "type": "Ready", "status": ready }] } });
            (uid.to_owned(), serde_json::from_value::<Pod>(pod).unwrap())
        };
        let mut found = Watched::from([pod("1", "a", "True"), pod("2", "b", "False")]);
        assert_eq!(kube_proxy(&["a"], &found), Ok(()));
        assert_eq!(
            kube_proxy(&["a", "b", "c"], &found),
            Err("kube-proxy is not ready on b; kube-proxy is not ready on c".to_owned())
        );
        found.extend([pod("3", "b", "True")]);
        assert_eq!(kube_proxy(&["a", "b"], &found), Ok(()));
    }

    #[test]
    fn what_a_node_said_before_it_was_started_does_not_count() {
        let found = Watched::from([node("a", "True")]);
        let since = |at| nodes(&[start("a", Some(at))], &found);
        assert_eq!(since("2026-11-21T11:59:59.9Z"), Ok(()));
        assert_eq!(
            since("2026-11-21T12:00:05.9Z"),
            Ok(()),
            "times of the API are whole seconds"
        );
        assert_eq!(
            since("2026-11-21T12:00:06Z"),
            Err("node a has not been heard of since it was started".to_owned())
        );
    }

    #[test]
    fn coredns_needs_all_its_replicas() {
        let with = |available: i32, wanted: i32| {
            let deployment = json!({ "metadata": { "name": "coredns", "generation": 1 }, "spec": { "replicas": wanted, "selector": {},
                "template": {} }, "status": { "observedGeneration": 1, "availableReplicas": available, "updatedReplicas": available } });
            Watched::from([(
                "uid".to_owned(),
                serde_json::from_value(deployment).unwrap(),
            )])
        };
        assert_eq!(coredns(&with(2, 2)), Ok(()));
        assert!(coredns(&with(1, 2)).is_err());
        assert!(
            coredns(&with(0, 0)).is_err(),
            "scaled to nothing is not available"
        );
        assert!(coredns(&Watched::new()).is_err());
    }
}

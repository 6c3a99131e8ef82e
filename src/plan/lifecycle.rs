//! Nodes that are stopped, frozen and thawed as they are found, and the part of a plan that starts some of them. PURE.

use super::nodes::stages;
use super::{Stage, Step};
use crate::engine::{Found, State};
use std::collections::BTreeSet;

/// Stops these nodes, all side by side: none waits for another to end.
pub fn stop(nodes: &[&Found]) -> Vec<Stage> {
    stages([
        // What is frozen cannot hear that it should end.
        ("unpause", steps(nodes, &[State::Paused], Step::UnpauseNode)),
        (
            "stop",
            steps(
                nodes,
                &[State::Running, State::Paused, State::Other],
                Step::StopNode,
            ),
        ),
    ])
}

/// Freezes those of these nodes that run.
pub fn pause(nodes: &[&Found]) -> Vec<Stage> {
    stages([("pause", steps(nodes, &[State::Running], Step::PauseNode))])
}

/// Thaws those of these nodes that are frozen.
pub fn unpause(nodes: &[&Found]) -> Vec<Stage> {
    stages([("unpause", steps(nodes, &[State::Paused], Step::UnpauseNode))])
}

/// Of a plan, what is about these containers.
pub fn only(stages: Vec<Stage>, containers: &BTreeSet<&str>) -> Vec<Stage> {
    stages
        .into_iter()
        .filter_map(|mut stage| {
            stage
                .steps
                .retain(|step| container(step).is_some_and(|name| containers.contains(name)));
            (!stage.steps.is_empty()).then_some(stage)
        })
        .collect()
}

/// Whether a plan makes something. What was once there is only started and thawed.
pub fn makes(stages: &[Stage]) -> bool {
    stages.iter().flat_map(|stage| &stage.steps).any(|step| {
        !matches!(
            step,
            Step::StartNode(_)
                | Step::StopNode(_)
                | Step::UnpauseNode(_)
                | Step::AwaitApiServer(_)
                | Step::AwaitPhases(_)
        )
    })
}

/// The container that a step is about, where it is one of those that start nodes.
fn container(step: &Step) -> Option<&str> {
    match step {
        Step::StartNode(container)
        | Step::UnpauseNode(container)
        | Step::PauseNode(container)
        | Step::StopNode(container) => Some(container),
        Step::RemoveNode(node)
        | Step::CreateNode(node)
        | Step::JoinMaster(node)
        | Step::AwaitApiServer(node)
        | Step::AwaitPhases(node) => Some(&node.container),
        _ => None,
    }
}

fn steps(nodes: &[&Found], states: &[State], step: fn(String) -> Step) -> Vec<Step> {
    nodes
        .iter()
        .filter(|node| states.contains(&node.state))
        .map(|node| step(node.name.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::sample;
    use crate::node::phases::Phases;
    use crate::plan::{Observed, ObservedNode, plan, render};
    use std::collections::BTreeMap;

    /// A node in each state, named by it.
    fn found() -> Vec<Found> {
        [
            ("created", State::Created),
            ("running", State::Running),
            ("paused", State::Paused),
            ("stopped", State::Exited(0)),
            ("restarting", State::Other),
        ]
        .map(|(name, state)| Found {
            name: name.to_owned(),
            labels: BTreeMap::new(),
            state,
            image: String::new(),
            volumes: Vec::new(),
        })
        .into()
    }

    fn text(of: fn(&[&Found]) -> Vec<Stage>) -> String {
        render(&of(&found().iter().collect::<Vec<_>>()))
    }

    #[test]
    fn nodes_are_taken_as_they_are_found() {
        insta::assert_snapshot!(text(stop), @r"
        [unpause]
          unpause paused
        [stop]
          stop running
          stop paused
          stop restarting
        ");
        insta::assert_snapshot!(text(pause), @r"
        [pause]
          pause running
        ");
        insta::assert_snapshot!(text(unpause), @r"
        [unpause]
          unpause paused
        ");
        assert_eq!(stop(&[]), []);
    }

    #[test]
    fn some_nodes_of_a_plan_are_started() {
        let spec = sample::spec(|_| {});
        let node = |state, phases| ObservedNode { state, phases };
        let mut observed = Observed {
            network: true,
            nodes: spec
                .nodes
                .iter()
                .map(|found| (found.container.clone(), node(State::Exited(0), None)))
                .collect(),
            ..Observed::default()
        };
        let stages = plan(&spec, &observed);
        assert!(!makes(&stages));
        insta::assert_snapshot!(render(&only(stages, &BTreeSet::from(["kube-node-2"]))), @r"
        [workers]
          start kube-node-2
        [join]
          wait for kubeadm join on kube-node-2
        ");
        observed.nodes.insert(
            "kube-node-1".to_owned(),
            node(State::Running, Some(Phases::Failed)),
        );
        let stages = plan(&spec, &observed);
        assert!(makes(&stages));
        assert!(!makes(&only(stages, &BTreeSet::from(["kube-node-2"]))));
        observed.network = false;
        assert_eq!(
            only(plan(&spec, &observed), &BTreeSet::new()),
            [],
            "the network is no node's"
        );
    }
}

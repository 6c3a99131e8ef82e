//! The part of a plan that brings a cluster back from a snapshot, or back to what it was before. PURE.

use super::nodes::stages;
use super::{Stage, Step};
use crate::cluster::{ClusterSpec, LoadBalancer, NodeSpec};
use crate::engine::{Found, State};
use crate::snapshot::Snapshot;

/// What follows the name of a container that was set aside for one that a snapshot gives, until that one is proven good.
const ASIDE: &str = ".before";

/// What follows it then: the restore is complete, and the container of no use. One with this name settles it for all.
const PAST: &str = ".past";

/// What follows the name of a container that a snapshot gives where there was nothing before, until all of them are made.
const COMING: &str = ".coming";

/// Brings the cluster back from a snapshot. `old` are the containers that have its nodes' names: they stop, and stay aside
/// until the cluster is ready again.
///
/// New volumes come first: as long as they fill, the old nodes run. Where nothing is old, the nodes have other names until
/// the last of them is made: a run that is killed leaves a whole cluster, or what is known to be none.
pub fn restore(
    spec: &ClusterSpec,
    snapshot: &Snapshot,
    network: bool,
    old: &[Found],
) -> Vec<Stage> {
    let of = |states: &[State], step: fn(String) -> Step| -> Vec<Step> {
        let found = old.iter().filter(|found| states.contains(&found.state));
        found.map(|found| step(found.name.clone())).collect()
    };
    let network = if network {
        Vec::new()
    } else {
        vec![Step::CreateNetwork]
    };
    let aside = old.iter().map(|found| Step::Rename {
        container: found.name.clone(),
        other: format!("{}{ASIDE}", found.name),
    });
    let coming = |container: &str| {
        let suffix = if old.is_empty() { COMING } else { "" };
        format!("{container}{suffix}")
    };
    let mut nodes: Vec<Step> = Vec::new();
    for node in &spec.nodes {
        let container = coming(&node.container);
        nodes.push(Step::RecreateNode(NodeSpec {
            container,
            ..node.clone()
        }));
    }
    if let Some(balancer) = &spec.load_balancer {
        let container = coming(&balancer.container);
        nodes.push(Step::CreateLoadBalancer(LoadBalancer {
            container,
            ..balancer.clone()
        }));
    }
    let containers = spec.nodes.iter().map(|node| &node.container);
    let all = containers.chain(
        spec.load_balancer
            .iter()
            .map(|balancer| &balancer.container),
    );
    let names = all
        .filter(|_| old.is_empty())
        .map(|container| Step::Rename {
            container: coming(container),
            other: container.clone(),
        });
    stages([
        ("volumes", vec![Step::FillVolumes(snapshot.clone())]),
        ("unpause", of(&[State::Paused], Step::UnpauseNode)),
        (
            "stop",
            of(
                &[State::Running, State::Paused, State::Other],
                Step::HaltNode,
            ),
        ),
        ("aside", aside.collect()),
        ("network", network),
        ("nodes", nodes),
        ("names", names.collect()),
    ])
}

/// What becomes of a restore that was broken off; nothing where there is none. Until it was complete, the cluster becomes
/// what it was before.
pub fn recover(containers: &[Found]) -> Vec<Stage> {
    if containers.iter().any(|found| found.name.ends_with(PAST)) {
        return discard(containers, &[]);
    }
    let coming = |found: &Found| found.name.strip_suffix(COMING).map(str::to_owned);
    if containers.iter().any(|found| coming(found).is_some()) {
        // One has its name, so all are made.
        let made = containers.iter().any(|found| coming(found).is_none());
        let name = |found: &Found| {
            Some(Step::Rename {
                container: found.name.clone(),
                other: coming(found)?,
            })
        };
        return if made {
            stages([("names", containers.iter().filter_map(name).collect())])
        } else {
            stages([(
                "remove",
                containers.iter().cloned().map(Step::Discard).collect(),
            )])
        };
    }
    let aside = |found: &Found| found.name.strip_suffix(ASIDE).map(str::to_owned);
    if !containers.iter().any(|found| aside(found).is_some()) {
        return Vec::new();
    }
    let names: Vec<String> = containers.iter().filter_map(aside).collect();
    // A container that has the name of one that was set aside is new, and then all are: the old ones went aside before.
    let begun = containers.iter().any(|found| names.contains(&found.name));
    let is_new = |found: &&Found| {
        aside(found).is_none() && (begun || !matches!(found.state, State::Exited(_)))
    };
    let remove = containers.iter().filter(is_new).cloned();
    let back = containers.iter().filter_map(|found| {
        Some(Step::Rename {
            container: found.name.clone(),
            other: aside(found)?,
        })
    });
    stages([
        ("remove", remove.map(Step::Discard).collect()),
        ("back", back.collect()),
        (
            "start",
            names.iter().cloned().map(Step::StartNode).collect(),
        ),
    ])
}

/// Whether a container was set aside for one that a snapshot gives, or is such a one and none of the cluster yet.
pub fn is_aside(name: &str) -> bool {
    [ASIDE, PAST, COMING]
        .iter()
        .any(|suffix| name.ends_with(suffix))
}

/// Ends a restore whose cluster is ready: what was set aside goes. First it gets a name that says so, all of it, as a run
/// that is killed in the midst of removing must not be taken back. Volumes that no container has go with it: to the next
/// command they would be nodes of this cluster.
pub fn settle(containers: &[Found], unused: &[String]) -> Vec<Stage> {
    let past = |found: &Found| {
        found
            .name
            .strip_suffix(ASIDE)
            .map(|name| format!("{name}{PAST}"))
    };
    let rename = |found: &Found| {
        Some(Step::Rename {
            container: found.name.clone(),
            other: past(found)?,
        })
    };
    let renamed = containers.iter().filter_map(|found| {
        let name = past(found)?;
        Some(Found {
            name,
            ..found.clone()
        })
    });
    let mut all = stages([("old nodes", containers.iter().filter_map(rename).collect())]);
    all.extend(discard(&renamed.collect::<Vec<_>>(), unused));
    all
}

fn discard(containers: &[Found], unused: &[String]) -> Vec<Stage> {
    let aside = containers.iter().filter(|found| is_aside(&found.name));
    let unused = unused.iter().cloned().map(Step::DiscardVolume);
    stages([(
        "remove",
        aside.cloned().map(Step::Discard).chain(unused).collect(),
    )])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::sample;
    use crate::plan::render;
    use crate::snapshot::Origin;
    use std::collections::BTreeMap;

    fn found(names: &[(&str, State)]) -> Vec<Found> {
        let one = |(name, state): &(&str, State)| Found {
            name: (*name).to_owned(),
            labels: BTreeMap::new(),
            state: *state,
            image: String::new(),
            volumes: vec![format!("{name}-data")],
        };
        names.iter().map(one).collect()
    }

    fn snapshot(spec: &ClusterSpec) -> Snapshot {
        let of = Origin {
            at: String::new(),
            nodes: Vec::new(),
            settings: BTreeMap::new(),
            image: String::new(),
            preload: String::new(),
            port: None,
        };
        Snapshot::new(&spec.names, "one", BTreeMap::new(), of)
    }

    #[test]
    fn what_runs_stops_when_the_volumes_are_full() {
        let spec = sample::spec(|_| {});
        let old = found(&[
            ("kube-master", State::Running),
            ("kube-node-1", State::Paused),
            ("kube-node-9", State::Exited(0)),
        ]);
        insta::assert_snapshot!(render(&restore(&spec, &snapshot(&spec), true, &old)), @r"
        [volumes]
          copy what snapshot `one` has
        [unpause]
          unpause kube-node-1
        [stop]
          stop kube-master
          stop kube-node-1
        [aside]
          rename kube-master to kube-master.before
          rename kube-node-1 to kube-node-1.before
          rename kube-node-9 to kube-node-9.before
        [nodes]
          create kube-master at 10.192.0.2
          create kube-node-1 at 10.192.0.3
          create kube-node-2 at 10.192.0.4
        ");
        insta::assert_snapshot!(render(&restore(&spec, &snapshot(&spec), false, &[])), @r"
        [volumes]
          copy what snapshot `one` has
        [network]
          create the network
        [nodes]
          create kube-master.coming at 10.192.0.2
          create kube-node-1.coming at 10.192.0.3
          create kube-node-2.coming at 10.192.0.4
        [names]
          rename kube-master.coming to kube-master
          rename kube-node-1.coming to kube-node-1
          rename kube-node-2.coming to kube-node-2
        ");
    }

    #[test]
    fn what_was_broken_off_is_taken_back() {
        let text = |names: &[(&str, State)]| render(&recover(&found(names)));
        let (run, stopped) = (State::Running, State::Exited(0));
        assert_eq!(
            text(&[("kube-master", run), ("kube-node-1", stopped)]),
            "nothing to do\n"
        );
        // Between the renaming of two: the one that was not renamed yet is an old one.
        insta::assert_snapshot!(text(&[("kube-master", stopped), ("kube-node-1.before", stopped)]), @r"
        [back]
          rename kube-node-1.before to kube-node-1
        [start]
          start kube-node-1
        ");
        insta::assert_snapshot!(
            text(&[("kube-master", run), ("kube-master.before", stopped), ("kube-node-1.before", stopped)]),
            @r"
        [remove]
          remove kube-master
        [back]
          rename kube-master.before to kube-master
          rename kube-node-1.before to kube-node-1
        [start]
          start kube-master
          start kube-node-1
        "
        );
        // A snapshot may have nodes that the cluster did not have.
        insta::assert_snapshot!(text(&[("kube-master.before", stopped), ("kube-node-1", State::Created)]), @r"
        [remove]
          remove kube-node-1
        [back]
          rename kube-master.before to kube-master
        [start]
          start kube-master
        ");
    }

    #[test]
    fn where_nothing_was_before_all_come_or_none() {
        let text = |names: &[(&str, State)]| render(&recover(&found(names)));
        let run = State::Running;
        insta::assert_snapshot!(text(&[("kube-master.coming", run), ("kube-node-1.coming", State::Created)]), @r"
        [remove]
          remove kube-master.coming
          remove kube-node-1.coming
        ");
        insta::assert_snapshot!(text(&[("kube-master", run), ("kube-node-1.coming", run)]), @r"
        [names]
          rename kube-node-1.coming to kube-node-1
        ");
        assert!(is_aside("kube-node-1.coming") && !is_aside("kube-node-1"));
    }

    #[test]
    fn what_was_set_aside_goes_in_the_end() {
        let all = found(&[
            ("kube-master", State::Running),
            ("kube-master.before", State::Exited(0)),
        ]);
        insta::assert_snapshot!(render(&settle(&all, &["kube-node-2-data".to_owned()])), @r"
        [old nodes]
          rename kube-master.before to kube-master.past
        [remove]
          remove kube-master.past
          remove volume kube-node-2-data, which nothing uses
        ");
        // From the first of the new names on there is no way back.
        let all = found(&[
            ("kube-master", State::Running),
            ("kube-master.past", State::Exited(0)),
            ("kube-node-1", State::Running),
            ("kube-node-1.before", State::Exited(0)),
        ]);
        insta::assert_snapshot!(render(&recover(&all)), @r"
        [remove]
          remove kube-master.past
          remove kube-node-1.before
        ");
    }
}

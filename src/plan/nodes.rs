//! The cluster's part of a plan: what becomes of each node, and of nodes that are not wanted any more.

use super::{Observed, Stage, Step};
use crate::cluster::{ClusterSpec, NodeSpec, Role};
use crate::engine::{Found, State};
use crate::node::phases::Phases;
use std::collections::BTreeSet;

/// The cluster's part of the plan: after it the cluster has the nodes that are wanted, and no others.
pub fn plan(spec: &ClusterSpec, observed: &Observed) -> Vec<Stage> {
    let surplus: Vec<NodeSpec> = spec
        .possible_workers()
        .filter(|worker| is_there(worker, observed))
        .filter(|worker| !spec.nodes.iter().any(|node| node.name == worker.name))
        .map(|mut worker| {
            if let Some(volume) = observed.volume_of.get(&worker.container) {
                worker.volume.clone_from(volume);
            }
            worker
        })
        .collect();
    if is_made(spec.master(), observed) {
        return raise(spec, &spec.nodes, &surplus, observed);
    }
    let mut stages = raise(spec, &spec.nodes, &[], observed);
    stages.extend(removal(spec, &surplus, observed));
    stages
}

/// What gives a cluster that is complete these further workers; its other nodes are left as they are.
pub fn addition(spec: &ClusterSpec, added: &[NodeSpec], observed: &Observed) -> Vec<Stage> {
    raise(spec, added, &[], observed)
}

/// What takes these workers away from a cluster of which `spec` is left. Pods go from those that run.
pub fn removal(spec: &ClusterSpec, gone: &[NodeSpec], observed: &Observed) -> Vec<Stage> {
    if gone.is_empty() {
        return Vec::new();
    }
    // Before the last worker goes, as its pods have nowhere else to go.
    let closed = spec.nodes.len() == 1 && !spec.no_dedicated;
    let untaint = closed.then(|| Step::UntaintMaster(spec.master().clone()));
    let runs = |node: &&NodeSpec| {
        let found = observed.nodes.get(&node.container);
        found.is_some_and(|found| found.state == State::Running)
    };
    let drain = gone.iter().filter(runs).cloned().map(Step::DrainNode);
    let retire = gone.iter().cloned().map(Step::RetireNode);
    stages([
        ("untaint", untaint.into_iter().collect()),
        ("drain", drain.collect()),
        ("remove", retire.collect()),
    ])
}

/// What makes room for a cluster that takes the place of these containers: they go with their volumes.
pub fn clearing(old: &[Found]) -> Vec<Stage> {
    stages([(
        "old nodes",
        old.iter().cloned().map(Step::Discard).collect(),
    )])
}

/// Whether a node is as it should be, with all phases behind it.
pub fn is_complete(node: &NodeSpec, observed: &Observed) -> bool {
    own_fate(node, observed) == Fate::Keep
}

/// The numbers of the workers that a killed run has not brought to their end.
pub fn unfinished(spec: &ClusterSpec, observed: &Observed) -> BTreeSet<u16> {
    spec.workers()
        .filter(|node| matches!(own_fate(node, observed), Fate::Remake | Fate::Wait))
        .map(NodeSpec::worker)
        .collect()
}

/// Makes, starts and waits for these nodes. `gone` go with their master, where that is made anew.
fn raise(
    spec: &ClusterSpec,
    nodes: &[NodeSpec],
    gone: &[NodeSpec],
    observed: &Observed,
) -> Vec<Stage> {
    let anew = is_made(spec.master(), observed);
    let fates: Vec<(&NodeSpec, Fate)> = nodes
        .iter()
        .map(|node| (node, fate(node, anew, observed)))
        .collect();
    let steps = |wanted: &dyn Fn(&NodeSpec, Fate) -> Option<Step>| -> Vec<Step> {
        fates
            .iter()
            .filter_map(|(node, fate)| wanted(node, *fate))
            .collect()
    };
    let create = |role: Role| {
        steps(&|node, fate| match fate {
            _ if node.role != role => None,
            Fate::Create | Fate::Remake => Some(Step::CreateNode(node.clone())),
            Fate::Start | Fate::Restart => Some(Step::StartNode(node.container.clone())),
            Fate::Unpause => Some(Step::UnpauseNode(node.container.clone())),
            Fate::Wait | Fate::Keep => None,
        })
    };
    let wait = |role: Role| {
        steps(&|node, fate| {
            (node.role == role && fate != Fate::Keep).then(|| Step::AwaitPhases(node.clone()))
        })
    };
    let network = if observed.network {
        Vec::new()
    } else {
        vec![Step::CreateNetwork]
    };
    // With a new master nobody knows the nodes that there were. Where it stays, its API server has to forget them, or
    // kubeadm would refuse to join a node whose namesake still counts as Ready.
    let (mut left_over, mut volumes, mut known) = (Vec::new(), Vec::new(), Vec::new());
    if anew {
        left_over =
            steps(&|node, fate| (fate == Fate::Remake).then(|| Step::RemoveNode(node.clone())));
        left_over.extend(gone.iter().cloned().map(Step::RemoveNode));
        // Before the master: a run that is killed leaves a cluster of which is known how many workers it is to have.
        volumes =
            steps(&|node, _| (node.role == Role::Worker).then(|| Step::CreateVolume(node.clone())));
    } else {
        known = steps(&|node, fate| (fate == Fate::Remake).then(|| Step::RetireNode(node.clone())));
    }
    // A worker that boots beside the API server takes the processors from it, and has nothing to do before it answers.
    let mut workers = create(Role::Worker);
    let first = if workers.is_empty() {
        Vec::new()
    } else {
        steps(&|node, fate| {
            (node.role == Role::Master && fate != Fate::Keep)
                .then(|| Step::AwaitApiServer(node.clone()))
        })
    };
    if !anew
        && workers
            .iter()
            .any(|step| matches!(step, Step::CreateNode(_)))
    {
        workers.push(Step::ScaleDns);
    }
    stages([
        ("left over", left_over),
        (
            "stop",
            steps(&|node, fate| {
                (fate == Fate::Restart).then(|| Step::StopNode(node.container.clone()))
            }),
        ),
        ("network", network),
        ("volumes", volumes),
        // The master first: everything else waits for its API server.
        ("master", create(Role::Master)),
        ("api server", first),
        ("left over", known),
        ("workers", workers),
        ("control plane", wait(Role::Master)),
        ("join", wait(Role::Worker)),
    ])
}

pub(super) fn stages<const N: usize>(all: [(&'static str, Vec<Step>); N]) -> Vec<Stage> {
    all.into_iter()
        .filter(|(_, steps)| !steps.is_empty())
        .map(|(title, steps)| Stage { title, steps })
        .collect()
}

/// What becomes of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is as it should be.
    Keep,
    /// Its own units are still at work.
    Wait,
    /// There is nothing of it.
    Create,
    /// What there is of it is of no use.
    Remake,
    /// It was stopped.
    Start,
    /// It is about to stop.
    Restart,
    /// It was frozen.
    Unpause,
}

/// What becomes of a node whose master is made anew, or is not. Workers have certificates of the master's authority:
/// they go when it goes.
fn fate(node: &NodeSpec, anew: bool, observed: &Observed) -> Fate {
    match node.role {
        Role::Worker if anew && is_there(node, observed) => Fate::Remake,
        Role::Worker if anew => Fate::Create,
        _ => own_fate(node, observed),
    }
}

fn is_there(node: &NodeSpec, observed: &Observed) -> bool {
    observed.nodes.contains_key(&node.container) || observed.volumes.contains(&node.volume)
}

/// Whether a node is made, be it the first time or anew.
fn is_made(node: &NodeSpec, observed: &Observed) -> bool {
    matches!(own_fate(node, observed), Fate::Create | Fate::Remake)
}

fn own_fate(node: &NodeSpec, observed: &Observed) -> Fate {
    let Some(found) = observed.nodes.get(&node.container) else {
        // A volume whose container is gone belongs to a run that was killed.
        return if observed.volumes.contains(&node.volume) {
            Fate::Remake
        } else {
            Fate::Create
        };
    };
    match (found.state, found.phases) {
        (State::Running, Some(Phases::Done)) => Fate::Keep,
        (State::Running, Some(Phases::Running)) => Fate::Wait,
        // Never started: its files may not be whole. Failed: its units have given up.
        (State::Created, _) | (State::Running, Some(Phases::Failed)) => Fate::Remake,
        (State::Running, Some(Phases::Stopping)) => Fate::Restart,
        (State::Paused, _) => Fate::Unpause,
        (State::Exited(_) | State::Other | State::Running, _) => Fate::Start,
    }
}

//! The cluster's part of a plan: what becomes of each node, and of nodes that are not wanted any more.

use super::{Observed, Stage, Step};
use crate::cluster::{ClusterSpec, LoadBalancer, Members, NodeSpec, Role};
use crate::engine::{Found, State};
use crate::node::phases::Phases;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// The cluster's part of the plan: after it the cluster has the nodes that are wanted, and no others.
pub fn plan(spec: &ClusterSpec, observed: &Observed) -> Vec<Stage> {
    let anew = is_anew(spec, observed);
    // A master that is there and not wanted is of a cluster that was never finished.
    let masters = spec.possible_masters().filter(|_| anew);
    let surplus: Vec<NodeSpec> = masters
        .chain(spec.possible_workers())
        .filter(|node| is_there(node, observed))
        .filter(|node| !spec.nodes.iter().any(|wanted| wanted.name == node.name))
        .map(|mut node| {
            if let Some(volume) = observed.volume_of.get(&node.container) {
                node.volume.clone_from(volume);
            }
            node
        })
        .collect();
    let balancer = spec.load_balancer.as_ref();
    if anew {
        return raise(spec, &spec.nodes, &surplus, balancer, observed);
    }
    let mut stages = raise(spec, &spec.nodes, &[], balancer, observed);
    stages.extend(removal(spec, &surplus, observed));
    stages
}

/// What gives a cluster that is complete these further nodes; its other nodes are left as they are.
pub fn addition(spec: &ClusterSpec, added: &[NodeSpec], observed: &Observed) -> Vec<Stage> {
    raise(spec, added, &[], None, observed)
}

/// What takes these nodes away from a cluster of which `spec` is left. Pods go from those that run.
pub fn removal(spec: &ClusterSpec, gone: &[NodeSpec], observed: &Observed) -> Vec<Stage> {
    if gone.is_empty() {
        return Vec::new();
    }
    // Before the last worker goes, as its pods have nowhere else to go.
    let last = gone.iter().any(|node| node.role == Role::Worker) && spec.workers().next().is_none();
    let closed = last && !spec.no_dedicated;
    let untaint = spec.masters().filter(|_| closed).cloned();
    let runs = |node: &&NodeSpec| {
        let found = observed.nodes.get(&node.container);
        found.is_some_and(|found| found.state == State::Running)
    };
    let drain = gone.iter().filter(runs).cloned().map(Step::DrainNode);
    let retire = |role: Role| {
        let of_role = gone.iter().filter(move |node| node.role == role);
        of_role.cloned().map(Step::RetireNode)
    };
    let mut all = stages([
        ("untaint", untaint.map(Step::UntaintMaster).collect()),
        ("drain", drain.collect()),
    ]);
    // One after another: each takes a member from etcd, which must agree with the rest of them.
    all.extend(retire(Role::Master).flat_map(|step| stages([("remove", vec![step])])));
    all.extend(stages([("remove", retire(Role::Worker).collect())]));
    all
}

/// What makes room for a cluster that takes the place of these containers, which go with their volumes, and cannot use this
/// network.
pub fn clearing(old: &[Found], network: Option<&str>) -> Vec<Stage> {
    let network = network.map(|name| Step::RemoveNetwork(name.to_owned()));
    stages([
        (
            "old nodes",
            old.iter().cloned().map(Step::Discard).collect(),
        ),
        ("old network", network.into_iter().collect()),
    ])
}

/// Whether a node is as it should be, with all phases behind it.
pub fn is_complete(node: &NodeSpec, observed: &Observed) -> bool {
    own_fate(node, observed) == Fate::Keep
}

/// The nodes that a killed run has not brought to their end.
pub fn unfinished(spec: &ClusterSpec, observed: &Observed) -> Members {
    let of = |role: Role| {
        spec.nodes
            .iter()
            .filter(|node| node.role == role)
            .filter(|node| matches!(own_fate(node, observed), Fate::Remake | Fate::Wait))
            .map(NodeSpec::ordinal)
            .collect()
    };
    Members {
        masters: of(Role::Master),
        workers: of(Role::Worker),
    }
}

/// Whether so many members of an etcd can decide anything where there are so many in all.
pub fn is_majority(running: usize, all: usize) -> bool {
    running * 2 > all
}

/// The masters that have what a cluster's etcd keeps, where they are too few to decide: such a cluster cannot be raised.
pub fn minority(spec: &ClusterSpec, observed: &Observed) -> Option<Vec<NodeSpec>> {
    let is_kept = |node: &&NodeSpec| !is_made(node, observed);
    let kept: Vec<NodeSpec> = spec.masters().filter(is_kept).cloned().collect();
    let decides = is_majority(kept.len(), spec.masters().count());
    (!is_anew(spec, observed) && !decides).then_some(kept)
}

/// How many masters there are of those that etcd counts as its own, and how many it counts, where they are too few to
/// decide. Nothing else knows of one of which nothing is left.
pub fn outvoted(spec: &ClusterSpec, known: &BTreeSet<Ipv4Addr>) -> Option<(usize, usize)> {
    let kept = spec.masters().filter(|node| known.contains(&node.address));
    let kept = kept.count();
    (!is_majority(kept, known.len())).then_some((kept, known.len()))
}

/// The masters that etcd counts and cannot reach: as long as there are any it takes no further member. What it knows of the
/// first that is to join, and of those that are made anew, is taken out before.
pub fn out_of_reach(
    spec: &ClusterSpec,
    joining: &[NodeSpec],
    known: &BTreeSet<Ipv4Addr>,
    observed: &Observed,
) -> Vec<NodeSpec> {
    let stays = |node: &NodeSpec| {
        spec.masters().any(|master| master.name == node.name) && !joining.contains(node)
    };
    let renewed = |node: &NodeSpec| matches!(own_fate(node, observed), Fate::Remake | Fate::Wait);
    let counts = |node: &NodeSpec| stays(node) || (known.contains(&node.address) && !renewed(node));
    let runs = |node: &NodeSpec| {
        let found = observed.nodes.get(&node.container);
        found.is_some_and(|found| found.state == State::Running)
    };
    spec.possible_masters()
        .filter(|node| joining.first() != Some(node) && counts(node) && !runs(node))
        .collect()
}

/// Whether the control plane is made from the beginning: there is no master, or the making of them was never completed.
///
/// As long as one is there that may have been complete, those that are missing are added to it.
fn is_anew(spec: &ClusterSpec, observed: &Observed) -> bool {
    let stays = |node: &NodeSpec| {
        let fate = own_fate(node, observed);
        !matches!(fate, Fate::Create | Fate::Remake | Fate::Wait)
    };
    spec.masters().any(|node| is_made(node, observed)) && !spec.masters().any(stays)
}

fn raise(
    spec: &ClusterSpec,
    nodes: &[NodeSpec],
    gone: &[NodeSpec],
    balancer: Option<&LoadBalancer>,
    observed: &Observed,
) -> Vec<Stage> {
    let anew = is_anew(spec, observed);
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
    let joins = |node: &NodeSpec, fate: Fate| {
        !anew && node.role == Role::Master && matches!(fate, Fate::Create | Fate::Remake)
    };
    let create = |role: Role| {
        steps(&|node, fate| match fate {
            _ if node.role != role || joins(node, fate) => None,
            Fate::Create | Fate::Remake => Some(Step::CreateNode(node.clone())),
            Fate::Start | Fate::Restart => Some(Step::StartNode(node.container.clone())),
            Fate::Unpause => Some(Step::UnpauseNode(node.container.clone())),
            Fate::Wait | Fate::Keep => None,
        })
    };
    let wait = |role: Role| {
        steps(&|node, fate| {
            (node.role == role && fate != Fate::Keep && !joins(node, fate))
                .then(|| Step::AwaitPhases(node.clone()))
        })
    };
    let network = if observed.network {
        Vec::new()
    } else {
        vec![Step::CreateNetwork]
    };
    // With a new master nobody knows the nodes that there were. Where it stays, its API server has to forget them, or
    // kubeadm would refuse to join a node whose namesake still counts as Ready.
    let lone = spec.load_balancer.is_none();
    let (mut left_over, mut volumes, mut known) = (Vec::new(), Vec::new(), Vec::new());
    if anew {
        left_over =
            steps(&|node, fate| (fate == Fate::Remake).then(|| Step::RemoveNode(node.clone())));
        left_over.extend(gone.iter().cloned().map(Step::RemoveNode));
        // Before the master: a run that is killed leaves a cluster of which is known which nodes it is to have.
        volumes = steps(&|node, _| {
            (node.role == Role::Worker || !lone).then(|| Step::CreateVolume(node.clone()))
        });
    } else {
        known = steps(&|node, fate| (fate == Fate::Remake).then(|| Step::RenewNode(node.clone())));
    }
    let is_master =
        |step: &Step| matches!(step, Step::RenewNode(node) if node.role == Role::Master);
    let (members, known): (Vec<Step>, Vec<Step>) = known.into_iter().partition(is_master);
    // A worker that boots beside the API server takes the processors from it, and has nothing to do before it answers.
    let mut workers = create(Role::Worker);
    let joining: Vec<&NodeSpec> = fates
        .iter()
        .filter(|(node, fate)| joins(node, *fate))
        .map(|(node, _)| *node)
        .collect();
    // Of several masters one is enough.
    let answers = fates
        .iter()
        .any(|(node, fate)| node.role == Role::Master && *fate == Fate::Keep);
    let mut first = if (workers.is_empty() && joining.is_empty()) || answers {
        Vec::new()
    } else {
        steps(&|node, fate| {
            (node.role == Role::Master && !joins(node, fate))
                .then(|| Step::AwaitApiServer(node.clone()))
        })
    };
    first.truncate(1);
    let mut masters = create(Role::Master);
    masters.extend(balancer.and_then(|balancer| raise_balancer(balancer, observed)));
    if !anew
        && workers
            .iter()
            .any(|step| matches!(step, Step::CreateNode(_)))
    {
        workers.push(Step::ScaleDns);
    }
    let mut all = stages([
        ("left over", left_over),
        (
            "stop",
            steps(&|node, fate| {
                (fate == Fate::Restart).then(|| Step::StopNode(node.container.clone()))
            }),
        ),
        ("network", network),
        ("volumes", volumes),
        // The masters first: everything else waits for an API server.
        (if lone { "master" } else { "masters" }, masters),
        ("api server", first),
    ]);
    // One after another: etcd gives up and takes one member at a time.
    let members = members.into_iter();
    all.extend(members.flat_map(|step| stages([("left over", vec![step])])));
    all.extend(stages([("left over", known)]));
    all.extend(joining.into_iter().flat_map(|node| {
        stages([
            ("join master", vec![Step::JoinMaster(node.clone())]),
            ("control plane", vec![Step::AwaitPhases(node.clone())]),
        ])
    }));
    all.extend(stages([
        ("workers", workers),
        ("control plane", wait(Role::Master)),
        ("join", wait(Role::Worker)),
    ]));
    all
}

/// What is to be done about the load balancer. It has no phases, and no state but its file.
fn raise_balancer(balancer: &LoadBalancer, observed: &Observed) -> Option<Step> {
    let container = &balancer.container;
    match observed.nodes.get(container).map(|found| found.state) {
        None | Some(State::Created) => Some(Step::CreateLoadBalancer(balancer.clone())),
        Some(State::Running) => None,
        Some(State::Paused) => Some(Step::UnpauseNode(container.clone())),
        Some(State::Exited(_) | State::Other) => Some(Step::StartNode(container.clone())),
    }
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

/// What becomes of a node whose control plane is made anew, or is not. All have certificates of its authority: they go when
/// it goes.
fn fate(node: &NodeSpec, anew: bool, observed: &Observed) -> Fate {
    match anew {
        true if is_there(node, observed) => Fate::Remake,
        true => Fate::Create,
        false => own_fate(node, observed),
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

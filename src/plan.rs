//! What is to be done: the difference between what is wanted and what is there. PURE.
//!
//! [`plan`] gives stages of steps; stages run one after another, the steps of one stage side by side. A step decides
//! nothing. `up --dry-run` prints the plan; it is empty when all is there.

pub mod lifecycle;

use crate::cluster::{ClusterSpec, Difference, NodeSpec, Role};
use crate::engine::State;
use crate::image::{ImagePlan, Origin, Programs};
use crate::node::phases::Phases;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Get the root file system of all images.
    ObtainBase,
    /// Build the image with Go and a C compiler.
    BuildBuilder,
    /// Build the node image as it is before Kubernetes.
    BuildNodeBase,
    /// Build the programs of a Go module.
    BuildPrograms(Programs),
    /// Download kubeadm, kubelet and kubectl.
    Download,
    /// Find out which rights the engine gives, lay the programs over the node image.
    InstallPrograms,
    /// Fill the volume of unpacked images.
    FillPreload,
    /// Make the cluster's network.
    CreateNetwork,
    /// Remove a node that was left half-done, or whose master is made anew, with its volume.
    RemoveNode(NodeSpec),
    /// Make a node's container and volume, with all its files, and start it.
    CreateNode(NodeSpec),
    /// Start a node's container that was stopped.
    StartNode(String),
    /// Thaw a node's container.
    UnpauseNode(String),
    /// Freeze a node's container.
    PauseNode(String),
    /// Stop a node's container; it keeps all that it has.
    StopNode(String),
    /// Wait for the API server of a master.
    AwaitApiServer(NodeSpec),
    /// Wait for kubeadm's phases in a node.
    AwaitPhases(NodeSpec),
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ObtainBase => write!(formatter, "get the base of all images"),
            Self::BuildBuilder => write!(formatter, "build the builder image"),
            Self::BuildNodeBase => write!(formatter, "build the node image"),
            Self::BuildPrograms(programs) => {
                write!(
                    formatter,
                    "build {} {}",
                    programs.component.name, programs.component.version
                )
            }
            Self::Download => write!(formatter, "download kubeadm, kubelet and kubectl"),
            Self::InstallPrograms => write!(formatter, "install the programs into the node image"),
            Self::FillPreload => write!(formatter, "unpack the preloaded images"),
            Self::CreateNetwork => write!(formatter, "create the network"),
            Self::RemoveNode(node) => write!(
                formatter,
                "remove {}, which cannot be used as it is",
                node.container
            ),
            Self::CreateNode(node) => {
                write!(formatter, "create {} at {}", node.container, node.address)
            }
            Self::StartNode(container) => write!(formatter, "start {container}"),
            Self::UnpauseNode(container) => write!(formatter, "unpause {container}"),
            Self::PauseNode(container) => write!(formatter, "pause {container}"),
            Self::StopNode(container) => write!(formatter, "stop {container}"),
            Self::AwaitApiServer(node) => {
                write!(formatter, "wait for the API server on {}", node.container)
            }
            Self::AwaitPhases(node) => match node.role {
                Role::Master => write!(formatter, "wait for kubeadm init on {}", node.container),
                Role::Worker => write!(formatter, "wait for kubeadm join on {}", node.container),
            },
        }
    }
}

/// Steps that run side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// What the user sees.
    pub title: &'static str,
    /// The steps; never empty.
    pub steps: Vec<Step>,
}

/// A node as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObservedNode {
    /// What its container is doing.
    pub state: State,
    /// How far kubeadm is, where that can be asked: in a running node.
    pub phases: Option<Phases>,
}

/// What the engine has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The cluster's network is there.
    pub network: bool,
    /// The cluster's containers by name.
    pub nodes: BTreeMap<String, ObservedNode>,
    /// The cluster's volumes by name.
    pub volumes: BTreeSet<String>,
    /// Tags of our images.
    pub images: BTreeSet<String>,
    /// The preload volume is whole.
    pub preloaded: bool,
}

/// The images' part of the plan: nothing where the node image and the preload volume are there.
pub fn plan_images(images: &ImagePlan, origin: &Origin, observed: &Observed) -> Vec<Stage> {
    let has = |tag: &str| observed.images.contains(tag);
    let node_missing = !has(&images.node);
    let preload_missing = node_missing || !observed.preloaded;
    let from_modules = *origin == Origin::Modules;

    let mut programs = Vec::new();
    if node_missing {
        programs.extend(images.node_programs.clone());
    }
    // The preloaded images are assembled of Kubernetes' programs too.
    if preload_missing && from_modules {
        programs.extend(images.image_programs.clone());
        if !node_missing {
            programs.extend(
                images
                    .node_programs
                    .iter()
                    .filter(|programs| !programs.component.runtime)
                    .cloned(),
            );
        }
    }
    let build = !programs.is_empty();
    let builder = build && !has(&images.builder);
    let node_base = node_missing && !has(&images.node_base);

    let mut stages = Vec::new();
    let mut stage = |title, wanted: bool, step| {
        if wanted {
            stages.push(Stage {
                title,
                steps: vec![step],
            });
        }
    };
    stage(
        "base",
        (builder || node_base) && !has(&images.base),
        Step::ObtainBase,
    );
    stage("builder", builder, Step::BuildBuilder);
    stage("node base", node_base, Step::BuildNodeBase);
    // One after another: each of these builds takes all processors.
    for programs in programs {
        stage("programs", true, Step::BuildPrograms(programs));
    }
    stage("download", node_missing && !from_modules, Step::Download);
    stage("node image", node_missing, Step::InstallPrograms);
    stage("images", preload_missing, Step::FillPreload);
    stages
}

/// The cluster's part of the plan.
pub fn plan(spec: &ClusterSpec, observed: &Observed) -> Vec<Stage> {
    let fates: Vec<(&NodeSpec, Fate)> = spec
        .nodes
        .iter()
        .map(|node| (node, fate(node, spec, observed)))
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
            Fate::Start => Some(Step::StartNode(node.container.clone())),
            Fate::Unpause => Some(Step::UnpauseNode(node.container.clone())),
            Fate::Wait | Fate::Keep => None,
        })
    };
    let wait = |role: Role| {
        steps(&|node, fate| {
            (node.role == role && fate != Fate::Keep).then(|| Step::AwaitPhases(node.clone()))
        })
    };
    // A worker that boots beside the API server takes the processors from it, and has nothing to do before it answers.
    let workers = create(Role::Worker);
    let first = if workers.is_empty() {
        Vec::new()
    } else {
        steps(&|node, fate| {
            (node.role == Role::Master && fate != Fate::Keep)
                .then(|| Step::AwaitApiServer(node.clone()))
        })
    };
    let network = if observed.network {
        Vec::new()
    } else {
        vec![Step::CreateNetwork]
    };
    [
        (
            "left over",
            steps(&|node, fate| (fate == Fate::Remake).then(|| Step::RemoveNode(node.clone()))),
        ),
        ("network", network),
        // The master first: everything else waits for its API server.
        ("master", create(Role::Master)),
        ("api server", first),
        ("workers", workers),
        ("control plane", wait(Role::Master)),
        ("join", wait(Role::Worker)),
    ]
    .into_iter()
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
    /// It was frozen.
    Unpause,
}

fn fate(node: &NodeSpec, spec: &ClusterSpec, observed: &Observed) -> Fate {
    // Workers have certificates of the master's authority: they go when it goes.
    let master = spec.master();
    if node.role == Role::Worker && own_fate(master, observed) == Fate::Remake {
        return if is_there(node, observed) {
            Fate::Remake
        } else {
            Fate::Create
        };
    }
    if node.role == Role::Worker
        && own_fate(master, observed) == Fate::Create
        && is_there(node, observed)
    {
        return Fate::Remake;
    }
    own_fate(node, observed)
}

fn is_there(node: &NodeSpec, observed: &Observed) -> bool {
    observed.nodes.contains_key(&node.container) || observed.volumes.contains(&node.volume)
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
        (State::Paused, _) => Fate::Unpause,
        (State::Exited(_) | State::Other | State::Running, _) => Fate::Start,
    }
}

/// Whether any node, or any of a role, is made.
pub fn creates(stages: &[Stage], role: Option<Role>) -> bool {
    stages.iter().flat_map(|stage| &stage.steps).any(
        |step| matches!(step, Step::CreateNode(node) if role.is_none_or(|role| node.role == role)),
    )
}

/// What a user is told when the settings do not fit the running cluster.
pub fn describe(differences: &[Difference]) -> String {
    differences
        .iter()
        .map(|difference| {
            format!(
                "`{}` is {} and {} is wanted",
                difference.setting, difference.running, difference.wanted
            )
        })
        .collect::<Vec<_>>()
        .join("; ")
}

/// The plan as text, for `--dry-run`.
pub fn render(stages: &[Stage]) -> String {
    if stages.is_empty() {
        return "nothing to do\n".to_owned();
    }
    let mut text = String::new();
    for stage in stages {
        writeln!(text, "[{}]", stage.title).expect("writing to memory does not fail");
        for step in &stage.steps {
            writeln!(text, "  {step}").expect("writing to memory does not fail");
        }
    }
    text
}

#[cfg(test)]
mod tests;

//! What is to be done: the difference between what is wanted and what is there. PURE.
//!
//! [`plan`] gives stages of steps; stages run one after another, the steps of one stage side by side. A step decides
//! nothing. `up --dry-run` prints the plan; it is empty when all is there.

pub mod lifecycle;
mod nodes;
pub mod snapshot;
mod step;

use crate::cluster::{Difference, NodeSpec, Role};
use crate::engine::State;
use crate::image::{ImagePlan, Origin};
use crate::node::phases::Phases;
use crate::source::release;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

pub use nodes::{
    addition, clearing, is_complete, is_majority, minority, out_of_reach, outvoted, plan, removal,
    unfinished,
};
pub use step::Step;

/// Steps that run side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// What the user sees.
    pub title: &'static str,
    /// The steps; never empty.
    pub steps: Vec<Step>,
}

impl Stage {
    /// A stage of one step, where it is wanted.
    pub(crate) fn when(wanted: bool, title: &'static str, step: Step) -> Option<Self> {
        wanted.then(|| Self {
            title,
            steps: vec![step],
        })
    }
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
    /// The data volume that each container has: a restore gives it another than the usual.
    pub volume_of: BTreeMap<String, String>,
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

    let base = (builder || node_base) && !has(&images.base);
    let download = node_missing && !from_modules;
    let before = [
        Stage::when(base, "base", Step::ObtainBase),
        Stage::when(builder, "builder", Step::BuildBuilder),
        Stage::when(node_base, "node base", Step::BuildNodeBase),
    ];
    // One after another: each of these builds takes all processors.
    let programs = programs.into_iter().map(Step::BuildPrograms);
    let programs = programs.map(|step| Stage::when(true, "programs", step));
    let made = [
        Stage::when(download, "download", Step::Download(&release::BINARIES)),
        Stage::when(node_missing, "node image", Step::InstallPrograms),
    ];
    let tests = images.tests.as_ref().filter(|_| preload_missing);
    let tests = tests.map_or_else(Vec::new, |tests| tests.plan(images, observed));
    let last = Stage::when(preload_missing, "images", Step::FillPreload);

    let all = before.into_iter().chain(programs).chain(made).flatten();
    // The tests are built with what the nodes are built with, and need it once.
    let mut all: Vec<Stage> = all.collect();
    for stage in tests {
        if !all.iter().any(|earlier| earlier.steps == stage.steps) {
            all.push(stage);
        }
    }
    all.extend(last);
    all
}

/// Whether any node, or any of a role, is made.
pub fn creates(stages: &[Stage], role: Option<Role>) -> bool {
    stages.iter().flat_map(|stage| &stage.steps).any(
        |step| matches!(step, Step::CreateNode(node) if role.is_none_or(|role| node.role == role)),
    )
}

/// The masters that join others.
pub fn joining(stages: &[Stage]) -> impl Iterator<Item = &NodeSpec> {
    let steps = stages.iter().flat_map(|stage| &stage.steps);
    steps.filter_map(|step| match step {
        Step::JoinMaster(node) => Some(node),
        _ => None,
    })
}

/// Whether something is done that takes a node's rights: a node is made, or its volume filled.
pub fn needs_rights(stages: &[Stage]) -> bool {
    stages.iter().flat_map(|stage| &stage.steps).any(|step| {
        matches!(
            step,
            Step::CreateNode(_)
                | Step::CreateLoadBalancer(_)
                | Step::JoinMaster(_)
                | Step::RecreateNode(_)
                | Step::FillVolumes(_)
        )
    })
}

/// The port that a snapshot's cluster had, where one is brought back.
pub fn kept_port(stages: &[Stage]) -> Option<u16> {
    let mut steps = stages.iter().flat_map(|stage| &stage.steps);
    steps.find_map(|step| match step {
        Step::FillVolumes(snapshot) => snapshot.of.port,
        _ => None,
    })
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

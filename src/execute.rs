//! Carries a plan out: stages to effects and events.

mod cluster;
mod images;

use crate::cluster::ClusterSpec;
use crate::engine::{Engine, EngineError, Facts, Rights};
use crate::error::Error;
use crate::image::{ImageInputs, ImagePlan};
use crate::node::phases;
use crate::pki::{Authority, PkiFile};
use crate::plan::{Stage, Step};
use crate::report::{Event, Reporter};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How long stages took, in the order in which they ran.
pub type Times = Vec<(String, Duration)>;

/// What is made: images alone, or a cluster of them.
#[derive(Debug)]
pub struct Work<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// What the engine says of itself.
    pub facts: &'a Facts,
    /// What the images are made of.
    pub inputs: &'a ImageInputs,
    /// The images' names.
    pub images: &'a ImagePlan,
    /// Proxy variables for builds and nodes.
    pub proxies: &'a [(String, String)],
    /// Go's own settings (GOPROXY and the like) for builds.
    pub go_environment: &'a [(String, String)],
    /// Where downloads are kept between runs.
    pub downloads: PathBuf,
    /// The end of this token is the end of the run.
    pub cancel: &'a CancellationToken,
    /// Where events go.
    pub reporter: &'a Reporter,
    /// The output of kubeadm is wanted too: it has to be fetched from the nodes.
    pub show_output: bool,
}

/// What a cluster's nodes are made with, beyond the plan: secrets, and what the image tells.
#[derive(Debug)]
pub struct Making<'a> {
    /// The cluster.
    pub spec: &'a ClusterSpec,
    /// The files that the master gets.
    pub master: Vec<PkiFile>,
    /// Signs the workers' certificates; none where no node is made.
    pub authority: Option<Authority>,
    /// What the engine can give a container.
    pub rights: Rights,
}

/// Runs stages one after another; gives the time of each.
///
/// A stage's steps run side by side and all settle before it ends: a request that was dropped may still take effect.
pub async fn run(
    stages: &[Stage],
    work: &Work<'_>,
    making: Option<&Making<'_>>,
    times: &mut Times,
) -> Result<(), Error> {
    for stage in stages {
        if work.cancel.is_cancelled() {
            return Err(interrupted(times));
        }
        let title = stage_title(stage);
        let began = Instant::now();
        work.reporter.send(Event::StageStarted {
            stage: title.clone(),
        });
        let mut running: FuturesUnordered<_> = stage
            .steps
            .iter()
            .map(|step| one(step, &title, work, making))
            .collect();
        let mut failures = Vec::new();
        while let Some(result) = running.next().await {
            failures.extend(result.err());
        }
        let took = began.elapsed();
        work.reporter.send(Event::StageFinished {
            stage: title.clone(),
            took,
            ok: failures.is_empty(),
        });
        times.push((title.clone(), took));
        if work.cancel.is_cancelled() && !failures.is_empty() {
            times.pop();
            return Err(interrupted(times));
        }
        if !failures.is_empty() {
            let source = Box::new(failures.remove(0));
            return Err(Error::Stage {
                stage: title.clone(),
                source,
                others: failures,
            });
        }
    }
    Ok(())
}

/// A stage that builds one module is named after it: several follow each other.
fn stage_title(stage: &Stage) -> String {
    match stage.steps.as_slice() {
        [Step::BuildPrograms(programs)] => programs.component.name.to_owned(),
        _ => stage.title.to_owned(),
    }
}

/// The end of a run that was asked to stop, after the last stage that was finished.
pub fn interrupted(times: &Times) -> Error {
    Error::Interrupted {
        after: times
            .last()
            .map(|(stage, _)| stage.clone())
            .unwrap_or_default(),
    }
}

async fn one(
    step: &Step,
    stage: &str,
    work: &Work<'_>,
    making: Option<&Making<'_>>,
) -> Result<(), Error> {
    let (stage, text) = (stage.to_owned(), step.to_string());
    let began = Instant::now();
    work.reporter.send(Event::StepStarted {
        stage: stage.clone(),
        step: text.clone(),
    });
    let result = perform(step, work, making).await;
    let ok = result.is_ok();
    work.reporter.send(Event::StepFinished {
        stage,
        step: text,
        took: began.elapsed(),
        ok,
    });
    result
}

async fn perform(step: &Step, work: &Work<'_>, making: Option<&Making<'_>>) -> Result<(), Error> {
    let making = || making.ok_or_else(|| Error::message("there is no cluster in this run"));
    match step {
        Step::ObtainBase => images::obtain_base(work).await,
        Step::BuildBuilder => images::build_builder(work).await,
        Step::BuildNodeBase => images::build_node_base(work).await,
        Step::BuildPrograms(programs) => images::build_programs(work, programs).await,
        Step::Download => images::download(work).await.map(|_| ()),
        Step::InstallPrograms => images::install_programs(work).await,
        Step::FillPreload => images::fill_preload(work).await,
        Step::CreateNetwork => cluster::create_network(work, making()?).await,
        Step::RemoveNode(node) => cluster::remove_node(work, making()?, node).await,
        Step::CreateNode(node) => cluster::create_node(work, making()?, node).await,
        Step::StartNode(container) => plainly(step, work.engine.start(container).await),
        Step::UnpauseNode(container) => plainly(step, work.engine.unpause(container).await),
        Step::PauseNode(container) => plainly(step, work.engine.pause(container).await),
        Step::StopNode(container) => plainly(step, work.engine.stop(container).await),
        Step::AwaitApiServer(node) => cluster::await_phases(work, node, phases::API_SERVER).await,
        Step::AwaitPhases(node) => cluster::await_phases(work, node, phases::of(node.role)).await,
    }
}

/// What there is to say of a step that is one call.
fn plainly(step: &Step, done: Result<(), EngineError>) -> Result<(), Error> {
    done.map_err(|source| Error::other(step.to_string(), source))
}

/// The rights that a node gets, found out when its image was made.
pub async fn rights(work: &Work<'_>) -> Result<Rights, Error> {
    images::rights(work).await
}

/// Labels of everything that belongs to a cluster.
pub fn cluster_labels(spec: &ClusterSpec) -> BTreeMap<String, String> {
    BTreeMap::from([
        (
            crate::engine::label::CLUSTER.to_owned(),
            spec.names.context(),
        ),
        (crate::engine::label::ID.to_owned(), spec.id.to_string()),
        (
            crate::engine::label::VERSION.to_owned(),
            env!("CARGO_PKG_VERSION").to_owned(),
        ),
    ])
}

//! The copying of nodes' data volumes into a snapshot, and back.

use super::{Making, Work, cluster_labels};
use crate::cluster::NodeSpec;
use crate::engine::{Engine, EngineError, Found, Job, Mount, NO_NETWORK, Rights, label};
use crate::error::Error;
use crate::image::context::{File, archive};
use crate::image::job_labels;
use crate::report::Event;
use crate::snapshot::Snapshot;
use futures_util::future;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tokio::sync::watch;

/// What the label of the jobs that copy says.
pub const SNAPSHOT_JOB: &str = "snapshot";

/// Where the job's script is.
pub(super) const SCRIPT: &str = "/usr/local/lib/local-cluster/snapshot";

/// How far the job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Copying,
    Copied,
    CaughtUp,
}

/// Makes a snapshot of nodes; `running` are the containers of those that run. Gives for how long those stood still.
///
/// All is copied while they run, and what has changed meanwhile while all of them are frozen: what is kept of each is of
/// the same moment, or of earlier than what another one has sent it.
pub async fn save(
    work: &Work<'_>,
    snapshot: &Snapshot,
    nodes: &[NodeSpec],
    running: &[String],
    rights: &Rights,
) -> Result<Duration, Error> {
    let refused = |source| Error::other(format!("make snapshot `{}`", snapshot.name), source);
    let engine = work.engine;
    engine
        .create_volume(&snapshot.volume, &snapshot.labels())
        .await
        .map_err(refused)?;
    let mut job = job("save", snapshot, nodes, rights);
    job.labels
        .insert(label::FREEZES.to_owned(), running.join(" "));
    let (told, mut progress) = watch::channel(Progress::Copying);
    let working = async {
        // The end of the job is the end of `told`: whoever waits for it waits no more.
        let told = told;
        engine.create_job(&job).await?;
        engine
            .follow_job(&job, work.cancel, |line| {
                match line {
                    "copied" => drop(told.send(Progress::Copied)),
                    "caught up" => drop(told.send(Progress::CaughtUp)),
                    _ => {}
                }
                output(work, line);
            })
            .await
    };
    let freezing = async {
        if reaches(&mut progress, Progress::Copied).await.is_err() {
            return Ok(Duration::ZERO);
        }
        let began = Instant::now();
        let frozen = future::join_all(running.iter().map(|name| engine.pause(name))).await;
        let caught_up = async {
            frozen.into_iter().collect::<Result<(), EngineError>>()?;
            let sign = archive(&[File::new("run/frozen", 0o644, Vec::new())]);
            engine.upload(&job.name, sign).await?;
            // Where the job fails, that is told, and not this.
            let _ = reaches(&mut progress, Progress::CaughtUp).await;
            Ok(())
        }
        .await;
        if caught_up.is_err() {
            // It would wait for long. Whether it is gone shows when it is removed in any case.
            let _ = engine.remove_container(&job.name).await;
        }
        let thawed = future::join_all(running.iter().map(|name| engine.unpause(name))).await;
        // What does not run stands still in any case.
        let stood = if running.is_empty() {
            Duration::ZERO
        } else {
            began.elapsed()
        };
        caught_up?;
        thawed.into_iter().collect::<Result<(), EngineError>>()?;
        Ok(stood)
    };
    let (worked, froze): (_, Result<Duration, EngineError>) = future::join(working, freezing).await;
    let removed = engine.remove_container(&job.name).await;
    let result = froze.and_then(|stood| worked.and(removed).map(|()| stood));
    if result.is_err() {
        // A part of a snapshot is none.
        let _ = engine.remove_volume(&snapshot.volume).await;
    }
    result.map_err(refused)
}

/// Fills new volumes for all nodes with what a snapshot has kept of them.
pub(super) async fn fill(
    work: &Work<'_>,
    making: &Making<'_>,
    snapshot: &Snapshot,
) -> Result<(), Error> {
    let refused = |source| Error::other(format!("bring back snapshot `{}`", snapshot.name), source);
    let nodes = &making.spec.nodes;
    let mut labels = cluster_labels(making.spec);
    let now = OffsetDateTime::now_utc().unix_timestamp_nanos();
    let restored = format!("{} {now}", snapshot.name);
    labels.insert(label::RESTORED.to_owned(), restored);
    for node in nodes {
        work.engine
            .create_volume(&node.volume, &labels)
            .await
            .map_err(refused)?;
    }
    let how = if making.spec.network.is_clone() {
        "clone"
    } else {
        "restore"
    };
    let job = job(how, snapshot, nodes, &making.rights);
    let output = |line: &str| output(work, line);
    let worked = work.engine.run_job(&job, None, work.cancel, output).await;
    let removed = work.engine.remove_container(&job.name).await;
    worked.and(removed).map_err(refused)
}

/// Whether all of a snapshot is there: one that was broken off is not.
pub async fn is_whole(engine: &Engine, snapshot: &Snapshot) -> Result<bool, EngineError> {
    let mut look = job("look", snapshot, &[], &Rights::Privileged);
    // It never runs: what is in the volume of a container can be read all the same. Others may look at the same time.
    look.rights = None;
    look.name = format!("{}.{}", look.name, std::process::id());
    engine.create_job(&look).await?;
    let mark = engine.read_file(&look.name, "/snapshot/whole").await;
    let removed = engine.remove_container(&look.name).await;
    let mark = mark?;
    removed.map(|()| mark.is_some())
}

/// Removes a container with the volumes that are its own.
pub(super) async fn discard(engine: &Engine, found: &Found) -> Result<(), EngineError> {
    engine.remove_container(&found.name).await?;
    for volume in found.own_volumes() {
        engine.remove_volume(volume).await?;
    }
    Ok(())
}

fn output(work: &Work<'_>, line: &str) {
    work.reporter.send(Event::Output {
        source: "snapshot".to_owned(),
        line: line.to_owned(),
    });
}

/// Waits until the job is so far; fails if it has ended before.
async fn reaches(
    progress: &mut watch::Receiver<Progress>,
    wanted: Progress,
) -> Result<(), watch::error::RecvError> {
    progress.wait_for(|now| *now == wanted).await.map(|_| ())
}

fn job(how: &str, snapshot: &Snapshot, nodes: &[NodeSpec], rights: &Rights) -> Job {
    let mount = |volume: &str, target: String, read_only| Mount {
        volume: volume.to_owned(),
        target,
        read_only,
    };
    let saves = how == "save";
    let mut mounts = vec![mount(&snapshot.volume, "/snapshot".to_owned(), !saves)];
    mounts.extend(
        nodes
            .iter()
            .map(|node| mount(&node.volume, format!("/nodes/{}", node.name), saves)),
    );
    let names = nodes.iter().map(|node| node.name.clone());
    Job {
        name: format!("{}.{how}", snapshot.volume),
        image: snapshot.of.image.clone(),
        command: [SCRIPT.to_owned(), how.to_owned()]
            .into_iter()
            .chain(names)
            .collect(),
        environment: Vec::new(),
        mounts,
        labels: job_labels(SNAPSHOT_JOB),
        rights: Some(rights.clone()),
        network: Some(NO_NETWORK.to_owned()),
    }
}

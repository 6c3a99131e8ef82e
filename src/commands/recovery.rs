//! What a run that was killed has left of copying and restoring: found, and brought to an end, by the next command that
//! changes the cluster.

use super::client;
use super::down::{jobs, settle};
use super::identity::Identity;
use super::image;
use super::session::Session;
use super::snapshot::of_cluster;
use super::standing::Standing;
use super::surroundings::Surroundings;
use crate::cluster;
use crate::engine::{Engine, EngineError, Facts, Found};
use crate::error::Error;
use crate::execute::{self, Times};
use crate::plan::{self, Stage};
use tokio_util::sync::CancellationToken;

/// Removes the jobs that copy this cluster's volumes: a run that was killed has left them, and they hold what is to go.
pub(super) async fn remove_copying(engine: &Engine, selector: &str) -> Result<(), EngineError> {
    let jobs = jobs(engine).await?;
    if jobs.is_empty() {
        return Ok(());
    }
    let volumes = engine.volumes(selector).await?;
    let holds = |job: &&Found| {
        volumes
            .iter()
            .any(|volume| job.volumes.contains(&volume.name))
    };
    settle(
        jobs.iter()
            .filter(holds)
            .map(|job| engine.remove_container(&job.name)),
    )
    .await
}

/// All containers of the cluster, those that a restore has set aside among them.
pub(super) async fn everything(engine: &Engine, identity: &Identity) -> Result<Vec<Found>, Error> {
    let found = engine.containers(&identity.selector()).await;
    found.map_err(|source| identity.not_found(source))
}

/// Brings a restore that was broken off to an end: as long as it was not complete, the cluster becomes what it was before.
/// Gives the cluster as it stands then.
pub(super) async fn recover(
    session: &Session,
    engine: &Engine,
    facts: &Facts,
    identity: &Identity,
    cancel: &CancellationToken,
) -> Result<Standing, Error> {
    remove_copying(engine, &identity.selector())
        .await
        .map_err(|source| Error::other("remove what copies the nodes' volumes", source))?;
    for snapshot in of_cluster(engine, identity).await?.values() {
        if snapshot.is_passing() {
            let removed = engine.remove_volume(&snapshot.volume).await;
            let doing = || format!("remove snapshot `{}`, of no use any more", snapshot.name);
            removed.map_err(|source| Error::other(doing(), source))?;
        }
    }
    let stages: Vec<Stage> = plan::snapshot::recover(&everything(engine, identity).await?);
    if !stages.is_empty() {
        session
            .reporter
            .note("a restore was broken off, and is brought to its end or taken back first");
        let wanted = image::unneeded(session, cluster::DEFAULT_VERSION)?;
        let surroundings = Surroundings::of(session);
        let work = surroundings.work(engine, facts, &wanted, cancel, &session.reporter);
        execute::run(&stages, &work, None, &mut Times::new()).await?;
    }
    let mut standing = Standing::of(engine, identity).await?;
    if !stages.is_empty()
        && let Some(way) = standing.way()
    {
        // The restored cluster may have had another authority.
        client::write_kubeconfig(session, engine, identity, &way).await?;
    }
    for volume in std::mem::take(&mut standing.stray) {
        engine.remove_volume(&volume).await.map_err(|source| {
            Error::other(
                format!("remove volume {volume}, which nothing uses"),
                source,
            )
        })?;
    }
    Ok(standing)
}

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
use crate::engine::{Engine, EngineError, Facts, Found, State, label};
use crate::error::Error;
use crate::execute::{self, Times};
use crate::plan::{self, Stage};
use tokio_util::sync::CancellationToken;

/// Removes the jobs that copy this cluster's volumes: a run that was killed has left them, and they hold what is to go. What
/// they have frozen is thawed: after they have ended, and before nobody knows of it any more.
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
    let left: Vec<&Found> = jobs.iter().filter(holds).collect();
    let nodes = engine.containers(selector).await?;
    let end = async |job: &Found| {
        match engine.halt(&job.name).await {
            Err(error) if error.status() != Some(404) => return Err(error),
            _ => {}
        }
        for node in frozen_by(job, &nodes) {
            engine.unpause(&node.name).await?;
        }
        engine.remove_container(&job.name).await
    };
    settle(left.into_iter().map(end)).await
}

/// The nodes that stand still for a job.
fn frozen_by<'a>(job: &Found, nodes: &'a [Found]) -> impl Iterator<Item = &'a Found> {
    let names = job.labels.get(label::FREEZES).cloned().unwrap_or_default();
    let frozen = nodes.iter().filter(|node| node.state == State::Paused);
    frozen.filter(move |node| names.split(' ').any(|name| name == node.name))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stands_still_for_a_job_is_thawed() {
        let found = |name: &str, state: State, freezes: Option<&str>| Found {
            name: name.to_owned(),
            labels: freezes
                .map(|names| (label::FREEZES.to_owned(), names.to_owned()))
                .into_iter()
                .collect(),
            state,
            image: String::new(),
            volumes: Vec::new(),
        };
        let nodes = [
            found("kube-master", State::Paused, None),
            found("kube-node-1", State::Running, None),
            // By its user.
            found("kube-node-10", State::Paused, None),
        ];
        let frozen = |freezes: Option<&str>| -> Vec<&str> {
            let job = found("save", State::Running, freezes);
            let frozen = frozen_by(&job, &nodes);
            frozen.map(|node| node.name.as_str()).collect()
        };
        assert_eq!(frozen(Some("kube-master kube-node-1")), ["kube-master"]);
        assert_eq!(frozen(Some("")), [""; 0]);
        assert_eq!(frozen(None), [""; 0]);
    }
}

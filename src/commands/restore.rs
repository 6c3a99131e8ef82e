//! `snapshot restore`: all or nothing. The old nodes stay aside until the restored ones are ready, and are back if that fails.

use super::identity::Identity;
use super::recovery::{everything, recover};
use super::session::{self, Session};
use super::snapshot::{begin, named, of_cluster, whole};
use super::standing::{Standing, unused};
use super::surroundings::Surroundings;
use super::{image, preflight, up};
use crate::cluster::{self, ClusterSpec, Names};
use crate::engine::{Engine, Facts, State, label};
use crate::error::{Error, exit_code, in_one_line};
use crate::execute;
use crate::node::access::Way;
use crate::plan;
use crate::signal;
use crate::snapshot::Snapshot;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// `snapshot restore`.
pub(super) async fn run(session: &Session, name: &str) -> Result<u8, Error> {
    let began = Instant::now();
    let cancel = signal::watch(session.reporter.clone());
    let (engine, facts, identity, _lock) = begin(session, "snapshot restore").await?;
    let snapshot = named(of_cluster(&engine, &identity).await?, name, &identity)?;
    let standing = recover(session, &engine, &facts, &identity, &cancel).await?;
    usable(&engine, &snapshot, &identity).await?;

    let members = Names::members_named(snapshot.of.nodes.iter().map(String::as_str));
    let kept = &snapshot.of.settings;
    let label = identity.label.as_deref();
    let mut spec = ClusterSpec::of_fingerprint(identity.id, label, kept, members)
        .map_err(|problems| Error::message(cluster::in_lines(&problems)))?;
    for node in &mut spec.nodes {
        node.volume = standing.free_volume(&node.container, &identity.names);
    }
    let networks = session::networks(&engine).await?;
    let network = networks
        .iter()
        .find(|network| network.name == spec.network.name);
    if network.is_some_and(|network| !network.subnets.contains(&spec.network.subnet)) {
        return Err(Error::with_hint(
            format!(
                "the cluster's network does not have the range {} of the snapshot",
                spec.network.subnet
            ),
            format!(
                "remove it with `local-cluster{} down` and network `{}` with the engine's means, then try again",
                identity.flag(),
                spec.network.name
            ),
        ));
    }
    let unfit = network.filter(|network| preflight::is_unfit(network, &spec));
    if unfit.is_some() && !standing.containers.is_empty() {
        return Err(Error::with_hint(
            "the snapshot is of a clone and the cluster is none, or the other way round: it needs another network",
            format!(
                "remove the cluster with `local-cluster{} down`, then try again",
                identity.flag()
            ),
        ));
    }
    let kept = network.is_some() && unfit.is_none();
    let mut stages = plan::snapshot::restore(&spec, &snapshot, kept, &standing.containers);
    let unfit = unfit.map(|network| network.name.as_str());
    stages.splice(0..0, plan::clearing(&[], unfit));
    preflight::check_host(&facts, preflight::load(&stages, &[]), &session.reporter)?;
    preflight::check_ranges(&spec, &networks, &stages)?;

    let wanted = image::of(
        session,
        spec.version,
        &snapshot.of.image,
        &snapshot.of.preload,
    )?;
    let surroundings = Surroundings::of(session);
    let work = surroundings.work(&engine, &facts, &wanted, &cancel, &session.reporter);
    let mut times = vec![("check".to_owned(), began.elapsed())];
    let restored = up::bring_to_ready(
        session,
        &identity,
        &spec,
        Way::of(&spec),
        &work,
        &stages,
        &mut times,
    )
    .await;
    // The wish to stop has been heard: what follows is not to be broken off by it again.
    let again = CancellationToken::new();
    if let Err(error) = restored {
        let back = go_back(session, &engine, &facts, &identity, &standing, &again).await;
        if let Err(also) = back {
            session.reporter.warn(
                format!(
                    "cannot go back to the cluster as it was: {}",
                    in_one_line(&also)
                ),
                Some(&format!(
                    "`local-cluster{} up` tries it again",
                    identity.flag()
                )),
            );
        }
        return Err(error);
    }
    let work = surroundings.work(&engine, &facts, &wanted, &again, &session.reporter);
    let all = everything(&engine, &identity).await?;
    let volumes = engine.volumes(&identity.selector()).await;
    let volumes = volumes.map_err(|source| identity.not_found(source))?;
    let settling = plan::snapshot::settle(&all, &unused(&volumes, &all));
    execute::run(&settling, &work, None, &mut times).await?;
    let next = vec![format!("the cluster is as it was at {}", snapshot.of.at)];
    session.reporter.finished(times, began.elapsed(), next);
    Ok(exit_code::OK)
}

/// Takes a restore back that has failed: the old nodes run again, and the kubeconfig is theirs.
async fn go_back(
    session: &Session,
    engine: &Engine,
    facts: &Facts,
    identity: &Identity,
    before: &Standing,
    cancel: &CancellationToken,
) -> Result<(), Error> {
    recover(session, engine, facts, identity, cancel).await?;
    let ran = before
        .containers
        .iter()
        .filter(|node| node.state == State::Running);
    for node in ran {
        // Stopped, but not set aside yet. One that runs already is fine.
        engine
            .start(&node.name)
            .await
            .map_err(|source| Error::other(format!("start {} again", node.name), source))?;
    }
    if before.master().is_some() {
        session
            .reporter
            .note("the cluster is what it was before, and its nodes are starting");
    }
    Ok(())
}

/// Whether a snapshot can be brought back: by this program, from all of it, with the images that it needs.
pub(super) async fn usable(
    engine: &Engine,
    snapshot: &Snapshot,
    identity: &Identity,
) -> Result<(), Error> {
    let doing = || format!("look at what snapshot `{}` needs", snapshot.name);
    if let Some(refusal) = snapshot.refusal() {
        return Err(Error::with_hint(
            refusal,
            "bring it back with the version that made it",
        ));
    }
    let image = engine
        .image_labels(&snapshot.of.image)
        .await
        .map_err(|source| Error::other(doing(), source))?;
    let preloads = engine
        .volumes(label::PRELOAD)
        .await
        .map_err(|source| Error::other(doing(), source))?;
    let missing = if image.is_none() {
        Some(("image", &snapshot.of.image))
    } else if preloads
        .iter()
        .all(|volume| volume.name != snapshot.of.preload)
    {
        Some(("volume", &snapshot.of.preload))
    } else {
        None
    };
    if let Some((kind, name)) = missing {
        return Err(Error::with_hint(
            format!(
                "snapshot `{}` needs {kind} {name}, which is gone",
                snapshot.name
            ),
            "`local-cluster image build` makes it, with the settings and the version that the cluster had",
        ));
    }
    if whole(engine, snapshot).await? {
        return Ok(());
    }
    Err(Error::with_hint(
        format!("snapshot `{}` was never completed", snapshot.name),
        format!(
            "remove it with `local-cluster{} snapshot rm {}`",
            identity.flag(),
            snapshot.name
        ),
    ))
}

//! `clone`: a second cluster of what is in one, or was when a snapshot was taken. The original goes on.

use super::identity::Identity;
use super::recovery::recover;
use super::restore::usable;
use super::session::{self, Session};
use super::snapshot::{self, named, of_cluster};
use super::standing::Standing;
use super::surroundings::Surroundings;
use super::{image, preflight, up};
use crate::cli::CloneArgs;
use crate::cluster::{self, ClusterId, ClusterSpec, Names};
use crate::engine::{Engine, Facts, label};
use crate::error::{Error, exit_code, in_one_line};
use crate::execute::Times;
use crate::node::access::Way;
use crate::plan;
use crate::signal;
use crate::snapshot::{Snapshot, passing_name};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// What is made, and of what.
struct Cloning<'a> {
    session: &'a Session,
    engine: &'a Engine,
    facts: &'a Facts,
    original: &'a Identity,
    clone: &'a Identity,
    cancel: &'a CancellationToken,
    began: Instant,
}

/// `clone`.
pub(super) async fn run(session: &Session, arguments: &CloneArgs) -> Result<u8, Error> {
    let began = Instant::now();
    let cancel = signal::watch(session.reporter.clone());
    let engine = session.engine().await?;
    let facts = session::facts(&engine).await?;
    let original = session.identity(&engine).await?;
    let clone = session.identity_named(&engine, &arguments.target).await?;
    let name = original.names.context();
    if original.id == clone.id {
        return Err(Error::with_hint(
            format!(
                "a clone of cluster `{name}` cannot have the same id, {}",
                original.id
            ),
            "give another id, or a label",
        ));
    }
    let _locks = (session.lock(&original)?, session.lock(&clone)?);
    session
        .reporter
        .started("clone", Some(clone.names.context()));
    let standing = recover(session, &engine, &facts, &original, &cancel).await?;
    let cloning = Cloning {
        session,
        engine: &engine,
        facts: &facts,
        original: &original,
        clone: &clone,
        cancel: &cancel,
        began,
    };
    cloning.needs_room().await?;
    let made = cloning.make(&standing, arguments.snapshot.as_deref()).await;
    // The wish to stop has been heard: what follows is not to be broken off by it again.
    let again = CancellationToken::new();
    let mut left = recover(session, &engine, &facts, &original, &again)
        .await
        .err();
    if made.is_err() {
        let clone = recover(session, &engine, &facts, &clone, &again).await;
        left = left.or(clone.err());
    }
    if let Some(left) = left {
        session.reporter.warn(
            format!(
                "something that is of no use is left: {}",
                in_one_line(&left)
            ),
            Some("the next command that changes the cluster tries to remove it again"),
        );
    }
    let times = made?;
    let flag = clone.flag();
    let next = vec![
        format!(
            "local-cluster{flag} kubectl get nodes  # it has the keys of `{name}`, and each lets into the other"
        ),
        format!(
            "local-cluster{flag} status             # and the addresses at which the host reaches it"
        ),
    ];
    session.reporter.finished(times, began.elapsed(), next);
    Ok(exit_code::OK)
}

impl Cloning<'_> {
    /// There must be nothing of the cluster that is to be made. What a run that was killed has left is gone then.
    async fn needs_room(&self) -> Result<(), Error> {
        let (session, clone) = (self.session, self.clone);
        let there = recover(session, self.engine, self.facts, clone, self.cancel).await?;
        if there.is_empty() {
            return Ok(());
        }
        let (name, flag) = (clone.names.context(), clone.flag());
        Err(Error::with_hint(
            format!("there is a cluster `{name}` already"),
            format!("choose another id, or remove that one with `local-cluster{flag} down`"),
        ))
    }

    async fn make(&self, standing: &Standing, name: Option<&str>) -> Result<Times, Error> {
        let Self {
            session,
            engine,
            facts,
            original,
            clone,
            cancel,
            began,
        } = *self;
        let snapshots = of_cluster(engine, original).await?;
        let kept = name
            .map(|name| named(snapshots, name, original))
            .transpose()?;
        let (image, preload) = match (&kept, standing.master()) {
            (Some(kept), _) => (kept.of.image.as_str(), kept.of.preload.as_str()),
            (None, Some(master)) => {
                let preload = master.labels.get(label::PRELOAD_USED);
                (master.image.as_str(), preload.map_or("", String::as_str))
            }
            (None, None) => return Err(original.absent()),
        };
        let wanted = image::of(session, crate::cluster::DEFAULT_VERSION, image, preload)?;
        let surroundings = Surroundings::of(session);
        let work = surroundings.work(engine, facts, &wanted, cancel, &session.reporter);
        let now = match &kept {
            Some(_) => None,
            None => Some(standing.spec(original)?),
        };
        let snapshot = match (kept, &now) {
            (Some(kept), _) => {
                usable(engine, &kept, original).await?;
                kept
            }
            (None, Some(now)) => {
                let name = passing_name(&clone.names.context());
                snapshot::of_standing(&work, original, now, standing, &name).await?
            }
            (None, None) => return Err(original.absent()),
        };

        let spec = self.spec(&snapshot)?;
        self.remove_network(&spec).await?;
        let networks = session::networks(engine).await?;
        let source = snapshot.clone().for_clone(spec.fingerprint());
        let stages = plan::snapshot::restore(&spec, &source, false, &[]);
        preflight::check_host(facts, preflight::load(&stages, &[]), &session.reporter)?;
        preflight::check_ranges(&spec, &networks, &stages)?;

        let mut times = vec![("check".to_owned(), began.elapsed())];
        if let Some(now) = now {
            snapshot::fill(&work, &snapshot, &now, standing, &mut times).await?;
        }
        let way = Way::of(&spec);
        up::bring_to_ready(session, clone, &spec, way, &work, &stages, &mut times).await?;
        Ok(times)
    }

    /// The clone of what a snapshot has: nodes and settings are its, names and network the clone's own.
    fn spec(&self, snapshot: &Snapshot) -> Result<ClusterSpec, Error> {
        let (id, pool) = (self.clone.id, self.session.settings()?.dind.subnet);
        let refused = |problems: &[_]| Error::message(cluster::in_lines(problems));
        let settings =
            ClusterSpec::cloned_fingerprint(&snapshot.of.settings, ClusterId::new(id), pool)
                .map_err(|problem| refused(&[problem]))?;
        let members = Names::members_named(snapshot.of.nodes.iter().map(String::as_str));
        let label = self.clone.label.as_deref();
        ClusterSpec::of_fingerprint(id, label, &settings, members)
            .map_err(|problems| refused(&problems))
    }

    /// Removes the network that a cluster of this name has left: a clone's is made for more.
    async fn remove_network(&self, spec: &ClusterSpec) -> Result<(), Error> {
        let networks = session::networks(self.engine).await?;
        let context = self.clone.names.context();
        let ours = networks.iter().find(|network| {
            network.name == spec.network.name
                && network.labels.get(label::CLUSTER) == Some(&context)
        });
        let Some(network) = ours else { return Ok(()) };
        let removed = self.engine.remove_network(&network.name).await;
        removed.map_err(|source| Error::other("make room for the clone's network", source))
    }
}

//! `up`: what is wanted, what is there, the difference, done; and the question whether it works.

mod wanted;

use super::identity::Identity;
use super::image;
use super::making::making;
use super::preflight;
use super::recovery::recover;
use super::session::{self, Session};
use super::snapshot;
use super::standing::{Standing, tell_even};
use super::surroundings::Surroundings;
use super::{client, print_plan};
use crate::cli::{Output, UpArgs};
use crate::cluster::{ClusterSpec, NodeSpec, Role};
use crate::drain::{self, Drain};
use crate::engine::{Engine, Network};
use crate::error::{Error, exit_code};
use crate::execute::{self, Times, Work, members};
use crate::kubeconfig;
use crate::node::access::{self, AGREEING, Way};
use crate::node::phases::Phases;
use crate::node::pod_ranges;
use crate::plan::{self, Observed, Stage};
use crate::ready::{self, Patience};
use crate::report::Reporter;
use crate::signal;
use k8s_openapi::api::core::v1::Node;
use kube::Client;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// What becomes of the nodes that the cluster has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Old {
    /// `up`: they are what the cluster is.
    Stays,
    /// `reup`: they make room for others.
    Goes,
}

pub(super) async fn run(session: &Session, arguments: &UpArgs, old: Old) -> Result<u8, Error> {
    let cancel = signal::watch(session.reporter.clone());
    let began = Instant::now();
    let engine = session.engine().await?;
    let networks = session::networks(&engine).await?;
    let identity = session.identity_among(&engine, &networks).await?;
    // A dry run changes nothing, and is in nobody's way.
    let _lock = if arguments.dry_run {
        None
    } else {
        Some(session.lock(&identity)?)
    };
    if !arguments.dry_run {
        let command = match old {
            Old::Stays => "up",
            Old::Goes => "reup",
        };
        let context = identity.names.context();
        session.reporter.started(command, Some(context));
    }
    let mut up = Up {
        session,
        engine: &engine,
        identity,
        networks,
        old,
        keeps_fresh: true,
        cancel: &cancel,
        began,
    };
    if let Some(times) = up.bring(arguments).await? {
        let next = next_steps(session, &up.identity)?;
        session.reporter.finished(times, began.elapsed(), next);
    }
    Ok(exit_code::OK)
}

/// How long the network of another run may take to be whole.
const APPEARING: Duration = Duration::from_secs(10);
/// How often it is looked for.
const LOOKING: Duration = Duration::from_millis(100);

/// Whether Docker has refused a network for its range.
fn range_is_taken(error: &Error) -> bool {
    error
        .of_engine()
        .is_some_and(|refusal| refusal.status().is_some() && refusal.message().contains("overlap"))
}

/// A cluster that is to be brought up, and what was seen of the engine when it was chosen.
pub(super) struct Up<'a> {
    pub(super) session: &'a Session,
    pub(super) engine: &'a Engine,
    pub(super) identity: Identity,
    /// All networks of the engine, as they were when the identity was chosen.
    pub(super) networks: Vec<Network>,
    pub(super) old: Old,
    /// Whether its fresh state is kept, for an `up` after a `down`.
    pub(super) keeps_fresh: bool,
    pub(super) cancel: &'a CancellationToken,
    pub(super) began: Instant,
}

impl Up<'_> {
    /// Brings it up; gives the times of the stages, or nothing where that was a dry run, which has printed the plan.
    /// The identity may be another then: an id that was chosen for a label may have been taken meanwhile.
    pub(super) async fn bring(&mut self, arguments: &UpArgs) -> Result<Option<Times>, Error> {
        loop {
            let error = match bring_up(self, arguments).await {
                Err(error) if self.identity.chosen && range_is_taken(&error) => error,
                result => return result,
            };
            let Some(next) = self.choose_again().await? else {
                return Err(error);
            };
            self.session.reporter.note(format!(
                "another run has taken cluster id {}: this cluster gets {}",
                self.identity.id, next.id
            ));
            self.identity = next;
        }
    }

    /// Of two that choose an id at once, Docker gives the range to one; the other looks again until it sees that one's
    /// network, which is there only when it is whole. Nothing where none comes.
    async fn choose_again(&mut self) -> Result<Option<Identity>, Error> {
        let began = Instant::now();
        loop {
            self.networks = session::networks(self.engine).await?;
            let (session, networks) = (self.session, &self.networks);
            let next = session.identity_among(self.engine, networks).await?;
            if next.id != self.identity.id {
                return Ok(Some(next));
            }
            if began.elapsed() > APPEARING || self.cancel.is_cancelled() {
                return Ok(None);
            }
            tokio::time::sleep(LOOKING).await;
        }
    }
}

async fn bring_up(up: &Up<'_>, arguments: &UpArgs) -> Result<Option<Times>, Error> {
    let Up {
        session,
        engine,
        old,
        keeps_fresh,
        cancel,
        began,
        ..
    } = *up;
    let (identity, networks) = (&up.identity, up.networks.as_slice());
    let (reporter, dry_run) = (&session.reporter, arguments.dry_run);
    let facts = session::facts(engine).await?;
    let version = image::version(session).await?;
    let mut standing = if dry_run {
        Standing::of(engine, identity).await?
    } else {
        recover(session, engine, &facts, identity, cancel).await?
    };
    let removed = match old {
        Old::Stays => Vec::new(),
        Old::Goes => standing.take_nodes(),
    };
    let (members, balanced) = wanted::members(session, arguments, &standing, identity)?;
    let mut spec = wanted::spec(session, identity, version, members, balanced, &standing)?;
    standing.name_volumes(&mut spec);
    preflight::check_settings(&spec, networks, identity, &standing)?;
    let mut observed = standing.observe(engine, identity).await?;
    let network = networks
        .iter()
        .find(|network| network.name == spec.network.name);
    // Nothing is in it, or will be when the old nodes are gone.
    let unfit = network
        .filter(|network| standing.containers.is_empty() && preflight::is_unfit(network, &spec));
    observed.network = network.is_some() && unfit.is_none();
    must_decide(identity, &spec, &observed)?;
    let mut stages = plan::plan(&spec, &observed);
    let stays = !plan::creates(&stages, Some(Role::Master));
    wanted::tell_workers(session, arguments, &standing, &spec, stays)?;
    tell_even(&session.reporter, &spec, identity);
    let (wanted, images_lock) = match standing.master() {
        _ if !stays => {
            let mut wanted = image::wanted(session, engine, &facts, version, &mut observed).await?;
            // Others may make the same images, or have made them meanwhile; a dry run makes none.
            let lock = if dry_run || wanted.stages.is_empty() {
                None
            } else {
                let lock = session.lock_images(cancel).await?;
                wanted.look_again(engine, &mut observed).await?;
                Some(lock)
            };
            (wanted, lock)
        }
        Some(master) => (image::of_node(session, version, master)?, None),
        None => (image::unneeded(session, version)?, None),
    };
    if !stages.is_empty() || !wanted.stages.is_empty() {
        let load = preflight::load(&stages, &wanted.stages);
        preflight::check_host(&facts, load, reporter)?;
        preflight::check_ranges(&spec, networks, &stages)?;
    }
    // What there is of the cluster may have it.
    if standing.is_empty() && removed.is_empty() {
        preflight::check_port(&spec)?;
    }

    let snapshot = if stays || !wanted.stages.is_empty() {
        None
    } else {
        snapshot::to_use(session, engine, &wanted.images, identity, &spec, &standing).await?
    };
    if let Some(snapshot) = &snapshot {
        stages = plan::snapshot::restore(&spec, snapshot, observed.network, &[]);
    }

    if !removed.is_empty() {
        reporter.note(format!(
            "the nodes that cluster `{}` has are removed: what was done in it is lost",
            identity.names.context()
        ));
    }
    let unfit = unfit.map(|network| network.name.as_str());
    stages.splice(0..0, plan::clearing(&removed, unfit));

    if dry_run {
        let all: Vec<Stage> = wanted.stages.iter().chain(&stages).cloned().collect();
        print_plan(session, &all)?;
        // Where events are data, they do not come behind the plan.
        if !stays && session.output == Output::Text {
            let keeps = keeps_fresh && snapshot.is_none();
            reporter.note(afterwards(session, identity, keeps)?);
        }
        return Ok(None);
    }

    let surroundings = Surroundings::of(session);
    let work = surroundings.work(engine, &facts, &wanted, cancel, reporter);
    let mut times: Times = vec![("check".to_owned(), began.elapsed())];
    execute::run(&wanted.stages, &work, None, &mut times).await?;
    drop(images_lock);
    // One that stays may be another than the first.
    let remade: Vec<NodeSpec> = plan::joining(&stages).cloned().collect();
    let way = standing.way_without(&remade).filter(|_| stays);
    let way = way.unwrap_or_else(|| Way::of(&spec));
    bring_to_ready(session, identity, &spec, way, &work, &stages, &mut times).await?;
    let masters = spec.masters();
    let mut masters = masters.filter_map(|master| observed.nodes.get(&master.container));
    // One that only joins others is not the making of a cluster.
    let was_unfinished = masters.all(|node| node.phases == Some(Phases::Running));
    let was_unfinished = was_unfinished && !observed.nodes.is_empty();
    if keeps_fresh && (!stays || was_unfinished) && snapshot.is_none() {
        snapshot::keep_fresh(session, &work, identity, &spec, &mut times).await?;
    }

    Ok(Some(times))
}

/// What `up` does beside the stages of a plan.
fn afterwards(session: &Session, identity: &Identity, keeps: bool) -> Result<String, Error> {
    let context = identity.names.context();
    let file = session.directory(&identity.names)?.join("admin.conf");
    let mut told = format!("then it writes {}", file.display());
    let settings = session.settings()?;
    if settings.kubeconfig.merge
        && let Some(path) = kubeconfig::user_path(&session.environment)
    {
        told = format!(
            "{told}, makes `{context}` the current context of {}",
            path.display()
        );
    }
    if keeps && !settings.cluster.skip_snapshot {
        told = format!(
            "{told}, and keeps the fresh state as snapshot `{}`",
            crate::snapshot::FRESH
        );
    }
    Ok(told)
}

/// Carries the cluster's stages out, writes the kubeconfig, and waits until the cluster is ready.
pub(super) async fn bring_to_ready(
    session: &Session,
    identity: &Identity,
    spec: &ClusterSpec,
    mut way: Way,
    work: &Work<'_>,
    stages: &[Stage],
    times: &mut Times,
) -> Result<(), Error> {
    let Work {
        engine,
        reporter,
        cancel,
        ..
    } = *work;
    let kubectl = client::fetch_kubectl(session, identity, engine, spec);
    if !stages.is_empty() {
        // The load balancer may be one that is made now.
        way.publisher = Way::of(spec).publisher;
        let making = making(engine, work, spec, way.clone(), stages, Drain::default()).await?;
        execute::run(stages, work, Some(&making), times).await?;
    }
    let config = client::write_kubeconfig(session, engine, identity, &way).await?;

    let patience = if stages.is_empty() {
        Patience::Standing
    } else {
        Patience::New
    };
    let client = access::client(&config)?;
    let waiting = async {
        let nodes = &spec.nodes;
        tokio::select! {
            ready = ready::wait(&client, engine, spec, nodes, patience, reporter, cancel) => ready?,
            lost = outvoted(engine, identity, spec, &way.master) => return Err(lost),
        }
        let listed = ready::list_nodes(&client, AGREEING, cancel).await?;
        take_back_removals(&client, &listed, identity, spec, reporter, cancel).await?;
        pod_ranges::assign(&client, &listed, spec, cancel).await
    };
    let both = async {
        let (ready, fetched) = tokio::join!(waiting, kubectl);
        ready.map(|()| fetched)
    };
    execute::stage("ready", reporter, times, Box::pin(both)).await?
}

/// A node whose removal was broken off, and that is wanted, gets pods again.
async fn take_back_removals(
    client: &Client,
    listed: &[Node],
    identity: &Identity,
    spec: &ClusterSpec,
    reporter: &Reporter,
    cancel: &CancellationToken,
) -> Result<(), Error> {
    let names: Vec<&str> = spec.nodes.iter().map(|node| node.name.as_str()).collect();
    for name in drain::take_back(client, listed, &names, cancel).await? {
        reporter.note(format!(
            "{name} gets pods again: its removal was broken off; `local-cluster{} node remove {name}` goes on with it",
            identity.flag()
        ));
    }
    Ok(())
}

/// Refuses a cluster of whose masters too few are left.
pub(super) fn must_decide(
    identity: &Identity,
    spec: &ClusterSpec,
    observed: &Observed,
) -> Result<(), Error> {
    plan::minority(spec, observed).map_or(Ok(()), |kept| {
        Err(lost(identity, kept.len(), spec.masters().count()))
    })
}

/// What is told of a cluster that has lost so many masters that the others cannot go on.
fn lost(identity: &Identity, kept: usize, all: usize) -> Error {
    let flag = identity.flag();
    Error::with_hint(
        format!(
            "only {kept} of {all} masters of cluster `{}` are left, and etcd needs most of them",
            identity.names.context()
        ),
        format!(
            "`local-cluster{flag} snapshot restore` takes it back to what was saved, `local-cluster{flag} down` removes \
             it so that `up` makes it anew"
        ),
    )
}

/// Ends when it is known that the masters which are left are too few to decide: they would be waited for in vain.
async fn outvoted(engine: &Engine, identity: &Identity, spec: &ClusterSpec, master: &str) -> Error {
    if spec.load_balancer.is_some()
        && let Some(known) = members::known_to_etcd(engine, master).await
        && let Some((kept, all)) = plan::outvoted(spec, &known)
    {
        return lost(identity, kept, all);
    }
    std::future::pending().await
}

fn next_steps(session: &Session, identity: &Identity) -> Result<Vec<String>, Error> {
    let mut next = to_use(session, identity)?;
    next.push(format!(
        "local-cluster{} stop               # stop it, and keep all that is in it",
        identity.flag()
    ));
    Ok(next)
}

/// How a cluster that is up is used.
pub(super) fn to_use(session: &Session, identity: &Identity) -> Result<Vec<String>, Error> {
    let directory = session.directory(&identity.names)?;
    let flag = identity.flag();
    let mut next = Vec::new();
    if session.settings()?.kubeconfig.merge {
        next.push(format!(
            "kubectl get nodes                # the context `{}` is current",
            identity.names.context()
        ));
    } else {
        next.push(format!(
            "export KUBECONFIG={}",
            directory.join("admin.conf").display()
        ));
    }
    next.push(format!(
        "local-cluster{flag} kubectl get nodes  # with the matching kubectl"
    ));
    Ok(next)
}

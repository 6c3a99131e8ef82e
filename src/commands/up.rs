//! `up`: what is wanted, what is there, the difference, done; and the question whether it works.

use super::image;
use super::preflight;
use super::session::{self, Identity, Session};
use super::surroundings::Surroundings;
use crate::cluster::{ClusterSpec, KubernetesVersion, NodeSpec, Role, SpecInput};
use crate::engine::{Engine, Found, Network, Rights, State, label};
use crate::error::{Error, exit_code};
use crate::execute::{self, Making, Times, Work};
use crate::node::{files, phases, pod_ranges};
use crate::pki::{self, PkiRequest, Validity};
use crate::plan::{self, Observed, ObservedNode, Stage};
use crate::ready::{self, Patience};
use crate::report::{Event, print_data};
use crate::{kubeconfig, signal};
use futures_util::future;
use std::net::IpAddr;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long the certificates of a cluster hold, in years: kept clusters outlive kubeadm's one.
const CERTIFICATE_YEARS: u16 = 10;

pub(super) async fn run(session: &Session, dry_run: bool) -> Result<u8, Error> {
    let reporter = &session.reporter;
    let cancel = signal::watch(reporter.clone());
    let began = Instant::now();
    let engine = session.engine().await?;
    let mut networks = session::networks(&engine).await?;
    let mut identity = session.identity_among(&networks)?;
    // A dry run changes nothing, and is in nobody's way.
    let _lock = if dry_run {
        None
    } else {
        Some(session.lock(&identity)?)
    };
    if !dry_run {
        reporter.send(Event::RunStarted {
            command: "up".to_owned(),
            cluster: Some(identity.names.context()),
        });
    }
    loop {
        let up = Up {
            session,
            engine: &engine,
            identity: &identity,
            networks: &networks,
            cancel: &cancel,
            began,
        };
        let error = match bring_up(&up, dry_run).await {
            Err(error) if identity.chosen && range_is_taken(&error) => error,
            result => return result,
        };
        // Of two that choose at once, Docker gives the range to one; the other looks again, and sees it.
        networks = session::networks(&engine).await?;
        let next = session.identity_among(&networks)?;
        if next.id == identity.id {
            return Err(error);
        }
        reporter.note(format!(
            "another run has taken cluster id {}: this cluster gets {}",
            identity.id, next.id
        ));
        identity = next;
    }
}

/// Whether Docker has refused a network for its range.
fn range_is_taken(error: &Error) -> bool {
    error
        .of_engine()
        .is_some_and(|refusal| refusal.status().is_some() && refusal.message().contains("overlap"))
}

/// One try to bring a cluster up.
struct Up<'a> {
    session: &'a Session,
    engine: &'a Engine,
    identity: &'a Identity,
    /// All networks of the engine, as they were when the identity was chosen.
    networks: &'a [Network],
    cancel: &'a CancellationToken,
    began: Instant,
}

async fn bring_up(up: &Up<'_>, dry_run: bool) -> Result<u8, Error> {
    let Up {
        session,
        engine,
        identity,
        networks,
        cancel,
        began,
    } = *up;
    let reporter = &session.reporter;
    let facts = engine
        .facts()
        .await
        .map_err(|source| Error::other("use the Docker engine", source))?;
    let version = image::version(session).await?;
    let spec = spec(session, identity, version)?;
    let containers = identity.containers(engine).await?;
    preflight::check_settings(&spec, networks, &containers)?;
    let mut observed = observe(engine, identity, &spec, networks, containers).await?;
    let stages = plan::plan(&spec, &observed);
    let (wanted, images_lock) = if plan::creates(&stages, None) {
        // Held while others may make the same images; a dry run makes none.
        let lock = if dry_run {
            None
        } else {
            Some(session.lock_images(cancel).await?)
        };
        (
            image::wanted(session, engine, &facts, version, &mut observed).await?,
            lock,
        )
    } else {
        (image::unneeded(session, version)?, None)
    };
    if !stages.is_empty() || !wanted.stages.is_empty() {
        let load = preflight::load(&stages, &wanted.stages);
        preflight::check_host(&facts, load, reporter)?;
        preflight::check_ranges(&spec, networks, &stages)?;
    }

    if dry_run {
        let all: Vec<Stage> = wanted.stages.iter().chain(&stages).cloned().collect();
        print_data(&plan::render(&all)).map_err(|source| Error::other("print the plan", source))?;
        return Ok(exit_code::OK);
    }

    let surroundings = Surroundings::of(session);
    let work = surroundings.work(engine, &facts, &wanted, cancel, reporter);
    let mut times: Times = vec![("check".to_owned(), began.elapsed())];
    execute::run(&wanted.stages, &work, None, &mut times).await?;
    drop(images_lock);
    let kubectl = fetch_kubectl(session, identity, engine, version);
    if !stages.is_empty() {
        let making = making(engine, &work, &spec, &stages).await?;
        execute::run(&stages, &work, Some(&making), &mut times).await?;
    }
    let config = write_kubeconfig(session, engine, identity, &spec).await?;

    let patience = if stages.is_empty() {
        Patience::STANDING
    } else {
        Patience::NEW
    };
    let stage = "ready".to_owned();
    let asking = Instant::now();
    reporter.send(Event::StageStarted {
        stage: stage.clone(),
    });
    let client = ready::client(&config)?;
    let waiting = async {
        ready::wait(&client, engine, &spec, patience, reporter, cancel).await?;
        pod_ranges::assign(&client, &spec).await
    };
    let (result, fetched) = tokio::join!(waiting, kubectl);
    let took = asking.elapsed();
    reporter.send(Event::StageFinished {
        stage: stage.clone(),
        took,
        ok: result.is_ok(),
    });
    result.map_err(|source| match source {
        Error::Interrupted { .. } => execute::interrupted(&times),
        source => Error::Stage {
            stage: stage.clone(),
            source: Box::new(source),
            others: Vec::new(),
        },
    })?;
    times.push((stage, took));
    fetched?;

    reporter.send(Event::Summary {
        stages: times,
        total: began.elapsed(),
    });
    reporter.send(Event::RunFinished {
        ok: true,
        next: next_steps(session, identity)?,
        log: None,
    });
    Ok(exit_code::OK)
}

fn next_steps(session: &Session, identity: &Identity) -> Result<Vec<String>, Error> {
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
    next.push(format!(
        "local-cluster{flag} down               # remove the cluster's nodes"
    ));
    Ok(next)
}

/// The cluster as it is wanted; all that is wrong with it is told at once.
fn spec(
    session: &Session,
    identity: &Identity,
    version: KubernetesVersion,
) -> Result<ClusterSpec, Error> {
    let settings = session.settings()?;
    let cluster = &settings.cluster;
    let input = SpecInput {
        id: identity.id,
        label: identity.label.clone(),
        num_nodes: cluster.num_nodes,
        no_dedicated: cluster.no_dedicated,
        version,
        cni: cluster.cni_plugin,
        pool: settings.dind.subnet,
        pod_subnet: cluster.pod_subnet,
        service_subnet: cluster.service_subnet,
        api_server_port: cluster.api_server_port,
        api_server_address: cluster.api_server_address,
    };
    ClusterSpec::new(&input).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Error::Settings(lines.join("\n").into())
    })
}

/// What the engine has of this cluster.
async fn observe(
    engine: &Engine,
    identity: &Identity,
    spec: &ClusterSpec,
    networks: &[Network],
    containers: Vec<Found>,
) -> Result<Observed, Error> {
    let refused = |source| {
        Error::other(
            format!("look for cluster {}", identity.names.context()),
            source,
        )
    };
    let volumes = engine
        .volumes(&identity.selector())
        .await
        .map_err(refused)?;
    let nodes = containers.into_iter().map(|container| async move {
        let role = match container.labels.get(label::ROLE).map(String::as_str) {
            Some("master") => Role::Master,
            _ => Role::Worker,
        };
        let phases = match container.state {
            State::Running => Some(phases::observe(engine, &container.name, role).await?),
            _ => None,
        };
        Ok((
            container.name,
            ObservedNode {
                state: container.state,
                phases,
            },
        ))
    });
    Ok(Observed {
        network: networks
            .iter()
            .any(|network| network.name == spec.network.name),
        nodes: future::try_join_all(nodes)
            .await
            .map_err(refused)?
            .into_iter()
            .collect(),
        volumes: volumes.into_iter().map(|volume| volume.name).collect(),
        ..Observed::default()
    })
}

/// The certificates of what is made: all new with a new master, else of the authority that the master keeps.
async fn making<'a>(
    engine: &Engine,
    work: &Work<'_>,
    spec: &'a ClusterSpec,
    stages: &[Stage],
) -> Result<Making<'a>, Error> {
    // Only a node that is made needs to know.
    let rights = if plan::creates(stages, None) {
        execute::rights(work).await?
    } else {
        Rights::Privileged
    };
    let not_before = time::OffsetDateTime::now_utc() - time::Duration::DAY;
    let validity = Validity::years(not_before, CERTIFICATE_YEARS);
    let (master, authority) = if plan::creates(stages, Some(Role::Master)) {
        let request = pki_request(spec, spec.master(), validity);
        let pki = pki::issue(&request)
            .map_err(|source| Error::other("issue the cluster's certificates", source))?;
        (pki.files, Some(pki.authorities.ca))
    } else if plan::creates(stages, Some(Role::Worker)) {
        (
            Vec::new(),
            Some(authority_of(engine, spec.master(), validity).await?),
        )
    } else {
        (Vec::new(), None)
    };
    Ok(Making {
        spec,
        master,
        authority,
        rights,
    })
}

fn pki_request(spec: &ClusterSpec, master: &NodeSpec, validity: Validity) -> PkiRequest {
    PkiRequest {
        validity,
        minor: u64::from(spec.version.minor),
        master_name: master.name.clone(),
        master_address: IpAddr::V4(master.address),
        service_address: IpAddr::V4(spec.network.api_service),
        dns_domain: "cluster.local".to_owned(),
        api_sans: crate::kubernetes::cert_sans(spec),
        server: files::server(spec),
        cluster_name: spec.names.context(),
    }
}

async fn authority_of(
    engine: &Engine,
    master: &NodeSpec,
    validity: Validity,
) -> Result<pki::Authority, Error> {
    let doing = || format!("read the authority of {}", master.container);
    let read = |path: &'static str| async move {
        let content = engine
            .read_file(&master.container, path)
            .await
            .map_err(|source| Error::other(doing(), source))?;
        let content =
            content.ok_or_else(|| Error::message(format!("{} has no {path}", master.container)))?;
        String::from_utf8(content).map_err(|source| Error::other(doing(), source))
    };
    let (certificate, key) = future::try_join(
        read("/data/etc/kubernetes/pki/ca.crt"),
        read("/data/etc/kubernetes/pki/ca.key"),
    )
    .await?;
    pki::load_authority(&certificate, &key, validity)
        .map_err(|source| Error::other(doing(), source))
}

/// Writes the cluster's kubeconfig, and puts it into the user's own where that is wanted; gives it.
async fn write_kubeconfig(
    session: &Session,
    engine: &Engine,
    identity: &Identity,
    spec: &ClusterSpec,
) -> Result<String, Error> {
    let config = super::inspect::kubeconfig_of(engine, &spec.master().container).await?;
    let path = session.directory(&identity.names)?.join("admin.conf");
    let user = session
        .settings()?
        .kubeconfig
        .merge
        .then(|| kubeconfig::user_path(&session.environment))
        .flatten();
    let (text, name) = (config.clone(), identity.names.context());
    // kubectl's lock may have to be waited for.
    tokio::task::spawn_blocking(move || {
        kubeconfig::write_private(&path, &text)?;
        user.map_or(Ok(()), |user| kubeconfig::merge_into(&user, &text, &name))
    })
    .await
    .map_err(|source| Error::other("write the kubeconfig", source))??;
    Ok(config)
}

/// Gets the kubectl of the cluster's version out of the node image, beside the making of the cluster.
fn fetch_kubectl(
    session: &Session,
    identity: &Identity,
    engine: &Engine,
    version: KubernetesVersion,
) -> impl Future<Output = Result<(), Error>> + use<> {
    let directory = session.directory(&identity.names);
    let (engine, container) = (engine.clone(), identity.names.container("kube-master"));
    let version = format!("{version}\n");
    async move {
        let directory = directory?;
        let doing = || format!("write kubectl into {}", directory.display());
        let marker = directory.join(".kubectl-of");
        let kubectl = directory.join("kubectl");
        if kubectl.exists() && std::fs::read_to_string(&marker).is_ok_and(|found| found == version)
        {
            return Ok(());
        }
        let content = engine
            .read_file(&container, "/usr/local/bin/kubectl")
            .await
            .map_err(|source| Error::other(doing(), source))?
            .ok_or_else(|| Error::message("the node image has no kubectl"))?;
        tokio::task::spawn_blocking(move || {
            use std::os::unix::fs::PermissionsExt;
            let mut file = tempfile::NamedTempFile::new_in(&directory)?;
            std::io::Write::write_all(&mut file, &content)?;
            file.as_file()
                .set_permissions(std::fs::Permissions::from_mode(0o755))?;
            file.persist(&kubectl).map_err(|error| error.error)?;
            std::fs::write(&marker, version)
        })
        .await
        .map_err(|source| Error::other("write kubectl", source))?
        .map_err(|source: std::io::Error| Error::other("write kubectl", source))
    }
}

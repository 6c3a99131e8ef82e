//! `up`: what is wanted, what is there, the difference, done; and the question whether it works.

use super::client;
use super::image::{self, Wanted};
use super::preflight;
use super::session::{Identity, Session};
use crate::cluster::{ClusterSpec, KubernetesVersion, NodeSpec, Role, SpecInput};
use crate::engine::{Engine, Facts, Found, Network, Rights, State, label};
use crate::error::{Error, exit_code};
use crate::execute::{self, Making, Times, Work};
use crate::node::{files, phases, pod_ranges};
use crate::pki::{self, PkiRequest, Validity};
use crate::plan::{self, Observed, ObservedNode, Stage};
use crate::ready::{self, Patience};
use crate::report::{Event, Reporter, print_data};
use crate::signal;
use futures_util::future;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long the certificates of a cluster hold, in years: kept clusters outlive kubeadm's one.
const CERTIFICATE_YEARS: u16 = 10;

/// What the client's environment gives to builds and nodes.
pub(super) struct Surroundings {
    proxies: Vec<(String, String)>,
    go: Vec<(String, String)>,
    downloads: PathBuf,
    show_output: bool,
}

impl Surroundings {
    pub(super) fn of(session: &Session) -> Self {
        let given = |names: &[&str]| -> Vec<(String, String)> {
            let set = |name: &&str| {
                session
                    .environment
                    .get(*name)
                    .map(|value| ((*name).to_owned(), value.clone()))
            };
            names.iter().filter_map(set).collect()
        };
        let mut go = given(&[
            "GOPROXY",
            "GOSUMDB",
            "GONOSUMDB",
            "GONOSUMCHECK",
            "GOPRIVATE",
            "GONOPROXY",
        ]);
        if let Some(proxy) = session
            .settings()
            .ok()
            .and_then(|settings| settings.source.go_proxy.clone())
        {
            go.retain(|(name, _)| name != "GOPROXY");
            go.push(("GOPROXY".to_owned(), proxy));
        }
        let names = [
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "NO_PROXY",
            "http_proxy",
            "https_proxy",
            "no_proxy",
        ];
        // kubeadm's output, as the proposal has it.
        let show_output = session
            .settings()
            .is_ok_and(|settings| settings.verbose >= 2);
        Self {
            proxies: given(&names),
            go,
            downloads: session.downloads(),
            show_output,
        }
    }

    pub(super) fn work<'a>(
        &'a self,
        engine: &'a Engine,
        facts: &'a Facts,
        wanted: &'a Wanted,
        cancel: &'a CancellationToken,
        reporter: &'a Reporter,
    ) -> Work<'a> {
        Work {
            engine,
            facts,
            inputs: &wanted.inputs,
            images: &wanted.images,
            proxies: &self.proxies,
            go_environment: &self.go,
            downloads: self.downloads.clone(),
            cancel,
            reporter,
            show_output: self.show_output,
        }
    }
}

pub(super) async fn run(session: &Session, dry_run: bool) -> Result<u8, Error> {
    let reporter = &session.reporter;
    let cancel = signal::watch(reporter.clone());
    let began = Instant::now();
    let engine = session.engine().await?;
    let facts = engine
        .facts()
        .await
        .map_err(|source| Error::other("use the Docker engine", source))?;
    let identity = session.identity(&engine).await?;
    // A dry run changes nothing, and is in nobody's way.
    let _lock = if dry_run {
        None
    } else {
        Some(session.lock(&identity)?)
    };
    if !dry_run {
        reporter.send(Event::RunStarted {
            command: "up".to_owned(),
            cluster: identity.names.context(),
        });
    }

    let version = image::version(session).await?;
    let spec = spec(session, &identity, version)?;
    let networks = engine
        .networks()
        .await
        .map_err(|source| Error::other("look at the networks", source))?;
    let containers = identity.containers(&engine).await?;
    preflight::check_settings(&spec, &networks, &containers)?;
    let mut observed = observe(&engine, &identity, &spec, &networks, containers).await?;
    let stages = plan::plan(&spec, &observed);
    let (wanted, images_lock) = if plan::creates(&stages, None) {
        // Held while others may make the same images; a dry run makes none.
        let lock = if dry_run {
            None
        } else {
            Some(session.lock_images(&cancel).await?)
        };
        (
            image::wanted(session, &engine, &facts, version, &mut observed).await?,
            lock,
        )
    } else {
        (image::unneeded(session, version)?, None)
    };
    preflight::check_host(&facts, &spec, &networks, &stages, &wanted.stages, reporter)?;

    if dry_run {
        let all: Vec<Stage> = wanted.stages.iter().chain(&stages).cloned().collect();
        print_data(&plan::render(&all)).map_err(|source| Error::other("print the plan", source))?;
        return Ok(exit_code::OK);
    }

    let surroundings = Surroundings::of(session);
    let work = surroundings.work(&engine, &facts, &wanted, &cancel, reporter);
    let mut times: Times = vec![("check".to_owned(), began.elapsed())];
    execute::run(&wanted.stages, &work, None, &mut times).await?;
    drop(images_lock);
    complete(session, &identity, &spec, &work, &stages, times, began).await
}

/// Carries the cluster's stages out, writes the kubeconfig, waits until the cluster is ready, and tells what it took.
pub(super) async fn complete(
    session: &Session,
    identity: &Identity,
    spec: &ClusterSpec,
    work: &Work<'_>,
    stages: &[Stage],
    mut times: Times,
    began: Instant,
) -> Result<u8, Error> {
    let (engine, reporter, cancel) = (work.engine, work.reporter, work.cancel);
    let kubectl = client::fetch_kubectl(session, identity, engine, spec.version);
    if !stages.is_empty() {
        let making = making(engine, work, spec, stages).await?;
        execute::run(stages, work, Some(&making), &mut times).await?;
    }
    let config = client::write_kubeconfig(session, engine, identity, spec).await?;

    let patience = if stages.is_empty() {
        Patience::STANDING
    } else {
        Patience::NEW
    };
    let client = ready::client(&config)?;
    let waiting = Box::pin(async {
        ready::wait(&client, engine, spec, patience, reporter, cancel).await?;
        pod_ranges::assign(&client, spec).await
    });
    let (result, fetched) = tokio::join!(await_ready(work, &mut times, waiting), kubectl);
    result?;
    fetched?;

    reporter.send(Event::Summary {
        stages: times,
        total: began.elapsed(),
    });
    reporter.send(Event::RunFinished {
        ok: true,
        next: next_steps(session, identity)?,
    });
    Ok(exit_code::OK)
}

/// The last stage: what is waited for here is the cluster's own doing.
pub(super) async fn await_ready(
    work: &Work<'_>,
    times: &mut Times,
    waiting: impl Future<Output = Result<(), Error>>,
) -> Result<(), Error> {
    let (stage, asking) = ("ready".to_owned(), Instant::now());
    work.reporter.send(Event::StageStarted {
        stage: stage.clone(),
    });
    let result = waiting.await;
    let took = asking.elapsed();
    work.reporter.send(Event::StageFinished {
        stage: stage.clone(),
        took,
        ok: result.is_ok(),
    });
    match result {
        Ok(()) => {
            times.push((stage, took));
            Ok(())
        }
        Err(Error::Interrupted { .. }) => Err(execute::interrupted(times)),
        Err(source) => Err(Error::Stage {
            stage,
            source: Box::new(source),
            others: Vec::new(),
        }),
    }
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
pub(super) async fn observe(
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

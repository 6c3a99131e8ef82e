//! What every command begins with: settings, the reporter, and the cluster that is meant.

use crate::cli::{Cli, Command, ImageCommand, NodeCommand, Output, SnapshotCommand};
use crate::cluster::{ClusterId, Names, label_fault};
use crate::engine::{Engine, EngineError, Facts, Found, Network, label};
use crate::error::Error;
use crate::inventory::is_load_balancer;
use crate::lock::{self, Lock};
use crate::plan;
use crate::report::{self, Reporter};
use crate::settings::{self, Loaded, Settings};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// Whether a command is the one that is meant.
type IsMeant = fn(&Command) -> bool;

/// Commands that change something keep a log, which has this word in its name.
pub(super) const LOGGED: [(&str, IsMeant); 21] = [
    ("up", |command| matches!(command, Command::Up(_))),
    ("reup", |command| matches!(command, Command::Reup(_))),
    ("run", |command| matches!(command, Command::Run(_))),
    ("down", |command| matches!(command, Command::Down)),
    ("clean", |command| matches!(command, Command::Clean(_))),
    ("stop", |command| matches!(command, Command::Stop(_))),
    ("start", |command| matches!(command, Command::Start(_))),
    ("pause", |command| matches!(command, Command::Pause(_))),
    ("unpause", |command| matches!(command, Command::Unpause(_))),
    ("clone", |command| matches!(command, Command::Clone(_))),
    ("image", |command| {
        matches!(command, Command::Image(ImageCommand::Build { .. }))
    }),
    ("load", |command| matches!(command, Command::Load(_))),
    ("e2e", |command| matches!(command, Command::E2e(_))),
    ("e2e-serial", |command| {
        matches!(command, Command::E2eSerial(_))
    }),
    ("snapshot-save", |command| {
        matches!(command, Command::Snapshot(SnapshotCommand::Save { .. }))
    }),
    ("snapshot-restore", |command| {
        matches!(command, Command::Snapshot(SnapshotCommand::Restore { .. }))
    }),
    ("snapshot-export", |command| {
        matches!(command, Command::Snapshot(SnapshotCommand::Export { .. }))
    }),
    ("snapshot-import", |command| {
        matches!(command, Command::Snapshot(SnapshotCommand::Import { .. }))
    }),
    ("snapshot-rm", |command| {
        matches!(command, Command::Snapshot(SnapshotCommand::Rm { .. }))
    }),
    ("node-add", |command| {
        matches!(command, Command::Node(NodeCommand::Add(_)))
    }),
    ("node-remove", |command| {
        matches!(command, Command::Node(NodeCommand::Remove(_)))
    }),
];

/// One run of the program.
pub(super) struct Session {
    pub(super) environment: BTreeMap<String, String>,
    /// `~/.kubeadm-local-cluster`.
    pub(super) home: Option<PathBuf>,
    /// None where the command does without: `config path` works with a broken file.
    settings: Option<Settings>,
    pub(super) output: Output,
    pub(super) reporter: Reporter,
    /// The log of this run; none where nothing is changed, or where it could not be made.
    pub(super) log: Option<PathBuf>,
    /// Where logs and locks are.
    pub(super) state: PathBuf,
    /// What is wrong with the settings, where the command does without.
    pub(super) problems: Option<String>,
}

/// The cluster that a command is about.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) id: u8,
    /// The id was chosen just now, for a label that has none: until there is a network, others may choose the same.
    pub(super) chosen: bool,
    pub(super) label: Option<String>,
    pub(super) names: Names,
}

impl Session {
    pub(super) fn begin(cli: &Cli, environment: BTreeMap<String, String>) -> Result<Self, Error> {
        let home = settings::home_directory(&environment);
        let plain = matches!(
            cli.command,
            Some(
                Command::Config(_)
                    | Command::Completion { .. }
                    | Command::Version
                    | Command::SplitDump(_)
                    | Command::SplitDump64(_)
            )
        );
        let is_dump = matches!(cli.command, Some(Command::Dump(_) | Command::Dump64(_)));
        // Those that are plain keep neither logs nor locks.
        let state = report::state_directory(&environment)
            .or_else(|| (plain || is_dump).then(PathBuf::new))
            .ok_or_else(|| Error::with_hint("cannot tell where logs belong", "set HOME"))?;
        let mut problems = None;
        let settings = if plain {
            None
        } else {
            let loaded = match settings::load(&cli.settings(), &environment, home.as_deref()) {
                // Whatever is wrong today: what is to be dumped was made before.
                Err(found) if is_dump => {
                    let loaded = settings::load(&cli.settings(), &which(&environment), None);
                    problems = Some(found.to_string());
                    loaded
                }
                loaded => loaded,
            };
            let Loaded { settings, .. } =
                loaded.map_err(|problems| Error::Settings(problems.into()))?;
            Some(settings)
        };
        let verbosity = settings.as_ref().map_or(1, |settings| settings.verbose);
        let changes = cli.command.as_ref().and_then(|command| {
            let row = LOGGED.iter().find(|(_, is_meant)| is_meant(command));
            row.map(|(word, _)| *word)
        });
        // A log is a help, and its lack no reason to fail.
        let log = changes
            .zip(settings.as_ref())
            .and_then(|(command, settings)| {
                let id = ClusterId::new(settings.cluster.id.unwrap_or(0));
                let name = Names::new(id, settings.cluster.label.as_deref()).context();
                report::open_log(&state, &name, command).ok()
            });
        let (log, path) = log.unzip();
        report::init_tracing(log.as_ref().and_then(|log| log.try_clone().ok()), verbosity);
        let terminal = report::interactive(std::io::stderr().is_terminal(), &environment);
        let reporter = Reporter::new(cli.global.output.into(), verbosity, terminal, log);
        Ok(Self {
            environment,
            home,
            settings,
            output: cli.global.output,
            reporter,
            log: path,
            state,
            problems,
        })
    }

    pub(super) fn settings(&self) -> Result<&Settings, Error> {
        self.settings
            .as_ref()
            .ok_or_else(|| Error::message("this command has no settings"))
    }

    pub(super) async fn engine(&self) -> Result<Engine, Error> {
        if let Some(host) = self
            .environment
            .get("DOCKER_HOST")
            .filter(|host| is_remote(host))
        {
            return Err(Error::with_hint(
                format!(
                    "the engine at `{host}` is on another host, where the API server would not be reached: remote engines come later"
                ),
                "run `local-cluster` on that host, or unset DOCKER_HOST to use the engine of this one",
            ));
        }
        Engine::connect()
            .await
            .map_err(|source| Error::other("use the Docker engine", source))
    }

    /// Keeps other runs away from this cluster until it is dropped.
    pub(super) fn lock(&self, identity: &Identity) -> Result<Lock, Error> {
        Ok(lock::acquire(&self.state, &identity.names.context())?)
    }

    /// Keeps other runs from testing this cluster. Its own lock stays free: what changes a cluster may be what is tested.
    pub(super) fn lock_tests(&self, identity: &Identity) -> Result<Lock, Error> {
        let name = format!("{}-e2e", identity.names.context());
        Ok(lock::acquire(&self.state, &name)?)
    }

    /// Keeps other runs from building images at the same time; waits for them.
    pub(super) async fn lock_images(&self, cancel: &CancellationToken) -> Result<Lock, Error> {
        let words = "waiting for another run that makes images";
        self.wait_for_lock("images", words, cancel).await
    }

    /// Keeps other runs away from this cluster; waits for the one that works on it.
    pub(super) async fn lock_waiting(
        &self,
        identity: &Identity,
        cancel: &CancellationToken,
    ) -> Result<Lock, Error> {
        let name = identity.names.context();
        let words = format!("waiting for another run that works on cluster `{name}`");
        self.wait_for_lock(&name, &words, cancel).await
    }

    async fn wait_for_lock(
        &self,
        name: &str,
        words: &str,
        cancel: &CancellationToken,
    ) -> Result<Lock, Error> {
        let mut told = false;
        loop {
            match lock::acquire(&self.state, name) {
                Ok(lock) => return Ok(lock),
                Err(lock::LockError::Held { .. }) => {
                    if !told {
                        self.reporter.note(words);
                        told = true;
                    }
                }
                Err(error) => return Err(error.into()),
            }
            tokio::select! {
                () = tokio::time::sleep(std::time::Duration::from_millis(100)) => {}
                () = cancel.cancelled() => return Err(Error::Interrupted { after: String::new() }),
            }
        }
    }

    /// Which cluster is meant, by the settings and by what the engine has.
    pub(super) async fn identity(&self, engine: &Engine) -> Result<Identity, Error> {
        let networks = if self.is_meant_in_part()? {
            networks(engine).await?
        } else {
            Vec::new()
        };
        self.identity_among(engine, &networks).await
    }

    /// Whether there is an id or a label, and what there is on the engine says the other.
    fn is_meant_in_part(&self) -> Result<bool, Error> {
        let cluster = &self.settings()?.cluster;
        Ok(cluster.id.is_some() != cluster.label.is_some())
    }

    /// Which cluster is meant, where the engine has these networks: a label alone keeps the id that it has, or takes the
    /// lowest that is free; an id alone is that of the cluster that has it, whatever its label.
    pub(super) async fn identity_among(
        &self,
        engine: &Engine,
        networks: &[Network],
    ) -> Result<Identity, Error> {
        let ids = if self.is_meant_in_part()? {
            ids(engine, networks).await?
        } else {
            BTreeMap::new()
        };
        let cluster = &self.settings()?.cluster;
        Identity::among(&ids, cluster.id, cluster.label.clone())
    }

    /// The cluster that an argument names: by its id, or by its label, which takes the lowest free id if it has none.
    pub(super) async fn identity_named(
        &self,
        engine: &Engine,
        name: &str,
    ) -> Result<Identity, Error> {
        let ids = ids(engine, &networks(engine).await?).await?;
        if let Ok(id) = name.parse() {
            return Identity::among(&ids, Some(id), None);
        }
        if let Some(fault) = label_fault(name) {
            return Err(Error::with_hint(
                format!("`{name}` is neither the id of a cluster, from 0 to 255, nor a label"),
                format!("for a label, {fault}"),
            ));
        }
        Identity::among(&ids, None, Some(name.to_owned()))
    }

    /// The directory of a cluster's kubeconfig and kubectl.
    pub(super) fn directory(&self, names: &Names) -> Result<PathBuf, Error> {
        let home = self
            .home
            .as_deref()
            .ok_or_else(|| Error::with_hint("there is no home directory", "set HOME"))?;
        let below = names.directory();
        Ok(if below.is_empty() {
            home.to_owned()
        } else {
            home.join(below)
        })
    }

    /// Where downloads are kept between runs.
    pub(super) fn downloads(&self) -> PathBuf {
        let set = |name: &str| self.environment.get(name).filter(|value| !value.is_empty());
        // By its rule a relative path is none.
        let cache = set("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute());
        let home =
            set("HOME").map_or_else(std::env::temp_dir, |home| Path::new(home).join(".cache"));
        cache.unwrap_or(home).join("local-cluster")
    }
}

impl Identity {
    /// The cluster with this id or label, where these have ids already.
    fn among(
        ids: &BTreeMap<String, u8>,
        id: Option<u8>,
        label: Option<String>,
    ) -> Result<Self, Error> {
        let label = label.or_else(|| label_of(ids, id?));
        let (id, chosen) = match (id, &label) {
            (Some(id), _) => (id, false),
            (None, None) => (0, false),
            (None, Some(label)) => {
                let name = Names::new(ClusterId::new(0), Some(label)).context();
                match ids.get(&name) {
                    Some(id) => (*id, false),
                    None => lowest_free(ids)
                        .map(|id| (id, true))
                        .ok_or_else(|| Error::message("all 256 cluster ids are taken"))?,
                }
            }
        };
        let names = Names::new(ClusterId::new(id), label.as_deref());
        Ok(Self {
            id,
            chosen,
            label,
            names,
        })
    }

    /// The flag that names this cluster, with a blank before it; nothing for the default one.
    pub(super) fn flag(&self) -> String {
        match (&self.label, self.id) {
            (Some(label), _) => format!(" --label {label}"),
            (None, 0) => String::new(),
            (None, id) => format!(" --cluster-id {id}"),
        }
    }

    /// What is told where there is nothing of this cluster.
    pub(super) fn absent(&self) -> Error {
        Error::with_hint(
            format!("there is no cluster `{}`", self.names.context()),
            format!("make it with `local-cluster{} up`", self.flag()),
        )
    }

    /// The container of the node with this name in Kubernetes, or with this name itself.
    pub(super) fn node<'a>(&self, containers: &'a [Found], node: &str) -> Result<&'a Found, Error> {
        if containers.is_empty() {
            return Err(self.absent());
        }
        let name = |container: &'a Found| container.labels.get(label::NODE).map(String::as_str);
        let found = containers
            .iter()
            .find(|container| container.name == node || name(container) == Some(node));
        found.ok_or_else(|| {
            let names: Vec<&str> = containers.iter().filter_map(name).collect();
            Error::with_hint(
                format!("there is no node `{node}`"),
                format!("its nodes are {}", names.join(", ")),
            )
        })
    }

    /// The label by which everything of this cluster is found.
    pub(super) fn selector(&self) -> String {
        format!("{}={}", label::CLUSTER, self.names.context())
    }

    /// This cluster's containers.
    pub(super) async fn containers(&self, engine: &Engine) -> Result<Vec<Found>, Error> {
        let found = engine.containers(&self.selector()).await;
        let mut found = found.map_err(|source| self.not_found(source))?;
        // They stand in for those that have their names now.
        found.retain(|container| !plan::snapshot::is_aside(&container.name));
        Ok(found)
    }

    /// Those of them that are nodes: the load balancer before several masters is none.
    pub(super) async fn nodes(&self, engine: &Engine) -> Result<Vec<Found>, Error> {
        let mut found = self.containers(engine).await?;
        found.retain(|container| !is_load_balancer(container));
        Ok(found)
    }

    /// The engine could not be asked about this cluster.
    pub(super) fn not_found(&self, source: EngineError) -> Error {
        Error::other(format!("look for cluster {}", self.names.context()), source)
    }
}

/// The variables that say which cluster is meant.
fn which(environment: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let names = [
        "K8S_DIND_CLUSTER_ID",
        "K8S_DIND_LABEL",
        "CLUSTER_ID",
        "DIND_LABEL",
    ];
    let mut variables = environment.clone();
    variables.retain(|name, _| names.contains(&name.as_str()));
    variables
}

/// Whether an address as `DOCKER_HOST` has it leads to another host.
fn is_remote(host: &str) -> bool {
    let (scheme, rest) = host.split_once("://").unwrap_or(("tcp", host));
    // What is not known is for the client to refuse.
    if !matches!(scheme, "tcp" | "http" | "https" | "ssh") {
        return false;
    }
    let authority = rest.split('/').next().unwrap_or(rest);
    let name = match authority
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((address, _)) => address,
        None => authority.split(':').next().unwrap_or(authority),
    };
    let is_this = name == "localhost"
        || name
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback());
    scheme == "ssh" || !is_this
}

/// What the engine says of itself.
pub(super) async fn facts(engine: &Engine) -> Result<Facts, Error> {
    let facts = engine.facts().await;
    facts.map_err(|source| Error::other("use the Docker engine", source))
}

/// All networks of the engine.
pub(super) async fn networks(engine: &Engine) -> Result<Vec<Network>, Error> {
    engine
        .networks()
        .await
        .map_err(|source| Error::other("look at the networks", source))
}

/// The ids of all clusters of which a network or a volume is there: one that is down may have snapshots, whose addresses
/// follow from its id.
async fn ids(engine: &Engine, networks: &[Network]) -> Result<BTreeMap<String, u8>, Error> {
    let volumes = engine.volumes(label::CLUSTER).await;
    let volumes = volumes.map_err(|source| Error::other("look for clusters", source))?;
    let of_networks = networks.iter().map(|network| &network.labels);
    let labels = of_networks.chain(volumes.iter().map(|volume| &volume.labels));
    Ok(labels.filter_map(id).collect())
}

/// A cluster and its id, by the labels of something of it.
fn id(labels: &BTreeMap<String, String>) -> Option<(String, u8)> {
    let id = labels.get(label::ID)?.parse().ok()?;
    Some((labels.get(label::CLUSTER)?.clone(), id))
}

/// The label of the cluster that has this id; none where it has none, or nothing has the id.
fn label_of(ids: &BTreeMap<String, u8>, id: u8) -> Option<String> {
    let unlabelled = Names::new(ClusterId::new(id), None).context();
    if ids.contains_key(&unlabelled) {
        return None;
    }
    let (context, _) = ids.iter().find(|(_, other)| **other == id)?;
    let default = Names::new(ClusterId::new(0), None).context();
    let label = context.strip_prefix(&format!("{default}-"))?;
    label_fault(label).is_none().then(|| label.to_owned())
}

/// Cluster 0 is the default one's, whether it is there or not.
fn lowest_free(ids: &BTreeMap<String, u8>) -> Option<u8> {
    (1..=u8::MAX).find(|candidate| !ids.values().any(|id| id == candidate))
}

impl From<Output> for report::Output {
    fn from(output: Output) -> Self {
        match output {
            Output::Text => Self::Text,
            Output::Json => Self::Json,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_of_other_hosts_are_remote() {
        for host in [
            "unix:///run/docker.sock",
            "tcp://127.0.0.1:2375",
            "http://localhost:1",
            "tcp://[::1]:2375",
            "127.0.0.1:1",
        ] {
            assert!(!is_remote(host), "{host}");
        }
        for host in [
            "tcp://10.0.0.1:2375",
            "https://docker",
            "ssh://me@host",
            "ssh://localhost",
            "tcp://[fd00::1]:1",
        ] {
            assert!(is_remote(host), "{host}");
        }
    }

    #[test]
    fn an_id_means_the_cluster_that_has_it() {
        let ids = |all: &[(&str, u8)]| -> BTreeMap<String, u8> {
            let all = all.iter().map(|(name, id)| ((*name).to_owned(), *id));
            all.collect()
        };
        let meant = |all: &[(&str, u8)], id| {
            let identity = Identity::among(&ids(all), Some(id), None).unwrap();
            identity.names.context()
        };
        assert_eq!(meant(&[], 7), "local-cluster-7");
        assert_eq!(meant(&[("local-cluster-dev", 7)], 7), "local-cluster-dev");
        assert_eq!(meant(&[("local-cluster-dev", 7)], 8), "local-cluster-8");
        let both = [("local-cluster-dev", 7), ("local-cluster-7", 7)];
        assert_eq!(meant(&both, 7), "local-cluster-7");
        // No name of ours: somebody has set labels by hand.
        assert_eq!(
            meant(&[("other", 7), ("local-cluster-A", 7)], 7),
            "local-cluster-7"
        );
    }

    #[test]
    fn a_label_takes_the_lowest_id_that_is_free() {
        let labels = |cluster: &str, id: &str| {
            [(label::CLUSTER, cluster), (label::ID, id)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into()
        };
        let found = [
            labels("local-cluster-dev", "2"),
            labels("local-cluster", "0"),
            labels("local-cluster-1", "1"),
            labels("local-cluster-odd", "many"),
        ];
        let ids: BTreeMap<String, u8> = found.iter().filter_map(id).collect();
        assert_eq!(ids.len(), 3);
        assert_eq!(lowest_free(&ids), Some(3));
        assert_eq!(lowest_free(&BTreeMap::new()), Some(1));
    }
}

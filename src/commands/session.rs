//! What every command begins with: settings, the reporter, and the cluster that is meant.

use super::identity::{Identity, ids};
use crate::cli::{Cli, Command, ImageCommand, NodeCommand, Output, SnapshotCommand};
use crate::cluster::{ClusterId, Names, label_fault};
use crate::engine::{Engine, Facts, Network};
use crate::error::Error;
use crate::lock::{self, Lock};
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
    /// The settings that somebody has given, wherever.
    given: Vec<&'static str>,
    pub(super) output: Output,
    pub(super) reporter: Reporter,
    /// The log of this run; none where nothing is changed, or where it could not be made.
    pub(super) log: Option<PathBuf>,
    /// Where logs and locks are.
    pub(super) state: PathBuf,
    /// What is wrong with the settings, where the command does without.
    pub(super) problems: Option<String>,
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
        let (settings, given) = if plain {
            (None, Vec::new())
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
            let Loaded {
                settings, origins, ..
            } = loaded.map_err(|problems| Error::Settings(problems.into()))?;
            let default = settings::Origin::Default.to_string();
            let given = origins.iter().filter(|setting| setting.origin != default);
            let given = given.map(|setting| setting.name).collect();
            (Some(settings), given)
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
            given,
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

    /// Whether somebody has given this setting, be it the default.
    pub(super) fn is_given(&self, setting: &str) -> bool {
        self.given.contains(&setting)
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
        // With a dot, which is in no cluster's name.
        let context = identity.names.context();
        lock::acquire(&self.state, &format!("e2e.{context}")).map_err(|error| {
            let Some(holder) = error.held_by() else {
                return error.into();
            };
            let text = format!("another run tests cluster `{context}`: {holder}");
            Error::with_hint(text, error.hint().unwrap_or_default())
        })
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
            let error = match lock::acquire(&self.state, name) {
                Ok(lock) => return Ok(lock),
                Err(error) => error,
            };
            let Some(holder) = error.held_by() else {
                return Err(error.into());
            };
            if !told {
                self.reporter.note(format!("{words}: {holder}"));
                told = true;
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
}

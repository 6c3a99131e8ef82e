//! The command line: what was typed, and nothing of what it means.
//!
//! The flags of settings come from the table of settings and are plain text here; they are looked
//! into together with the file and the environment, so that all problems are told at once.

mod dump;
mod duration;
mod e2e;
mod flags;
mod node;
mod run;
mod snapshot;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

pub use dump::{DumpArgs, DumpTime, SplitArgs};
pub use e2e::{E2eArgs, E2eCommand, Tests};
pub use flags::{BareUp, GlobalFlags, SettingFlags};
pub use node::{NodeAddArgs, NodeCommand, NodeRemoveArgs};
pub use run::RunArgs;
pub use snapshot::{CloneArgs, SnapshotCommand};

const EXAMPLES: &str = "\
Without a command, `up` is meant, and its flags can be given.

Examples:
  local-cluster                          a master and two workers
  local-cluster up --num-nodes 5         five workers
  local-cluster up --kubernetes-version 1.35
                                         the newest release of 1.35
  local-cluster up --label dev           another cluster beside the first
  local-cluster --label dev kubectl get nodes
                                         the nodes of that other cluster
  local-cluster up --dry-run             what would be done
  local-cluster node add -n 2            two workers more
  local-cluster load my/app:1            an image of the engine into all nodes
  local-cluster e2e 'serve a basic endpoint from pods'
                                         one of Kubernetes' own tests
  local-cluster stop                     stop the nodes, and lose nothing
  local-cluster start                    start them again
  local-cluster dump --to cluster-dump   all that can be known, for a report
  local-cluster down                     remove the nodes and all in them
  local-cluster clean                    remove network and kubeconfig, too
  local-cluster config show --origin     all settings, and where each comes from

Exit codes:
  0    ok
  1    the operation failed
  2    wrong usage or configuration
  130  interrupted";

/// Real multi-node Kubernetes clusters on one Docker engine, made with kubeadm
#[derive(Debug, Clone, Parser)]
#[command(
    name = "local-cluster",
    version,
    max_term_width = 80,
    after_help = EXAMPLES,
    disable_help_subcommand = false
)]
pub struct Cli {
    /// What can be given with every command.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do; nothing means `up`.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags of `up`, for when no command is given.
    #[command(flatten)]
    pub up: BareUp,
}

/// What can be given with every command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct GlobalArgs {
    /// The settings among it.
    #[command(flatten)]
    pub settings: GlobalFlags,
    /// The form of what is printed: text or json
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORM")]
    #[arg(hide_default_value = true, hide_possible_values = true)]
    #[arg(help_heading = "Global options")]
    pub output: Output,
}

/// The form of what is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Bring the cluster up: make it, start it, or add what is missing
    Up(UpArgs),
    /// Remove the nodes, and bring the cluster up again as it was when fresh
    #[command(after_help = REUP)]
    Reup(UpArgs),
    /// Bring a new cluster up, stay, and take it down again: for CI jobs
    #[command(after_help = run::HELP)]
    Run(RunArgs),
    /// Remove the nodes and what is in them, which `stop` keeps; snapshots stay
    Down,
    /// Remove the cluster: its nodes, snapshots, network and kubeconfig
    Clean(CleanArgs),
    /// Make a second cluster of what is in this one; both run side by side
    Clone(CloneArgs),
    /// Keep the cluster's state, and take the cluster back to it
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
    /// Stop the cluster, or some of its nodes; nothing of it is lost
    Stop(Nodes),
    /// Start what was stopped or paused, and wait until it is ready
    Start(Nodes),
    /// Freeze the cluster, or some of its nodes: memory is kept, no time is used
    Pause(Nodes),
    /// Thaw what was paused, and wait until it is ready
    Unpause(Nodes),
    /// Show all clusters of this engine, and what is left of others
    #[command(visible_alias = "ls")]
    List,
    /// Bring images from the engine, or from an archive, into all nodes at once
    #[command(visible_alias = "copy-image", after_help = LOAD, override_usage = LOAD_USAGE)]
    Load(LoadArgs),
    /// Run Kubernetes' own tests: those for conformance that may run side by side
    #[command(after_help = e2e::HELP)]
    E2e(E2eArgs),
    /// Run Kubernetes' own tests one after another: those for conformance that must
    #[command(after_help = e2e::HELP)]
    E2eSerial(E2eArgs),
    /// Show the cluster's nodes, and whether they are ready
    Status,
    /// Collect all that can be known of the cluster, for a report of a fault
    #[command(after_help = dump::HELP)]
    Dump(DumpArgs),
    /// The same as one packed text, which passes through the log of a CI job
    #[command(after_help = dump::HELP64)]
    Dump64(DumpTime),
    /// Take a dump apart into files
    SplitDump(SplitArgs),
    /// Find packed dumps in the log of a CI job, and take them apart
    #[command(after_help = dump::SPLIT64)]
    SplitDump64(SplitArgs),
    /// Run the kubectl that fits the cluster
    #[command(disable_help_flag = true, after_help = KUBECTL)]
    Kubectl {
        /// The arguments for kubectl
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        #[arg(value_name = "ARGUMENT")]
        args: Vec<String>,
    },
    /// Run a command in a node
    Exec {
        /// The node: `kube-master`, `kube-node-1`...
        node: String,
        /// The command and its arguments; a shell if there is none
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Print the kubeconfig
    Kubeconfig,
    /// Print the port that the API server is published on
    ApiserverPort,
    /// Print the version
    Version,
    /// Print a shell's completion script
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Show settings, where they come from, and make a configuration file
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Make the node image, and show the images that the nodes have
    #[command(subcommand)]
    Image(ImageCommand),
    /// Add, remove and list the nodes of a cluster that runs
    #[command(subcommand)]
    Node(NodeCommand),
}

const KUBECTL: &str = "\
All that follows the command is given to kubectl as it is. Flags of
`local-cluster` itself stand before it:
  local-cluster --label dev kubectl get nodes -o wide";

const REUP: &str = "\
The nodes are removed when all that the new ones need is there. What was done
since the cluster was fresh is lost. It comes back from the snapshot `fresh`
where the settings are the same, and is made anew where they are not.";

/// What can be given with `up` and `reup`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct UpArgs {
    /// The settings among it.
    #[command(flatten)]
    pub settings: SettingFlags,
    /// Print what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What can be given with `load`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct LoadArgs {
    /// The images, as the engine knows them
    #[arg(value_name = "IMAGE", required_unless_present = "archive")]
    pub images: Vec<String>,
    /// Take the images of an archive instead, as `docker save` writes it; `-` is
    /// standard input
    #[arg(long, value_name = "FILE", conflicts_with = "images")]
    pub archive: Option<PathBuf>,
    /// Only into this node; can be given several times
    #[arg(long = "node", value_name = "NODE")]
    pub nodes: Vec<String>,
}

const LOAD_USAGE: &str = "\
local-cluster load [OPTIONS] <IMAGE>...
       local-cluster load [OPTIONS] --archive <FILE>";

const LOAD: &str = "\
Each node is sent only the layers that it does not have. Pods use the images if
their `imagePullPolicy` is not `Always`, which it is by default for the tag
`latest`.";

/// Some of a cluster's nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Nodes {
    /// The nodes: `kube-master`, `kube-node-1`...; all if none is named
    #[arg(value_name = "NODE")]
    pub names: Vec<String>,
}

/// What can be given with `clean`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct CleanArgs {
    /// Remove the node images and the preloaded images, too
    #[arg(long)]
    pub images: bool,
    /// Remove the caches of downloads and builds, too
    #[arg(long)]
    pub cache: bool,
}

/// What to do about the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum ConfigCommand {
    /// Print all settings as they are in effect
    Show {
        /// Settings, to see what they would do.
        #[command(flatten)]
        settings: SettingFlags,
        /// Say of each setting where its value comes from
        #[arg(long)]
        origin: bool,
    },
    /// Print the path of the configuration file
    Path,
    /// Write a configuration file that has all settings with their defaults
    Init {
        /// Replace a file that is there already
        #[arg(long)]
        force: bool,
    },
    /// Print the JSON schema of the configuration file
    Schema,
}

/// What to do about images.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum ImageCommand {
    /// Show the images that the nodes have
    List {
        /// Only of this node; can be given several times
        #[arg(long = "node", value_name = "NODE")]
        nodes: Vec<String>,
    },
    /// Make the node image, unless it is there
    Build {
        /// The settings that the image depends on.
        #[command(flatten)]
        settings: SettingFlags,
    },
}

impl Cli {
    /// Reads the arguments, the program's name first.
    ///
    /// The error is clap's own: it also stands for `--help` and `--version`.
    pub fn read<I, T>(arguments: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        let mut command = Self::command();
        let matches = command.try_get_matches_from_mut(arguments)?;
        let read = Self::from_arg_matches(&matches)?;
        read.settled().map_err(|error| error.format(&mut command))
    }

    /// Puts what was typed before the command where it belongs; what belongs nowhere is an error.
    fn settled(mut self) -> Result<Self, clap::Error> {
        let bare = std::mem::take(&mut self.up).0;
        match &mut self.command {
            None => self.command = Some(Command::Up(bare)),
            Some(Command::Up(up) | Command::Reup(up) | Command::Run(RunArgs { up, .. })) => {
                up.dry_run |= bare.dry_run;
                up.settings.put_below(&bare.settings);
            }
            Some(
                Command::Config(ConfigCommand::Show { settings, .. })
                | Command::Image(ImageCommand::Build { settings }),
            ) if !bare.dry_run => settings.put_below(&bare.settings),
            Some(_) if bare == UpArgs::default() => {}
            Some(_) => {
                return Err(clap::Error::raw(
                    clap::error::ErrorKind::ArgumentConflict,
                    format!(
                        "{} is for `up`, and not for this command",
                        bare.first_flag()
                    ),
                ));
            }
        }
        Ok(self)
    }

    /// All settings that were typed, those before and those after the command.
    pub fn settings(&self) -> SettingFlags {
        let mut all = match &self.command {
            None => self.up.0.settings.clone(),
            Some(
                Command::Up(UpArgs { settings, .. })
                | Command::Reup(UpArgs { settings, .. })
                | Command::Run(RunArgs {
                    up: UpArgs { settings, .. },
                    ..
                })
                | Command::Config(ConfigCommand::Show { settings, .. })
                | Command::Image(ImageCommand::Build { settings }),
            ) => settings.clone(),
            Some(_) => SettingFlags::default(),
        };
        all.put_below(&self.global.settings.0);
        all
    }
}

impl UpArgs {
    fn first_flag(&self) -> String {
        let flag = self
            .settings
            .iter()
            .next()
            .map_or("dry-run", |(setting, _)| setting.flag);
        format!("`--{flag}`")
    }
}

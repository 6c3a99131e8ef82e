//! What can be typed about Kubernetes' own tests.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What can be given with `e2e` and `e2e-serial`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub struct E2eArgs {
    /// Something else than to run them.
    #[command(subcommand)]
    pub command: Option<E2eCommand>,
    /// Which tests.
    #[command(flatten)]
    pub chosen: Tests,
    /// Print the names of the tests, and run none
    #[arg(long)]
    pub dry_run: bool,
    /// Write the whole output and the results there, also in JUnit's form
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// How many run side by side; `e2e-serial` runs one
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=100))]
    pub parallel: Option<u8>,
    /// Run them again and again until one fails
    #[arg(long)]
    pub until_it_fails: bool,
}

/// Which tests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Tests {
    /// Those with this in their names; the conformance tests if there is none
    #[arg(value_name = "FOCUS")]
    pub focus: Option<String>,
    /// But not those with this in their names
    #[arg(value_name = "SKIP")]
    pub skip: Option<String>,
    /// FOCUS and SKIP are regular expressions
    #[arg(long)]
    pub regex: bool,
}

/// What else there is to do about tests.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum E2eCommand {
    /// Show the images that the tests may ask for, and where each comes from
    Images(Tests),
}

pub(super) const HELP: &str = "\
The tests are those of the cluster's own version, and run in a container on its
network. The exit code is that of ginkgo. Ctrl-C ends the run, and nothing of
the tests stays in the cluster.";

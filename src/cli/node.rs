//! What can be typed about a cluster's nodes.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::duration;
use crate::cluster::MAX_WORKERS;

/// What to do about the nodes of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum NodeCommand {
    /// Add nodes, with the lowest numbers that are free, and wait for them
    Add(NodeAddArgs),
    /// Drain nodes and remove them, with all that is in them
    Remove(NodeRemoveArgs),
    /// Show the nodes, their addresses, and whether they are ready
    List,
}

/// What can be given with `node add`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct NodeAddArgs {
    /// How many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_WORKERS)))]
    pub count: u16,
    /// Add masters and not workers, to a cluster that was made with several
    #[arg(long)]
    pub master: bool,
    /// Print what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What can be given with `node remove`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = NODE_REMOVE)]
pub struct NodeRemoveArgs {
    /// The nodes: `kube-node-1`..., and any of several masters
    #[arg(required = true, value_name = "NODE")]
    pub nodes: Vec<String>,
    /// How long pods may take to end
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration::parse)]
    pub timeout: Duration,
    /// Remove pods, too, that nobody would make again elsewhere
    #[arg(long)]
    pub force: bool,
    /// Print what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

const NODE_REMOVE: &str = "\
Pods are evicted, which disruption budgets can delay. Those of DaemonSets go
with the node, and so does what pods keep in `emptyDir` volumes. A node that
does not run is removed as it is. A removal that was broken off is finished
by the same command.";

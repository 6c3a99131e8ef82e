//! What can be typed about snapshots, and about clones, which are made of them.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::snapshot::name_fault;

/// What can be given with `clone`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = CLONE)]
pub struct CloneArgs {
    /// The id of the new cluster, or its label
    #[arg(value_name = "ID")]
    pub target: String,
    /// The snapshot that it is made of; else the cluster as it is now
    #[arg(long, value_name = "NAME")]
    pub snapshot: Option<String>,
}

const CLONE: &str = "\
The clone's nodes have the names and the addresses of the original's, in a
network of their own. The host reaches them at other addresses, which `status`
shows, and the API server at a port of its own. The original goes on; its
nodes stand still for less than a second. The clone has the original's keys:
whoever may enter one may enter the other.";

/// What to do about snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum SnapshotCommand {
    /// Keep the cluster's state as it is now; it runs on meanwhile
    Save {
        /// Lower case letters, digits and `-`; the time if there is none
        #[arg(value_parser = new_name)]
        name: Option<String>,
    },
    /// Show the cluster's snapshots
    List,
    /// Take the cluster back to a snapshot; what was done since is lost
    Restore {
        /// The snapshot; `fresh` is the one that `up` has made
        name: String,
    },
    /// Write a snapshot into a file, with all that it needs
    #[command(after_help = EXPORT)]
    Export {
        /// The snapshot
        name: String,
        /// The file, which must not be there yet
        file: PathBuf,
    },
    /// Take a snapshot from a file
    #[command(after_help = IMPORT)]
    Import {
        /// The file
        file: PathBuf,
        /// Its name here; the one that it had if there is none
        #[arg(long, value_name = "NAME", value_parser = new_name)]
        name: Option<String>,
    },
    /// Remove a snapshot
    Rm {
        /// The snapshot
        name: String,
    },
}

const EXPORT: &str = "\
The file has the node image, the unpacked images and all that the nodes have:
keys among it, so that whoever reads it may enter the cluster. Only its owner
may. Another engine of the same architecture can import it with the same
version of this program; nothing else is needed there.";

const IMPORT: &str = "\
The file is read through before anything of it is used. The snapshot becomes
one of the cluster that is meant (`--cluster-id`, `--label`), whether that is
there or not: `snapshot restore` brings it up, and so does `clone`. What is in
it runs with the rights of a node: import only what you trust. Under another
cluster's address range its nodes keep their addresses, as those of a clone do.";

/// A name that a snapshot can have.
fn new_name(text: &str) -> Result<String, String> {
    name_fault(text).map_or_else(|| Ok(text.to_owned()), |fault| Err(fault.to_owned()))
}

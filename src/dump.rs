//! All that can be known of a cluster, as files: collected, without secrets, and in forms that pass through a log.
//!
//! `wire` is the text form and `pack` the packed one, both as kubeadm-dind-cluster had them; `log` finds a packed dump in a
//! log, `redact` takes secrets out, `name` says which names may become files. `items` lists what is looked at in a node,
//! `index` tells what came of it. These are pure. `collect` does the looking, `spool` is the directory that it fills, `split`
//! the one that a dump is taken apart into.

pub mod collect;
pub mod frames;
pub mod index;
pub mod items;
pub mod log;
pub mod name;
pub mod pack;
pub mod redact;
pub mod split;
pub mod spool;
pub mod tables;
pub mod wire;

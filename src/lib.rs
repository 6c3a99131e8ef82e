//! `local-cluster`: real multi-node Kubernetes clusters on one Docker engine.
//!
//! The map of the house, from what is typed to what is done:
//!
//! - [`cli`] is the command line: what was typed, and nothing of what it means.
//! - [`settings`] puts defaults, the configuration file, variables and flags on each other, and checks each value.
//! - [`commands`] has a file for each subcommand; nothing else knows all the others.
//! - [`cluster`] is what is wanted: names, addresses, nodes and version, complete and consistent.
//! - [`plan`] compares that with what is there, and says which steps are missing, in which stages.
//! - [`inventory`] sorts what is there by clusters, and says what is the matter with each.
//! - [`execute`] does the steps and reports them.
//! - [`snapshot`] is what is kept of a cluster, to be brought back.
//! - [`load`] brings images into the nodes.
//! - [`ready`] waits until the cluster works.
//! - [`run`] tells of a cluster that is kept for as long as the program runs, and is told to end it, by HTTP.
//! - [`dump`] collects all that can be known of a cluster.
//! - [`drain`] has the pods of a node go elsewhere.
//! - [`doctor`] tells what the engine and its host lack.
//! - [`e2e`] is Kubernetes' own tests: which are meant, what they need, what became of them.
//! - [`engine`] is the only room that talks to Docker.
//! - [`image`] names the images and has what they are built of.
//! - [`source`] is where Kubernetes comes from.
//! - [`node`] is what is known of a node's inside.
//! - [`kubernetes`] writes the configuration of kubeadm, kubelet and kube-proxy.
//! - [`cni`] writes the pods' network: the plugin's configuration, routes and masquerading.
//! - [`pki`] issues the cluster's certificates, and the kubeconfigs of its own components.
//! - [`kubeconfig`] puts a cluster into the user's kubeconfig, and takes it out again.
//! - [`report`] is the only room that prints, and writes the log.
//! - [`error`] is the error at the top, and the hints for causes that are known.
//! - [`lock`] keeps two runs from the same cluster.
//! - [`signal`] turns the first Ctrl-C into a request to stop, and the second into the end.

pub mod cli;
pub mod cluster;
pub mod cni;
pub mod commands;
pub mod doctor;
pub mod drain;
pub mod dump;
pub mod e2e;
pub mod engine;
pub mod error;
pub mod execute;
pub mod image;
pub mod inventory;
pub mod kubeconfig;
pub mod kubernetes;
pub mod load;
pub mod lock;
pub mod node;
pub mod pki;
pub mod plan;
pub mod ready;
pub mod report;
pub mod run;
pub mod settings;
pub mod signal;
pub mod snapshot;
pub mod source;

//! `local-cluster`: real multi-node Kubernetes clusters on one Docker engine.

pub mod cli;
pub mod cluster;
pub mod cni;
pub mod commands;
pub mod doctor;
pub mod engine;
pub mod error;
pub mod execute;
pub mod image;
pub mod kubeconfig;
pub mod kubernetes;
pub mod lock;
pub mod node;
pub mod pki;
pub mod plan;
pub mod ready;
pub mod report;
pub mod settings;
pub mod signal;
pub mod source;

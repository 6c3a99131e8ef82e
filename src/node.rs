//! A node: the files that it starts with, the phases of kubeadm that its own units run, and the way to its API server.

pub mod access;
pub mod balancer;
pub mod files;
pub mod phases;
pub mod pod_ranges;

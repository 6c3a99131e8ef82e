//! A node: the files that it starts with, and the phases of kubeadm that its own units run.

pub mod files;
pub mod phases;
pub mod pod_ranges;

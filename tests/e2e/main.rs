//! The program against a real engine: real nodes, real kubeadm, a real API server. Behind the feature `e2e`; what takes long
//! behind `e2e-all`. One after another (`--test-threads=1`): the machine's processors are what limits them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod ci;
mod clone;
mod cluster;
mod cut;
mod dump;
mod faults;
mod full;
mod killed;
mod lifecycle;
mod load;
mod masters;
mod network;
mod nodes;
mod program;
mod release;
mod run;
mod several;
mod snapshot;
mod suite;
mod survival;
mod transfer;
#[cfg(feature = "e2e-all")]
mod zz_whole_engine;

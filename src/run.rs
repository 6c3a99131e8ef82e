//! A cluster that is kept for as long as the program runs: what is told of it by HTTP, and how systemd is asked to run the
//! program. The command is `commands::run`.
//!
//! `route`, `health`, `metrics`, `progress` and `unit` are PURE. `probe` asks the engine and the API server, `server`
//! answers.

pub mod health;
pub mod metrics;
pub mod probe;
pub mod progress;
pub mod route;
pub mod server;
pub mod unit;

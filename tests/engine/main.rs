//! Tests of what is asked of Docker and what becomes of its answers: the real client, a fake engine.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod clone;
mod commands;
mod connect;
mod dump;
mod exec;
mod execute;
mod fake;
mod gone;
mod images;
mod jobs;
mod lifecycle;
mod load;
mod members;
mod nodes;
mod objects;
mod run;
mod snapshot;
mod transfer;

use local_cluster::error::in_one_line;

/// An error and its sources, as they are told.
fn told<T: std::fmt::Debug>(result: Result<T, impl std::error::Error + 'static>) -> String {
    in_one_line(&result.unwrap_err())
}

//! Tests of what is typed and what is configured. No Docker.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bad_inputs;
mod binary;
mod config;
mod dump;
mod fuzz;
mod generated;
mod help;
mod layers;
mod run;

use std::collections::BTreeMap;
use std::path::Path;

use local_cluster::cli::Cli;
use local_cluster::settings::{self, Loaded, Problems};

/// A place with a configuration file, or without one.
struct Case {
    home: tempfile::TempDir,
    environment: BTreeMap<String, String>,
    arguments: Vec<String>,
}

impl Case {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        Self {
            home,
            environment: BTreeMap::new(),
            arguments: Vec::new(),
        }
    }

    fn file(self, text: &str) -> Self {
        std::fs::write(self.home.path().join("config.yaml"), text).unwrap();
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    fn home(&self) -> &Path {
        self.home.path()
    }

    fn cli(&self) -> Cli {
        let program = std::iter::once("local-cluster".to_owned());
        Cli::read(program.chain(self.arguments.iter().cloned())).unwrap()
    }

    fn load(&self) -> Result<Loaded, Problems> {
        settings::load(&self.cli().settings(), &self.environment, Some(self.home()))
    }

    /// The problems as they are printed, with the place of the test left out.
    fn problems(&self) -> String {
        let text = self
            .load()
            .map_or_else(|problems| problems.to_string(), |_| "fine".to_owned());
        self.without_place(&text)
    }

    fn without_place(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.home().display()), "")
    }
}

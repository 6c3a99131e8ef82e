//! What a run of tests leaves for those who read it: ginkgo's report, and the log.

use super::{Outcome, Tests};
use crate::e2e::failures;
use crate::error::Error;
use std::path::{Path, PathBuf};

impl Tests<'_> {
    /// Fetches what ginkgo reports. Only files that are known are taken, under names of ours.
    pub(super) async fn read_report(
        &self,
        container: &str,
        report: Option<&Path>,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        let doing = "read the tests' report";
        let known = &["report/report.json", "report/junit.xml"];
        let found = self.files(container, "/report", known).await;
        let found = found.map_err(|source| Error::other(doing, source))?;
        for (name, content) in found {
            let name = name.trim_start_matches("report/");
            if name == "report.json" {
                outcome.failures =
                    failures(&content).map_err(|source| Error::other(doing, source))?;
            }
            if let Some(folder) = report {
                let path = folder.join(name);
                std::fs::write(&path, content)
                    .map_err(|source| Error::other(format!("write {}", path.display()), source))?;
            }
        }
        Ok(())
    }
}

pub(super) fn open_log(folder: &Path) -> Result<std::fs::File, Error> {
    let path: PathBuf = folder.join("e2e.log");
    let opened = std::fs::create_dir_all(folder).and_then(|()| std::fs::File::create(&path));
    opened.map_err(|source| Error::other(format!("write {}", path.display()), source))
}

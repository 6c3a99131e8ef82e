//! What the client's environment gives to builds and nodes.

use super::image::Wanted;
use super::session::Session;
use crate::engine::{Engine, Facts};
use crate::execute::Work;
use crate::report::Reporter;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

/// Variables of the client, and where it keeps downloads.
pub(super) struct Surroundings {
    proxies: Vec<(String, String)>,
    go: Vec<(String, String)>,
    downloads: PathBuf,
    show_output: bool,
}

impl Surroundings {
    pub(super) fn of(session: &Session) -> Self {
        let given = |names: &[&str]| -> Vec<(String, String)> {
            let set = |name: &&str| {
                session
                    .environment
                    .get(*name)
                    .map(|value| ((*name).to_owned(), value.clone()))
            };
            names.iter().filter_map(set).collect()
        };
        let mut go = given(&[
            "GOPROXY",
            "GOSUMDB",
            "GONOSUMDB",
            "GONOSUMCHECK",
            "GOPRIVATE",
            "GONOPROXY",
        ]);
        if let Some(proxy) = session
            .settings()
            .ok()
            .and_then(|settings| settings.source.go_proxy.clone())
        {
            go.retain(|(name, _)| name != "GOPROXY");
            go.push(("GOPROXY".to_owned(), proxy));
        }
        let names = [
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "NO_PROXY",
            "http_proxy",
            "https_proxy",
            "no_proxy",
        ];
        // kubeadm's output.
        let show_output = session
            .settings()
            .is_ok_and(|settings| settings.verbose >= 2);
        Self {
            proxies: given(&names),
            go,
            downloads: session.downloads(),
            show_output,
        }
    }

    pub(super) fn work<'a>(
        &'a self,
        engine: &'a Engine,
        facts: &'a Facts,
        wanted: &'a Wanted,
        cancel: &'a CancellationToken,
        reporter: &'a Reporter,
    ) -> Work<'a> {
        Work {
            engine,
            facts,
            inputs: &wanted.inputs,
            images: &wanted.images,
            proxies: &self.proxies,
            go_environment: &self.go,
            downloads: self.downloads.clone(),
            cancel,
            reporter,
            show_output: self.show_output,
        }
    }
}

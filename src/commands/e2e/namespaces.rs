//! The namespaces that a run of tests makes: none of them stays.

use super::Tests;
use crate::error::Error;
use crate::execute::{self, Times};
use crate::node::access;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, ListParams};
use std::collections::BTreeSet;
use std::time::Duration;

/// The label by which the tests know their namespaces.
const RUN: &str = "e2e-run";
/// How long namespaces may take to go: pods in them may take half a minute to end.
const PATIENCE: Duration = Duration::from_mins(3);

impl Tests<'_> {
    /// The namespaces that tests have made.
    pub(super) async fn namespaces(&self) -> Result<(Api<Namespace>, BTreeSet<String>), Error> {
        let config = access::kubeconfig(self.engine, &self.way).await?;
        let all: Api<Namespace> = Api::all(access::client(&config)?);
        let found = named(&all).await?;
        Ok((all, found))
    }

    /// Tells of what a run has left that was killed, unless somebody else runs tests here.
    pub(super) fn tell_earlier(&self, before: &BTreeSet<String>) {
        if before.is_empty() {
            return;
        }
        let names: Vec<&str> = before.iter().map(String::as_str).collect();
        let hint = format!(
            "if nobody runs tests here, `local-cluster{} kubectl delete namespaces -l {RUN}` removes them",
            self.identity.flag()
        );
        self.session.reporter.warn(
            format!("namespaces of other tests are there: {}", names.join(", ")),
            Some(&hint),
        );
    }

    /// Sees that no namespace of this run stays: tests that were broken off leave theirs. Those that were there before are
    /// somebody else's.
    pub(super) async fn clean(
        &self,
        before: &BTreeSet<String>,
        times: &mut Times,
    ) -> Result<(), Error> {
        let (all, after) = self.namespaces().await?;
        if after.is_subset(before) {
            return Ok(());
        }
        let cleaning = async {
            let gone = tokio::time::timeout(PATIENCE, async {
                let mut asked = BTreeSet::new();
                loop {
                    let left = named(&all).await?;
                    let left: Vec<&String> = left.difference(before).collect();
                    if left.is_empty() {
                        return Ok(());
                    }
                    for name in left {
                        if asked.insert(name.clone()) {
                            match all.delete(name, &DeleteParams::default()).await {
                                Err(kube::Error::Api(status))
                                    if matches!(status.code, 404 | 409) => {}
                                deleted => drop(deleted.map_err(unclean)?),
                            }
                        }
                    }
                    tokio::time::sleep(Duration::from_millis(150)).await;
                }
            });
            gone.await.map_err(|_| {
                Error::with_hint(
                    "some namespaces of the tests do not go away",
                    format!(
                        "see `local-cluster{} kubectl get namespaces -l {RUN}`",
                        self.identity.flag()
                    ),
                )
            })?
        };
        execute::stage("clean", &self.session.reporter, times, Box::pin(cleaning)).await
    }
}

/// The namespaces that have the tests' label.
async fn named(all: &Api<Namespace>) -> Result<BTreeSet<String>, Error> {
    let list = all.list_metadata(&ListParams::default().labels(RUN)).await;
    let names = list.map_err(unclean)?.items.into_iter();
    Ok(names
        .filter_map(|namespace| namespace.metadata.name)
        .collect())
}

fn unclean(source: kube::Error) -> Error {
    Error::other("see to the tests' namespaces", source)
}

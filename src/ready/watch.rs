//! Objects of the API server, watched until a condition on them holds.

use futures_util::StreamExt;
use kube::Resource;
use kube::api::Api;
use kube::runtime::utils::Backoff;
use kube::runtime::{WatchStreamExt, watcher};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

/// What is there, by uid: names are not unique over namespaces.
pub(crate) type Watched<K> = BTreeMap<String, K>;

/// An API server that is coming up refuses for a second or two. kube's own pauses would become longer than that.
struct Soon;

impl Iterator for Soon {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(Duration::from_millis(100))
    }
}

impl Backoff for Soon {
    fn reset(&mut self) {}
}

/// Watches objects until a condition on all of them holds; what is still missing is the error when patience ends.
pub(crate) async fn until<K>(
    api: Api<K>,
    config: watcher::Config,
    patience: Duration,
    condition: impl Fn(&Watched<K>) -> Result<(), String>,
) -> Result<(), String>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + serde::de::DeserializeOwned + 'static,
{
    let mut found = Watched::new();
    // Of a list that is still coming nothing can be said.
    let mut whole = false;
    let mut missing = "the API server does not answer".to_owned();
    let watching = async {
        let mut events = std::pin::pin!(watcher(api, config).backoff(Soon));
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Init) => {
                    found.clear();
                    whole = false;
                }
                Ok(watcher::Event::InitApply(object) | watcher::Event::Apply(object)) => {
                    found.insert(uid(&object), object);
                }
                Ok(watcher::Event::Delete(object)) => {
                    found.remove(&uid(&object));
                }
                Ok(watcher::Event::InitDone) => whole = true,
                Err(error) => {
                    missing = format!(
                        "the API server does not answer: {}",
                        crate::error::in_one_line(&error)
                    );
                    continue;
                }
            }
            if !whole {
                continue;
            }
            match condition(&found) {
                Ok(()) => return,
                Err(still) => missing = still,
            }
        }
    };
    match tokio::time::timeout(patience, watching).await {
        Ok(()) => Ok(()),
        Err(_) => Err(missing),
    }
}

fn uid<K: Resource>(object: &K) -> String {
    object.meta().uid.clone().unwrap_or_default()
}

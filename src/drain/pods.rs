//! Which pods leave a node that is drained. PURE.

use crate::ready::watch::Watched;
use k8s_openapi::api::core::v1::Pod;

/// A pod that leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Going {
    pub(super) namespace: String,
    pub(super) name: String,
    /// Of another pod that has the same name later it is another.
    pub(super) uid: String,
}

/// The pods that leave; or those that cannot without force, since nobody would make them again.
///
/// What belongs to the node itself stays: its DaemonSets' pods, and those that its kubelet has of files.
pub(super) fn going(pods: &[Pod], force: bool) -> Result<Vec<Going>, Vec<String>> {
    let leaving: Vec<&Pod> = pods.iter().filter(|pod| !is_of_node(pod)).collect();
    let unmanaged: Vec<String> = leaving
        .iter()
        .filter(|pod| !force && !is_over(pod) && controller(pod).is_none())
        .map(|pod| name_of(pod))
        .collect();
    if !unmanaged.is_empty() {
        return Err(unmanaged);
    }
    Ok(leaving.into_iter().map(going_of).collect())
}

/// Nothing, when all that leave have left; else who is still there.
pub(super) fn left(going: &[Going], found: &Watched<Pod>) -> Result<(), String> {
    let left: Vec<String> = found
        .values()
        .filter(|pod| going.contains(&going_of(pod)))
        .map(name_of)
        .collect();
    if left.is_empty() {
        return Ok(());
    }
    Err(format!("these pods have not ended: {}", left.join(", ")))
}

fn going_of(pod: &Pod) -> Going {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    Going {
        namespace: text(&pod.metadata.namespace),
        name: text(&pod.metadata.name),
        uid: text(&pod.metadata.uid),
    }
}

fn name_of(pod: &Pod) -> String {
    let Going {
        namespace, name, ..
    } = going_of(pod);
    format!("{namespace}/{name}")
}

fn is_of_node(pod: &Pod) -> bool {
    let annotations = pod.metadata.annotations.as_ref();
    annotations.is_some_and(|all| all.contains_key("kubernetes.io/config.mirror"))
        || controller(pod) == Some("DaemonSet")
}

/// What kind of object makes this pod again.
fn controller(pod: &Pod) -> Option<&str> {
    let mut owners = pod.metadata.owner_references.iter().flatten();
    owners
        .find(|owner| owner.controller == Some(true))
        .map(|owner| owner.kind.as_str())
}

fn is_over(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(name: &str, owner: &str, more: &Value) -> Pod {
        let owners = match owner {
            "" => json!([]),
            kind => {
                json!([{ "apiVersion": "v1", "kind": kind, "name": "x", "uid": "x", "controller": true }])
            }
        };
        let mut pod = json!({ "metadata": { "name": name, "namespace": "default", "uid": name, "ownerReferences": owners } });
        for (key, value) in more.as_object().unwrap() {
            pod[key.as_str()] = value.clone();
        }
        serde_json::from_value(pod).unwrap()
    }

    fn names(going: Vec<Going>) -> Vec<String> {
        going.into_iter().map(|pod| pod.name).collect()
    }

    #[test]
    fn what_belongs_to_the_node_stays() {
        let mut mirror = pod("mirror", "Node", &json!({}));
        mirror.metadata.annotations =
            Some([("kubernetes.io/config.mirror".to_owned(), String::new())].into());
        let pods = [
            pod("of-a-set", "ReplicaSet", &json!({})),
            pod(
                "with-data",
                "StatefulSet",
                &json!({ "spec": { "containers": [], "volumes": [{ "name": "x", "emptyDir": {} }] } }),
            ),
            pod("of-a-daemon", "DaemonSet", &json!({})),
            pod("over", "", &json!({ "status": { "phase": "Succeeded" } })),
            mirror,
        ];
        assert_eq!(
            names(going(&pods, false).unwrap()),
            ["of-a-set", "with-data", "over"]
        );
    }

    #[test]
    fn what_nobody_makes_again_needs_force() {
        let pods = [
            pod("lonely", "", &json!({})),
            pod("set", "ReplicaSet", &json!({})),
        ];
        assert_eq!(going(&pods, false), Err(vec!["default/lonely".to_owned()]));
        assert_eq!(names(going(&pods, true).unwrap()), ["lonely", "set"]);
        // An owner that does not control is none.
        let mut owned = pod("owned", "ReplicaSet", &json!({}));
        owned.metadata.owner_references.as_mut().unwrap()[0].controller = None;
        assert!(going(&[owned], false).is_err());
    }

    #[test]
    fn a_namesake_that_came_later_is_not_waited_for() {
        let there = |pod: Pod| Watched::from([(String::new(), pod)]);
        let old = pod("web-0", "StatefulSet", &json!({}));
        let going = going(std::slice::from_ref(&old), false).unwrap();
        assert_eq!(
            left(&going, &there(old.clone())),
            Err("these pods have not ended: default/web-0".to_owned())
        );
        let mut new = old;
        new.metadata.uid = Some("another".to_owned());
        assert_eq!(left(&going, &there(new)), Ok(()));
        assert_eq!(left(&going, &Watched::new()), Ok(()));
    }
}

//! The labels by which everything of ours is found again: there is no other state.

/// All of them begin so.
pub const OURS: &str = "local-cluster.";
/// The cluster's name, on its containers, volumes and network.
pub const CLUSTER: &str = "local-cluster.cluster";
/// The number that decides the cluster's addresses.
pub const ID: &str = "local-cluster.id";
/// On containers: `master`, `worker` or `load-balancer`.
pub const ROLE: &str = "local-cluster.role";
/// The Kubernetes node name.
pub const NODE: &str = "local-cluster.node";
/// On nodes: the settings that a cluster cannot change while it has them, as JSON.
pub const SETTINGS: &str = "local-cluster.settings";
/// The version of this program that made it.
pub const VERSION: &str = "local-cluster.version";
/// On preload volumes and the jobs that fill them: the version of Kubernetes.
pub const PRELOAD: &str = "local-cluster.preload";
/// On nodes: the preload volume that they mount.
pub const PRELOAD_USED: &str = "local-cluster.preload-used";
/// On a container that does one thing and ends: which.
pub const JOB: &str = "local-cluster.job";
/// On the volume of build caches.
pub const CACHE: &str = "local-cluster.cache";
/// On node images: the rights that the engine gives, found out when the image was made.
pub const RIGHTS: &str = "local-cluster.rights";
/// On node images: the engine whose rights those are. An image may have come from elsewhere.
pub const RIGHTS_OF: &str = "local-cluster.rights-of";
/// On node images of a release: where its files come from.
pub const RELEASE_URL: &str = "local-cluster.release-url";
/// On node images of a release: where its images come from.
pub const IMAGE_REGISTRY: &str = "local-cluster.image-registry";
/// On snapshots' volumes: the name of the snapshot.
pub const SNAPSHOT: &str = "local-cluster.snapshot";
/// On snapshots' volumes: what it was made of, as JSON.
pub const SNAPSHOT_OF: &str = "local-cluster.snapshot-of";
/// On jobs that copy nodes: the containers that they have frozen for it, with blanks between. Who removes the job thaws them.
pub const FREEZES: &str = "local-cluster.freezes";
/// On data volumes that a snapshot has filled: its name, and when that was. Where no container has one that was filled then,
/// the restore was broken off.
pub const RESTORED: &str = "local-cluster.restored";

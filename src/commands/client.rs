//! What a cluster's user gets on this machine: the kubeconfig, and the kubectl that fits.

use super::identity::Identity;
use super::session::Session;
use crate::cluster::ClusterSpec;
use crate::engine::Engine;
use crate::error::Error;
use crate::kubeconfig;
use crate::node::access::{self, Way};

/// Writes the cluster's kubeconfig, and puts it into the user's own where that is wanted; gives it.
pub(super) async fn write_kubeconfig(
    session: &Session,
    engine: &Engine,
    identity: &Identity,
    way: &Way,
) -> Result<String, Error> {
    let config = access::kubeconfig(engine, way).await?;
    // What a clone has is the original's, with its names.
    let config = kubeconfig::named(&config, &identity.names.context())?;
    let path = session.directory(&identity.names)?.join("admin.conf");
    let user = session
        .settings()?
        .kubeconfig
        .merge
        .then(|| kubeconfig::user_path(&session.environment))
        .flatten();
    let (text, name) = (config.clone(), identity.names.context());
    // kubectl's lock may have to be waited for.
    tokio::task::spawn_blocking(move || {
        kubeconfig::write_private(&path, &text)?;
        user.map_or(Ok(()), |user| kubeconfig::merge_into(&user, &text, &name))
    })
    .await
    .map_err(|source| Error::other("write the kubeconfig", source))??;
    Ok(config)
}

/// Gets the kubectl of the cluster's version out of the node image, beside the making of the cluster.
pub(super) fn fetch_kubectl(
    session: &Session,
    identity: &Identity,
    engine: &Engine,
    spec: &ClusterSpec,
) -> impl Future<Output = Result<(), Error>> + use<> {
    let directory = session.directory(&identity.names);
    let (engine, container) = (engine.clone(), spec.master().container.clone());
    let version = format!("{}\n", spec.version);
    async move {
        let directory = directory?;
        let doing = || format!("write kubectl into {}", directory.display());
        let marker = directory.join(".kubectl-of");
        let kubectl = directory.join("kubectl");
        if kubectl.exists() && std::fs::read_to_string(&marker).is_ok_and(|found| found == version)
        {
            return Ok(());
        }
        let content = engine
            .read_file(&container, "/usr/local/bin/kubectl")
            .await
            .map_err(|source| Error::other(doing(), source))?
            .ok_or_else(|| Error::message("the node image has no kubectl"))?;
        tokio::task::spawn_blocking(move || {
            use std::os::unix::fs::PermissionsExt;
            let mut file = tempfile::NamedTempFile::new_in(&directory)?;
            std::io::Write::write_all(&mut file, &content)?;
            file.as_file()
                .set_permissions(std::fs::Permissions::from_mode(0o755))?;
            file.persist(&kubectl).map_err(|error| error.error)?;
            std::fs::write(&marker, version)
        })
        .await
        .map_err(|source| Error::other("write kubectl", source))?
        .map_err(|source: std::io::Error| Error::other("write kubectl", source))
    }
}

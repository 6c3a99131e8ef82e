//! `image list`: the images that the nodes have.

use super::load::{ask, targets};
use super::print;
use super::session::Session;
use super::table::table;
use crate::cli::Output;
use crate::engine::label;
use crate::error::Error;
use serde_json::json;
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;

/// `image list`.
pub(super) async fn run(session: &Session, named: &[String]) -> Result<u8, Error> {
    let engine = session.engine().await?;
    let identity = session.identity(&engine).await?;
    let containers = identity.nodes(&engine).await?;
    let nodes = targets(&identity, &containers, named, &session.reporter)?;
    let held = ask(&engine, &nodes, &CancellationToken::new()).await?;
    let name = |container: &String| {
        let found = containers.iter().find(|found| found.name == *container);
        let node = found.and_then(|found| found.labels.get(label::NODE));
        node.unwrap_or(container).clone()
    };
    let mut images: BTreeMap<&String, (&str, Vec<String>)> = BTreeMap::new();
    for (node, held) in nodes.iter().zip(&held) {
        // A runtime also lists each image under its digest, which tells nobody anything.
        let named = held
            .images
            .iter()
            .filter(|(image, _)| !image.starts_with("sha256:"));
        for (image, found) in named {
            let entry = images.entry(image).or_insert((&found.size, Vec::new()));
            entry.1.push(name(node));
        }
    }
    if session.output == Output::Json {
        let images: Vec<_> = images
            .iter()
            .map(|(image, (size, nodes))| json!({ "name": image, "size": size, "nodes": nodes }))
            .collect();
        let list = json!({ "cluster": identity.names.context(), "images": images });
        return print(&list.to_string());
    }
    let rows = images.iter().map(|(image, (size, having))| {
        let having = if having.len() == nodes.len() && named.is_empty() {
            "all nodes".to_owned()
        } else {
            having.join(", ")
        };
        vec![(*image).clone(), (*size).to_owned(), having]
    });
    print(&table(
        &["IMAGE", "SIZE", "NODES"],
        &rows.collect::<Vec<_>>(),
    ))
}

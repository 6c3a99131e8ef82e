//! Merging and removing, on parsed values. Fields and entries that are not ours are kept as they are, in their order.

use serde_yaml::{Mapping, Value};

/// The lists of a kubeconfig.
const LISTS: [&str; 3] = ["clusters", "users", "contexts"];

/// How to reach a cluster: its entries of a kubeconfig, all under one name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Access {
    name: String,
    entries: [(&'static str, Value); 3],
}

impl Access {
    /// The access that the current context of an admin.conf gives.
    pub(super) fn of(admin: &Value, name: &str) -> Result<Self, String> {
        let current = text(admin, "current-context")?;
        let context = content(admin, "contexts", "context", current)?;
        let cluster = content(admin, "clusters", "cluster", text(context, "cluster")?)?;
        let user = content(admin, "users", "user", text(context, "user")?)?;
        let mut context = context.as_mapping().cloned().unwrap_or_default();
        context.insert("cluster".into(), name.into());
        context.insert("user".into(), name.into());
        Ok(Self {
            name: name.to_owned(),
            entries: [
                ("clusters", entry(name, "cluster", cluster.clone())),
                ("users", entry(name, "user", user.clone())),
                ("contexts", entry(name, "context", context.into())),
            ],
        })
    }
}

fn text<'value>(of: &'value Value, field: &str) -> Result<&'value str, String> {
    of.get(field)
        .and_then(Value::as_str)
        .ok_or_else(|| format!("`{field}` is missing"))
}

fn content<'value>(
    config: &'value Value,
    list: &str,
    field: &str,
    name: &str,
) -> Result<&'value Value, String> {
    let entries = config
        .get(list)
        .and_then(Value::as_sequence)
        .map(Vec::as_slice);
    let entry = entries
        .unwrap_or_default()
        .iter()
        .find(|entry| is_named(entry, name));
    let content = entry
        .and_then(|entry| entry.get(field))
        .filter(|content| content.is_mapping());
    content.ok_or_else(|| format!("`{list}` has no `{name}`"))
}

fn entry(name: &str, field: &str, content: Value) -> Value {
    let mut entry = Mapping::new();
    entry.insert("name".into(), name.into());
    entry.insert(field.into(), content);
    entry.into()
}

fn is_named(entry: &Value, name: &str) -> bool {
    entry.get("name").and_then(Value::as_str) == Some(name)
}

/// The kubeconfig with the access in it, and current. An empty value is an empty kubeconfig.
pub(super) fn merge(config: Value, access: &Access) -> Result<Value, String> {
    let mut config = mapping(config)?;
    for (field, value) in [("apiVersion", "v1"), ("kind", "Config")] {
        if !config.contains_key(field) {
            config.insert(field.into(), value.into());
        }
    }
    for (list, entry) in &access.entries {
        let entries = sequence(&mut config, list)?;
        match entries.iter_mut().find(|old| is_named(old, &access.name)) {
            Some(old) => *old = entry.clone(),
            None => entries.push(entry.clone()),
        }
    }
    config.insert("current-context".into(), access.name.as_str().into());
    Ok(config.into())
}

/// The kubeconfig without the entries of that name.
pub(super) fn remove(config: Value, name: &str) -> Result<Value, String> {
    if config.is_null() {
        return Ok(config);
    }
    let mut config = mapping(config)?;
    for list in LISTS {
        // What is no list has nothing of ours in it.
        if let Some(entries) = config.get_mut(list).and_then(Value::as_sequence_mut) {
            entries.retain(|entry| !is_named(entry, name));
        }
    }
    if config.get("current-context").and_then(Value::as_str) == Some(name) {
        // An empty one, as `kubectl config unset` leaves it.
        config.insert("current-context".into(), "".into());
    }
    Ok(config.into())
}

fn mapping(config: Value) -> Result<Mapping, String> {
    match config {
        Value::Null => Ok(Mapping::new()),
        Value::Mapping(mapping) => Ok(mapping),
        _ => Err("it has no fields".to_owned()),
    }
}

/// The list of that name, which is made where there is none: kubectl writes `null` for an empty one.
fn sequence<'config>(
    config: &'config mut Mapping,
    list: &str,
) -> Result<&'config mut Vec<Value>, String> {
    let value = config.entry(list.into()).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Sequence(Vec::new());
    }
    value
        .as_sequence_mut()
        .ok_or_else(|| format!("`{list}` is not a list"))
}

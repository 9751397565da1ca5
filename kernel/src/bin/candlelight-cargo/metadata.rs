//! `cargo metadata`, for rust-analyzer: what cells see the types of, and what is nobody's but theirs left out. All
//! platforms' dependencies are 140 MB of source, which would be loaded and resolved before the first cell.

use std::collections::HashSet;

use serde_json::Value;

/// From the registry, whose types stand in what cells can name, or whose macros these are written with.
const SEEN: [&str; 8] = [
    "candle-core",
    "candle-nn",
    "cfg-if",
    "half",
    "hashbrown",
    "image",
    "num-traits",
    "safetensors",
];

/// Leaves packages that are here in source, as Candlelight and Rust's own, and those of [`SEEN`].
pub fn prune(metadata: &mut Value) {
    let Some(packages) = metadata["packages"].as_array_mut() else {
        return;
    };
    let seen = |package: &Value| {
        let name = package["name"].as_str().unwrap_or_default();
        package["source"].is_null() || SEEN.contains(&name)
    };
    packages.retain(seen);
    let kept: HashSet<String> = packages
        .iter()
        .filter_map(|package| Some(package["id"].as_str()?.to_owned()))
        .collect();
    let is_kept = |id: &Value| id.as_str().is_some_and(|id| kept.contains(id));
    let Some(nodes) = metadata["resolve"]["nodes"].as_array_mut() else {
        return;
    };
    nodes.retain(|node| is_kept(&node["id"]));
    for node in nodes {
        if let Some(dependencies) = node["dependencies"].as_array_mut() {
            dependencies.retain(is_kept);
        }
        if let Some(dependencies) = node["deps"].as_array_mut() {
            dependencies.retain(|dependency| is_kept(&dependency["pkg"]));
        }
    }
}

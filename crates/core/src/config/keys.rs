//! Every key of the file, described from the schema.

use serde::Serialize;
use serde_json::{Map, Value};

use super::schema::{alternatives, fixed_values, resolve, schema, shape, tag};

/// What stands for a name that the user chooses in a key's path.
const NAME: &str = "NAME";

/// One key of the file.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct KeyDescription {
    /// Where: `services.NAME.branch`. `NAME` stands for a name of the user's.
    pub key: String,
    /// What it looks like: "a whole number from 1 to 65535".
    pub shape: String,
    /// Whether its table needs it.
    pub required: bool,
    /// What it is if it is absent, in TOML.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// What it means.
    pub description: String,
    /// An example, in TOML, without the key.
    pub example: String,
}

/// A table of the file with its keys.
pub(super) struct Table {
    /// The table's key; empty for the top.
    pub(super) key: String,
    /// What it is.
    pub(super) description: String,
    pub(super) keys: Vec<KeyDescription>,
    /// The name of its type: tables of one type have the same keys.
    pub(super) of: String,
}

/// Every key, in the order of the reference.
pub fn keys() -> Vec<KeyDescription> {
    tables().into_iter().flat_map(|table| table.keys).collect()
}

/// The keys that `key` may mean: a whole path, with names of the user's or `NAME` in it (`services.api.port`), or the end
/// of one (`port`, `http.path`). Empty if there is none.
pub fn describe_key(key: &str) -> Vec<KeyDescription> {
    let asked: Vec<&str> = key.split('.').map(|part| part.split('[').next().unwrap_or(part)).collect();
    let all = keys();
    let matches = |described: &KeyDescription, from_start: bool| {
        let parts: Vec<&str> = described.key.split('.').collect();
        let same = |(part, asked): (&&str, &&str)| part == asked || *part == NAME;
        let fits = parts.len() == asked.len() || (!from_start && parts.len() > asked.len());
        // A name of the user's alone says nothing about which key is meant.
        fits && parts.last() == asked.last() && parts.iter().rev().zip(asked.iter().rev()).all(same)
    };
    let exact: Vec<KeyDescription> = all.iter().filter(|described| matches(described, true)).cloned().collect();
    let mut found =
        if exact.is_empty() { all.into_iter().filter(|described| matches(described, false)).collect() } else { exact };
    // Some keys mean the same in every kind of table.
    let mut seen: Vec<KeyDescription> = Vec::new();
    found.retain(|described| {
        let is_new = !seen.contains(described);
        seen.extend(is_new.then(|| described.clone()));
        is_new
    });
    found
}

pub(super) fn tables() -> Vec<Table> {
    let schema = schema();
    let mut walk = Walk { root: &schema, tables: Vec::new() };
    walk.table("", "", &schema);
    walk.tables
}

struct Walk<'s> {
    root: &'s Value,
    tables: Vec<Table>,
}

impl<'s> Walk<'s> {
    /// `value` is anything; only what of it may be a table has keys.
    fn value(&mut self, key: &str, value: &'s Value) {
        let of = value["$ref"].as_str().unwrap_or_default();
        let resolved = resolve(self.root, value);
        if let Some((_, variants)) = tag(resolved) {
            return variants.into_iter().for_each(|(name, schema)| self.table(key, &format!("{of}/{name}"), schema));
        }
        for branch in alternatives(resolved) {
            let of = branch["$ref"].as_str().unwrap_or(of);
            let branch = resolve(self.root, branch);
            if branch["properties"].is_object() {
                self.table(key, of, branch);
            }
            if let Some(inner) = named(branch) {
                self.value(&join(key, NAME), inner);
            }
            if branch["type"] == "array" {
                self.value(key, &branch["items"]);
            }
        }
    }

    fn table(&mut self, key: &str, of: &str, schema: &'s Value) {
        let required = |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
        let mut properties: Vec<(&String, &Value)> = schema["properties"].as_object().into_iter().flatten().collect();
        properties.sort_by_key(|(name, _)| (!required(name), name.as_str()));
        let describe =
            |(name, property): &(&String, &'s Value)| self.describe(&join(key, name), property, required(name));
        let keys = properties.iter().map(describe).collect();
        let description = text(&schema["description"]);
        self.tables.push(Table { key: key.to_owned(), description, keys, of: of.to_owned() });
        for (name, property) in properties {
            self.value(&join(key, name), property);
        }
    }

    fn describe(&self, key: &str, property: &Value, required: bool) -> KeyDescription {
        let resolved = resolve(self.root, property);
        let own =
            |name: &str| [property, resolved].into_iter().map(|schema| &schema[name]).find(|found| !found.is_null());
        let constant = resolved["const"].as_str();
        let example = own("examples").map(|examples| &examples[0]);
        let description = match constant {
            Some(value) => format!("Which kind of table this is: `{value}` has the keys below."),
            None => own("description").map(text).unwrap_or_default(),
        };
        KeyDescription {
            key: key.to_owned(),
            shape: constant.map_or_else(|| self.shape(property), |value| format!("`{value}`")),
            required,
            default: property.get("default").filter(|value| !is_empty(value)).map(in_toml),
            description,
            example: constant.map(|value| format!("{value:?}")).or(example.map(in_toml)).unwrap_or_default(),
        }
    }

    fn shape(&self, property: &Value) -> String {
        let resolved = resolve(self.root, property);
        let plain = shape(self.root, &without_examples(property, resolved));
        if fixed_values(resolved).is_some() || named(resolved).is_none() {
            plain
        } else {
            "a table of names".to_owned()
        }
    }
}

/// The example stands beside the shape, so it is not told twice.
fn without_examples(property: &Value, resolved: &Value) -> Value {
    let mut schema = if property["$ref"].is_string() { resolved.clone() } else { property.clone() };
    if let Some(map) = schema.as_object_mut() {
        map.remove("examples");
    }
    schema
}

/// The schema of what has a name of the user's choice.
fn named(schema: &Value) -> Option<&Value> {
    let open = &schema["additionalProperties"];
    let by_pattern = schema["patternProperties"].as_object().and_then(|patterns| patterns.values().next());
    if open.is_object() { Some(open) } else { by_pattern }
}

fn join(key: &str, name: &str) -> String {
    if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().replace('\n', " ")
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty) || value == ""
}

pub(super) fn in_toml(value: &Value) -> String {
    toml::Value::try_from(value).map(|value| value.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{tree, validate::validate};

    #[test]
    fn every_key_has_a_description_a_shape_and_an_example() {
        let keys = keys();
        assert!(keys.len() > 60, "{}", keys.len());
        for key in keys {
            assert!(key.description.ends_with('.'), "{key:?}");
            assert!(!key.example.is_empty() && !key.shape.is_empty(), "{key:?}");
        }
    }

    #[test]
    fn every_example_is_right_where_it_stands() {
        let whole = schema();
        for key in keys() {
            // The key's own part of the schema: down from the top along its path.
            let mut part = &whole;
            for name in key.key.split('.') {
                part = step(&whole, part, name).unwrap_or_else(|| panic!("{}", key.key));
            }
            let mut root = whole.clone();
            root["properties"] = serde_json::json!({ "x": part });
            root["required"] = serde_json::json!([]);
            let (node, errors) = tree::read(&format!("x = {}", key.example)).clone();
            assert!(errors.is_empty(), "{key:?}");
            if part["const"].is_null() {
                let (_, faults) = validate(&node, &root);
                assert!(faults.is_empty(), "{key:?}: {faults:?}");
            }
        }
    }

    fn step<'s>(root: &'s Value, schema: &'s Value, name: &str) -> Option<&'s Value> {
        let schema = resolve(root, schema);
        if let Some((_, variants)) = tag(schema) {
            return variants.into_iter().find_map(|(_, variant)| step(root, variant, name));
        }
        alternatives(schema).into_iter().find_map(|branch| {
            let branch = resolve(root, branch);
            if branch["type"] == "array" {
                return step(root, &branch["items"], name);
            }
            branch["properties"].get(name).or_else(|| named(branch).filter(|_| name == NAME))
        })
    }

    #[test]
    fn a_key_is_found_by_its_path_by_a_real_path_and_by_its_end() {
        let found = |key| describe_key(key).into_iter().map(|found| found.key).collect::<Vec<_>>();
        assert_eq!(found("services.NAME.port"), ["services.NAME.port"]);
        assert_eq!(found("services.pr-review.checks[0].http.path"), ["services.NAME.checks.http.path"]);
        let ports = ["environments.NAME.targets.NAME.port", "services.NAME.port", "services.NAME.image.port"];
        assert_eq!(found("port"), ports);
        assert_eq!(found("shared"), ["services.NAME.shared"]);
        assert_eq!(found("keep"), ["environments.NAME.targets.NAME.keep"]);
        assert_eq!(found("http.status").len(), 2);
        assert_eq!(found("nothing"), [""; 0]);
        assert_eq!(found(""), [""; 0]);
    }
}

//! The JSON Schema of the file, and how to read it.

use serde_json::{Map, Value};

use super::project::Config;

/// The JSON Schema (draft 2020-12) of `pleach.toml`, for editors and for [`parse`](super::parse).
///
/// TOML has no null, so an optional key is one that is not required, never one that may be null.
pub fn schema() -> Value {
    let mut schema = schemars::SchemaGenerator::default().into_root_schema_for::<Config>().to_value();
    without_null(&mut schema);
    schema["title"] = "pleach.toml".into();
    schema
}

fn without_null(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|of| of != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    map.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(branches)) = map.get_mut("anyOf") {
                branches.retain(|branch| branch["type"] != "null");
                if let [Value::Object(only)] = branches.as_slice() {
                    let only = only.clone();
                    map.remove("anyOf");
                    for (key, value) in only {
                        map.entry(key).or_insert(value);
                    }
                }
            }
            // Examples and defaults are values, not schemas.
            let schemas = map.iter_mut().filter(|(key, _)| !matches!(key.as_str(), "default" | "examples"));
            schemas.for_each(|(_, inner)| without_null(inner));
        }
        _ => {}
    }
}

/// What `schema` refers to, or itself.
pub(super) fn resolve<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    let name = schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/$defs/"));
    match name {
        Some(name) => resolve(root, &root["$defs"][name]),
        None => schema,
    }
}

/// The schemas of which a value must fit any.
pub(super) fn alternatives(schema: &Value) -> Vec<&Value> {
    match schema["anyOf"].as_array() {
        Some(branches) => branches.iter().collect(),
        None => vec![schema],
    }
}

/// The texts of which it must be one, if it is such a schema.
pub(super) fn fixed_values(schema: &Value) -> Option<Vec<&str>> {
    let branches = schema["oneOf"].as_array()?;
    branches.iter().map(|branch| branch["const"].as_str()).collect()
}

/// A key and the variants that its values name.
pub(super) type Tagged<'s> = (&'s str, Vec<(&'s str, &'s Value)>);

/// The key that tells the variants of a table apart, and the variants by its values.
pub(super) fn tag<'s>(schema: &'s Value) -> Option<Tagged<'s>> {
    let branches = schema["oneOf"].as_array()?;
    let first: &Map<String, Value> = branches.first()?["properties"].as_object()?;
    let tag = first.iter().find(|(_, property)| property["const"].is_string())?.0;
    let variant = |branch: &'s Value| Some((branch["properties"][tag]["const"].as_str()?, branch));
    Some((tag, branches.iter().map(variant).collect::<Option<_>>()?))
}

/// What a value of this schema looks like: "expected a whole number from 1 to 65535".
pub(super) fn expectation(root: &Value, schema: &Value) -> String {
    format!("expected {}", shape(root, schema))
}

/// The same without "expected".
pub(super) fn shape(root: &Value, schema: &Value) -> String {
    let outer = schema;
    let schema = resolve(root, schema);
    if let Some(values) = fixed_values(schema) {
        let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
        return format!("one of {}", values.join(", "));
    }
    let branches = alternatives(schema);
    if branches.len() > 1 {
        let shapes: Vec<String> = branches.iter().map(|branch| shape(root, branch)).collect();
        return shapes.join(", or ");
    }
    let example = [outer, schema].into_iter().find_map(|schema| schema["examples"][0].as_str());
    let such_as = example.map(|example| format!(" such as `{example}`")).unwrap_or_default();
    match (schema["format"].as_str(), schema["type"].as_str()) {
        (Some("period"), _) => format!("a length of time{such_as}"),
        (Some("percent"), _) => format!("a percentage{such_as}"),
        (Some("size"), _) => format!("a number of bytes{such_as}"),
        (Some("secret"), _) => "the name of a secret: `env:NAME`, `file:PATH` or `command:LINE`".to_owned(),
        (Some("batch-size"), _) => "a percentage such as `25%`".to_owned(),
        (Some("http-path"), _) => "a path that starts with `/`, or a URL with `http` or `https`".to_owned(),
        (Some("branch"), _) => format!("the name of a branch{such_as}"),
        (_, Some("string")) if schema["pattern"].is_string() => {
            let name = schema["examples"][0].as_str().map(|example| format!(" such as `{example}`"));
            format!("a text{}", name.unwrap_or_default())
        }
        (_, Some("string")) => format!("a text{}", example.map(|e| format!(" such as {e:?}")).unwrap_or_default()),
        (_, Some("integer")) => format!("a whole number{}", bounds(schema)),
        (_, Some("number")) => format!("a number{}", bounds(schema)),
        (_, Some("boolean")) => "`true` or `false`".to_owned(),
        (_, Some("array")) => {
            let of = resolve(root, &schema["items"])["type"].as_str();
            match of {
                Some("string") => "a list of texts".to_owned(),
                Some("object") => "a list of tables".to_owned(),
                _ => "a list".to_owned(),
            }
        }
        _ => match schema["required"][0].as_str() {
            Some(key) => format!("a table with `{key}`"),
            None => "a table".to_owned(),
        },
    }
}

fn bounds(schema: &Value) -> String {
    let least = schema["minimum"].as_i64();
    let above = schema["exclusiveMinimum"].as_f64();
    let most = schema["maximum"].as_i64();
    match (least, most, above) {
        (Some(least), Some(most), _) => format!(" from {least} to {most}"),
        (Some(least), None, _) => format!(" from {least}"),
        (_, _, Some(above)) => format!(" above {above}"),
        _ => String::new(),
    }
}

//! The schema and the reference that are checked in are those of the types.

use std::path::PathBuf;

use pleach_core::config;
use serde_json::{Map, Value};

const REFRESH: &str = "refresh it with `PLEACH_UPDATE=1 cargo test -p pleach-core --test promise config_schema`";

fn path(relative: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(relative)
}

fn update(path: &PathBuf, text: &str) {
    if std::env::var_os("PLEACH_UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("the directory");
        std::fs::write(path, text).expect("the file");
    }
}

/// By key, whatever order the map of the build keeps.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            Value::Object(entries.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        plain => plain.clone(),
    }
}

#[test]
fn the_schema_is_that_of_the_types() {
    let schema = config::schema();
    let path = path("schema/pleach.schema.json");
    update(&path, &format!("{}\n", serde_json::to_string_pretty(&sorted(&schema)).expect("JSON")));
    let written: Value = serde_json::from_slice(&std::fs::read(&path).expect("the schema")).expect("JSON");
    assert!(written == schema, "`{}` is not current: {REFRESH}", path.display());
}

#[test]
fn the_reference_is_that_of_the_types() {
    let reference = config::reference();
    let path = path("../../docs/config.md");
    update(&path, &reference);
    let written = std::fs::read_to_string(&path).expect("the reference");
    assert!(written == reference, "`{}` is not current: {REFRESH}", path.display());
}

/// What the validator understands, and what it may pass over because it only informs.
#[test]
fn the_schema_uses_only_words_that_the_validator_understands() {
    const KNOWN: [&str; 20] = [
        "$ref",
        "$defs",
        "$schema",
        "additionalProperties",
        "anyOf",
        "const",
        "default",
        "description",
        "examples",
        "exclusiveMinimum",
        "format",
        "items",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "oneOf",
        "patternProperties",
        "pattern",
        "title",
    ];
    const FORMATS: [&str; 12] = [
        "period",
        "percent",
        "size",
        "secret",
        "batch-size",
        "branch",
        "http-path",
        "match-name",
        "match-value",
        "uint16",
        "uint32",
        "double",
    ];
    fn look(schema: &Value) {
        for (word, value) in schema.as_object().expect("a schema") {
            match word.as_str() {
                "properties" | "$defs" | "patternProperties" => {
                    value.as_object().expect("schemas by name").values().for_each(look);
                }
                "anyOf" | "oneOf" => value.as_array().expect("schemas").iter().for_each(look),
                "items" => look(value),
                "additionalProperties" if value.is_object() => look(value),
                "additionalProperties" => assert_eq!(value, false),
                "type" => assert!(value.is_string(), "{schema}"),
                "required" => assert!(value.is_array()),
                "format" => assert!(FORMATS.contains(&value.as_str().expect("a text")), "{schema}"),
                "pattern" => assert_eq!(value, pleach_core::word::NAME_PATTERN),
                other => assert!(KNOWN.contains(&other), "`{other}` in {schema}"),
            }
        }
    }
    look(&config::schema());
}

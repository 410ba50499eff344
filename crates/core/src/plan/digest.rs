//! The canonical form and its digest: JSON without white space, keys of every object sorted by their bytes.

use std::fmt::Write;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Plan;
use crate::word::PlanId;

pub(super) fn plan_id(plan: &Plan) -> PlanId {
    // A plan has string keys only and no failing serializers, so both steps always give a value; a digest of nothing
    // would be refused at approval.
    let canonical = serde_json::to_value(plan).map(|value| canonical(&value)).unwrap_or_default();
    match PlanId::new(sha256(canonical.as_bytes())) {
        Ok(id) => id,
        Err(_) => unreachable!("64 hexadecimal digits are a plan id"),
    }
}

/// The SHA-256 of some bytes in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// Writes `value` in its canonical form.
fn canonical(value: &Value) -> String {
    let mut out = String::new();
    write_canonical(value, &mut out);
    out
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            // Sorted here and not by the map: a dependency may switch on insertion order for the whole build.
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            out.push('{');
            for (at, key) in keys.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                let _ = write!(out, "{}:", Value::String(key.clone()));
                write_canonical(&map[key], out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        plain => {
            let _ = write!(out, "{plain}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_keys_does_not_matter() {
        let one: Value = serde_json::from_str(r#"{"b":[1,{"d":null,"c":"x\n"}],"a":true}"#).expect("JSON");
        assert_eq!(canonical(&one), r#"{"a":true,"b":[1,{"c":"x\n","d":null}]}"#);
    }
}

//! `pleach config`: check, explain, show-schema.

use crate::sample::Sample;

#[test]
fn a_good_config_is_told_in_short_and_a_bad_one_in_full() {
    let sample = Sample::new(&[]);
    sample.write("pleach.toml", "[project]\nname = \"shop\"\n[services.web]\nbranch = \"main\"\n");
    let good = sample.done(&["config", "check"]);
    assert!(good.contains("1 service") && good.contains("no problem"), "{good}");
    sample.write("pleach.toml", "[project]\nname = \"shop\"\n[services.web]\nbrunch = \"main\"\nport = \"x\"\n");
    let bad = sample.pleach(&["config", "check"]);
    assert_eq!(bad.code, 100, "{bad:#?}");
    for part in ["brunch", "did you mean `branch`?", "pleach.toml:5:8"] {
        assert!(bad.stderr.contains(part), "{part}: {}", bad.stderr);
    }
}

#[test]
fn every_key_can_be_explained() {
    let sample = Sample::new(&[]);
    let text = sample.done(&["config", "explain", "services.NAME.health"]);
    assert!(text.contains("healthy"), "{text}");
    let unknown = sample.pleach(&["config", "explain", "services.NAME.helth"]);
    assert_eq!(unknown.code, 100, "{unknown:#?}");
    assert!(unknown.stderr.contains("health"), "{}", unknown.stderr);
    assert!(sample.done(&["config", "explain"]).contains("on-failure"), "without a key, all keys");
}

#[test]
fn the_schema_is_json() {
    let sample = Sample::new(&[]);
    let schema: serde_json::Value = serde_json::from_str(&sample.done(&["config", "show-schema"])).expect("JSON");
    assert!(schema["properties"]["services"].is_object(), "{schema:#}");
}

//! Typed consent: what a person has to say before production changes, and where it is written down.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::scene::{Said, Scene, told_in_four_parts};

/// A scene whose environment `prod` wants typed consent; only `alpha` goes there.
struct Production {
    scene: Scene,
}

impl Production {
    fn new() -> Self {
        Self { scene: Scene::new() }
    }

    /// The commit of `alpha` as people write it.
    fn commit(&self) -> String {
        let mut command = Command::new("git");
        command.args(["rev-parse", "--short=8", "skill/alpha"]).current_dir(self.scene.root());
        String::from_utf8(command.output().unwrap().stdout).unwrap().trim().to_owned()
    }

    fn deploys(&self, code: i32, lines: &[&str]) -> Said {
        let said = self.scene.types(&["deploy", "prod", "--only", "alpha"], lines);
        assert_eq!(said.code, code, "{lines:?}\n{}", said.stdout);
        said
    }

    fn is_untouched(&self) -> bool {
        !self.live().exists() && self.scene.runs().is_empty()
    }

    fn live(&self) -> std::path::PathBuf {
        self.scene.place().join("prod")
    }
}

impl Drop for Production {
    fn drop(&mut self) {
        let stopped = self.scene.types(&["stop", "prod"], &["prod"]);
        if !std::thread::panicking() {
            assert!(stopped.code == 0, "{}", stopped.stdout);
        }
    }
}

#[test]
fn five_questions_are_asked_and_the_answers_are_in_the_journal() {
    let production = Production::new();
    let scene = &production.scene;
    scene.ends(0, &["deploy", "local", "--only", "alpha", "--yes"]);
    let commit = production.commit();
    let said = production.deploys(0, &["ab12cd34", &commit, "", "y", "call ada", "prod"]);
    for words in [
        "Which version of `alpha` goes live (\"Change service.json\")?",
        "That is not the commit of this plan",
        "local: yes: alpha live and healthy since ",
        "Where was it tested [local]?",
        "directory-release of alpha@there",
        "How is it taken back if it is wrong [pleach rollback prod]?",
        "done, and seen to be done",
    ] {
        assert!(said.stdout.contains(words), "{words}: {}", said.stdout);
    }
    let run = scene.newest_run();
    let journal = scene.state_file(&format!("runs/{run}/journal.jsonl"));
    assert!(journal.contains("\"rollback-plan\":\"call ada\""), "{journal}");
    let told = scene.ends(0, &["report", &run]).stdout;
    for words in ["typed", &format!("version        {commit} of alpha"), "tested         local: yes: alpha live"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let report: Value = serde_json::from_str(&scene.ends(0, &["report", &run, "--json"]).stdout).unwrap();
    assert_eq!((&report["how"], &report["answers"]["environment"]), (&"typed".into(), &"prod".into()));
    assert!(report["agreed"].is_string() && report["by"].is_string());

    let back = scene.types(&["rollback", "prod"], &["prod"]);
    assert!(back.code == 0 && !back.stdout.contains("Which version"), "a way back is not slowed down: {}", back.stdout);
    assert!(!Path::new(&production.live().join("alpha/current")).exists());
}

#[test]
fn what_is_not_answered_is_not_done() {
    let production = Production::new();
    let commit = production.commit();
    let commit = commit.as_str();
    for (lines, why) in [
        (&["y", "yes", "deadbeef", commit][..], "was typed wrong 3 times"),
        (&[][..], "nobody typed the version"),
        (&[commit, "", "", ""], "it was not said where it was tested"),
        (&[commit, "by hand", "n"], "the restore point is not relied on"),
        (&[commit, "by hand", "y", "", "production"], "`production` is not the name of the environment"),
    ] {
        let refused = production.deploys(102, lines);
        assert!(refused.stdout.contains(why), "{why}: {}", refused.stdout);
        assert!(refused.stdout.contains("state: nothing was touched"), "{}", refused.stdout);
        let was_typed = lines.first() == Some(&commit);
        assert!(refused.stdout.contains("local: no") == was_typed, "other environments are told: {}", refused.stdout);
        assert!(production.is_untouched());
    }
    let silent = production.scene.ends(102, &["deploy", "prod", "--yes"]);
    told_in_four_parts(&silent);
    assert!(silent.stderr.contains("`pleach approve plan.json`"), "{}", silent.stderr);
}

#[test]
fn consent_from_another_terminal_is_asked_the_same_and_yes_is_not_enough() {
    let production = Production::new();
    let scene = &production.scene;
    scene.ends(0, &["plan", "prod", "--only", "alpha", "--out", "../plan.json"]);
    let deploy = &["deploy", "prod", "--plan", "../plan.json"];
    // Somebody whose own config asks for nothing.
    let config = std::fs::read_to_string(scene.root().join("pleach.toml")).unwrap();
    scene.write("lax.toml", &config.replace("consent = \"typed\"\n", ""));
    scene.ends(0, &["--config", "lax.toml", "approve", "../plan.json", "--yes"]);
    let refused = scene.ends(102, deploy);
    told_in_four_parts(&refused);
    assert!(refused.stderr.contains("its questions were not answered in a terminal"), "{}", refused.stderr);
    assert!(production.is_untouched());

    let declined = scene.types(&["approve", "../plan.json"], &["no"]);
    assert_eq!(declined.code, 102, "{}", declined.stdout);
    let commit = production.commit();
    let approved = scene.types(&["approve", "../plan.json"], &[&commit, "staging, by ada", "y", "", "prod"]);
    assert_eq!(approved.code, 0, "{}", approved.stdout);
    scene.ends(0, deploy);
    let run = scene.newest_run();
    let told = scene.ends(0, &["report", &run]).stdout;
    assert!(told.contains("tested         staging, by ada"), "{told}");
    assert!(told.contains("rollback-plan  pleach rollback prod"), "{told}");
}

#[test]
fn what_is_promoted_to_production_is_agreed_to_in_a_terminal_now_or_by_somebody_before() {
    let production = Production::new();
    let scene = &production.scene;
    let config = std::fs::read_to_string(scene.root().join("pleach.toml")).unwrap();
    let gate = "[environments.prod]\npromote-from = \"local\"\n";
    scene.write("pleach.toml", &config.replace("[environments.prod]\n", gate));
    scene.git(&["commit", "-qam", "A gate"]);
    scene.ends(0, &["deploy", "local", "--only", "alpha", "--yes"]);
    let promote = ["promote", "local", "prod", "--only", "alpha"];
    let asked = scene.ends(102, &promote);
    told_in_four_parts(&asked);
    assert!(asked.stderr.contains("--out plan.json`, in a terminal `pleach approve plan.json`"), "{}", asked.stderr);
    assert!(production.is_untouched() || scene.runs().len() == 1);
    let answers = [production.commit(), String::new(), "y".into(), "call ada".into(), "prod".into()];
    let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
    let said = scene.types(&promote, &answers);
    assert!(said.code == 0 && said.stdout.contains("done, and seen to be done"), "{}", said.stdout);

    // Planned and agreed to by a person, carried out where no terminal is.
    let plan = scene.place().join("plan.json").display().to_string();
    let out = [&promote[..], &["--out", &plan]].concat();
    let carried_out = |code: i32| scene.ends(code, &["deploy", "prod", "--plan", &plan]);
    let agreed = || {
        let given = [production.commit(), String::new(), "y".into(), "call ada".into(), "prod".into()];
        let given: Vec<&str> = given.iter().map(String::as_str).collect();
        let said = scene.types(&["approve", &plan], &given);
        assert_eq!(said.code, 0, "{}", said.stdout);
    };
    scene.version("alpha", 2);
    scene.ends(0, &["deploy", "local", "--only", "alpha", "--yes"]);
    let saved = scene.ends(0, &out);
    assert!(saved.stderr.contains(&format!("then `pleach deploy prod --plan {plan}`")), "{}", saved.stderr);
    assert!(told_in_four_parts_of(carried_out(102)).contains("in a terminal"), "nobody has agreed yet");
    agreed();
    scene.version("alpha", 3);
    scene.ends(0, &["deploy", "local", "--only", "alpha", "--yes"]);
    assert!(told_in_four_parts_of(carried_out(102)).contains("does not bring what is proven of `alpha` in `local`"));
    scene.ends(0, &out);
    agreed();
    carried_out(0);
    // A plan of what the branch has is none of what is proven.
    scene.version("alpha", 4);
    scene.ends(0, &["plan", "prod", "--only", "alpha", "--out", &plan]);
    assert!(told_in_four_parts_of(carried_out(102)).contains("does not bring what is proven"));
    scene.ends(0, &["stop", "local", "--yes"]);
}

fn told_in_four_parts_of(said: Said) -> String {
    told_in_four_parts(&said);
    said.stderr
}

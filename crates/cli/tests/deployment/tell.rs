//! What programs and people can read of a run: events, `status.json`, logs, reports.

use pleach_core::event::Event;
use serde_json::Value;

use crate::scene::{Said, Scene, told_in_four_parts};

#[test]
fn json_gives_one_event_a_line_and_the_report_last() {
    let scene = Scene::new();
    let said = scene.ends(0, &["deploy", "local", "--yes", "--json"]);
    let (last, events) = {
        let mut lines: Vec<&str> = said.stdout.lines().collect();
        (lines.pop().expect("a line"), lines)
    };
    for line in &events {
        serde_json::from_str::<Event>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    assert!(events.len() > 30, "{} events", events.len());
    let last: Value = serde_json::from_str(last).expect("json");
    assert_eq!((&last["event"], &last["report"]["outcome"]), (&"report".into(), &"succeeded".into()));
}

#[test]
fn the_status_file_has_the_fields_that_scripts_read() {
    let scene = Scene::new();
    scene.ends(0, &["deploy", "local", "--yes"]);
    let status: Value = serde_json::from_str(&scene.state_file("status.json")).expect("json");
    assert_eq!(status["status"], "completed");
    assert!(status["deployment_id"].is_string() && status["started_at"].is_string());
    let alpha = &status["skills"]["alpha"];
    assert_eq!(alpha["branch"], "skill/alpha");
    assert_eq!((&alpha["status"], &alpha["deployment_status"]), (&"deployed".into(), &"ACTIVE".into()));
    assert!(alpha["started_at"].is_string() && alpha["completed_at"].is_string());

    scene.version("alpha", 2);
    scene.break_service("beta");
    scene.ends(110, &["deploy", "local", "--yes", "--on-failure", "unwind-lane"]);
    let status: Value = serde_json::from_str(&scene.state_file("status.json")).expect("json");
    assert_eq!(status["skills"]["alpha"]["status"], "deployed");
    assert_eq!(status["skills"]["beta"]["status"], "rolled_back", "a refused one is not called deployed");
    assert_eq!(status["skills"]["beta"]["deployment_status"], "ERROR");
}

#[test]
fn the_status_file_tells_of_what_is_live_after_a_rollback() {
    let scene = Scene::new();
    let alpha = || {
        let status: Value = serde_json::from_str(&scene.state_file("status.json")).expect("json");
        let skill = &status["skills"]["alpha"];
        let words = format!("{} {}", skill["status"], skill["deployment_status"]).replace('"', "");
        (words, status["services"][0]["release"].as_str().map(|release| release[..4].to_owned()))
    };
    let active = |release: &str| ("deployed ACTIVE".to_owned(), Some(release.to_owned()));
    scene.ends(0, &["deploy", "local", "--yes"]);
    scene.ends(0, &["stop", "local", "--yes"]);
    assert_eq!(alpha().0, "stopped INACTIVE");
    scene.ends(0, &["rollback", "local", "--yes"]);
    assert_eq!(alpha(), active("0001"));
    scene.version("alpha", 2);
    scene.ends(0, &["deploy", "local", "--yes"]);
    assert_eq!(alpha(), active("0002"));
    scene.ends(0, &["rollback", "local", "--yes"]);
    assert_eq!(alpha(), active("0001"));
    scene.ends(0, &["rollback", "local", "--yes"]);
    assert_eq!(alpha().0, "rolled_back CANCELED", "there was nothing before");
}

#[test]
fn a_run_can_be_read_afterwards() {
    let scene = Scene::new();
    assert!(scene.ends(0, &["runs"]).stdout.contains("no runs yet"));
    scene.ends(100, &["logs", "alpha"]);
    scene.ends(0, &["deploy", "local", "--yes"]);
    let log = scene.ends(0, &["logs", "alpha"]).stdout;
    assert!(log.contains("| building") && log.contains("health done"), "{log}");
    assert!(!log.contains("beta"), "{log}");
    assert_eq!(scene.ends(0, &["logs", "alpha", "-n", "2"]).stdout.lines().count(), 2);
    assert!(scene.ends(0, &["logs", "alpha", "--follow"]).stdout.contains("| building"), "it ends with the run");
    assert!(scene.ends(0, &["logs", "alpha", "--service"]).stdout.contains("listening on"));
    let all = scene.ends(0, &["logs", "local"]).stdout;
    assert!(all.contains("==> alpha@here\n") && all.contains("==> beta@here\n"), "{all}");
    let printed = scene.ends(0, &["logs", "local", "--service", "--since", "deployment"]).stdout;
    assert!(printed.contains("==> alpha@local/here\n") && printed.matches("listening on").count() == 2, "{printed}");
    told_in_four_parts(&scene.ends(100, &["logs", "prod"]));
    let since = |when: &str| scene.pleach(&["logs", "alpha", "--service", "--since", when]);
    assert!(since("deployment").stdout.contains("listening on"));
    told_in_four_parts(&since("10m"));
    assert!(since("soon").stderr.contains("2026-11-22 10:00") && since("soon").code == 100);
    for line in scene.ends(0, &["--json", "logs", "alpha"]).stdout.lines() {
        let line: Value = serde_json::from_str(line).expect("json");
        assert!(line["source"] == "alpha@here" && line["line"].is_string(), "{line}");
    }
    let nothing: Value = serde_json::from_str(&scene.ends(0, &["--json", "resume"]).stdout).expect("json");
    assert_eq!(nothing["report"], Value::Null);
    let report = scene.ends(0, &["report"]).stdout;
    assert!(report.contains("done, and seen to be done"), "{report}");
    let runs: Value = serde_json::from_str(&scene.ends(0, &["runs", "--json"]).stdout).expect("json");
    assert_eq!(runs[0]["outcome"], "succeeded");
}

#[test]
fn all_that_a_service_has_printed_is_shown_however_much_it_is() {
    let scene = Scene::new();
    scene.ends(0, &["deploy", "local", "--yes"]);
    let running = scene.instances();
    let file = running.iter().find(|file| file.components().any(|part| part.as_os_str() == "alpha")).expect("a log");
    let mut log = std::fs::File::options().append(true).open(file).expect("there");
    let lines: String = (0..100_000).map(|line| format!("line {line}, größer\n")).collect();
    // The last one is not at its end yet.
    std::io::Write::write_all(&mut log, (lines + "unfinished").as_bytes()).expect("written");
    let wanted = std::fs::read_to_string(file).expect("text");
    assert!(scene.ends(0, &["logs", "alpha", "--service"]).stdout == wanted, "byte for byte");
    let json = scene.ends(0, &["logs", "alpha", "--service", "--json"]).stdout;
    assert_eq!(json.lines().count(), wanted.lines().count());
    assert!(json.lines().last().expect("a line").contains("\"unfinished\""));
    let end = scene.ends(0, &["logs", "alpha", "--service", "-n", "2"]).stdout;
    assert_eq!(end, "line 99999, größer\nunfinished\n");
}

#[test]
fn colors_are_written_only_where_they_are_wanted() {
    let scene = Scene::new();
    assert!(!scene.ends(0, &["status"]).stdout.contains('\u{1b}'));
    assert!(scene.ends(0, &["status", "--color", "always"]).stdout.contains('\u{1b}'));
}

#[test]
fn a_line_in_a_pipe_is_never_cut() {
    let scene = Scene::new();
    let plan = scene.ends(0, &["plan", "local"]);
    let deployed = scene.ends(0, &["deploy", "local", "--yes"]);
    assert!(deployed.stderr.starts_with("plan "), "{}", deployed.stderr);
    for said in
        [plan, deployed, scene.ends(2, &["verify", "local"]), scene.ends(0, &["runs"]), scene.ends(0, &["report"])]
    {
        assert!(!said.stdout.contains('…') && !said.stderr.contains('…'), "{}\n{}", said.stdout, said.stderr);
    }
}

#[test]
fn a_terminal_of_80_columns_or_of_an_unknown_size_cuts_nothing() {
    let scene = Scene::new();
    scene.ends(0, &["deploy", "local", "--yes"]);
    scene.version("alpha", 2);
    let on = |columns: usize, arguments: &[&str]| {
        let terminal = format!("script -qec \"stty cols {columns} rows 0; NO_COLOR=1 $*\" /dev/null");
        scene.under(&["sh", "-c", &terminal, "sh"], arguments).stdout.replace('\r', "")
    };
    for arguments in [&["runs"][..], &["status"], &["report"], &["plan", "local"], &["verify", "local"]] {
        for columns in [0, 80] {
            let text = on(columns, arguments);
            assert!(!text.contains('…'), "{arguments:?} at {columns}: {text}");
            let narrow = text.lines().all(|line| line.chars().count() <= 80);
            // Sentences are broken by the terminal itself.
            let is_table = matches!(arguments[0], "runs" | "status" | "verify");
            assert!(columns == 0 || narrow || !is_table, "{arguments:?} at {columns}: {text}");
        }
    }
    let runs = on(80, &["runs"]);
    assert_eq!(runs.lines().count(), 2, "{runs}");
}

#[test]
fn an_answer_that_is_lost_is_an_error_and_one_that_nobody_wants_is_none() {
    let scene = Scene::new();
    let full = scene.under(&["sh", "-c", "\"$@\" >/dev/full", "sh"], &["status"]);
    assert_eq!(full.code, 100, "{}", full.stderr);
    assert!(full.stderr.contains("error: could not write the answer"), "{}", full.stderr);
    let closed = scene.under(&["bash", "-c", "\"$@\" | true; exit ${PIPESTATUS[0]}", "sh"], &["status"]);
    assert_eq!((closed.code, closed.stderr.as_str()), (0, ""));
}

#[test]
fn what_is_proven_goes_to_one_target_of_several() {
    let scene = Scene::new();
    let file = scene.root().join("pleach.toml");
    let config = std::fs::read_to_string(&file).expect("a config");
    let late = "[environments.late]\ntargets.one = { kind = \"directory\", path = \"../one\", port-offset = 1 }\n\
                targets.two = { kind = \"directory\", path = \"../two\", port-offset = 1000 }\n";
    scene.write("pleach.toml", &format!("{config}{late}"));
    scene.git(&["commit", "-qam", "An environment of two"]);
    scene.ends(0, &["deploy", "local", "--yes"]);
    let promoted = scene.ends(0, &["promote", "local", "late", "--target", "one", "--yes"]);
    assert_eq!(promoted.stdout.matches("  one  ").count(), 2, "{}", promoted.stdout);
    assert!(scene.place().join("one/alpha/current").exists() && !scene.place().join("two").exists());
    let again = scene.ends(0, &["promote", "local", "late", "--target", "one"]);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
    let unasked = scene.ends(102, &["promote", "local", "late", "--target", "two"]);
    assert!(unasked.stderr.contains("`pleach promote local late --target two --yes`"), "{}", unasked.stderr);
    scene.ends(0, &["stop", "late", "--target", "one", "--yes"]);
}

#[test]
fn what_is_asked_of_one_target_leaves_the_others_alone() {
    let scene = Scene::new();
    let file = scene.root().join("pleach.toml");
    let config = std::fs::read_to_string(&file).expect("a config");
    let name = "[environments.local]\n";
    let second = format!("{name}targets.second = {{ kind = \"directory\", path = \"../second\", port-offset = 1 }}\n");
    scene.write("pleach.toml", &config.replacen(name, &second, 1));
    scene.git(&["commit", "-qam", "A second target"]);
    let on = |words: &[&'static str]| scene.pleach(&[words, &["--target", "second"]].concat());
    let second = |said: &Said| said.stdout.matches("  second  ").count();
    let here = |said: &Said| said.stdout.matches("  here  ").count();

    let plan = on(&["plan", "local"]);
    assert!(plan.stderr.contains("`pleach deploy local --target second`"), "{}", plan.stderr);
    assert!(plan.stdout.contains("alpha@second") && !plan.stdout.contains("alpha@here"), "{}", plan.stdout);
    let deployed = on(&["deploy", "local", "--yes"]);
    assert_eq!((deployed.code, second(&deployed), here(&deployed)), (0, 2, 0), "{}", deployed.stderr);
    assert!(!scene.place().join("live").exists(), "nothing was put there");
    scene.ends(0, &["deploy", "local", "--yes"]);
    let status = on(&["status"]);
    assert_eq!((status.stdout.matches("healthy").count(), here(&status)), (2, 0), "{}", status.stdout);

    // Wherever they are.
    let all = scene.ends(0, &["ps"]);
    assert_eq!((all.stdout.matches("local/here").count(), all.stdout.matches("local/second").count()), (2, 2));
    let checked = scene.ends(2, &["check"]).stdout;
    assert!(checked.contains("prod/there") && !checked.contains("local/"), "nothing was deployed there: {checked}");
    let listed = scene.ends(0, &["ps", "local"]);
    assert_eq!((here(&listed), second(&listed)), (2, 2), "{}", listed.stdout);

    let pids = || scene.ends(0, &["ps", "local", "--target", "here"]).stdout;
    let before: Vec<String> =
        pids().split_whitespace().filter(|word| word.parse::<u32>().is_ok()).map(str::to_owned).collect();
    assert_eq!(on(&["restart", "local", "--yes"]).code, 0);
    assert_eq!(on(&["backup", "local"]).code, 0);
    assert_eq!((second(&on(&["backup", "local", "--list"])), here(&on(&["backup", "local", "--list"]))), (2, 0));
    assert_eq!(on(&["stop", "local", "--yes"]).code, 0);
    let after: Vec<String> =
        pids().split_whitespace().filter(|word| word.parse::<u32>().is_ok()).map(str::to_owned).collect();
    assert_eq!(before, after);
    assert_eq!(scene.answers("alpha").as_deref(), Some("1.0.0"));
    assert!(on(&["verify", "local"]).code > 0 && scene.pleach(&["verify", "local", "--target", "here"]).code == 2);

    scene.ends(0, &["deploy", "local", "--yes"]);
    let releases = |target: &str| {
        let status = scene.ends(0, &["status", "local", "--target", target]).stdout;
        status.split_whitespace().filter(|word| word.starts_with("00")).map(str::to_owned).collect::<Vec<_>>()
    };
    let (before, there) = (releases("second"), releases("here"));
    scene.version("alpha", 2);
    scene.ends(0, &["deploy", "local", "--yes"]);
    let back = on(&["rollback", "local", "--yes"]);
    assert_eq!((back.code, here(&scene.ends(0, &["ps", "local"]))), (0, 2), "{}", back.stderr);
    assert_eq!(scene.answers("alpha").as_deref(), Some("2.0.0"), "there it stays");
    assert_eq!(releases("second"), before);
    assert_ne!(releases("here"), there);

    let unknown = scene.pleach(&["restart", "local", "--yes", "--target", "secondd"]);
    told_in_four_parts(&unknown);
    assert!(unknown.code == 100 && unknown.stderr.contains("did you mean `second`?"), "{}", unknown.stderr);
}

//! What is refused, with the code that says so, the state and what to do next.

use pleach_testbed::docker::{TOO_OLD, answer_all};

use crate::dock::Dock;
use crate::scene::{Scene, told_in_four_parts};

#[test]
fn without_a_terminal_and_without_yes_nobody_has_consented() {
    let scene = Scene::new();
    let refused = scene.ends(102, &["deploy", "local"]);
    assert!(refused.stderr.contains("nobody consented"), "{}", refused.stderr);
    assert!(refused.stderr.contains("state: nothing was touched"), "{}", refused.stderr);
    assert!(refused.stderr.contains("`pleach deploy local --yes`"), "{}", refused.stderr);
    assert!(!scene.place().join("live").exists());
    let typed = scene.ends(102, &["deploy", "prod", "--yes"]);
    assert!(typed.stderr.contains("pleach approve plan.json"), "`--yes` is not enough there: {}", typed.stderr);
}

#[test]
fn files_that_would_not_be_deployed_are_listed() {
    let scene = Scene::new();
    let worktree = scene.place().join("alpha");
    scene.git(&["worktree", "add", "-q", worktree.to_str().expect("text"), "skill/alpha"]);
    std::fs::write(worktree.join("new.txt"), "new").expect("written");
    std::fs::write(worktree.join("service.json"), "changed").expect("written");
    let refused = scene.ends(102, &["deploy", "local", "--yes"]);
    assert!(refused.stderr.contains("`new.txt`") && refused.stderr.contains("`service.json`"), "{}", refused.stderr);
    scene.ends(0, &["deploy", "local", "--only", "beta", "--yes"]);
    assert_eq!(scene.answers("alpha"), None);
    scene.ends(0, &["deploy", "local", "--ignore-uncommitted", "--yes"]);
    assert_eq!(scene.answers("alpha").as_deref(), Some("1.0.0"), "what is committed was deployed");
}

#[test]
fn a_wrong_name_is_told_with_the_nearest_one() {
    let scene = Scene::new();
    let environment = scene.ends(100, &["plan", "locl"]);
    assert!(environment.stderr.contains("`local`"), "{}", environment.stderr);
    let runs = scene.ends(100, &["runs", "locl"]);
    assert!(runs.stderr.contains("did you mean `local`?"), "{}", runs.stderr);
    let service = scene.ends(100, &["deploy", "local", "--only", "alhpa", "--yes"]);
    assert!(service.stderr.contains("did you mean `alpha`?"), "{}", service.stderr);
    let run = scene.ends(100, &["report", "20200101-000000-ffffffffffff"]);
    assert!(run.stderr.contains("there is no run"), "{}", run.stderr);
    let option = scene.ends(100, &["deploy", "local", "--yess"]);
    assert!(option.stderr.contains("--yes"), "{}", option.stderr);
}

#[test]
fn an_engine_that_is_too_old_is_told_before_anything_is_built_or_sent() {
    let scene = Scene::new();
    let socket = scene.place().join("old.sock");
    answer_all(&socket, TOO_OLD);
    let config = format!(
        "[project]\nname = \"skills\"\n[services.alpha]\nbranch = \"skill/alpha\"\nimage = {{}}\n\
         [environments.local]\ntargets.here = {{ kind = \"directory\", path = \"../live\", docker-socket = \"{}\" }}\n",
        socket.display()
    );
    scene.write("pleach.toml", &config);
    scene.git(&["commit", "-qam", "A container"]);
    let refused = scene.ends(100, &["deploy", "local", "--yes"]);
    told_in_four_parts(&refused);
    for words in ["cannot run as a container on `here`", "is too old: it speaks API 1.26", "19.03 or newer"] {
        assert!(refused.stderr.contains(words), "{words}: {}", refused.stderr);
    }
    assert!(!scene.place().join("live").exists());
}

#[test]
fn an_engine_that_builds_and_is_too_old_or_away_is_told_while_planning_and_what_builds_nothing_needs_none() {
    let Some(mut dock) = Dock::new() else { return };
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    dock.version(2);
    let (before, old) = (dock.seen(), dock.scene.place().join("old.sock"));
    answer_all(&old, TOO_OLD);
    for (socket, because, next) in [
        (old, "where Pleach runs is too old: it speaks API 1.26", "19.03 or newer"),
        (dock.scene.place().join("none.sock"), "there is no Docker engine where Pleach runs", "systemctl start docker"),
    ] {
        dock.scene.variables = vec![("DOCKER_HOST".into(), format!("unix://{}", socket.display()))];
        let refused = dock.scene.ends(100, &["deploy", "uat", "--yes"]);
        told_in_four_parts(&refused);
        let what = "the image of service `alpha` cannot be built here";
        for words in [what, because, next, "or name another one: `DOCKER_HOST=unix:///PATH`"] {
            assert!(refused.stderr.contains(words), "{words}: {}", refused.stderr);
        }
        assert_eq!(dock.seen(), before);
        dock.scene.ends(0, &["restart", "uat", "--yes"]);
        dock.require_settled(2);
    }
}

#[test]
fn what_is_advised_to_be_typed_is_the_command_that_was_typed() {
    let scene = Scene::new();
    let advised = |code: i32, arguments: &str, next: &str| {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let said = scene.ends(code, &arguments);
        assert!(said.stderr.contains(&format!("`pleach {next}`")), "{next}: {}", said.stderr);
    };
    let typed = "local --only alpha --on-failure hold --target here --ignore-uncommitted";
    advised(102, &format!("deploy {typed}"), &format!("deploy {typed} --yes"));
    advised(0, "plan local --only alpha", "deploy local --only alpha");
    advised(102, "deploy prod --only alpha --yes", "plan prod --only alpha --out plan.json");
    for command in ["plan local", "deploy local --only alpha", "promote local prod --only alpha --target there"] {
        advised(100, &format!("{command} --canary 50%,10%"), &format!("{command} --canary 10%,50%"));
    }
    scene.ends(0, &["deploy", "local", "--yes"]);
    scene.version("alpha", 2);
    scene.ends(0, &["deploy", "local", "--yes"]);
    advised(102, "rollback local alpha", "rollback local alpha --yes");
}

#[test]
fn a_config_with_several_mistakes_is_told_all_of_them() {
    let scene = Scene::new();
    scene.write("pleach.toml", "[project]\nnme = \"x\"\n[services.a]\nbranch = 7\n");
    let wrong = scene.ends(100, &["plan", "local"]);
    assert!(wrong.stderr.contains("pleach.toml:2") && wrong.stderr.contains("pleach.toml:4"), "{}", wrong.stderr);
}

#[test]
fn outside_of_a_repository_and_without_a_config_there_is_a_next_step() {
    let empty = tempfile::tempdir().expect("a directory");
    let scene = Scene::new();
    let place = empty.path().to_str().expect("text");
    let outside = scene.ends(100, &["-C", place, "status"]);
    assert!(outside.stderr.contains("is not in a git repository"), "{}", outside.stderr);
    std::fs::rename(scene.root().join("pleach.toml"), scene.root().join("other.toml")).expect("renamed");
    let without = scene.ends(100, &["status"]);
    assert!(without.stderr.contains("`pleach init`"), "{}", without.stderr);
    scene.ends(0, &["--config", "other.toml", "plan", "local"]);
    std::fs::rename(scene.root().join("other.toml"), scene.root().join("pleach.toml")).expect("renamed");
}

#[test]
fn a_run_that_stopped_in_the_middle_stands_in_the_way_until_it_is_gone_on_with() {
    let scene = Scene::new();
    let mut first = scene.start(&["deploy", "local", "--yes", "--halt-after", "12"]);
    first.says("halted");
    let busy = scene.ends(103, &["deploy", "local", "--yes"]);
    assert!(busy.stderr.contains("another deployment works in `local`"), "{}", busy.stderr);
    first.signal(rustix::process::Signal::KILL);
    first.ends();
    let refused = scene.ends(102, &["deploy", "local", "--yes"]);
    assert!(refused.stderr.contains("`pleach resume ") && refused.stderr.contains("`pleach rollback local`"));
    let status = scene.ends(0, &["status"]);
    assert!(status.stdout.contains("stopped before its end"), "{}", status.stdout);
    scene.ends(0, &["resume"]);
    assert_eq!(scene.answers("alpha").as_deref(), Some("1.0.0"));
    let nothing = scene.ends(0, &["resume"]);
    assert!(nothing.stdout.contains("nothing to resume"), "{}", nothing.stdout);
}

#[test]
fn services_are_not_taken_alone_out_of_a_run_that_stopped_in_the_middle() {
    let scene = Scene::new();
    // The last records of it: one service is live, the other one may not be.
    let mut working = scene.start(&["deploy", "local", "--yes", "--halt-after", "40"]);
    working.says("halted");
    working.signal(rustix::process::Signal::KILL);
    working.ends();
    let run = scene.newest_run();
    let before = scene.state_file(&format!("runs/{run}/journal.jsonl"));
    let refused = scene.ends(102, &["rollback", "local", "alpha", "--yes"]);
    crate::scene::told_in_four_parts(&refused);
    assert!(refused.stderr.contains("stopped in the middle"), "{}", refused.stderr);
    let next = format!("next: `pleach resume {run}`, or `pleach rollback local` for all of it");
    assert!(refused.stderr.contains(&next), "{}", refused.stderr);
    assert_eq!(scene.state_file(&format!("runs/{run}/journal.jsonl")), before);
    scene.ends(0, &["rollback", "local", "--yes"]);
    assert_eq!((scene.answers("alpha"), scene.answers("beta")), (None, None));
}

#[test]
fn a_canary_is_refused_where_nothing_can_share_requests_and_where_its_parts_are_none() {
    let scene = Scene::new();
    scene.ends(0, &["deploy", "local", "--yes"]);
    scene.version("alpha", 2);
    let refused = scene.ends(100, &["deploy", "local", "--yes", "--canary", "10%"]);
    assert!(refused.stderr.contains("`alpha` on `here` cannot share its requests"), "{}", refused.stderr);
    assert!(refused.stderr.contains("no `proxy` of `here` leads to it"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("`beta`"), "nothing is to be done for it: {}", refused.stderr);
    told_in_four_parts(&refused);
    assert_eq!(scene.answers("alpha").as_deref(), Some("1.0.0"));
    for parts in ["50%,10%", "100%", "0.5%"] {
        let wrong = scene.ends(100, &["plan", "local", "--canary", parts]);
        assert!(wrong.stderr.contains("could not understand `--canary`"), "{}", wrong.stderr);
        told_in_four_parts(&wrong);
    }
    assert!(scene.ends(100, &["plan", "local", "--canary", "ten"]).stderr.contains("is not a percentage"));
}

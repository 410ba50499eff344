//! Somebody else who prunes the engine of a host, amid a deployment and after it.

use pleach_testbed::docker::DockerBed;
use rustix::process::Signal;

use crate::dock::{Dock, Seen};
use crate::scene::{SERVICES, told_in_four_parts};

/// What `docker container prune` asks of the engine.
const CONTAINERS: &[&str] = &["/containers/prune"];
/// What `docker image prune -af` asks of it.
const IMAGES: &[&str] = &["/images/prune?filters=%7B%22dangling%22%3A%5B%22false%22%5D%7D"];
/// What `docker system prune -af` asks of it.
const ALL: &[&str] = &["/containers/prune", "/networks/prune", IMAGES[0], "/build/prune?all=1"];

/// A host whose images are built elsewhere.
fn scene() -> Option<(Dock, DockerBed)> {
    let (mut dock, builder) = (Dock::new()?, DockerBed::new()?);
    dock.scene.variables = vec![("DOCKER_HOST".into(), format!("unix://{}", builder.engine.socket().display()))];
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    Some((dock, builder))
}

fn prune(dock: &Dock, paths: &[&str]) {
    for path in paths {
        let answer = dock.engine.ask("POST", path, "", &[]).expect("the engine answers");
        assert!(answer.contains(" 200 "), "{path}: {answer}");
    }
}

fn running(dock: &Dock) -> Vec<Seen> {
    let all = SERVICES.iter().flat_map(|service| dock.containers(service));
    all.filter(|seen| seen.state == "running").collect()
}

#[test]
fn what_is_pruned_amid_a_deployment_keeps_nobody_from_an_answer_and_it_ends_all_new_or_all_old() {
    let Some((dock, _builder)) = scene() else { return };
    for (version, place) in (2..).zip(["alpha@vm: image done", "beta@vm: start done", "alpha@vm: switch done"]) {
        let (before, answered) = (running(&dock), dock.answers());
        dock.version(version);
        let said = dock.without_a_lost_request(|| {
            let mut working = dock.scene.start(&["deploy", "uat", "--yes", "-v"]);
            working.says(place);
            working.signal(Signal::STOP);
            prune(&dock, ALL);
            working.signal(Signal::CONT);
            working.ends()
        });
        let told = format!("{place}: {}\n{}{}", said.code, said.stdout, said.stderr);
        match said.code {
            0 => assert_eq!(dock.answers(), Some(version), "{told}"),
            110 => {
                told_in_four_parts(&said);
                assert_eq!((running(&dock), dock.answers()), (before, answered), "{told}");
                dock.require_settled(2);
                dock.without_a_lost_request(|| dock.scene.ends(0, &["deploy", "uat", "--yes"]));
                assert_eq!(dock.answers(), Some(version), "{told}");
            }
            _ => panic!("{told}"),
        }
        dock.require_settled(2);
    }
}

#[test]
fn a_release_whose_container_was_pruned_is_gone_back_to_and_one_whose_image_was_too_is_refused() {
    let Some((dock, _builder)) = scene() else { return };
    for (version, paths) in (2..).zip([CONTAINERS, IMAGES]) {
        dock.version(version);
        dock.scene.ends(0, &["deploy", "uat", "--yes"]);
        prune(&dock, paths);
        dock.require_settled(2);
        dock.without_a_lost_request(|| dock.scene.ends(0, &["rollback", "uat", "--yes"]));
        assert_eq!(dock.answers(), Some(1), "{paths:?}");
    }

    dock.version(4);
    dock.scene.ends(0, &["deploy", "uat", "--yes"]);
    prune(&dock, ALL);
    let before = running(&dock);
    dock.require_settled(2);
    let refused = dock.without_a_lost_request(|| dock.scene.pleach(&["rollback", "uat", "--yes"]));
    assert_eq!(refused.code, 102, "{}{}", refused.stdout, refused.stderr);
    told_in_four_parts(&refused);
    for words in ["is no longer on the target's engine", "to have ", "` on its branch, then `pleach deploy uat --only "]
    {
        assert!(refused.stderr.contains(words), "{words}: {}", refused.stderr);
    }
    assert_eq!((running(&dock), dock.answers()), (before, Some(4)), "{}", refused.stderr);
    dock.require_settled(2);
    dock.version(1);
    dock.without_a_lost_request(|| dock.scene.ends(0, &["deploy", "uat", "--yes"]));
    assert_eq!(dock.answers(), Some(1), "what the branch takes back is deployed");
}

//! A push moves refs only from where they were seen, all or none, whichever program pushes.

use pleach_git::{PushBackend, PushError, PushRequest, PushUpdate, Pushed};

use crate::sample::{Sample, git};

const BACKENDS: [PushBackend; 2] = [PushBackend::Native, PushBackend::Git];

fn with_remote() -> Sample {
    let sample = Sample::rich();
    git(sample.place.path(), ["init", "-q", "--bare", "-b", "main", "origin.git"]);
    sample.git(["remote", "add", "origin", &sample.beside("origin.git").to_string_lossy()]);
    sample
}

fn update(sample: &Sample, branch: &str, expected: Option<&str>) -> PushUpdate {
    let repository = sample.repository();
    PushUpdate {
        reference: format!("refs/heads/{branch}"),
        expected: expected.map(|rev| repository.resolve(rev).expect("a commit")),
        new: repository.resolve(branch).expect("a commit"),
    }
}

fn push(sample: &Sample, backend: PushBackend, updates: Vec<PushUpdate>) -> Result<Pushed, PushError> {
    sample.repository().push(&PushRequest { remote: "origin".into(), updates, backend })
}

fn there(sample: &Sample) -> String {
    git(&sample.beside("origin.git"), ["for-each-ref", "--format=%(objectname) %(refname)"])
}

#[test]
fn first_push_later_push_and_nothing_to_push() {
    for backend in BACKENDS {
        let sample = with_remote();
        let first = vec![update(&sample, "main", None), update(&sample, "one", None)];
        assert_eq!(push(&sample, backend, first.clone()), Ok(Pushed::Moved), "{backend:?}");
        assert_eq!(push(&sample, backend, first), Ok(Pushed::UpToDate), "{backend:?}");
        let before = sample.git(["rev-parse", "main"]);
        sample.write("later.txt", "later\n");
        sample.commit("Later");
        sample.git(["merge", "-q", "--no-ff", "-m", "Merge", "one"]);
        let later = vec![update(&sample, "main", Some(&before))];
        assert_eq!(push(&sample, backend, later), Ok(Pushed::Moved), "{backend:?}");
        let told = there(&sample);
        assert!(told.contains(&format!("{} refs/heads/main", sample.git(["rev-parse", "main"]))), "{told}");
        assert_eq!(sample.git(["rev-parse", "origin/main"]), sample.git(["rev-parse", "main"]), "{backend:?}");
        git(&sample.beside("origin.git"), ["fsck", "--strict"]);
    }
}

#[test]
fn a_ref_that_moved_meanwhile_stops_all() {
    for backend in BACKENDS {
        let sample = with_remote();
        push(&sample, backend, vec![update(&sample, "main", None)]).expect("pushed");
        let before = there(&sample);
        let stale = [
            vec![update(&sample, "one", None), {
                let mut main = update(&sample, "main", Some("two"));
                main.new = sample.repository().resolve("one").expect("a commit");
                main
            }],
            vec![PushUpdate {
                new: sample.repository().resolve("one").expect("a commit"),
                ..update(&sample, "main", None)
            }],
        ];
        for updates in stale {
            let error = push(&sample, backend, updates).expect_err("stale");
            assert!(
                matches!(&error, PushError::Stale { reference, .. } if reference == "refs/heads/main"),
                "{error:?}"
            );
            assert_eq!(there(&sample), before, "{backend:?}");
        }
    }
}

#[test]
fn a_hook_that_says_no_is_heard() {
    for backend in BACKENDS {
        let sample = with_remote();
        let hook = sample.beside("origin.git").join("hooks/pre-receive");
        std::fs::create_dir_all(hook.parent().expect("a parent")).expect("made");
        std::fs::write(&hook, "#!/bin/sh\necho 'not on a Friday' >&2\nexit 1\n").expect("written");
        std::os::unix::fs::PermissionsExt::set_mode(&mut hook.metadata().expect("there").permissions(), 0o755);
        std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("set");
        let error = push(&sample, backend, vec![update(&sample, "main", None)]).expect_err("refused");
        match error {
            PushError::Refused { reason, output, .. } => {
                assert!(reason.contains("pre-receive"), "{backend:?}: {reason}");
                assert!(output.iter().any(|line| line.contains("not on a Friday")), "{backend:?}: {output:?}");
            }
            other => panic!("{backend:?}: {other:?}"),
        }
        assert_eq!(there(&sample), "");
    }
}

#[test]
fn a_remote_that_is_not_there_is_unreachable_and_an_unknown_one_is_named() {
    for backend in BACKENDS {
        let sample = with_remote();
        std::fs::remove_dir_all(sample.beside("origin.git")).expect("removed");
        let error = push(&sample, backend, vec![update(&sample, "main", None)]).expect_err("gone");
        assert!(matches!(error, PushError::Unreachable { .. }), "{backend:?}: {error:?}");
        let request = PushRequest { remote: "elsewhere".into(), updates: Vec::new(), backend };
        let error = sample.repository().push(&request).expect_err("unknown");
        assert!(matches!(error, PushError::Repository(pleach_git::Error::NoRemote(_))), "{error:?}");
    }
}

#[test]
fn an_annotated_tag_is_made_and_pushed() {
    for backend in BACKENDS {
        let sample = with_remote();
        let repository = sample.repository();
        let at = repository.resolve("main").expect("a commit");
        let tagger = repository.identity().expect("configured");
        repository.annotated_tag("v1", &at, "Release 1", &tagger).expect("tagged");
        assert!(repository.annotated_tag("v1", &at, "Release 1", &tagger).is_err());
        let tag = sample.git(["rev-parse", "v1"]);
        assert_eq!(sample.git(["cat-file", "-t", &tag]), "tag");
        sample.git(["tag", "light", "main"]);
        assert_eq!(
            repository.tags_at(&at).expect("listed"),
            ["light", "v1"],
            "both kinds, by the commit that they mean"
        );
        let update = PushUpdate {
            reference: "refs/tags/v1".into(),
            expected: None,
            new: pleach_core::word::CommitId::new(&tag).expect("an id"),
        };
        assert_eq!(push(&sample, backend, vec![update]), Ok(Pushed::Moved), "{backend:?}");
        assert_eq!(there(&sample), format!("{tag} refs/tags/v1"));
    }
}

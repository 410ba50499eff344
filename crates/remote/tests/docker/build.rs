//! An image is made from a commit, and says what it was made from.

use std::path::Path;
use std::sync::Arc;

use pleach_core::error::{Failure, Kind};
use pleach_core::port::{ImageBuild, Secret, Source};
use pleach_remote::docker::{Engine, EngineWay, label};
use pleach_testbed::docker::DockerBed;

use crate::bed::{Tree, between, build, eventually, shared, shell};

#[tokio::test]
async fn what_is_built_twice_is_the_same_and_bears_what_it_was_built_from() {
    let Some((_, engine)) = shared().await else { return };
    let dockerfile = "FROM base:1\nARG GREETING\nRUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo $GREETING > /www/hello\"]\n\
                      COPY sub /www/sub\n";
    let long = format!("sub/{}", "d".repeat(150));
    let tree = Tree::of(&[("Dockerfile", dockerfile), ("sub/page", "page"), (long.as_str(), "long")]);
    let mut wanted = build(&[(label::SERVICE, "shop"), (label::RELEASE, "0007-ab")], &["build-shop:1", "build-shop:2"]);
    wanted.arguments.insert("GREETING".into(), "hello there".into());
    let built = engine.build(&wanted, &tree).await.expect("built");
    assert_eq!(built.files, 3);
    assert!(built.output.iter().any(|line| line.contains("COPY sub /www/sub")), "{:?}", built.output);
    assert_eq!(engine.build(&wanted, &tree).await.expect("built").image, built.image);
    let image = engine.require_image(&built.image).await.expect("there");
    assert_eq!(image.labels[label::SERVICE], "shop");
    assert_eq!(image.names.iter().map(String::as_str).collect::<Vec<_>>(), ["build-shop:1", "build-shop:2"]);
    let found = engine.images(&label::labels([(label::RELEASE, Some("0007-ab")), (label::RUN, None)])).await;
    assert_eq!(found.expect("asked"), std::iter::once(built.image.clone()).collect());

    let show = format!("cat /www/hello /www/sub/page /www/{long}");
    engine.ensure_container(&shell("build-shop", &built.image, &show)).await.expect("made");
    engine.ensure_started("build-shop").await.expect("started");
    let said = async || engine.last_lines("build-shop", 20).await.expect("a log").into_iter().next();
    assert_eq!(eventually(said).await, "hello there");
    engine.ensure_stopped("build-shop", std::time::Duration::ZERO).await.expect("stopped");
    engine.ensure_no_container("build-shop").await.expect("removed");
    for name in ["build-shop:1", "build-shop:2", "build-shop:2"] {
        engine.ensure_no_image(name).await.expect("removed");
    }
    assert!(engine.image("build-shop:2").await.expect("asked").is_none());
}

#[tokio::test]
async fn what_dockerignore_names_is_not_sent_and_what_the_build_needs_is() {
    let Some((_, engine)) = shared().await else { return };
    let ignore = "**\n!app\napp/*.key\n";
    let tree = [
        (".dockerignore", ignore),
        ("Dockerfile", "FROM base:1\nCOPY . /www\n"),
        ("app/page", "page"),
        ("app/own.key", "key"),
        ("secret", "secret"),
    ];
    let built = engine.build(&build(&[], &[]), &Tree::of(&tree)).await.expect("built");
    assert_eq!(built.files, 3);
    // Beside a Dockerfile, its own list goes before the common one.
    let mut own = build(&[], &[]);
    own.dockerfile = "app/Other".into();
    let mut tree = tree.to_vec();
    tree.extend([("app/Other", "FROM base:1\nCOPY app/own.key /www\n"), ("app/Other.dockerignore", "secret\n")]);
    assert_eq!(engine.build(&own, &Tree::of(&tree)).await.expect("built").files, 6);
}

async fn refusal(files: &[(&str, &str)]) -> Option<Failure> {
    let (_, engine) = shared().await?;
    let tree: Arc<dyn Source> = Tree::of(files);
    Some(engine.build(&build(&[], &["build-broken:1"]), &tree).await.expect_err("nothing was built").into())
}

#[tokio::test]
async fn a_step_that_fails_is_told_with_what_it_has_printed_and_nothing_is_named() {
    let step = "FROM base:1\nRUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo no such module; exit 3\"]\n";
    let Some(failure) = refusal(&[("Dockerfile", step)]).await else { return };
    assert_eq!(failure.kind, Kind::Rejected);
    assert!(failure.what.starts_with("could not build `Dockerfile` of commit `ccc"), "{}", failure.what);
    assert!(failure.because[0].contains("exit code: 3"), "{:?}", failure.because);
    assert!(failure.output.iter().any(|line| line == "no such module"), "{:?}", failure.output);
    assert!(failure.next.expect("a command").contains("`docker build -f 'Dockerfile' .`"));
    let (_, engine) = shared().await.expect("there");
    assert!(engine.image("build-broken:1").await.expect("asked").is_none());

    let failure = refusal(&[("Dockerfile", "FROM base:1\nCOPIED x\n")]).await.expect("a failure");
    assert!(failure.because[0].contains("COPIED"), "{failure:?}");
    let failure = refusal(&[("other", "x")]).await.expect("a failure");
    assert!(failure.because[0].contains("there is no `Dockerfile`"), "{failure:?}");
    assert!(failure.next.is_some());
}

const PIP: &str = "hunter2-is-no-password";

fn with_secret(name: &str) -> ImageBuild {
    let mut wanted = build(&[], &[name]);
    wanted.secrets.insert("pip".into(), Secret::new(PIP));
    wanted
}

fn running(line: &str) -> Arc<dyn Source> {
    let dockerfile = format!(
        "FROM base:1\nARG TRY\nRUN --mount=type=secret,id=pip,required=true [\"/bin/busybox\", \"sh\", \"-c\", \"{line}\"]\n"
    );
    Tree::of(&[("Dockerfile", &dockerfile)])
}

/// Whether a text lies anywhere in what an engine keeps, or in its log.
fn is_kept(bed: &DockerBed, text: &str) -> bool {
    let found = bed.machine().command("grep").args(["-rqF", text, "/dev/shm", "/run"]).status().expect("it runs");
    found.code() == Some(0)
}

#[tokio::test]
async fn a_secret_reaches_the_step_that_mounts_it_and_stays_nowhere() {
    let Some((bed, engine)) = shared().await else { return };
    let sum = "busybox sha256sum < /run/secrets/pip > /www/sum; test ! -e /run/secrets/npm";
    let built = engine.build(&with_secret("build-secret:1"), &running(sum)).await.expect("built");
    engine.ensure_container(&shell("build-secret", &built.image, "cat /www/sum")).await.expect("made");
    engine.ensure_started("build-secret").await.expect("started");
    let said = async || engine.last_lines("build-secret", 20).await.expect("a log").into_iter().next();
    let digest = "6ccbf5469850a5ebe1060eb3f2b46249f44eb0dc23398f6c46db532b024b0181";
    assert!(eventually(said).await.starts_with(digest), "the step had it");
    engine.ensure_stopped("build-secret", std::time::Duration::ZERO).await.expect("stopped");
    engine.ensure_no_container("build-secret").await.expect("removed");

    let step = "cat /run/secrets/pip; echo pip says $(cat /run/secrets/pip) >&2; exit 3";
    let failure: Failure =
        engine.build(&with_secret("build-secret:2"), &running(step)).await.expect_err("it fails").into();
    assert!(failure.output.iter().any(|line| line == "pip says [secret]"), "{failure:?}");
    assert!(failure.next.clone().expect("a command").contains("--secret id=pip "), "{failure:?}");
    assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
    assert!(!is_kept(bed, PIP));

    // What looks for it would find it.
    let leak = "cat /run/secrets/pip > /www/leak";
    engine.build(&with_secret("build-secret:3"), &running(leak)).await.expect("built");
    assert!(is_kept(bed, PIP));

    let none = build(&[], &[]);
    let failure: Failure = engine.build(&none, &running("true")).await.expect_err("it has none").into();
    assert!(failure.because[0].contains("pip"), "{failure:?}");
    for tag in ["1", "3"] {
        engine.ensure_no_image(&format!("build-secret:{tag}")).await.expect("removed");
    }
}

/// An engine that knows no sessions, as those of others do not.
async fn without_build_kit(bed: &DockerBed, at: &Path) -> Engine {
    between(
        bed.engine.socket(),
        at,
        |_| {},
        |answer| {
            if answer.starts_with(b"HTTP/1.1 101") {
                answer[9..12].copy_from_slice(b"404");
            }
        },
    );
    Engine::connect(EngineWay::socket(at)).await.expect("it answers")
}

#[tokio::test]
async fn without_build_kit_images_are_built_but_none_that_needs_secrets() {
    let Some((bed, _)) = shared().await else { return };
    let folder = tempfile::tempdir().expect("a directory");
    let engine = without_build_kit(bed, &folder.path().join("socket")).await;
    let built = engine.build(&build(&[], &[]), &Tree::of(&[("Dockerfile", "FROM base:1\nENV A=1\n")])).await;
    let words = built.expect("built").output;
    assert!(words.iter().any(|line| line.starts_with("Successfully built")), "{words:?}");
    let failure: Failure =
        engine.build(&with_secret("build-none:1"), &running("true")).await.expect_err("refused").into();
    assert_eq!(failure.kind, Kind::Unsupported);
    assert!(failure.what.contains("has no BuildKit") && failure.because[0].contains("404"), "{failure:?}");
    assert!(failure.state.is_some() && failure.next.is_some(), "{failure:?}");
    let foreign = ImageBuild { platform: Some("linux/arm64".into()), ..build(&[], &["build-none:1"]) };
    let failure: Failure = engine.build(&foreign, &running("true")).await.expect_err("refused").into();
    assert!(failure.what.starts_with("could not build for `linux/arm64`"), "{failure:?}");
    assert!(engine.image("build-none:1").await.expect("asked").is_none());
}

#[tokio::test]
async fn an_image_is_built_for_another_platform_than_the_builders_own() {
    let Some((_, engine)) = shared().await else { return };
    let tree = [("Dockerfile", "FROM scratch\nCOPY page /page\n"), ("page", "page")];
    let own = engine.build(&build(&[], &[]), &Tree::of(&tree)).await.expect("built").image;
    assert_eq!(engine.require_image(&own).await.expect("there").platform, engine.facts().platform);
    for platform in ["linux/arm64", "linux/s390x"] {
        let wanted = ImageBuild { platform: Some(platform.into()), ..build(&[], &[]) };
        let image = engine.build(&wanted, &Tree::of(&tree)).await.expect("built").image;
        assert_ne!(image, own);
        assert_eq!(engine.require_image(&image).await.expect("there").platform, platform);
    }
    // No processor runs its programs, whatever is installed here.
    let foreign = ImageBuild { platform: Some("linux/alpha".into()), ..build(&[], &[]) };
    let step = "FROM scratch\nCOPY page /bin/page\nRUN [\"/bin/page\"]\n";
    let tree = Tree::of(&[("Dockerfile", step), ("page", "page")]);
    let failure: Failure = engine.build(&foreign, &tree).await.expect_err("it cannot run").into();
    let next = failure.next.expect("a command");
    assert!(next.contains("docker build --platform linux/alpha -f"), "{next}");
    assert!(next.contains("binfmt --install alpha"), "{next}");
}

#[tokio::test]
async fn a_build_that_is_given_up_ends_where_it_runs_and_can_be_begun_again() {
    let Some((_, engine)) = shared().await else { return };
    let sleep = format!("sleep 9{:09}", std::process::id());
    let runs = || {
        let all = std::fs::read_dir("/proc").expect("/proc").flatten();
        let lines = all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
        lines.into_iter().any(|line| String::from_utf8_lossy(&line).replace('\0', " ").contains(&sleep))
    };
    let line = format!("test x$TRY != x || exec busybox {sleep}");
    let (building, tree) = (engine.clone(), running(&line));
    let build = tokio::spawn(async move { building.build(&with_secret("build-given-up:1"), &tree).await.map(drop) });
    eventually(async || runs().then_some(())).await;
    build.abort();
    eventually(async || (!runs()).then_some(())).await;
    assert!(engine.image("build-given-up:1").await.expect("asked").is_none());
    let mut again = with_secret("build-given-up:1");
    again.arguments.insert("TRY".into(), "2".into());
    engine.build(&again, &running(&line)).await.expect("built");
    engine.ensure_no_image("build-given-up:1").await.expect("removed");
}

//! An image is made from a commit, and says what it was made from.

use std::sync::Arc;

use pleach_core::error::{Failure, Kind};
use pleach_core::port::Source;
use pleach_remote::docker::label;

use crate::bed::{Tree, build, eventually, shared, shell};

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
    assert!(built.output.iter().any(|line| line.starts_with("Successfully built")), "{:?}", built.output);
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
    assert!(failure.because[0].contains("returned a non-zero code: 3"), "{:?}", failure.because);
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

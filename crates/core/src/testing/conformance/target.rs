//! What every target must do with tokens.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::error::{Failure, Kind};
use crate::port::{Call, Command, FencingToken, NoLines, Permissions};
use crate::target::Target;

/// Runs the suite: whoever comes with an older token than the target has been told is refused, on every facet that
/// changes something, and has changed nothing. `scratch` is an existing directory of the target.
pub async fn fencing(target: &dyn Target, scratch: &Path) {
    let (old, new) = (FencingToken(1_000), FencingToken(1_001));
    target.fence(old).await.expect("a first token is taken");
    change(target, scratch, old, "by-the-old-one").await.expect("the holder may change the target");
    target.fence(new).await.expect("a newer token is taken");
    target.fence(new).await.expect("the same token is taken again");
    let refused = target.fence(old).await.expect_err("an older token is refused");
    assert_eq!(refused.kind, Kind::Conflict, "{refused:?}");
    change(target, scratch, new, "by-the-new-one").await.expect("the new holder may change the target");
    let cancel = CancellationToken::new();
    let call = |token| Call { token: Some(token), lines: &NoLines, cancel: &cancel };
    if let Some(files) = target.files() {
        let path = scratch.join("too-late");
        let written = files.write(&path, b"x", Permissions::Public, Some(old)).await;
        assert_eq!(written.expect_err("a late write is refused").kind, Kind::Conflict);
        assert_eq!(files.stat(&path).await.expect("looking needs no token"), None, "and has written nothing");
        let kept = scratch.join("by-the-new-one");
        let removed = files.remove(&kept, Some(old)).await;
        assert_eq!(removed.expect_err("a late removal is refused").kind, Kind::Conflict);
        assert!(files.stat(&kept).await.expect("looking needs no token").is_some(), "and has removed nothing");
    }
    if let Some(shell) = target.shell() {
        let path = scratch.join("too-late-too").display().to_string();
        let ran = shell.run(&Command::write(["touch", &path]), call(old)).await;
        assert_eq!(ran.expect_err("a late command is refused").kind, Kind::Conflict);
        let there = shell.run(&Command::read(["test", "-e", &path]), call(old)).await;
        assert!(there.is_ok_and(|output| !output.succeeded()), "it has changed nothing, and looking is allowed");
    }
}

async fn change(target: &dyn Target, scratch: &Path, token: FencingToken, name: &str) -> Result<(), Failure> {
    let path = scratch.join(name);
    if let Some(files) = target.files() {
        files.write(&path, b"x", Permissions::Public, Some(token)).await?;
    }
    if let Some(shell) = target.shell() {
        let cancel = CancellationToken::new();
        let call = Call { token: Some(token), lines: &NoLines, cancel: &cancel };
        let output = shell.run(&Command::write(["touch", &path.display().to_string()]), call).await?;
        assert!(output.succeeded(), "{output:?}");
    }
    Ok(())
}

//! Mocks of every port, for code whose calls are the promise.
//!
//! For the engine use the scripted [`World`](super::World), which has state; a mock only counts calls.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use pleach_core::port::{Call, Command, CommandOutput, ExitStatus, NoLines, Shell};
//! use pleach_core::testing::mock::MockShell;
//!
//! let mut shell = MockShell::new();
//! shell.expect_run().times(1).withf(|command, _| command.argv == ["uname", "-s"]).returning(|_, _| {
//!     Ok(CommandOutput { status: ExitStatus::Code(0), stdout: b"Linux\n".to_vec(), stderr: vec![] })
//! });
//! let call = Call { token: None, lines: &NoLines, cancel: &Default::default() };
//! let output = shell.run(&Command::read(["uname", "-s"]), call).await.expect("the mock answers");
//! assert_eq!(output.text(), "Linux");
//! # }
//! ```

pub use crate::port::{
    MockClock, MockFiles, MockHttp, MockJournal, MockLeases, MockRuns, MockSecrets, MockShell, MockSource,
};

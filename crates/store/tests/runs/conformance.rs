//! Runs in local files keep what core's port promises.

use std::sync::Arc;

use pleach_core::port::Runs;
use pleach_core::testing::conformance;
use pleach_store::FileRuns;

use crate::support::folder;

#[tokio::test]
async fn runs_in_files_keep_what_the_port_promises() {
    let folder = folder();
    let reopen = async || Arc::new(FileRuns::open(folder.path()).unwrap()) as Arc<dyn Runs>;
    conformance::journal(reopen).await;
}

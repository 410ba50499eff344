//! Leases in local files keep what core's port promises.

use std::sync::Arc;

use pleach_core::port::Leases;
use pleach_core::testing::conformance;
use pleach_store::FileLeases;

use crate::support::{clock, folder};

#[tokio::test]
async fn leases_in_files_keep_what_the_port_promises() {
    let folder = folder();
    let reopen = async || Arc::new(FileLeases::open(folder.path(), clock()).unwrap()) as Arc<dyn Leases>;
    conformance::leases(reopen).await;
}

//! Whoever is refused a lease is told who holds it, since when, and why; a file that cannot be read is named.

use std::fs;

use pleach_core::error::Kind;
use pleach_core::port::Leases;
use pleach_store::FileLeases;

use crate::support::{clock, folder, request};

#[tokio::test]
async fn a_refusal_tells_who_holds_it_since_when_and_why() {
    let folder = folder();
    let leases = FileLeases::open(folder.path(), clock()).unwrap();
    let lease = leases.acquire(&request("run-1")).await.unwrap();
    let failure = leases.acquire(&request("run-2")).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Conflict);
    assert_eq!(failure.what, "target `here` of `local` is leased");
    let holder = &lease.holder;
    assert_eq!(
        failure.because,
        [format!(
            "`{}` on `{}` (process {}) holds it since {} for run `run-1`: tests; that is this process itself",
            holder.user,
            holder.host,
            holder.process,
            lease.started.strftime("%Y-%m-%d %H:%M:%SZ")
        )]
    );
    assert_eq!(failure.state.as_deref(), Some("nothing was touched"));
    assert!(failure.next.unwrap().contains("run `run-1`"));
}

#[tokio::test]
async fn a_damaged_file_gives_no_lease_away_and_names_the_way_out() {
    let folder = folder();
    let leases = FileLeases::open(folder.path(), clock()).unwrap();
    let lease = leases.acquire(&request("run-1")).await.unwrap();
    let path = folder.path().join("leases/local/here.json");
    fs::write(&path, "{").unwrap();
    for failure in [
        leases.acquire(&request("run-2")).await.unwrap_err(),
        leases.renew(&lease).await.unwrap_err(),
        leases.list().await.unwrap_err(),
    ] {
        assert_eq!(failure.kind, Kind::Rejected);
        assert!(failure.what.contains("leases/local/here.json` is damaged"), "{failure}");
        assert!(failure.next.unwrap().contains("mv '"));
    }
    fs::rename(&path, path.with_extension("damaged")).unwrap();
    assert!(leases.acquire(&request("run-2")).await.unwrap().token > lease.token);

    fs::write(folder.path().join("leases/local/here.token"), "many").unwrap();
    fs::remove_file(&path).unwrap();
    let failure = leases.acquire(&request("run-3")).await.unwrap_err();
    assert!(failure.what.contains("here.token"), "a token is never guessed: {failure}");
}

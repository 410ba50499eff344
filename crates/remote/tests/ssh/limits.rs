//! Right under the server's limits.

use std::sync::Arc;

use pleach_core::config::{HostLimits, TotalLimits};
use pleach_remote::ssh::{Link, SshShell};

use crate::bed::{Bed, run_read, run_script};

/// A hundred commands at once through one link; gives how many connections that took.
async fn hundred(bed: &Bed) -> usize {
    let link = bed.link().await;
    let shell = Arc::new(pleach_remote::ssh::SshShell::new(link.clone(), bed.at("root")));
    let runs = (0..100).map(|number: u32| {
        let shell = shell.clone();
        tokio::spawn(async move {
            let output = run_read(&shell, &["echo", &number.to_string()]).await.expect("it ran");
            assert_eq!(output.text(), number.to_string());
        })
    });
    for run in runs.collect::<Vec<_>>() {
        run.await.expect("every command has its own answer");
    }
    link.connections()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_commands_at_once_get_through_three_sessions() {
    let bed = Bed::new("");
    let server = bed.second("MaxSessions 3");
    bed.configure(&format!("Port {}", server.port));
    let connections = hundred(&bed).await;
    assert!((1..=4).contains(&connections), "{connections}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_commands_at_once_get_through_ten_sessions() {
    let bed = Bed::new("");
    let server = bed.second("MaxSessions 10");
    bed.configure(&format!("Port {}", server.port));
    hundred(&bed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_on_one_host_share_its_connections_for_as_long_as_one_of_them_is_used() {
    let bed = Bed::new("");
    let limits = HostLimits::default();
    let link = || Link::shared(bed.destination("target"), &limits, &TotalLimits::default()).expect("a link");
    let links: Vec<Arc<Link>> = (0..40).map(|_| link()).collect();
    let runs = links.iter().map(|link| {
        let shell = SshShell::new(link.clone(), bed.at("root"));
        tokio::spawn(async move { run_read(&shell, &["true"]).await.expect("it ran").succeeded() })
    });
    for run in runs.collect::<Vec<_>>() {
        assert!(run.await.expect("no panic"));
    }
    assert!(links.iter().all(|link| Arc::ptr_eq(link, &links[0])));
    let connections = links[0].connections();
    assert!((1..=10).contains(&connections), "{connections} for forty targets");
    let one = HostLimits { connections: Some(1), ..limits };
    let other = Link::shared(bed.destination("target"), &one, &TotalLimits::default()).expect("a link");
    assert!(!Arc::ptr_eq(&other, &links[0]), "other limits are another link's");
    drop(links);
    assert_eq!(link().connections(), 0, "nobody had a use for them any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn long_commands_do_not_keep_short_ones_out() {
    let bed = Bed::new("");
    let server = bed.second("MaxSessions 3");
    bed.configure(&format!("Port {}", server.port));
    let link = bed.link().await;
    let shell = Arc::new(pleach_remote::ssh::SshShell::new(link.clone(), bed.at("root")));
    let long: Vec<_> = (0..5)
        .map(|number| {
            let shell = shell.clone();
            let mark = bed.at(&format!("mark-{number}")).display().to_string();
            tokio::spawn(async move {
                run_script(&shell, &format!("touch {mark}; while [ -e {mark} ]; do sleep 0.05; done")).await
            })
        })
        .collect();
    let started =
        format!("while [ $(ls {0}/mark-* 2>/dev/null | wc -l) -lt 5 ]; do sleep 0.05; done", bed.at("").display());
    assert!(run_read(&shell, &["sh", "-c", &started]).await.expect("it ran").succeeded());
    assert!(link.connections() > 1, "one connection takes three");
    run_read(&shell, &["sh", "-c", &format!("rm {}/mark-*", bed.at("").display())]).await.expect("it ran");
    for run in long {
        assert!(run.await.expect("no panic").expect("it ran").succeeded());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connecting_is_tried_again_where_the_server_drops_connections() {
    let bed = Bed::new("");
    let server = bed.second("MaxStartups 1:80:2");
    bed.configure(&format!("Port {}", server.port));
    let config = bed.host().await;
    let runs = (0..12).map(|number: u32| {
        let shell = pleach_remote::ssh::SshShell::new(pleach_remote::ssh::Link::new(config.clone()), bed.at("root"));
        tokio::spawn(async move { run_read(&shell, &["echo", &number.to_string()]).await })
    });
    for run in runs.collect::<Vec<_>>() {
        let output = run.await.expect("no panic");
        assert!(output.as_ref().is_ok_and(|output| output.succeeded()), "{output:?}");
    }
}

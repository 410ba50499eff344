//! Going on after a reboot.

use std::fs;

use pleach_remote::guard::Guard;
use pleach_remote::watchdog::{BootEntry, Watchdog, WatchdogPhase};

use crate::bench::{LONG, run};
use crate::site::Site;

#[tokio::test]
async fn after_a_reboot_the_wall_clock_tells_that_the_deadline_has_passed() {
    let site = Site::new().await;
    let before = site.manifest();
    site.arm(LONG).await;
    site.kill_watch();
    site.change();
    let state = fs::read_to_string(site.place().join("state.1")).expect("there");
    let aged: Vec<_> = state
        .lines()
        .map(|line| match line.split(' ').next() {
            Some("clock") => "clock of-another-boot".to_owned(),
            Some("expires") => "expires 1".to_owned(),
            _ => line.to_owned(),
        })
        .collect();
    fs::write(site.place().join("state.2"), aged.join("\n") + "\n").expect("written");
    let watcher = site.place().join("watcher");
    let own = fs::read_to_string("/proc/self/stat").expect("readable");
    let start = own.rsplit_once(')').expect("a name").1.split(' ').nth(20).expect("a field");
    fs::write(&watcher, format!("{} {start} of-another-boot\n", std::process::id())).expect("written");
    assert!(!site.status().await.watched, "a process of another boot watches nothing");
    site.watchdog.wake(&site.shell).await.expect("started");
    site.until_phase(WatchdogPhase::Restored).await;
    assert_eq!(site.manifest(), before);
}

/// A site whose system has these programs, in front of the real ones.
async fn with_programs(programs: &[(&str, &str)], folders: &[&str]) -> (Site, Watchdog) {
    let site = Site::new().await;
    let (bin, system) = (site.bench.folder.path().join("bin"), site.bench.folder.path().join("system"));
    fs::create_dir(&bin).expect("made");
    for (name, text) in programs {
        fs::write(bin.join(name), format!("#!/bin/sh\n{text}\n")).expect("written");
        run(&["chmod", "755", bin.join(name).to_str().expect("text")], "");
    }
    for folder in folders {
        fs::create_dir_all(system.join(folder)).expect("made");
    }
    let path = format!("PATH={}:{}", bin.display(), std::env::var("PATH").expect("a path"));
    let guard: Guard = site.bench.guard.clone().interpreter(["env", &path, "sh"]);
    let watchdog = Watchdog::new(guard).system_root(system);
    (site, watchdog)
}

fn files(site: &Site, folder: &str) -> Vec<String> {
    let folder = site.bench.folder.path().join("system").join(folder);
    let entries = fs::read_dir(folder).expect("there").map(|entry| entry.expect("entry").path());
    let mut entries: Vec<_> = entries.collect();
    entries.sort();
    entries.iter().map(|path| fs::read_to_string(path).expect("readable")).collect()
}

#[tokio::test]
async fn without_systemd_cron_goes_on_with_it() {
    let (mut site, watchdog) = with_programs(&[("crond", "exit 1")], &["etc/cron.d"]).await;
    let before = site.manifest();
    let armed = watchdog.arm(&site.shell, &site.lease, LONG, &site.instructions()).await.expect("armed");
    assert_eq!(armed.boot_entry, BootEntry::Cron);
    site.watchdog = watchdog;
    site.kill_watch();
    site.change();
    let state = fs::read_to_string(site.place().join("state.1")).expect("there");
    fs::write(site.place().join("state.2"), state.replace("phase armed", "phase fired")).expect("written");
    let entries = files(&site, "etc/cron.d");
    let line = entries[0].strip_prefix("@reboot root ").expect("an entry").trim_end();
    // As cron(8) does: what is behind `\%` is a `%`, the rest is the shell's.
    run(&["sh", "-c", &line.replace("\\%", "%")], "");
    site.until_phase(WatchdogPhase::Restored).await;
    assert_eq!(site.manifest(), before);
    assert_eq!(files(&site, "etc/cron.d"), [""; 0], "nothing is left of the entry");
}

#[tokio::test]
async fn without_systemd_and_cron_the_users_crontab_or_local_d_goes_on_with_it() {
    let crontab = r#"tab=${0%/*}/tab; case $1 in -l) cat "$tab" ;; -) cat >"$tab.new" && mv "$tab.new" "$tab" ;; esac"#;
    let (mut site, watchdog) = with_programs(&[("crontab", crontab)], &[]).await;
    let tab = site.bench.folder.path().join("bin/tab");
    fs::write(&tab, "MAILTO=me\n@reboot true\n").expect("written");
    let armed = watchdog.arm(&site.shell, &site.lease, LONG, &site.instructions()).await.expect("armed");
    assert_eq!(armed.boot_entry, BootEntry::Crontab);
    site.watchdog = watchdog;
    let text = fs::read_to_string(&tab).expect("there");
    assert!(text.starts_with("MAILTO=me\n@reboot true\n@reboot sh '"), "{text}");
    site.watchdog.confirm(&site.shell, &site.run).await.expect("in time");
    assert_eq!(fs::read_to_string(&tab).expect("there"), "MAILTO=me\n@reboot true\n", "the user's own lines stay");

    let (mut site, watchdog) = with_programs(&[], &["etc/local.d"]).await;
    let armed = watchdog.arm(&site.shell, &site.lease, LONG, &site.instructions()).await.expect("armed");
    assert_eq!(armed.boot_entry, BootEntry::Local);
    site.watchdog = watchdog;
    assert!(files(&site, "etc/local.d")[0].starts_with("#!/bin/sh\nsh '"));
    site.watchdog.confirm(&site.shell, &site.run).await.expect("in time");
    assert_eq!(files(&site, "etc/local.d"), [""; 0]);
}

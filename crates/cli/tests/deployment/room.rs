//! Disks of a machine that are full or may not be written.

use std::io::Write as _;
use std::path::PathBuf;

use pleach_testbed::machine::Machine;
use pleach_testbed::sshd::SshBed;

use crate::far::Far;
use crate::scene::{Said, told_in_four_parts};

/// A project whose target is a disk of its own with version 1 on it.
fn on_disk_of(size: &str) -> Option<Far> {
    let bed = SshBed::on(Machine::new()?, "");
    bed.machine().disk(&bed.at("root/live"), size);
    let far = Far::on(bed);
    far.scene.ends(0, &["deploy", "uat", "--yes"]);
    Some(far)
}

#[test]
fn data_is_kept_by_reflinks_where_the_disk_can_share_blocks_and_in_an_archive_elsewhere() {
    for form in ["reflinks", "tar.zst"] {
        let Some(machine) = Machine::new() else { return };
        let bed = SshBed::on(machine, "");
        let live = bed.at("root/live");
        match form {
            "reflinks" => bed.machine().sharing_disk(&live, &bed.at("disk")),
            _ => bed.machine().disk(&live, "64m"),
        }
        let far = Far::on(bed);
        let file = far.scene.root().join("pleach.toml");
        let config = std::fs::read_to_string(&file).expect("a config");
        let kept = "[services.beta]\nshared = [\"data/\"]\nsnapshot = [\"data/\"]\n";
        let config = config.replace("[services.beta]\n", kept);
        let config = config.replace("echo building", "test -d data && echo $PLEACH_RELEASE > data/by; echo building");
        std::fs::write(&file, config).expect("written");
        far.scene.git(&["commit", "-qam", "Data"]);
        far.scene.ends(0, &["deploy", "uat", "--yes"]);
        let data = far.machine().see(&live.join("beta/shared/data/by"));
        std::fs::write(&data, "mine").expect("written");
        far.scene.break_service("beta");
        let failed = far.scene.ends(110, &["deploy", "uat", "--yes", "-v"]);
        assert!(failed.stderr.contains(&format!("({form})")), "{form}: {}", failed.stderr);
        assert_eq!(std::fs::read_to_string(&data).expect("it is back"), "mine", "{form}");
        assert_eq!(far.answers().as_deref(), Some("1.0.0"));
    }
}

/// Leaves not a byte of room.
fn fill(far: &Far) -> PathBuf {
    let filler = far.machine().see(&far.live().join("filler"));
    let mut file = std::fs::File::create(&filler).expect("made");
    for size in [1 << 16, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
    filler
}

/// It says why in four parts, with one of these words.
fn require_told(said: &Said, words: &[&str]) {
    told_in_four_parts(said);
    assert!(words.iter().any(|words| said.stderr.contains(words)), "{words:?}: {}", said.stderr);
}

#[test]
fn a_machine_without_room_for_the_tree_says_so_and_is_as_it_was() {
    let Some(far) = on_disk_of("4m") else { return };
    let old = far.manifest();
    far.version(2);
    far.scene.large_file("alpha", 8 << 20);
    let failed = far.scene.pleach(&["deploy", "uat", "--yes"]);
    require_told(&failed, &["No space left", " 100% "]);
    // Where the other service was just about to start, that could not be taken back before there was room again.
    match failed.code {
        112 => drop(far.scene.ends(110, &["resume"])),
        code => assert_eq!(code, 110, "{}", failed.stderr),
    }
    far.require(&old, &failed.stderr);
    assert_eq!(far.answers().as_deref(), Some("1.0.0"));
    far.require_settled(2);
    far.scene.git(&["branch", "-qf", "skill/alpha", "skill/alpha~1"]);
    far.scene.ends(0, &["deploy", "uat", "--yes"]);
    assert_eq!(far.answers().as_deref(), Some("2.0.0"));
}

#[test]
fn a_machine_whose_disk_is_full_or_frozen_is_not_deployed_to_and_goes_on_as_before() {
    let Some(far) = on_disk_of("4m") else { return };
    let old = far.manifest();
    far.version(2);
    far.machine().freeze(&far.live());
    let refused = far.scene.pleach(&["deploy", "uat", "--yes"]);
    assert!(matches!(refused.code, 100 | 102), "{}: {}", refused.code, refused.stderr);
    require_told(&refused, &["may not be written", "Read-only"]);
    assert_eq!(far.manifest(), old);
    far.machine().thaw(&far.live());
    let filler = fill(&far);
    let refused = far.scene.pleach(&["deploy", "uat", "--yes"]);
    assert!(matches!(refused.code, 100 | 102), "{}: {}", refused.code, refused.stderr);
    require_told(&refused, &["it is full"]);
    std::fs::remove_file(&filler).expect("removed");
    far.require(&old, &refused.stderr);
    assert_eq!(far.answers().as_deref(), Some("1.0.0"));
    far.require_settled(2);
    far.scene.ends(0, &["deploy", "uat", "--yes"]);
    assert_eq!(far.answers().as_deref(), Some("2.0.0"));
}

#[test]
fn a_disk_that_becomes_full_in_any_phase_leaves_all_new_or_all_old_once_there_is_room() {
    let Some(far) = on_disk_of("4m") else { return };
    let (mut old, mut answer, mut version) = (far.manifest(), String::from("1.0.0"), 1);
    for place in ["alpha@vm: start", "beta@vm: switch", "alpha@vm: retire"] {
        version += 1;
        far.version(version);
        let mut working = far.scene.start(&["deploy", "uat", "--yes", "-v"]);
        working.says(place);
        let filler = fill(&far);
        let said = working.ends();
        std::fs::remove_file(&filler).expect("removed");
        let told = format!("{place}: {}\n{}{}", said.code, said.stdout, said.stderr);
        let code = match said.code {
            112 | 113 => far.scene.pleach(&["resume"]).code,
            code => code,
        };
        match code {
            0 => answer = format!("{version}.0.0"),
            110 => far.require(&old, &told),
            _ => panic!("{told}{code}"),
        }
        if said.code != 0 {
            require_told(&said, &["No space left", " 100% ", "nothing can be written", "it is full"]);
        }
        assert_eq!(far.answers(), Some(answer.clone()), "{told}");
        far.require_settled(2);
        old = far.manifest();
        println!("{place}: {}, then {code}", said.code);
    }
}

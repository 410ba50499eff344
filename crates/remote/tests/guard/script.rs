//! The scripts themselves.

use pleach_remote::guard::Guard;
use pleach_remote::kept::KeptFiles;
use pleach_remote::watchdog::Watchdog;

use crate::bench::run;

#[test]
fn the_scripts_are_what_shellcheck_takes_for_plain_posix_shell() {
    for script in [Guard::script(), KeptFiles::script(), Watchdog::script()] {
        // It takes a function whose name is handed to another one for one that nobody calls.
        let (code, out, _) = run(&["shellcheck", "--shell=sh", "--exclude=SC2317,SC2329", "-"], script);
        assert_eq!(code, Some(0), "{out}");
    }
}

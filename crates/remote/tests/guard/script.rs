//! The scripts themselves.

use pleach_remote::guard::Guard;
use pleach_remote::watchdog::Watchdog;

use crate::bench::run;

#[test]
fn the_scripts_are_what_shellcheck_takes_for_plain_posix_shell() {
    for script in [Guard::script(), Watchdog::script()] {
        let (code, out, _) = run(&["shellcheck", "--shell=sh", "-"], script);
        assert_eq!(code, Some(0), "{out}");
    }
}

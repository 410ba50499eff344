//! `cargo testbed`: installs what the tests need, checks it, runs every test.
//!
//! Nothing is skipped: a capability that is missing is a failure that names the package, and a test that cannot run is a
//! failing test. Debian's packages are installed where that is possible (as root, or with `sudo` that asks nothing).
//!
//! ```text
//! cargo testbed                 everything
//! cargo testbed -- NAME         only tests whose name contains NAME
//! cargo testbed --shared DIR    also the checks on the larger material in DIR
//! ```

mod package;
mod space;
mod suite;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = suite::Options::parse(&arguments).and_then(|options| {
        space::ensure()?;
        package::ensure_all()?;
        pleach_testbed::compose::ensure()?;
        suite::run(&options)
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

//! A machine in the state that every deployment leads to again: of one service as many releases as are kept. So what a
//! deployment leaves can be compared with what the one before has left.

use crate::far::{Far, Manifest};

/// Deploys the next version of the service.
pub(crate) const DEPLOY: [&str; 6] = ["deploy", "uat", "--yes", "-v", "--only", "alpha"];

/// A machine with two versions of `alpha` and one of `beta`.
pub(crate) struct Steady {
    pub(crate) far: Far,
    live: u32,
    next: u32,
    model: Manifest,
    before: Manifest,
}

impl Steady {
    /// Only where a machine can be made.
    pub(crate) fn new() -> Self {
        let far = Far::new().expect("one was made before");
        far.keep(2);
        far.scene.git(&["commit", "-qam", "Keep two"]);
        far.scene.ends(0, &["deploy", "uat", "--yes"]);
        far.scene.version("alpha", 2);
        far.scene.ends(0, &DEPLOY);
        let before = far.manifest();
        Self { far, live: 2, next: 2, model: before.plain("alpha", [1, 2]), before }
    }

    /// Commits the next version. What lies and runs there now is what it may go back to.
    pub(crate) fn commit(&mut self) {
        self.before = self.far.manifest();
        self.next += 1;
        self.far.scene.version("alpha", self.next);
    }

    /// What lay and ran there when the newest version was committed.
    pub(crate) fn before(&self) -> &Manifest {
        &self.before
    }

    /// All is as the newest version's deployment leaves it.
    pub(crate) fn require_new(&mut self, told: &str) {
        let versions = [std::mem::replace(&mut self.live, self.next), self.next];
        self.far.require_that(told, |found| found.plain("alpha", versions).differences(&self.model));
        self.require_settled(told);
    }

    /// All is as it was before.
    pub(crate) fn require_old(&self, told: &str) {
        self.far.require(&self.before, told);
        self.require_settled(told);
    }

    /// It answers with what it has to, nobody holds it, and nothing is left to be done.
    pub(crate) fn require_settled(&self, told: &str) {
        assert_eq!(self.far.version_of("alpha"), Some(format!("{}.0.0", self.live)), "{told}");
        assert_eq!(self.far.scene.ends(0, &["lease", "list"]).stdout, "no lease is held\n", "{told}");
        self.far.require_settled(2);
    }
}

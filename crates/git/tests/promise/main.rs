//! What the git side promises, one file a promise, against the system's `git` as the judge.

mod add;
mod sample;

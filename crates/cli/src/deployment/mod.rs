//! From what somebody wants to a run at its end: prepare a plan, ask for consent, carry it out, tell what came of it.

mod canary;
mod carry_out;
mod consent;
mod elsewhere;
mod halt;
mod prepare;
mod refuse;
mod saved;
mod typed;

pub(crate) use canary::ask_for_canary;
pub(crate) use carry_out::{RunOptions, Work, block_on, carry_out};
pub(crate) use consent::{Again, Answered, ConsentRequest, ask_for_consent, can_ask, person, require_enough, says_yes};
pub(crate) use prepare::{facts_of, prepare, prepare_proven, select};
pub(crate) use refuse::{require_clean, require_nothing_unfinished};
pub(crate) use saved::{consent_path, load_consent, load_plan, save_consent, save_plan};
pub(crate) use typed::{ANSWERS, Questions, questions};

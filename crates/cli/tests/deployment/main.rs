//! Promises of the commands that deploy, kept by the real command: real repositories, processes, ports and signals.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it finds something wrong"
)]

mod astray;
mod backups;
mod booted;
mod builds;
mod canaried;
mod channels;
mod clock;
mod composed;
mod composed_promoted;
mod consent;
mod deployers;
mod disk;
mod dock;
mod docked;
mod doctor;
mod exported;
mod far;
mod flood;
mod full;
mod help;
mod host;
mod integrity;
mod interrupt;
mod life;
mod look;
mod misfortune;
mod network;
mod network_back;
mod power;
mod proxied;
mod pruned;
mod reboot;
mod refuse;
mod registries;
mod restart;
mod room;
mod saved_plan;
mod scene;
mod script;
mod secrets;
mod secrets_afar;
mod side_by_side;
mod signals;
mod signals_afar;
mod silence;
mod standby;
mod standing;
mod steady;
mod stranger;
mod stuck;
mod sudo;
mod tell;
mod together;
mod unit;
mod volumes;
mod watchdog;

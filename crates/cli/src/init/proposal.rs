//! What `pleach init` proposes, before it is written down.

use std::collections::BTreeSet;

use pleach_core::word::ServiceName;

use super::place::Found;
use super::recipe::Recipe;

/// All of it.
#[derive(Clone, Debug)]
pub(crate) struct Proposal {
    /// The project's name.
    pub(crate) project: String,
    /// The branch that services are merged into.
    pub(crate) main: String,
    /// Where other tools keep worktrees already.
    pub(crate) worktrees: Option<Found<String>>,
    /// In the order of their names.
    pub(crate) services: Vec<ServiceProposal>,
    /// Branches that stand for a place or a moment; `pleach worktree add NAME` knows them by name.
    pub(crate) stages: Vec<String>,
    /// Branches that were seen and are no service.
    pub(crate) others: Vec<Group>,
    /// What a person should know.
    pub(crate) notes: Vec<String>,
}

/// Branches that are told together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// Their names; of many with the same first part, the first part alone: `feature/*` stands for all of them.
    pub(crate) names: Vec<String>,
    /// How many.
    pub(crate) count: usize,
    /// Why they are no services.
    pub(crate) why: &'static str,
}

/// One service.
#[derive(Clone, Debug)]
pub(crate) struct ServiceProposal {
    /// Its name.
    pub(crate) name: ServiceName,
    /// Its branch.
    pub(crate) branch: String,
    /// The remote it was seen on, if there is no local branch.
    pub(crate) remote: Option<String>,
    /// Its directory; empty for all of the repository.
    pub(crate) directory: String,
    /// Why that directory.
    pub(crate) why: String,
    /// One line for people.
    pub(crate) description: Option<String>,
    /// A document in its directory.
    pub(crate) document: Option<String>,
    /// How it is built, run and asked.
    pub(crate) recipe: Recipe,
    /// The port that it gets, and why.
    pub(crate) port: Option<Found<u16>>,
}

/// The first port that is given out where the found one is taken, too low, or absent.
const FIRST_PORT: u16 = 8101;

/// Gives each service that listens a port of its own: the found one if it alone has it, else the next free one.
pub(super) fn assign_ports(services: &mut [ServiceProposal]) {
    let found: Vec<Option<u16>> =
        services.iter().map(|service| service.recipe.port.as_ref().map(|port| port.value)).collect();
    let sharers = |port: u16| found.iter().filter(|other| **other == Some(port)).count();
    let fixed: BTreeSet<u16> = services.iter().filter_map(|service| service.recipe.fixed_port()).collect();
    let mut own: Vec<u16> =
        found.iter().flatten().copied().filter(|port| *port >= 1024 && sharers(*port) == 1).collect();
    own.extend(&fixed);
    let mut free = (FIRST_PORT..).filter(|port| !own.contains(port));
    let mut given = BTreeSet::new();
    for (service, found) in services.iter_mut().zip(&found) {
        if !service.recipe.listens() {
            continue;
        }
        let why = service.recipe.port.as_ref().map(|port| port.why.clone()).unwrap_or_default();
        if let Some(port) = service.recipe.fixed_port() {
            if given.insert(port) {
                service.port = Some(Found::new(port, why));
            } else {
                service
                    .recipe
                    .notes
                    .push(format!("{port} by {why} is the port of another service too: change it there"));
            }
            continue;
        }
        service.port = match found {
            Some(port) if fixed.contains(port) => free
                .next()
                .map(|own| Found::new(own, format!("{port} by {why}, which a Compose file has for another service"))),
            Some(port) if own.contains(port) => Some(Found::new(*port, why)),
            Some(port) if *port < 1024 => free.next().map(|own| Found::new(own, format!("{port} by {why} needs root"))),
            Some(port) => free.next().map(|own| {
                Found::new(own, format!("{port} by {why}, as {} more; each gets its own", sharers(*port) - 1))
            }),
            None => free.next().map(|own| Found::new(own, "no port was found: the next free one".to_owned())),
        };
    }
}

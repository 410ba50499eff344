//! Compose files whose services need each other: one service of the proposal, which `docker compose` runs.

use std::collections::BTreeSet;

use pleach_core::config::ComposeConfig;

use super::compose::{NAMES, context, directory, ports_of};
use super::docker::{health_of, path_of_url};
use super::place::{Found, Place, join};
use super::recipe::Recipe;
use super::value::{interpolated, is_variable, without_password};
use super::yaml::Node;

/// Images that others keep their data in or that only developers look at: a project of these alone is no service.
const HELPERS: [&str; 18] = [
    "adminer",
    "elasticsearch",
    "localstack",
    "mailhog",
    "mailpit",
    "mariadb",
    "maildev",
    "memcached",
    "minio",
    "mongo",
    "mysql",
    "pgadmin4",
    "pgvector",
    "postgis",
    "postgres",
    "rabbitmq",
    "redis",
    "valkey",
];

/// Files that Compose takes by itself beside the first one.
const OVERRIDES: [&str; 4] =
    ["compose.override.yaml", "compose.override.yml", "docker-compose.override.yaml", "docker-compose.override.yml"];

/// Files that people keep for production.
const PRODUCTION: [&str; 8] = [
    "compose.prod.yaml",
    "compose.prod.yml",
    "compose.production.yaml",
    "compose.production.yml",
    "docker-compose.prod.yaml",
    "docker-compose.prod.yml",
    "docker-compose.production.yaml",
    "docker-compose.production.yml",
];

/// What is proposed for a service that is a Compose project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Project {
    /// Why the service is one.
    pub(crate) why: String,
    /// The directories that it builds from, from the repository's root.
    pub(crate) builds: Vec<String>,
    /// The port that people reach it at.
    pub(crate) port: Option<Found<u16>>,
    /// Whether its file says that port itself, or none, so that no other one can be given.
    pub(crate) is_fixed: bool,
    /// The path that tells its health.
    pub(crate) health: Option<Found<String>>,
    /// Folders that containers see and that no commit has.
    pub(crate) shared: Option<Found<Vec<String>>>,
    /// Variables without a value.
    pub(crate) variables: Vec<String>,
    /// What a person should know before relying on it.
    pub(crate) notes: Vec<String>,
}

/// The project that the Compose file in `place` is, if its services are not there for themselves.
pub(crate) fn project(place: &Place<'_>) -> Option<Project> {
    let file = place.first_of(&NAMES)?;
    let text = place.text(file)?;
    let document = Node::parse(&text);
    let read = Reading { place, path: place.path_of(file), services: document.entry("services")?.entries() };
    let mut project = Project { why: read.why()?, builds: read.builds(), ..Project::default() };
    read.reached(&mut project);
    read.folders(&mut project);
    read.beside(file, &mut project);
    project.variables = unset(&text, &place.text(".env").unwrap_or_default());
    Some(project)
}

impl Project {
    /// All that is known of the service.
    pub(crate) fn recipe(self) -> Recipe {
        Recipe {
            port: self.port.clone(),
            health: self.health.clone(),
            variables: self.variables.clone(),
            notes: self.notes.clone(),
            project: Some(self),
            ..Recipe::default()
        }
    }
}

struct Reading<'a> {
    place: &'a Place<'a>,
    /// Of the file, from the repository's root.
    path: String,
    services: &'a [(String, Node)],
}

impl Reading<'_> {
    /// Why the services belong together; `None` if they do not.
    fn why(&self) -> Option<String> {
        let path = &self.path;
        let ready = |name: &str| {
            let (_, node) = self.services.iter().find(|(other, node)| other == name && !is_built(node))?;
            node.entry("image").and_then(Node::text)
        };
        let built = self.services.iter().filter(|(_, node)| is_built(node));
        let mut needs = built.flat_map(|(name, node)| needed(node).into_iter().map(move |other| (name, other)));
        if let Some((name, other, image)) = needs.find_map(|(name, other)| Some((name, other, ready(other)?))) {
            return Some(format!("`{name}` in {path} needs `{other}` ({})", without_password(image)));
        }
        if self.services.iter().any(|(_, node)| is_built(node)) {
            return None;
        }
        let own = self.services.iter().find(|(_, node)| image_of(node).is_some_and(|image| !is_helper(image)));
        let (name, node) = own?;
        Some(format!("`{name}` ({}) in {path}", without_password(image_of(node)?)))
    }

    fn builds(&self) -> Vec<String> {
        let built = self.services.iter().filter_map(|(_, node)| directory(node.entry("build")?, self.place));
        built.collect()
    }

    /// How people reach it: port and health.
    fn reached(&self, project: &mut Project) {
        let published = |name: &str| {
            let (_, node) = self.services.iter().find(|(other, _)| other == name)?;
            let port = node.entry("ports").map(Node::items).unwrap_or_default().first()?;
            (!image_of(node).is_some_and(is_helper)).then_some((node, port))
        };
        let names: Vec<String> = self.services.iter().map(|(name, _)| name.clone()).collect();
        let web = ComposeConfig::default().part("web", names.iter());
        let mut first = web.into_iter().chain(&names);
        let Some((name, node, port)) = first.find_map(|name| published(name).map(|(node, port)| (name, node, port)))
        else {
            project.notes.push("no port was found: if it listens, it needs a `port` here".to_owned());
            project.is_fixed = true;
            return;
        };
        let why = format!("`ports` of `{name}` in {}", self.path);
        let text = port.entry("published").unwrap_or(port).text().unwrap_or_default();
        let is_ours = ["$PORT", "${PORT}", "${PORT:", "${PORT-"].iter().any(|variable| text.contains(variable));
        project.is_fixed = !is_ours;
        project.port = ports_of(port).and_then(|(published, _)| published).map(|port| Found::new(port, why.clone()));
        match &project.port {
            Some(port) if !is_ours => project.notes.push(format!(
                "{why} has {} itself: with `${{PORT:-{}}}` there, two environments can live on one host",
                port.value, port.value
            )),
            None if !is_ours => {
                project
                    .notes
                    .push(format!("{why} has no port that is known here: give it `port`, and `${{PORT}}` there"));
            }
            _ => {}
        }
        let path = node.at(&["healthcheck", "test"]).map(words).and_then(|test| path_of_url(&test));
        let asked = path.map(|path| Found::new(path, format!("`healthcheck` of `{name}` in {}", self.path)));
        let asked = asked.or_else(|| node.entry("build").and_then(|build| health_of(self.place, &dockerfile(build)?)));
        let is_odoo = image_of(node).is_some_and(answers_web_health);
        let of_odoo = || is_odoo.then(|| Found::new("/web/health", "Odoo 17 and newer answer there"));
        project.health = asked.or_else(of_odoo);
    }

    /// What containers see of the project's own directory.
    fn folders(&self, project: &mut Project) {
        let mut shared = BTreeSet::new();
        for (name, node) in self.services {
            for volume in node.entry("volumes").map(Node::items).unwrap_or_default() {
                let source = match volume.text().and_then(interpolated) {
                    Some(text) => text.split(':').next().map(str::to_owned),
                    None => volume.entry("source").and_then(Node::text).and_then(interpolated),
                };
                let Some(source) = source.as_deref().and_then(|source| source.strip_prefix("./")) else { continue };
                let folder = source.trim_end_matches('/');
                let below = format!("{folder}/");
                let is_there = self.place.has(folder) || self.place.files.iter().any(|other| other.starts_with(&below));
                match folder {
                    "" | "." => project.notes.push(format!("`{name}` in {} sees all of its directory", self.path)),
                    _ if is_there || folder.contains("..") => {}
                    _ if folder.rsplit('/').next().is_some_and(|last| last.contains('.')) => project
                        .notes
                        .push(format!("`{name}` in {} mounts `./{folder}`, which no commit has", self.path)),
                    _ => drop(shared.insert(below)),
                }
            }
        }
        let why =
            format!("no commit has what {} mounts there, and each release would begin with an empty one", self.path);
        project.shared = (!shared.is_empty()).then(|| Found::new(shared.into_iter().collect::<Vec<_>>(), why));
    }

    /// Other files, profiles, and what cannot be there twice.
    fn beside(&self, file: &str, project: &mut Project) {
        let is_docker = file.starts_with("docker-");
        if let Some(other) = self.place.first_of(&OVERRIDES).filter(|other| other.starts_with("docker-") == is_docker) {
            project.notes.push(format!(
                "Compose takes {} as well; without it: compose = {{ files = [\"{file}\"] }}",
                self.place.path_of(other)
            ));
        }
        if let Some(other) = self.place.first_of(&PRODUCTION) {
            project.notes.push(format!(
                "{} is left out; with it: compose = {{ files = [\"{file}\", \"{other}\"] }}",
                self.place.path_of(other)
            ));
        }
        for (name, node) in self.services {
            let profiles = node.entry("profiles").map(Node::items).unwrap_or_default();
            if let Some(profile) = profiles.first().and_then(Node::text) {
                let line = format!("compose = {{ profiles = [\"{profile}\"] }}");
                project.notes.push(format!("`{name}` in {} runs with a profile only: {line}", self.path));
            }
            if let Some(own) = node.entry("container_name").and_then(Node::text) {
                project.notes.push(format!("`container_name: {own}` in {}: one such container a host", self.path));
            }
            let files = node.entry("env_file");
            let named =
                files.into_iter().flat_map(|files| files.items().iter().filter_map(Node::text).chain(files.text()));
            for missing in named.filter(|file| !self.place.has(file.trim_start_matches("./"))) {
                project.notes.push(format!(
                    "`{name}` in {} reads `{missing}`, which no commit has: with `shared = [\"{}\"]` it lies on the target once",
                    self.path,
                    missing.trim_start_matches("./")
                ));
            }
        }
        project.notes.dedup();
    }
}

fn is_built(node: &Node) -> bool {
    node.entry("build").is_some()
}

/// The Dockerfile of `build`, from the directory of the Compose file.
fn dockerfile(build: &Node) -> Option<String> {
    let file = build.entry("dockerfile").and_then(Node::text).unwrap_or("Dockerfile");
    Some(join(context(build)?.trim_start_matches("./"), file))
}

fn image_of(node: &Node) -> Option<&str> {
    node.entry("image").and_then(Node::text)
}

/// The services that a service is started after.
fn needed(node: &Node) -> Vec<&str> {
    let names = |key: &str| {
        let node = node.entry(key);
        let keys = node.map(Node::entries).unwrap_or_default().iter().map(|(name, _)| name.as_str());
        let items = node.map(Node::items).unwrap_or_default().iter().filter_map(Node::text);
        keys.chain(items.filter_map(|item| item.split(':').next())).collect::<Vec<_>>()
    };
    [names("depends_on"), names("links")].concat()
}

/// `odoo` of `registry.example.com/team/odoo:18`.
fn last_part(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    let last = name.rsplit('/').next().unwrap_or(name);
    last.split(':').next().unwrap_or(last)
}

/// Whether it is an Odoo that has the path of that name.
fn answers_web_health(image: &str) -> bool {
    let version = image.rsplit_once(':').and_then(|(_, tag)| tag.split(['.', '-']).next()?.parse::<u32>().ok());
    last_part(image) == "odoo" && version.is_none_or(|version| version >= 17)
}

fn is_helper(image: &str) -> bool {
    HELPERS.contains(&last_part(image))
}

fn words(node: &Node) -> String {
    match node.items() {
        [] => node.text().unwrap_or_default().to_owned(),
        items => items.iter().filter_map(Node::text).collect::<Vec<_>>().join(" "),
    }
}

/// The variables that a text wants and neither it nor `.env` gives a value.
fn unset(text: &str, dotenv: &str) -> Vec<String> {
    let set: BTreeSet<&str> = dotenv.lines().filter_map(|line| Some(line.split_once('=')?.0.trim())).collect();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let found: BTreeSet<String> = lines.flat_map(wanted).collect();
    let is_ours = |name: &str| name == "PORT" || name == "HOST" || name.starts_with("COMPOSE_");
    found.into_iter().filter(|name| !set.contains(name.as_str()) && !is_ours(name)).collect()
}

/// The variables of a line that have no default.
fn wanted(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some((_, behind)) = rest.split_once('$') {
        if let Some(behind) = behind.strip_prefix('$') {
            rest = behind;
            continue;
        }
        let is_braced = behind.starts_with('{');
        let name: String = behind
            .chars()
            .skip(usize::from(is_braced))
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        rest = &behind[usize::from(is_braced) + name.len()..];
        let has_default = is_braced && (rest.trim_start_matches(':').starts_with(['-', '+']));
        if is_variable(&name) && !has_default {
            found.push(name);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::place::tests::{place, place_at};
    use super::*;

    const ODOO: &str = "services:\n  odoo:\n    image: odoo:18\n    depends_on: [db]\n    ports: [\"8069:8069\"]\n    \
                        volumes:\n      - ./addons:/mnt/extra-addons\n      - ./filestore:/var/lib/odoo\n      - ./odoo.conf:/etc/odoo/odoo.conf\n    \
                        environment:\n      PASSWORD: ${DB_PASSWORD}\n  db:\n    image: postgres:16\n";

    #[test]
    fn an_odoo_with_its_database_is_one_service() {
        let found = project(&place(&[("compose.yml", ODOO), ("addons/x/__manifest__.py", "{}")])).expect("a project");
        assert_eq!(found.why, "`odoo` (odoo:18) in compose.yml");
        assert_eq!((found.port.map(|port| port.value), found.is_fixed), (Some(8069), true));
        assert_eq!(found.health.expect("a path").value, "/web/health");
        assert_eq!(found.shared.expect("one").value, ["filestore/"]);
        assert_eq!(found.variables, ["DB_PASSWORD"]);
        assert!(
            found.notes.iter().any(|note| note.contains("`./odoo.conf`, which no commit has")),
            "{:?}",
            found.notes
        );
        assert!(found.notes.iter().any(|note| note.contains("`${PORT:-8069}`")), "{:?}", found.notes);
    }

    #[test]
    fn what_is_built_and_needs_a_ready_image_is_one_service_and_what_stands_alone_is_none() {
        let with = |lines: &str| {
            let text = format!("services:\n  web:\n    build: ./web\n{lines}  db:\n    image: postgres:16\n");
            project(&place_at("x", &[("compose.yaml", Box::leak(text.into_boxed_str()))]))
        };
        for lines in [
            "    depends_on:\n      - db\n",
            "    depends_on:\n      db:\n        condition: service_healthy\n",
            "    links: [\"db:database\"]\n",
        ] {
            let found = with(lines).expect("a project");
            assert_eq!(
                (found.why.as_str(), &*found.builds),
                ("`web` in x/compose.yaml needs `db` (postgres:16)", &["x/web".to_owned()][..])
            );
        }
        assert_eq!(with(""), None);
        let helpers = "services:\n  db:\n    image: postgres:16\n    ports: [\"5432:5432\"]\n  mail:\n    image: axllent/mailpit\n";
        assert_eq!(project(&place(&[("compose.yaml", helpers)])), None);
        assert_eq!(project(&place(&[("compose.yaml", "services: nonsense\n")])), None);
    }

    #[test]
    fn a_port_that_the_file_leaves_open_can_be_given_out() {
        for (port, published, is_fixed) in [
            ("${PORT:-8069}:8069", Some(8069), false),
            ("${PORT}:8069", None, false),
            ("127.0.0.1:${PORT-99}:8069", Some(99), false),
            ("${HTTP_PORT:-80}:8069", Some(80), true),
            ("8069:8069", Some(8069), true),
        ] {
            let text = format!("services:\n  app:\n    image: shop\n    ports: [\"{port}\"]\n");
            let found = project(&place(&[("compose.yaml", Box::leak(text.into_boxed_str()))])).expect("a project");
            assert_eq!((found.port.map(|port| port.value), found.is_fixed), (published, is_fixed), "{port}");
        }
    }

    #[test]
    fn variables_are_those_without_a_value() {
        let text = "a: $A ${B} ${C:-1} ${D-} ${E:?set it} ${F:+x} $$G\n# ${H}\nb: ${PORT} ${COMPOSE_PROJECT_NAME} ${I}";
        assert_eq!(unset(text, "I=1\n"), ["A", "B", "E"]);
    }
}

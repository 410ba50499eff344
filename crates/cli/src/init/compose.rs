//! Compose files: what they build from the repository, and what they only run.
//!
//! Values with a variable in them are not known here. Of a port or a size the default is taken, as Compose does where nothing is
//! set; of anything else nothing is, and that is said. No value of `environment` is ever read: only its names are.

use pleach_core::size::Size;

use super::place::{Found, Place};
use super::value::{interpolated, is_secret, is_variable, number, size, tells_secret, without_password, words};
use super::yaml::Node;

/// Names that Compose reads, in its order.
pub(crate) const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

/// Keys of a service that are read, and those whose work Pleach does by itself or that change nothing of what runs.
const KNOWN: [&str; 24] = [
    "build",
    "image",
    "ports",
    "expose",
    "command",
    "volumes",
    "mem_limit",
    "cpus",
    "deploy",
    "environment",
    "restart",
    "container_name",
    "healthcheck",
    "labels",
    "logging",
    "stdin_open",
    "tty",
    "profiles",
    "pull_policy",
    "mem_reservation",
    "stop_grace_period",
    "stop_signal",
    "develop",
    "annotations",
];

/// The least memory that engines give a container.
const LEAST_MEMORY: Size = Size(6 << 20);

/// What a Compose file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Composed {
    /// The services that it builds from directories of the repository.
    pub(crate) services: Vec<ComposeService>,
    /// What it has beside them, for people.
    pub(crate) notes: Vec<String>,
}

/// A service of a Compose file that is built from a directory of the repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ComposeService {
    /// Its name there.
    pub(crate) name: String,
    /// The directory that it is built from, from the repository's root.
    pub(crate) directory: String,
    /// The port on the host, or else in the container.
    pub(crate) port: Option<u16>,
    /// The file that says so.
    pub(crate) file: String,
    /// The Dockerfile, relative to the directory.
    pub(crate) dockerfile: Option<String>,
    /// `build.target`.
    pub(crate) stage: Option<String>,
    /// `build.args` that are plain texts.
    pub(crate) arguments: Vec<(String, String)>,
    /// `command`, in words.
    pub(crate) command: Option<Vec<String>>,
    /// The port on the host.
    pub(crate) published: Option<u16>,
    /// The port in the container.
    pub(crate) listens: Option<Found<u16>>,
    /// The most memory.
    pub(crate) memory: Option<Size>,
    /// The most processors.
    pub(crate) cpus: Option<String>,
    /// Named volumes and absolute folders.
    pub(crate) volumes: Vec<String>,
    /// Names below `environment`.
    pub(crate) variables: Vec<String>,
    /// What could not be taken over.
    pub(crate) notes: Vec<String>,
    /// Whether another service is built from the same directory.
    pub(crate) shares: bool,
}

impl ComposeService {
    /// Where `key` of it stands.
    pub(crate) fn why(&self, key: &str) -> String {
        format!("`{key}` of `{}` in {}", self.name, self.file)
    }

    /// `values` where there are some, because of `key`.
    pub(crate) fn found<T>(&self, key: &str, values: &[T]) -> Option<Found<Vec<T>>>
    where
        T: Clone,
    {
        (!values.is_empty()).then(|| Found::new(values, self.why(key)))
    }
}

/// What the Compose file in `place` says, if there is one.
pub(crate) fn compose(place: &Place<'_>) -> Composed {
    let Some(file) = place.first_of(&NAMES) else { return Composed::default() };
    let document = Node::parse(&place.text(file).unwrap_or_default());
    let path = place.path_of(file);
    let mut composed = Composed::default();
    let mut ready = Vec::new();
    for (name, node) in document.entry("services").map(Node::entries).unwrap_or_default() {
        match (node.entry("build"), node.entry("image").and_then(Node::text)) {
            (Some(build), _) => match directory(build, place) {
                Some(directory) => {
                    let service =
                        ComposeService { name: name.clone(), directory, file: path.clone(), ..Default::default() };
                    composed.services.push(service.read(node, build, &document));
                }
                None => composed
                    .notes
                    .push(format!("`{name}` in {path} is built from what is no directory of this repository")),
            },
            (None, Some(image)) => ready.push(format!("`{name}` ({})", without_password(image))),
            (None, None) => ready.push(format!("`{name}`")),
        }
    }
    if !ready.is_empty() {
        let names = ready.join(", ");
        composed.notes.push(format!(
            "{path} also runs {names}: not built from this repository, so no service here; leave it to Compose"
        ));
    }
    for at in 0..composed.services.len() {
        let same = |other: &&ComposeService| other.directory == composed.services[at].directory;
        composed.services[at].shares = composed.services.iter().filter(same).count() > 1;
    }
    composed
}

/// The directory that a service is built from, from the repository's root.
pub(crate) fn directory(build: &Node, place: &Place<'_>) -> Option<String> {
    let context = context(build)?;
    (!context.contains("://") && !context.contains('$')).then(|| resolved(&place.directory, context))?
}

/// The same as it is written.
pub(crate) fn context(build: &Node) -> Option<&str> {
    match build.entries() {
        [] => build.text(),
        _ => build.entry("context").map_or(Some("."), Node::text),
    }
}

/// `path` as seen from `base`, without `.` and `..`; `None` if it leads outside.
fn resolved(base: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    (!path.starts_with(['/', '~'])).then(|| parts.join("/"))
}

impl ComposeService {
    fn read(mut self, node: &Node, build: &Node, document: &Node) -> Self {
        self.dockerfile(build);
        self.stage = build.entry("target").and_then(Node::text).filter(|stage| !stage.contains('$')).map(str::to_owned);
        if let Some(arguments) = build.entry("args") {
            self.arguments(arguments);
        }
        self.ports(node);
        self.command(node);
        for volume in node.entry("volumes").map(Node::items).unwrap_or_default() {
            self.volume(volume, document);
        }
        let limit = |key| node.at(&["deploy", "resources", "limits", key]).and_then(Node::text);
        if let Some(text) = node.entry("mem_limit").and_then(Node::text).or_else(|| limit("memory")) {
            self.memory = size(text).filter(|memory| *memory >= LEAST_MEMORY);
            if self.memory.is_none() {
                self.notes.push(format!("the memory limit `{text}` of {} has no size as `memory` has", self.it()));
            }
        }
        if let Some(text) = node.entry("cpus").and_then(Node::text).or_else(|| limit("cpus")) {
            let number = interpolated(text).and_then(|text| text.parse::<f64>().ok());
            self.cpus = number.filter(|cpus| cpus.is_finite() && *cpus > 0.0).map(|cpus| format!("{cpus:?}"));
            if self.cpus.is_none() {
                self.notes.push(format!("`cpus` of {} is no number: `{text}`", self.it()));
            }
        }
        let environment = node.entry("environment");
        let names = environment.map(names).unwrap_or_default();
        self.variables =
            names.into_iter().filter(|name| is_variable(name) && name != "PORT" && name != "HOST").collect();
        let others: Vec<String> =
            node.entries().iter().filter(|(key, _)| !is_known(key)).map(|(key, _)| format!("`{key}`")).collect();
        if !others.is_empty() {
            self.notes.push(format!("not taken over from {}: {}", self.it(), others.join(", ")));
        }
        self
    }

    fn it(&self) -> String {
        format!("`{}` in {}", self.name, self.file)
    }

    fn dockerfile(&mut self, build: &Node) {
        if build.entry("dockerfile_inline").is_some() {
            self.notes.push(format!("`dockerfile_inline` of {}: write it into a file", self.it()));
        }
        let Some(file) = build.entry("dockerfile").and_then(Node::text) else { return };
        // The path is relative to the directory, so one that leaves it is none here.
        self.dockerfile = resolved("", file).filter(|file| !file.contains('$'));
        if self.dockerfile.is_none() {
            self.notes.push(format!(
                "`dockerfile` of {} is `{file}`: Pleach builds from a Dockerfile in the service's directory",
                self.it()
            ));
        }
    }

    fn arguments(&mut self, arguments: &Node) {
        let pairs: Vec<(String, Option<String>)> = match arguments.items() {
            [] => {
                let entries = arguments.entries().iter();
                entries.map(|(name, value)| (name.clone(), value.text().map(str::to_owned))).collect()
            }
            items => {
                let texts = items.iter().filter_map(Node::text);
                let pair = |text: &str| match text.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                    None => (text.to_owned(), None),
                };
                texts.map(pair).collect()
            }
        };
        let mut left = Vec::new();
        for (name, value) in pairs {
            match value.filter(|value| !value.contains('$')) {
                Some(value) if is_variable(&name) && !is_secret(&name) && !tells_secret(&value) => {
                    self.arguments.push((name, value));
                }
                _ => left.push(format!("`{name}`")),
            }
        }
        if !left.is_empty() {
            self.notes.push(format!(
                "build arguments of {} that are no plain text or may be secret were left out: {}",
                self.it(),
                left.join(", ")
            ));
        }
    }

    fn ports(&mut self, node: &Node) {
        let ports = node.entry("ports").map(Node::items).unwrap_or_default();
        self.port = ports.iter().find_map(host_port);
        let pairs: Vec<(Option<u16>, u16)> = ports.iter().filter_map(ports_of).collect();
        let expose = node.entry("expose").map(Node::items).unwrap_or_default();
        if let Some((published, listens)) = pairs.first() {
            (self.published, self.listens) = (*published, Some(Found::new(*listens, self.why("ports"))));
        } else {
            let port = expose.iter().filter_map(Node::text).find_map(number);
            self.listens = port.map(|port| Found::new(port, self.why("expose")));
        }
        let more: Vec<String> = pairs.iter().skip(1).map(|(_, listens)| listens.to_string()).collect();
        if !more.is_empty() {
            self.notes.push(format!("{} also publishes {}: a service has one port", self.it(), more.join(", ")));
        }
    }

    fn command(&mut self, node: &Node) {
        let Some(command) = node.entry("command") else { return };
        let items = command.items();
        let words = match items {
            [] => command.text().and_then(words),
            items => items.iter().map(|item| item.text().map(str::to_owned)).collect(),
        };
        let Some(words) = words.filter(|words: &Vec<String>| !words.is_empty()) else {
            return self.notes.push(format!("`command` of {} is empty or was not understood", self.it()));
        };
        let line = words.join(" ");
        if line.replace("$$", "").contains('$') || tells_secret(&line) {
            self.notes.push(format!(
                "`command` of {} was left out, since it holds a variable or what may be secret",
                self.it()
            ));
            return;
        }
        self.command = Some(words.into_iter().map(|word| word.replace("$$", "$")).collect());
    }

    fn volume(&mut self, node: &Node, document: &Node) {
        let (source, place, mode) = match node.text() {
            Some(text) => {
                let Some(text) = interpolated(text) else {
                    return self.notes.push(format!("the volume `{text}` of {} holds a variable", self.it()));
                };
                let mut parts = text.split(':').map(str::to_owned);
                (parts.next().unwrap_or_default(), parts.next(), parts.collect::<Vec<_>>().join(":"))
            }
            None => {
                let text = |key| node.entry(key).and_then(Node::text).and_then(interpolated);
                let read_only = text("read_only").is_some_and(|value| value == "true");
                let mode = if read_only { "ro" } else { "" };
                (text("source").unwrap_or_default(), text("target"), mode.to_owned())
            }
        };
        // `cached` and the like tell Docker Desktop how to be fast.
        let mode = if matches!(mode.as_str(), "cached" | "delegated" | "consistent") { "" } else { mode.as_str() };
        let is_mode = matches!(mode, "" | "ro" | "rw" | "z" | "Z");
        let is_place = |place: &String| place.starts_with('/') && place.len() > 1;
        let volume = match &place {
            Some(place) if source.starts_with('.') => {
                return self.notes.push(format!(
                    "{} mounts `{source}` on `{place}`: the container has only what the Dockerfile copies",
                    self.it()
                ));
            }
            Some(place) if is_place(place) && is_mode && is_source(&source) => {
                let mode = if mode.is_empty() { String::new() } else { format!(":{mode}") };
                Some(format!("{}:{place}{mode}", named(&source, document)))
            }
            _ => None,
        };
        match volume {
            Some(volume) => {
                let own = document.at(&["volumes", source.as_str()]);
                let is_named = own.is_some_and(|own| own.entry("name").or(own.entry("external")).is_some());
                if !source.starts_with('/') && !is_named {
                    self.notes.push(format!(
                        "Compose puts its project's name before `{source}` of {}: to go on with data that is there, write the name \
                         that `docker volume ls` shows",
                        self.it()
                    ));
                }
                self.volumes.push(volume);
            }
            None => {
                let told = [source.as_str(), place.as_deref().unwrap_or_default()].join(" ");
                self.notes.push(format!(
                    "a volume of {} that `volumes` does not take was left out: `{}`",
                    self.it(),
                    told.trim()
                ));
            }
        }
    }
}

fn is_known(key: &str) -> bool {
    KNOWN.contains(&key) || key.starts_with("x-")
}

fn is_source(source: &str) -> bool {
    let letters = source.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    source.starts_with('/') || (source.len() > 1 && letters && source.starts_with(|c: char| c.is_ascii_alphanumeric()))
}

/// The name that the file itself gives a volume.
fn named(source: &str, document: &Node) -> String {
    let own = document.at(&["volumes", source, "name"]).and_then(Node::text).and_then(interpolated);
    own.filter(|own| is_source(own) && !own.starts_with('/')).unwrap_or_else(|| source.to_owned())
}

/// `8080`, `80:8080`, `127.0.0.1:80:8080/tcp`, `published: 80`.
fn host_port(node: &Node) -> Option<u16> {
    if let Some(published) = node.entry("published").or_else(|| node.entry("target")) {
        return published.number();
    }
    let text = node.text()?.split('/').next()?;
    let mut parts = text.rsplit(':');
    let container = parts.next()?;
    parts.next().unwrap_or(container).parse().ok()
}

/// The port on the host, and that in the container.
pub(crate) fn ports_of(node: &Node) -> Option<(Option<u16>, u16)> {
    if let Some(target) = node.entry("target") {
        return Some((node.entry("published").and_then(Node::text).and_then(number), number(target.text()?)?));
    }
    let text = interpolated(node.text()?)?;
    let (text, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
    let mut parts = text.rsplit(':');
    let listens = number(parts.next()?)?;
    (protocol == "tcp").then(|| (parts.next().and_then(number), listens))
}

/// The names of `environment`, which is a map or a list of `NAME=value`.
fn names(environment: &Node) -> Vec<String> {
    match environment.items() {
        [] => environment.entries().iter().map(|(name, _)| name.clone()).collect(),
        items => items.iter().filter_map(|item| Some(item.text()?.split('=').next()?.trim().to_owned())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::place::tests::{place, place_at};
    use super::*;

    /// The one service `web` of a file with these lines below it.
    fn web(lines: &'static str) -> ComposeService {
        let text = format!("services:\n  web:\n    build: .\n{lines}");
        let found = compose(&place(&[("compose.yaml", Box::leak(text.into_boxed_str()))]));
        found.services.into_iter().next().expect("a service")
    }

    #[test]
    fn compose_names_the_directories_that_it_builds_and_tells_of_the_rest() {
        let found = compose(&place(&[(
            "docker-compose.yml",
            "services:\n  web:\n    build: ./web\n    ports:\n      - \"3000:80\"\n  api:\n    build:\n      context: services/api\n  \
             db:\n    image: postgres:16\n  far:\n    build: https://example.com/x.git\n",
        )]));
        let seen: Vec<_> = found.services.iter().map(|s| (s.name.as_str(), s.directory.as_str(), s.port)).collect();
        assert_eq!(seen, [("web", "web", Some(3000)), ("api", "services/api", None)]);
        assert_eq!(found.notes.len(), 2, "{:?}", found.notes);
        assert!(found.notes.iter().any(|note| note.contains("`db` (postgres:16)")));
        assert!(found.notes.iter().any(|note| note.contains("`far`")));
    }

    #[test]
    fn directories_are_told_from_the_root_and_never_leave_it() {
        let text = "services:\n  a:\n    build: ../a\n  b:\n    build: { context: . }\n  c:\n    build: ../../c\n";
        let found = compose(&place_at("x", &[("compose.yaml", text)]));
        let seen: Vec<_> = found.services.iter().map(|s| (s.name.as_str(), s.directory.as_str())).collect();
        assert_eq!(seen, [("a", "a"), ("b", "x")]);
        assert!(found.notes[0].contains("`c`"));
    }

    #[test]
    fn ports_are_those_of_the_host_and_of_the_container() {
        for (lines, published, listens) in [
            ("    ports: [\"3000:80\"]\n", Some(3000), Some(80)),
            ("    ports:\n      - 127.0.0.1:3000:80/tcp\n", Some(3000), Some(80)),
            ("    ports:\n      - \"${PORT:-3000}:80\"\n", Some(3000), Some(80)),
            ("    ports:\n      - \"${PORT}:80\"\n", None, None),
            ("    ports:\n      - target: 80\n        published: \"3000\"\n", Some(3000), Some(80)),
            ("    ports: [\"80\"]\n", None, Some(80)),
            ("    ports: [\"53:53/udp\", \"81:82\"]\n", Some(81), Some(82)),
            ("    expose:\n      - \"9000\"\n", None, Some(9000)),
            ("", None, None),
        ] {
            let service = web(lines);
            assert_eq!((service.published, service.listens.map(|port| port.value)), (published, listens), "{lines}");
        }
    }

    #[test]
    fn volumes_are_taken_where_they_need_no_file_of_the_repository() {
        let service = web(
            "    volumes:\n      - data:/var/lib/x\n      - /etc/x:/etc/x:ro\n      - ./src:/app:cached\n      - /cache\n      \
             - type: volume\n        source: logs\n        target: /logs\n        read_only: true\n      - ${HOME}/x:/x\n\
             volumes:\n  data:\n    name: shop-data\n",
        );
        assert_eq!(service.volumes, ["shop-data:/var/lib/x", "/etc/x:/etc/x:ro", "logs:/logs:ro"]);
        assert_eq!(service.notes.len(), 4, "{:?}", service.notes);
        assert!(service.notes[0].contains("`./src` on `/app`"));
    }

    #[test]
    fn nothing_secret_is_taken_over() {
        let service = web(
            "    command: serve --db-password hunter2\n    environment:\n      - API_TOKEN=hunter2\n      - PORT=80\n    env_file: .env\n",
        );
        assert_eq!((service.command.as_ref(), service.variables.as_slice()), (None, &["API_TOKEN".to_owned()][..]));
        assert!(service.notes.iter().any(|note| note.contains("`env_file`")), "{:?}", service.notes);
        let text = "services:\n  web:\n    build:\n      context: .\n      args:\n        VERSION: 18.0\n        NPM_TOKEN: hunter2\n        \
             INDEX: https://me:hunter2@example.com\n        FROM_OUTSIDE: ${X}\n    environment:\n      PASSWORD: hunter2\n";
        let found = compose(&place(&[("compose.yaml", text)]));
        assert_eq!(found.services[0].arguments, [("VERSION".to_owned(), "18.0".to_owned())]);
        assert!(found.services[0].notes[0].contains("`NPM_TOKEN`, `INDEX`, `FROM_OUTSIDE`"));
        assert!(!format!("{service:?}{found:?}").contains("hunter2"));
    }
}

//! How a service is built, run and asked for its health, as its own files say it.
//!
//! Whoever wrote the files knew best, so the most explicit one wins: an app spec, then a `Procfile`, then the command of
//! a `Dockerfile` when it needs nothing of the image, then a `run.sh`, then what its language usually means. Each
//! detector fills only what the ones before it left open. Where none of them can start it on a bare machine and there is a
//! Dockerfile, it is a container.

use super::compose::ComposeService;
use super::image::Image;
use super::place::{Found, Place};
use super::project::Project;
use super::{compiled, docker, node, platform, python, route};

/// What was found of one service. What is `None` was not found and is not written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recipe {
    /// Run once in the release's directory.
    pub(crate) build: Option<Found<String>>,
    /// Kept running; listens on `$HOST:$PORT`.
    pub(crate) run: Option<Found<String>>,
    /// Run as a container, where nothing else is run.
    pub(crate) image: Option<Image>,
    /// Run as a Compose project, where nothing else is run.
    pub(crate) project: Option<Project>,
    /// The port that people know it by.
    pub(crate) port: Option<Found<u16>>,
    /// The path that tells its health.
    pub(crate) health: Option<Found<String>>,
    /// The wait before the first health check, in seconds, as an app spec says it.
    pub(crate) health_delay: Option<Found<u32>>,
    /// The path that tells name and version.
    pub(crate) metadata: Option<Found<String>>,
    /// The path of its documentation.
    pub(crate) documentation: Option<Found<String>>,
    /// What answers 405 to a wrong method.
    pub(crate) refuses: Option<Found<String>>,
    /// Variables that it wants from outside.
    pub(crate) variables: Vec<String>,
    /// The directory that must be deployed for it to build, if that is not its own.
    pub(crate) root: Option<Found<String>>,
    /// What a person should know before relying on it.
    pub(crate) notes: Vec<String>,
}

impl Recipe {
    /// Keeps what is there and takes the rest from `other`.
    pub(crate) fn or(mut self, other: Self) -> Self {
        // A build and a run command belong together: one of them from elsewhere may not find what it needs.
        if self.run.is_none() {
            self.root = self.root.or(other.root);
            // Why one way was not found is of no interest where another one was.
            if other.run.is_some() {
                self.notes.clear();
                self.image = None;
            } else {
                self.image = self.image.or(other.image);
            }
            self.run = other.run;
            self.notes.extend(other.notes);
        }
        self.build = self.build.or(other.build);
        self.port = self.port.or(other.port);
        self.health = self.health.or(other.health);
        self.health_delay = self.health_delay.or(other.health_delay);
        self.metadata = self.metadata.or(other.metadata);
        self.documentation = self.documentation.or(other.documentation);
        self.refuses = self.refuses.or(other.refuses);
        for variable in other.variables {
            if !self.variables.contains(&variable) {
                self.variables.push(variable);
            }
        }
        self
    }

    /// Decides how it is run and which port it is known by, when all that is known is in it.
    pub(crate) fn settled(mut self) -> Self {
        if self.run.is_some() {
            self.image = None;
        }
        let Some(image) = &mut self.image else { return self };
        // What a language would need to be run here is of no interest in a container.
        (self.build, self.root, self.notes) = (None, None, std::mem::take(&mut image.notes));
        self.variables
            .extend(image.variables.iter().filter(|name| !self.variables.contains(name)).cloned().collect::<Vec<_>>());
        // An app spec or an example file may know the port; of a command of its own they know nothing.
        if image.port.is_none() && image.command.is_none() {
            image.port.clone_from(&self.port);
        }
        self.port = match image.port {
            Some(_) => image.published.clone().or(self.port).or(image.port.clone()),
            None => None,
        };
        if image.port.is_none() {
            self.notes.push("no port was found: if it listens, it needs a `port` here and one in `image`".to_owned());
        }
        self
    }

    /// Whether it is started by what is known of it.
    pub(crate) fn is_started(&self) -> bool {
        self.run.is_some() || self.image.is_some() || self.project.is_some()
    }

    /// Whether it has a port, as far as is known.
    pub(crate) fn listens(&self) -> bool {
        let project = || self.project.as_ref().is_some_and(|project| project.port.is_some() || !project.is_fixed);
        self.run.is_some() || self.image.as_ref().is_some_and(|image| image.port.is_some()) || project()
    }

    /// The port that it has whatever it is given.
    pub(crate) fn fixed_port(&self) -> Option<u16> {
        let project = self.project.as_ref().filter(|project| project.is_fixed)?;
        project.port.as_ref().map(|port| port.value)
    }

    /// Whether it can be started and reached.
    pub(crate) fn answers(&self) -> bool {
        self.project.is_some() || (self.run.is_some() && (self.port.is_some() || self.health.is_some()))
    }
}

/// All that the files of `place` say, and a Compose file's service that is built from it.
pub(crate) fn recipe(place: &Place<'_>, composed: Option<&ComposeService>) -> Recipe {
    let language = [python::recipe, node::recipe, compiled::cargo, compiled::go]
        .into_iter()
        .find_map(|detect| detect(place))
        .unwrap_or_default();
    let explicit =
        platform::spec_recipe(place).or(procfile(place)).or(docker::recipe(place, composed)).or(script(place));
    let mut recipe = explicit.or(language).or(route::recipe(place));
    if recipe.run.is_some() && recipe.build.is_none() && place.has("build.sh") {
        recipe.build = Some(Found::new("sh build.sh", place.path_of("build.sh")));
    }
    recipe
}

/// `web: …` of a `Procfile`.
fn procfile(place: &Place<'_>) -> Recipe {
    let text = place.text("Procfile").unwrap_or_default();
    let web = text.lines().find_map(|line| line.strip_prefix("web:"));
    let run = web.map(|line| Found::new(localise(place, line), format!("`web` in {}", place.path_of("Procfile"))));
    Recipe { run, ..Recipe::default() }
}

/// A script whose name says that it starts the service.
fn script(place: &Place<'_>) -> Recipe {
    let file = place.first_of(&["run.sh", "start.sh", "bin/run", "bin/start"]);
    let run = file.map(|file| {
        let line = if file.ends_with(".sh") { format!("sh {file}") } else { format!("./{file}") };
        Found::new(line, place.path_of(file))
    });
    Recipe { run, ..Recipe::default() }
}

/// A command line of a platform or an image, as it runs here: on `$HOST:$PORT`, with what the build step installed.
pub(crate) fn localise(place: &Place<'_>, line: &str) -> String {
    let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    if words.first().is_some_and(|word| word == "exec") {
        words.remove(0);
    }
    let mut before = String::new();
    for word in &mut words {
        let names_port = matches!(before.as_str(), "--port" | "-p" | "--server.port");
        let names_host = matches!(before.as_str(), "--host" | "-h" | "--bind" | "-b" | "--server.address");
        before.clone_from(word);
        if names_port && is_port(word) {
            *word = "$PORT".into();
        } else if names_host && word == "0.0.0.0" {
            *word = "$HOST".into();
        } else if let Some((option, port)) = word.split_once("--port=").filter(|(_, port)| is_port(port)) {
            *word = format!("{option}--port=$PORT").replace(port, "$PORT");
        } else if let Some(at) = word.find("0.0.0.0") {
            let behind = &word[at + "0.0.0.0".len()..];
            let port = if behind.strip_prefix(':').is_some_and(is_port) { ":$PORT" } else { behind };
            *word = format!("{}$HOST{port}", &word[..at]);
        }
    }
    if let Some(first) = words.first_mut() {
        *first = python::program(place, first);
    }
    words.join(" ")
}

/// A number, or a variable that holds it: `8080`, `$PORT`, `${PORT:-8080}`.
fn is_port(word: &str) -> bool {
    let word = word.trim_matches('"');
    word.parse::<u16>().is_ok() || word == "$PORT" || (word.starts_with("${PORT") && word.ends_with('}'))
}

/// The port that a command line names by number.
pub(crate) fn port_in(line: &str) -> Option<u16> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let named = words.windows(2).find(|pair| matches!(pair[0], "--port" | "-p" | "--server.port")).map(|pair| pair[1]);
    let joined = words.iter().find_map(|word| word.strip_prefix("--port="));
    let bound = words.iter().find_map(|word| Some(word.split_once("0.0.0.0:")?.1));
    named.or(joined).or(bound)?.parse().ok().filter(|port| *port > 0)
}

#[cfg(test)]
mod tests {
    use super::super::place::tests::place;
    use super::*;

    #[test]
    fn commands_of_platforms_run_here() {
        let bare = place(&[]);
        for (theirs, ours) in [
            ("uvicorn main:app --host 0.0.0.0 --port 8080", "uvicorn main:app --host $HOST --port $PORT"),
            ("gunicorn -b 0.0.0.0:$PORT app:app", "gunicorn -b $HOST:$PORT app:app"),
            ("exec node server.js --port=${PORT:-3000}", "node server.js --port=$PORT"),
            ("gunicorn --bind 0.0.0.0:8000 app:app", "gunicorn --bind $HOST:$PORT app:app"),
            ("java -jar x.jar", "java -jar x.jar"),
        ] {
            assert_eq!(localise(&bare, theirs), ours);
        }
        let python = place(&[("requirements.txt", "uvicorn\n")]);
        assert_eq!(localise(&python, "uvicorn main:app"), ".venv/bin/uvicorn main:app");
    }

    #[test]
    fn a_procfile_is_trusted_before_the_language() {
        let files = place(&[
            ("Procfile", "release: ./x\nweb: gunicorn wsgi:application --bind 0.0.0.0:$PORT\n"),
            ("requirements.txt", "flask\ngunicorn\n"),
            ("app.py", "app = Flask(__name__)\n@app.get('/healthz')\n"),
        ]);
        let found = recipe(&files, None);
        assert_eq!(found.run.expect("a command").value, ".venv/bin/gunicorn wsgi:application --bind $HOST:$PORT");
        assert_eq!(found.health.expect("a path").value, "/healthz");
        assert!(found.build.expect("a build").value.contains("requirements.txt"));
    }

    #[test]
    fn ports_are_read_from_command_lines() {
        assert_eq!(port_in("uvicorn a:b --port 8080"), Some(8080));
        assert_eq!(port_in("x --port=99"), Some(99));
        assert_eq!(port_in("gunicorn -b 0.0.0.0:8000 a:b"), Some(8000));
        assert_eq!(port_in("x --port $PORT"), None);
    }
}

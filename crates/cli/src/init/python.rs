//! Python services: `requirements.txt`, `pyproject.toml`, and an application object of a known framework.

use super::place::{Found, Place};
use super::recipe::Recipe;

/// Where an application object usually lives, the most usual place first.
const ENTRIES: [&str; 12] = [
    "main.py",
    "app.py",
    "server.py",
    "api.py",
    "asgi.py",
    "wsgi.py",
    "app/main.py",
    "src/main.py",
    "app/__init__.py",
    "src/app.py",
    "app/app.py",
    "api/main.py",
];

/// Programs that live in the environment that the build step makes.
const PROGRAMS: [&str; 12] = [
    "uvicorn",
    "gunicorn",
    "flask",
    "hypercorn",
    "python",
    "python3",
    "streamlit",
    "daphne",
    "waitress-serve",
    "celery",
    "fastapi",
    "granian",
];

/// What a Python directory says.
pub(crate) fn recipe(place: &Place<'_>) -> Option<Recipe> {
    let declared = place.first_of(&["requirements.txt", "pyproject.toml", "setup.py", "Pipfile"]);
    let run = application(place).or_else(|| django(place)).or_else(|| script(place));
    if declared.is_none() && run.is_none() {
        return None;
    }
    let mut notes = Vec::new();
    if run.is_none() {
        notes.push("no application object (FastAPI, Flask, Django, …) was found in the usual files".to_owned());
    }
    Some(Recipe {
        build: build(place),
        run,
        documentation: docs(place),
        refuses: refuses(place),
        notes,
        ..Recipe::default()
    })
}

/// The program as it is started here: from the environment of the build step, if there is one.
pub(crate) fn program(place: &Place<'_>, word: &str) -> String {
    if !PROGRAMS.contains(&word) {
        return word.to_owned();
    }
    match (build(place).is_some(), word) {
        (true, _) => format!(".venv/bin/{word}"),
        (false, "python") => "python3".to_owned(),
        (false, _) => word.to_owned(),
    }
}

fn build(place: &Place<'_>) -> Option<Found<String>> {
    let install = |what: &str, file: &str| {
        let line = format!("python3 -m venv .venv && .venv/bin/pip install --quiet {what}");
        Some(Found::new(line, place.path_of(file)))
    };
    if place.text("requirements.txt").is_some_and(|text| names_packages(&text)) {
        return install("-r requirements.txt", "requirements.txt");
    }
    let project = place.text("pyproject.toml")?;
    (project.contains("[build-system]") || project.contains("[project]")).then(|| install(".", "pyproject.toml"))?
}

fn names_packages(requirements: &str) -> bool {
    requirements.lines().map(str::trim).any(|line| !line.is_empty() && !line.starts_with('#'))
}

fn requires(place: &Place<'_>, package: &str) -> bool {
    ["requirements.txt", "pyproject.toml", "Pipfile", "setup.py"]
        .into_iter()
        .filter_map(|file| place.text(file))
        .any(|text| text.to_lowercase().contains(package))
}

/// `NAME = FastAPI(` and the like: its file, line, module and name.
fn application(place: &Place<'_>) -> Option<Found<String>> {
    let frameworks = ["FastAPI(", "Starlette(", "Quart(", "Flask(", "Litestar(", "Sanic("];
    ENTRIES.into_iter().find_map(|file| {
        let text = place.text(file)?;
        text.lines().enumerate().find_map(|(at, line)| {
            let (name, value) = line.split_once('=')?;
            let name = name.split(':').next().unwrap_or_default().trim_end();
            let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            let value = value.trim_start();
            let framework = frameworks.into_iter().find(|known| {
                value.starts_with(known) || value.split_once('.').is_some_and(|(_, rest)| rest.starts_with(known))
            })?;
            plain.then(|| {
                let module = file.trim_end_matches(".py").trim_end_matches("/__init__").replace('/', ".");
                let line = serve(place, framework, &format!("{module}:{name}"));
                Found::new(line, format!("`{name}` in {}:{}", place.path_of(file), at + 1))
            })
        })
    })
}

fn serve(place: &Place<'_>, framework: &str, application: &str) -> String {
    let program = |name| program(place, name);
    match framework {
        "Flask(" if requires(place, "gunicorn") => {
            format!("{} --bind $HOST:$PORT {application}", program("gunicorn"))
        }
        "Flask(" => format!("{} --app {application} run --host $HOST --port $PORT", program("flask")),
        _ => format!("{} {application} --host $HOST --port $PORT", program("uvicorn")),
    }
}

fn django(place: &Place<'_>) -> Option<Found<String>> {
    let manage = place.text("manage.py").filter(|text| text.contains("DJANGO_SETTINGS_MODULE"))?;
    let wsgi = place.files.iter().find(|file| file.ends_with("/wsgi.py") && file.matches('/').count() == 1);
    let line = match wsgi {
        Some(file) if requires(place, "gunicorn") => {
            let module = file.trim_end_matches(".py").replace('/', ".");
            format!("{} --bind $HOST:$PORT {module}:application", program(place, "gunicorn"))
        }
        _ => format!("{} manage.py runserver --noreload $HOST:$PORT", program(place, "python")),
    };
    (!manage.is_empty()).then(|| Found::new(line, format!("Django in {}", place.path_of("manage.py"))))
}

/// A script that listens by itself on the port that it is told.
fn script(place: &Place<'_>) -> Option<Found<String>> {
    if requires(place, "streamlit")
        && let Some(file) = place.first_of(&["streamlit_app.py", "app.py", "main.py"])
    {
        let program = program(place, "streamlit");
        let line = format!("{program} run {file} --server.address $HOST --server.port $PORT --server.headless true");
        return Some(Found::new(line, format!("Streamlit in {}", place.path_of(file))));
    }
    ["main.py", "server.py", "app.py", "run.py"].into_iter().find_map(|file| {
        let text = place.text(file)?;
        let at = text.lines().position(|line| {
            (line.contains("environ") || line.contains("getenv"))
                && (line.contains("\"PORT\"") || line.contains("'PORT'"))
        })?;
        let line = format!("{} {file}", program(place, "python"));
        Some(Found::new(line, format!("{}:{} reads PORT", place.path_of(file), at + 1)))
    })
}

/// FastAPI serves its documentation on `/docs` unless it is told not to.
fn docs(place: &Place<'_>) -> Option<Found<String>> {
    ENTRIES.into_iter().find_map(|file| {
        let text = place.text(file).filter(|text| text.contains("FastAPI(") && !text.contains("docs_url"))?;
        (!text.is_empty()).then(|| Found::new("/docs", format!("FastAPI in {}", place.path_of(file))))
    })
}

/// Routers that answer 405 by themselves where the path is right and the method is not.
fn refuses(place: &Place<'_>) -> Option<Found<String>> {
    let routers = ["FastAPI(", "Starlette(", "Flask(", "Quart(", "Litestar("];
    ENTRIES.into_iter().find_map(|file| {
        let text = place.text(file)?;
        let router = routers.into_iter().find(|router| text.contains(router))?;
        Some(Found::new("405", format!("{} in {}", router.trim_end_matches('('), place.path_of(file))))
    })
}

#[cfg(test)]
mod tests {
    use super::super::place::tests::{place, place_at};
    use super::*;

    fn run(files: &[(&'static str, &'static str)]) -> String {
        recipe(&place(files)).expect("Python").run.expect("a command").value
    }

    #[test]
    fn applications_are_found_by_their_framework() {
        let fast =
            [("requirements.txt", "fastapi\nuvicorn\n"), ("main.py", "from x import y\n\napp = FastAPI(title='x')\n")];
        assert_eq!(run(&fast), ".venv/bin/uvicorn main:app --host $HOST --port $PORT");
        let flask = [("requirements.txt", "flask\n"), ("app.py", "application = flask.Flask(__name__)\n")];
        assert_eq!(run(&flask), ".venv/bin/flask --app app:application run --host $HOST --port $PORT");
        let package =
            [("requirements.txt", "Flask\ngunicorn==21\n"), ("app/__init__.py", "api: Flask = Flask(__name__)\n")];
        assert_eq!(run(&package), ".venv/bin/gunicorn --bind $HOST:$PORT app:api");
        let django = [("manage.py", "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site.settings')\n")];
        assert_eq!(run(&django), "python3 manage.py runserver --noreload $HOST:$PORT");
        assert_eq!(run(&[("server.py", "port = int(os.environ.get('PORT', 1))\n")]), "python3 server.py");
    }

    #[test]
    fn the_reason_names_file_and_line() {
        let found = recipe(&place_at("services/x", &[("main.py", "\napp = FastAPI()\n")])).expect("Python");
        assert_eq!(found.run.expect("a command").why, "`app` in services/x/main.py:2");
        assert_eq!(found.documentation.expect("docs").value, "/docs");
    }

    #[test]
    fn a_library_is_not_run() {
        let found =
            recipe(&place(&[("pyproject.toml", "[project]\nname='x'\n"), ("x/__init__.py", "")])).expect("Python");
        assert_eq!(found.run, None);
        assert!(!found.notes.is_empty());
        assert_eq!(recipe(&place(&[("README.md", "")])), None);
    }
}

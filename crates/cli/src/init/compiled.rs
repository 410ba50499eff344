//! Rust and Go services: a manifest, and a `main` that listens.

use super::place::{Found, Place, join};
use super::recipe::Recipe;

/// What a `Cargo.toml` with a program says.
pub(crate) fn cargo(place: &Place<'_>) -> Option<Recipe> {
    let manifest = place.text("Cargo.toml")?;
    let name = value_in(&manifest, "[[bin]]", "name").or_else(|| value_in(&manifest, "[package]", "name"))?;
    let main = ["src/main.rs", "main.rs"].into_iter().find(|file| place.has(file))?;
    let package = value_in(&manifest, "[package]", "name").unwrap_or_else(|| name.clone());
    let inherits = manifest.contains("workspace = true") || manifest.contains(".workspace = true");
    let locked = if place.has("Cargo.lock") { " --locked" } else { "" };
    let why = place.path_of("Cargo.toml");
    let (build, root) = if inherits {
        let why = format!("{why} inherits from its workspace");
        let root = Found::new(String::new(), why.clone());
        (Found::new(format!("cargo build --release -p {package}"), why), Some(root))
    } else {
        (Found::new(format!("cargo build --release{locked}"), why), None)
    };
    let run = Found::new(format!("./target/release/{name}"), place.path_of(main));
    Some(Recipe { build: Some(build), run: Some(run), root, notes: port_note(place, ".rs"), ..Recipe::default() })
}

/// What a `go.mod`, or a `main` package below one, says.
pub(crate) fn go(place: &Place<'_>) -> Option<Recipe> {
    let top = place.files.iter().filter(|file| file.ends_with(".go") && !file.contains('/'));
    let main = top
        .into_iter()
        .find(|file| place.text(file).is_some_and(|text| text.contains("package main") && text.contains("func main(")));
    let command = || place.files.iter().find(|file| file.starts_with("cmd/") && file.ends_with("/main.go"));
    let (package, file) = match main {
        Some(file) => (".".to_owned(), file.clone()),
        None => {
            let file = command().filter(|_| place.has("go.mod"))?;
            (format!("./{}", file.trim_end_matches("/main.go")), file.clone())
        }
    };
    let build = format!("go build -o service {package}");
    let root = (!place.has("go.mod"))
        .then(|| Found::new(String::new(), format!("{} has no go.mod beside it", place.path_of(&file))));
    let (build, run) = match &root {
        Some(_) => (format!("go build -o service ./{}", join(&place.directory, "")), "./service"),
        None => (build, "./service"),
    };
    Some(Recipe {
        build: Some(Found::new(build, place.path_of(&file))),
        run: Some(Found::new(run, place.path_of(&file))),
        root,
        notes: port_note(place, ".go"),
        ..Recipe::default()
    })
}

fn port_note(place: &Place<'_>, ending: &str) -> Vec<String> {
    let source = |file: &&String| file.ends_with(ending);
    let reads = place
        .files
        .iter()
        .filter(source)
        .take(200)
        .any(|file| place.text(file).is_some_and(|text| text.contains("\"PORT\"")));
    let note = "no file was found that reads PORT: the service must listen on the port that it is given";
    if reads { Vec::new() } else { vec![note.to_owned()] }
}

/// `key = "value"` below `section` of a TOML text.
fn value_in(text: &str, section: &str, key: &str) -> Option<String> {
    let mut lines = text.lines().map(str::trim).skip_while(|line| *line != section).skip(1);
    let line = lines
        .by_ref()
        .take_while(|line| !line.starts_with('['))
        .find(|line| line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('=')))?;
    Some(line.split_once('=')?.1.trim().trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::place::tests::{place, place_at};
    use super::*;

    #[test]
    fn a_cargo_package_with_a_program_is_built_and_run() {
        let found = cargo(&place(&[
            ("Cargo.toml", "[package]\nname = \"x-service\"\n\n[dependencies]\naxum = \"0.8\"\n"),
            ("Cargo.lock", ""),
            ("src/main.rs", "env::var(\"PORT\")"),
        ]))
        .expect("Rust");
        assert_eq!(found.build.expect("a build").value, "cargo build --release --locked");
        assert_eq!(found.run.expect("a command").value, "./target/release/x-service");
        assert!(found.notes.is_empty());
        let library = place(&[("Cargo.toml", "[package]\nname = \"x\"\n"), ("src/lib.rs", "")]);
        assert_eq!(cargo(&library), None);
    }

    #[test]
    fn a_member_of_a_workspace_is_built_from_the_root() {
        let files = [("Cargo.toml", "[package]\nname = \"x\"\nversion.workspace = true\n"), ("src/main.rs", "")];
        let found = cargo(&place_at("services/x", &files)).expect("Rust");
        assert_eq!(found.root.expect("the root").value, "");
        assert_eq!(found.build.expect("a build").value, "cargo build --release -p x");
    }

    #[test]
    fn go_programs_are_built_where_their_module_is() {
        let own =
            go(&place(&[("go.mod", "module x"), ("main.go", "package main\nfunc main() { os.Getenv(\"PORT\") }")]))
                .expect("Go");
        assert_eq!(own.build.expect("a build").value, "go build -o service .");
        let below = go(&place(&[("go.mod", "module x"), ("cmd/web/main.go", "package main")])).expect("Go");
        assert_eq!(below.build.expect("a build").value, "go build -o service ./cmd/web");
        let member = go(&place_at("services/x", &[("main.go", "package main\nfunc main() {}")])).expect("Go");
        assert_eq!(member.build.expect("a build").value, "go build -o service ./services/x");
        assert_eq!(member.root.expect("the root").value, "");
    }
}

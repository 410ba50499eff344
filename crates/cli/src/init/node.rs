//! Node services: the scripts of `package.json`.

use serde_json::Value;

use super::place::{Found, Place};
use super::recipe::Recipe;

/// Frameworks whose start command listens on `PORT` without a line of the service's own.
const READ_PORT: [&str; 6] = ["next", "nuxt", "remix-serve", "react-scripts", "nest", "strapi"];

/// What a `package.json` says.
pub(crate) fn recipe(place: &Place<'_>) -> Option<Recipe> {
    let package: Value = serde_json::from_str(&place.text("package.json")?).ok()?;
    let script = |name: &str| package["scripts"][name].as_str().filter(|line| !line.trim().is_empty());
    let run = match script("start") {
        Some(_) => Some(Found::new("npm start --silent", format!("`start` in {}", place.path_of("package.json")))),
        None => main_file(place, &package),
    };
    let mut notes = Vec::new();
    if run.is_some() && !reads_port(place, script("start").unwrap_or_default()) {
        notes
            .push("no file was found that reads PORT: the service must listen on the port that it is given".to_owned());
    }
    let build = build(place, &package, script("build").is_some());
    Some(Recipe { build, run, notes, ..Recipe::default() })
}

fn main_file(place: &Place<'_>, package: &Value) -> Option<Found<String>> {
    let named = package["main"].as_str().map(|file| file.trim_start_matches("./").to_owned());
    let serves =
        |file: &String| place.text(file).is_some_and(|text| text.contains(".listen(") || text.contains("serve("));
    let usual = ["server.js", "index.js", "app.js", "server.mjs", "index.mjs", "src/index.js", "src/server.js"];
    let file = named.into_iter().chain(usual.map(str::to_owned)).find(serves)?;
    Some(Found::new(format!("node {file}"), format!("{} listens", place.path_of(&file))))
}

fn build(place: &Place<'_>, package: &Value, has_build: bool) -> Option<Found<String>> {
    let filled = |key: &str| package[key].as_object().is_some_and(|packages| !packages.is_empty());
    let lock = place.first_of(&["pnpm-lock.yaml", "yarn.lock", "package-lock.json", "npm-shrinkwrap.json"]);
    let install = match lock {
        Some("pnpm-lock.yaml") => Some("pnpm install --frozen-lockfile"),
        Some("yarn.lock") => Some("yarn install --frozen-lockfile"),
        Some(_) => Some("npm ci"),
        None if filled("dependencies") || (has_build && filled("devDependencies")) => Some("npm install"),
        None => None,
    };
    let lines: Vec<&str> = install.into_iter().chain(has_build.then_some("npm run build")).collect();
    let why = [Some("package.json"), lock].into_iter().flatten().map(|file| place.path_of(file)).collect::<Vec<_>>();
    (!lines.is_empty()).then(|| Found::new(lines.join(" && "), why.join(" and ")))
}

fn reads_port(place: &Place<'_>, start: &str) -> bool {
    let by_framework = READ_PORT.into_iter().any(|name| start.split_whitespace().next() == Some(name));
    let source = |file: &&String| {
        [".js", ".mjs", ".cjs", ".ts"].into_iter().any(|ending| file.ends_with(ending))
            && !file.contains("node_modules/")
            && file.matches('/').count() < 4
    };
    by_framework
        || start.contains("PORT")
        || place
            .files
            .iter()
            .filter(source)
            .take(200)
            .any(|file| place.text(file).is_some_and(|text| text.contains("env.PORT") || text.contains("env['PORT']")))
}

#[cfg(test)]
mod tests {
    use super::super::place::tests::place;
    use super::*;

    #[test]
    fn scripts_lock_files_and_main_files_are_followed() {
        let full = recipe(&place(&[
            ("package.json", r#"{"scripts":{"start":"node dist/x.js","build":"tsc"},"dependencies":{"express":"4"}}"#),
            ("package-lock.json", "{}"),
            ("src/x.ts", "app.listen(process.env.PORT)"),
        ]))
        .expect("Node");
        assert_eq!(full.build.expect("a build").value, "npm ci && npm run build");
        assert_eq!(full.run.expect("a command").value, "npm start --silent");
        assert!(full.notes.is_empty());

        let plain =
            recipe(&place(&[("package.json", "{}"), ("server.js", "http.createServer().listen(3000)")])).expect("Node");
        assert_eq!(plain.build, None);
        assert_eq!(plain.run.expect("a command").value, "node server.js");
        assert!(plain.notes[0].contains("PORT"));

        let library = recipe(&place(&[("package.json", r#"{"main":"lib.js"}"#), ("lib.js", "module.exports = 1")]))
            .expect("Node");
        assert_eq!(library.run, None);
        assert_eq!(recipe(&place(&[("package.json", "not json")])), None);
    }
}

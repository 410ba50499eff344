//! Paths and ports that a service's sources name: `/health`, `/metadata`, `/docs`, a port in an example file.

use super::place::{Found, Place};
use super::recipe::Recipe;

/// Paths that tell health, the most telling first.
const HEALTH: [&str; 12] = [
    "/health",
    "/healthz",
    "/api/health",
    "/api/healthz",
    "/healthcheck",
    "/health-check",
    "/health/live",
    "/livez",
    "/readyz",
    "/api/v1/health",
    "/_health",
    "/ping",
];

/// Endings of sources in which routes are written down.
const SOURCES: [&str; 14] = ["py", "js", "mjs", "cjs", "ts", "tsx", "rs", "go", "rb", "php", "java", "kt", "cs", "ex"];

/// How many sources are read: a service is small, and what is not should not make `init` slow.
const SOURCE_LIMIT: usize = 400;

/// What the sources of a directory say.
pub(crate) fn recipe(place: &Place<'_>) -> Recipe {
    let is_source =
        |file: &&String| file.rsplit_once('.').is_some_and(|(_, ending)| SOURCES.contains(&ending)) && !is_aside(file);
    let sources: Vec<&String> = place.files.iter().filter(is_source).take(SOURCE_LIMIT).collect();
    let search = |paths: &[&str]| {
        paths.iter().find_map(|path| {
            sources.iter().find_map(|file| {
                let text = place.text(file)?;
                let at = text.lines().position(|line| names(line, path))?;
                Some(Found::new(*path, format!("{}:{}", place.path_of(file), at + 1)))
            })
        })
    };
    Recipe {
        health: search(&HEALTH),
        metadata: search(&["/metadata"]),
        documentation: search(&["/docs", "/documentation"]),
        refuses: sources.iter().find_map(|file| {
            let text = place.text(file)?;
            let at = text.lines().position(|line| line.contains("405") || line.contains("METHOD_NOT_ALLOWED"))?;
            Some(Found::new("405", format!("{}:{}", place.path_of(file), at + 1)))
        }),
        port: example_port(place),
        ..Recipe::default()
    }
}

/// Whether a line names the path in quotes, and not as a part of a longer one.
fn names(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let behind = line[at + path.len()..].chars().next();
        matches!(before, Some('"' | '\'' | '`')) && matches!(behind, Some('"' | '\'' | '`'))
    }) && !line.contains("://")
}

/// Tests, examples and what others wrote: not what the service itself serves.
pub(crate) fn is_aside(path: &str) -> bool {
    const ASIDE: [&str; 21] = [
        "node_modules",
        "vendor",
        "third_party",
        "test",
        "tests",
        "__tests__",
        "testing",
        "example",
        "examples",
        "sample",
        "samples",
        "docs",
        "doc",
        "fixtures",
        "testdata",
        "benches",
        "bench",
        "dist",
        ".github",
        "spec",
        "e2e",
    ];
    path.split('/').any(|part| ASIDE.contains(&part) || part.starts_with("test_") || part.contains(".test."))
}

/// `PORT=8080` of an example of the settings.
fn example_port(place: &Place<'_>) -> Option<Found<u16>> {
    [".env.example", ".env.sample", "env.example", ".env.template"].into_iter().find_map(|file| {
        let text = place.text(file)?;
        let value = text.lines().find_map(|line| line.trim().strip_prefix("PORT="))?;
        let port: u16 = value.trim().trim_matches('"').parse().ok()?;
        Some(Found::new(port, place.path_of(file)))
    })
}

#[cfg(test)]
mod tests {
    use super::super::place::tests::place;
    use super::*;

    #[test]
    fn a_path_counts_where_it_is_a_route_of_the_service() {
        let found = recipe(&place(&[
            ("src/app.ts", "import x from './health'\napp.get('/healthz', f)\nfetch('http://x/health')\n"),
            ("tests/x.ts", "get('/health')"),
            (".env.example", "A=1\nPORT=4000\n"),
        ]));
        let health = found.health.expect("a path");
        assert_eq!((health.value.as_str(), health.why.as_str()), ("/healthz", "src/app.ts:2"));
        assert_eq!(found.port.expect("a port").value, 4000);
        assert_eq!(found.metadata, None);
    }
}

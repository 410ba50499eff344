//! Odoo addons: directories whose children have a manifest.

use std::collections::BTreeMap;

use super::route::is_aside;

/// A directory of modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Addons {
    /// From the repository's root; empty for the root.
    pub(crate) directory: String,
    /// Its modules, sorted.
    pub(crate) modules: Vec<String>,
}

/// All addons directories among the files of a branch, the one with the most modules first.
pub(crate) fn addons(files: &[String]) -> Vec<Addons> {
    let mut by_directory: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for file in files {
        let manifest = file.strip_suffix("/__manifest__.py").or_else(|| file.strip_suffix("/__openerp__.py"));
        let Some(module) = manifest.filter(|module| !is_aside(module)) else { continue };
        let (directory, name) = module.rsplit_once('/').unwrap_or(("", module));
        by_directory.entry(directory).or_default().push(name.to_owned());
    }
    let mut found: Vec<Addons> = by_directory
        .into_iter()
        .map(|(directory, mut modules)| {
            modules.dedup();
            Addons { directory: directory.to_owned(), modules }
        })
        .collect();
    // OCA keeps packaging stubs in `setup/MODULE/odoo/addons`: links, not modules.
    found.retain(|addons| !addons.directory.starts_with("setup/"));
    found.sort_by_key(|addons| std::cmp::Reverse(addons.modules.len()));
    found
}

/// The modules in a line: all of a few, the first ones of many.
pub(crate) fn listed(modules: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown = modules.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let plural = if modules.len() == 1 { "module" } else { "modules" };
    match modules.len().saturating_sub(SHOWN) {
        0 => format!("{} Odoo {plural}: {shown}", modules.len()),
        more => format!("{} Odoo {plural}: {shown} and {more} more", modules.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_grouped_by_their_directory() {
        let files = [
            "addons/a/__manifest__.py",
            "addons/b/__manifest__.py",
            "c/__manifest__.py",
            "setup/c/odoo/addons/c/__manifest__.py",
            "x.py",
        ];
        let found = addons(&files.map(str::to_owned));
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].directory.as_str(), found[0].modules.len()), ("addons", 2));
        assert_eq!(listed(&found[1].modules), "1 Odoo module: c");
        let many: Vec<String> = (0..9).map(|n| format!("m{n}")).collect();
        assert!(listed(&many).ends_with("m2 and 6 more"));
    }
}

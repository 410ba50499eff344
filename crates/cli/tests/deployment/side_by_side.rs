//! Three services on three hosts, built where Pleach runs.

use std::fs;

use pleach_testbed::sshd::SshBed;

use crate::scene::Scene;

#[test]
fn three_hosts_get_one_build_side_by_side_and_what_is_the_same_is_not_built_again() {
    let (scene, bed) = (Scene::new(), SshBed::new(""));
    let hosts = ["one", "two", "three"].map(|name| (name, bed.second("")));
    let ssh = hosts.iter().map(|(name, server)| format!("Host {name}\nPort {}\n", server.port));
    let file =
        fs::read_to_string(bed.at("config")).expect("a config").replace("Host target", "Host target one two three");
    bed.write("config", &format!("{}\n{file}", ssh.collect::<String>()));
    let counted = scene.place().join("builds");
    let services = ["alpha", "beta"].map(|name| {
        format!(
            "[services.{name}]\nbranch = \"skill/{name}\"\nbuild-on = \"here\"\n\
             build = \"echo {name} >> '{}'; cp service.json built.json\"\n",
            counted.display()
        )
    });
    let targets = hosts.iter().map(|(name, _)| {
        format!(
            "[environments.uat.targets.{name}]\nkind = \"ssh\"\nhost = \"{name}\"\npath = \"{}\"\nssh-config = \"{}\"\n",
            bed.at("root").join(name).display(),
            bed.at("config").display()
        )
    });
    let config = format!("[project]\nname = \"far\"\n{}{}", services.concat(), targets.collect::<String>());
    scene.write("pleach.toml", &config);
    scene.git(&["commit", "-qam", "Three hosts"]);
    let said = scene.ends(0, &["deploy", "uat", "--yes"]);
    assert!(said.stdout.contains("done, and seen to be done"), "{}", said.stdout);
    let builds = || fs::read_to_string(&counted).expect("it was built").lines().count();
    assert_eq!(builds(), 2, "once for each service, not for each host");
    let built = |host: &str, service: &str| bed.at("root").join(host).join(service).join("current/built.json").exists();
    for (host, _) in &hosts {
        assert!(built(host, "alpha") && built(host, "beta"), "{host}");
    }
    assert!(scene.ends(0, &["deploy", "uat", "--yes"]).stdout.starts_with("nothing to do"));
    scene.version("alpha", 2);
    scene.ends(0, &["deploy", "uat", "--yes"]);
    assert_eq!(builds(), 3, "what is the same is not built again");
}

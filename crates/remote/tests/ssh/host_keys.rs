//! A host is believed only when its key is known, whatever the user's config allows.

use pleach_core::error::{Failure, Kind};

use crate::bed::{Bed, keygen, new_key, run_read};

async fn require_trusted(bed: &Bed) {
    let output = run_read(&bed.shell().await, &["echo", "here"]).await;
    assert_eq!(output.expect("the host is trusted").text(), "here");
}

fn told(failure: &Failure, word: &str) {
    assert_eq!(failure.kind, Kind::Rejected, "{failure:?}");
    let all = format!("{failure:?}");
    assert!(all.contains(word), "no `{word}` in {all}");
    assert!(failure.state.as_deref().is_some_and(|state| state.contains("nothing was touched")), "{failure:?}");
}

/// The fingerprint as OpenSSH writes it.
fn fingerprint(bed: &Bed, key: &str) -> String {
    let path = bed.at(key).display().to_string();
    let output = std::process::Command::new("ssh-keygen").args(["-lf", &path]).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split(' ').nth(1).expect("a fingerprint").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_is_refused_with_its_fingerprint_also_where_the_config_would_take_it() {
    let bed = Bed::new("");
    let known = std::fs::read_to_string(bed.at("known_hosts")).expect("there");
    bed.write("known_hosts", "");
    bed.configure("StrictHostKeyChecking no");
    let failure = bed.refusal().await;
    told(&failure, &fingerprint(&bed, "host.pub"));
    let next = failure.next.expect("a way on");
    assert!(next.contains(&format!("ssh -F {} target true", bed.at("config").display())), "{next}");
    assert_eq!(std::fs::read_to_string(bed.at("known_hosts")).expect("there"), "", "nothing is added");
    bed.write("known_hosts", &known);
    require_trusted(&bed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_key_is_refused_with_the_place_of_the_old_one() {
    let bed = Bed::new("");
    let other = new_key(&bed.at("other"), "ed25519");
    bed.write("known_hosts", &format!("# old\n[127.0.0.1]:{} {other}\n", bed.server.port));
    let failure = bed.refusal().await;
    told(&failure, "has changed");
    told(&failure, &fingerprint(&bed, "host.pub"));
    let next = failure.next.expect("a way on");
    let remove = format!("ssh-keygen -R '[127.0.0.1]:{}' -f {}", bed.server.port, bed.at("known_hosts").display());
    assert!(next.contains(&remove), "{next}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_refused_also_where_another_line_knows_it() {
    let bed = Bed::new("");
    let host = std::fs::read_to_string(bed.at("host.pub")).expect("a key");
    let known = std::fs::read_to_string(bed.at("known_hosts")).expect("there");
    bed.write("known_hosts", &format!("{known}@revoked * {host}"));
    told(&bed.refusal().await, "revoked");
    bed.write("known_hosts", &known);
    require_trusted(&bed).await;
    bed.write("revoked", &host);
    bed.configure(&format!("RevokedHostKeys {}", bed.at("revoked").display()));
    told(&bed.refusal().await, "revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn hashed_names_wildcards_negations_and_other_kinds_are_read_as_ssh_reads_them() {
    let bed = Bed::new("");
    let known = bed.at("known_hosts").display().to_string();
    let host = std::fs::read_to_string(bed.at("host.pub")).expect("a key");
    keygen(&["-H", "-f", &known]);
    assert!(std::fs::read_to_string(&known).expect("there").starts_with("|1|"));
    require_trusted(&bed).await;
    for (line, trusted) in
        [("[127.0.0.?]:*", true), ("127.0.0.1", true), ("[127.0.0.1]:*,![127.0.0.1]:*", false), ("127.0.0.2", false)]
    {
        bed.write("known_hosts", &format!("not a line\n\n{line}\t{host}"));
        match trusted {
            true => require_trusted(&bed).await,
            false => told(&bed.refusal().await, "is not known"),
        }
    }
    // The server has two keys; the one that is known must be asked for.
    let rsa = new_key(&bed.at("rsa"), "rsa");
    let server = bed.second(&format!("HostKey {}", bed.at("rsa").display()));
    bed.configure(&format!("Port {}", server.port));
    bed.write("known_hosts", &format!("[127.0.0.1]:{} {rsa}\n", server.port));
    require_trusted(&bed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_certificate_counts_for_its_names_and_its_time_and_from_its_authority() {
    let bed = Bed::new("");
    let authority = new_key(&bed.at("authority"), "ed25519");
    let sign = |name: &str, principal: &str, time: &str| {
        std::fs::copy(bed.at("host.pub"), bed.at(&format!("{name}.pub"))).expect("copied");
        let (ca, key) =
            (bed.at("authority").display().to_string(), bed.at(&format!("{name}.pub")).display().to_string());
        keygen(&["-s", &ca, "-h", "-I", name, "-n", principal, "-V", time, &key]);
        bed.second(&format!("HostCertificate {}", bed.at(&format!("{name}-cert.pub")).display()))
    };
    let good = sign("good", "web.example.org", "-1h:+1h");
    let elsewhere = sign("elsewhere", "db.example.org", "-1h:+1h");
    let old = sign("old", "web.example.org", "-2h:-1h");
    let known = format!("@cert-authority *.example.org {authority}\n");
    let lead_to = |server: &crate::bed::Server| {
        bed.write("known_hosts", &known);
        bed.configure(&format!("Port {}\nHostKeyAlias web.example.org", server.port));
    };
    lead_to(&good);
    require_trusted(&bed).await;
    lead_to(&elsewhere);
    told(&bed.refusal().await, "is for `db.example.org`");
    lead_to(&old);
    told(&bed.refusal().await, "has expired");
    lead_to(&good);
    bed.write("known_hosts", &format!("{known}@revoked * {authority}\n"));
    told(&bed.refusal().await, "revoked");
    let other = new_key(&bed.at("stranger"), "ed25519");
    bed.write("known_hosts", &format!("@cert-authority *.example.org {other}\n"));
    told(&bed.refusal().await, "is not known");
}

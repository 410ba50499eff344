//! `pleach init` writes what it found and says why; what it writes can be read by the other commands.

use crate::sample::Sample;

const FASTAPI: &str = "from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get(\"/health\")\ndef health():\n    return {\"status\": \"ok\"}\n";

/// What `init` proposes; also written, and read by `config check`.
fn proposed(sample: &Sample) -> String {
    let printed = sample.done(&["init", "--print"]);
    assert!(!sample.root().join("pleach.toml").exists(), "`--print` writes no file");
    sample.done(&["init", "--quiet"]);
    let written = std::fs::read_to_string(sample.root().join("pleach.toml")).expect("written");
    assert_eq!(written, printed);
    sample.done(&["config", "check"]);
    written
}

#[test]
fn five_skills_with_the_files_of_the_old_scripts() {
    let status = r#"{"deployment_id": "deploy-20251021-143522", "skills": {
        "pr-review": {"branch": "skill/pr-review", "worktree": "/tmp/odoobo-worktrees/pr-review"},
        "nl-sql": {"branch": "skill/nl-sql", "worktree": "/tmp/odoobo-worktrees/nl-sql"}}}"#;
    let spec = |name: &str| {
        format!(
            "name: odoobo-skill-{name}\nregion: sgp\nservices:\n  - name: {name}\n    github:\n      branch: skill/{name}\n    \
             source_dir: services/agent-service/skills/{name}\n    build_command: pip install -r requirements.txt\n    \
             run_command: uvicorn main:app --host 0.0.0.0 --port 8080\n    http_port: 8080\n    health_check:\n      \
             http_path: /health\n      initial_delay_seconds: 30\n    envs:\n      - key: GITHUB_TOKEN\n        type: SECRET\n"
        )
    };
    let sample = Sample::new(&[
        ("WORKTREE_STATUS.json", status),
        ("infra/do-gradient/pr-review/app-spec.yaml", &spec("pr-review")),
        ("infra/do-gradient/nl-sql/app-spec.yaml", &spec("nl-sql")),
    ]);
    for name in ["pr-review", "nl-sql"] {
        let file = |file: &str| format!("services/agent-service/skills/{name}/{file}");
        let files = [
            (file("main.py"), FASTAPI),
            (file("requirements.txt"), "fastapi\nuvicorn\n"),
            (file("README.md"), "# x\n"),
        ];
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        sample.branch(&format!("skill/{name}"), &files);
    }
    insta::assert_snapshot!(proposed(&sample));
}

#[test]
fn branches_that_the_user_names_are_services_whatever_their_names_say() {
    let sample = Sample::named("tools", &[("auditlog/__manifest__.py", "{}"), ("sentry/__manifest__.py", "{}")]);
    for module in ["auditlog", "sentry"] {
        let manifest = format!("{module}/__manifest__.py");
        sample.branch(&format!("work/{module}"), &[(&manifest, "{'version': '2'}")]);
    }
    sample.branch("18.0", &[("stock/__manifest__.py", "{}")]);
    let guessed = sample.done(&["init", "--print"]);
    assert!(!guessed.contains("work/auditlog\""), "{guessed}");
    let named = sample.done(&["init", "--print", "work/*"]);
    for module in ["auditlog", "sentry"] {
        let service = format!("[services.{module}]\nbranch = \"work/{module}\"");
        assert!(named.contains(&service), "{named}");
        assert!(named.contains(&format!("path = \"{module}\"")), "{named}");
    }
    assert!(!named.contains("18.0"), "{named}");
    let refused = sample.pleach(&["init", "work/*", "wrok/*"]);
    assert_eq!(refused.code, 100, "{}", refused.stderr);
    assert!(refused.stderr.contains("no branch matches `wrok/*`"), "{}", refused.stderr);
    assert!(refused.stderr.contains("`work/auditlog`"), "{}", refused.stderr);
    assert!(!sample.root().join("pleach.toml").exists());
}

#[test]
fn odoo_versions_are_one_service_each() {
    let sample = Sample::named("server-tools", &[("README.md", "# Tools\n")]);
    for version in ["17.0", "18.0"] {
        sample.branch(version, &[("auditlog/__manifest__.py", "{}"), ("dbfilter/__manifest__.py", "{}")]);
    }
    sample.branch("18.0-mig-stock", &[("stock/__manifest__.py", "{}")]);
    insta::assert_snapshot!(proposed(&sample));
}

#[test]
fn a_monorepo_of_many_languages_is_read_from_its_directories() {
    let compose =
        "services:\n  web:\n    build: ./web\n    ports:\n      - \"3000:3000\"\n  db:\n    image: postgres:16\n";
    let package = r#"{"name": "web", "scripts": {"start": "node server.js"}, "dependencies": {"express": "^4"}}"#;
    let sample = Sample::new(&[
        ("docker-compose.yml", compose),
        ("web/package.json", package),
        ("web/package-lock.json", "{}"),
        ("web/server.js", "app.get('/healthz', ok)\napp.listen(process.env.PORT)\n"),
        ("services/ledger/Cargo.toml", "[package]\nname = \"ledger\"\nversion.workspace = true\n"),
        ("services/ledger/src/main.rs", "fn main() { route(\"/health\"); std::env::var(\"PORT\"); }\n"),
        ("Cargo.toml", "[workspace]\nmembers = [\"services/ledger\"]\n"),
        ("gateway/go.mod", "module gateway\n"),
        ("gateway/main.go", "package main\n\nfunc main() { handle(\"/ping\"); os.Getenv(\"PORT\") }\n"),
        ("cache/Dockerfile", "FROM redis:7\nEXPOSE 6379\nCMD [\"redis-server\"]\n"),
        ("libs/text/pyproject.toml", "[project]\nname = \"text\"\n"),
    ]);
    insta::assert_snapshot!(proposed(&sample));
}

const COMPOSE: &str = r#"
x-common: &common
  restart: unless-stopped
services:
  front:
    build:
      context: ./front
      target: web
      args:
        VERSION: "1.2"
        NPM_TOKEN: hunter2
    ports:
      - "8080:80"
  odoo:
    build: { context: ., dockerfile: docker/odoo.Dockerfile }
    command: odoo --workers=2 --max-cron-threads 1
    ports: ["8069:8069", "8072:8072"]
    networks: [inner]
    environment:
      DB_PASSWORD: hunter2
      WORKERS: 2
    volumes:
      - odoo-data:/var/lib/odoo
      - /etc/odoo:/etc/odoo:ro
      - ./addons:/mnt/extra-addons
    deploy:
      resources:
        limits:
          memory: 1.5g
          cpus: "0.50"
  mailer:
    build: ./mailer
    mem_limit: 64m
  api:
    build: ./api
    ports: ["8000:8000"]
  gone:
    build: ./gone
  db:
    <<: *common
    image: postgres:16
    environment:
      POSTGRES_PASSWORD: hunter2
  cache:
    image: redis:7
volumes:
  odoo-data:
"#;

#[test]
fn what_needs_its_image_is_proposed_as_a_container() {
    let sample = Sample::new(&[
        ("docker-compose.yml", COMPOSE),
        (
            "front/Dockerfile",
            "FROM node AS build\nEXPOSE 3000\nRUN npm ci\nFROM nginx AS web\nCOPY --from=build /x /y\n",
        ),
        (
            "docker/odoo.Dockerfile",
            "FROM odoo:18\nEXPOSE 8069\nCOPY addons /mnt/extra-addons\nHEALTHCHECK CMD curl http://localhost:8069/web/health\n",
        ),
        ("addons/sale_x/__manifest__.py", "{}"),
        ("mailer/Dockerfile", "FROM perl\nCMD [\"perl\", \"mail.pl\"]\n"),
        ("api/Dockerfile", "FROM python\nCMD [\"uvicorn\", \"main:app\", \"--port\", \"8000\"]\n"),
        ("api/main.py", FASTAPI),
        ("api/requirements.txt", "fastapi\nuvicorn\n"),
    ]);
    sample.branch(
        "service/search",
        &[
            ("search/Dockerfile", "FROM opensearch\nEXPOSE 9200\n"),
            (
                "search/compose.yaml",
                "services:\n  search:\n    build: .\n    ports: ['9201:9200']\n  view:\n    image: dashboards:2\n",
            ),
        ],
    );
    let text = proposed(&sample);
    assert!(!text.contains("hunter2"), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn compose_files_whose_services_need_each_other_are_projects() {
    let sample = Sample::new(&[
        (
            "docker-compose.yml",
            "services:\n  odoo:\n    image: odoo:18\n    depends_on: [db]\n    ports: [\"8069:8069\"]\n    volumes:\n      \
             - ./addons:/mnt/extra-addons\n      - ./filestore:/var/lib/odoo\n    environment:\n      PASSWORD: ${DB_PASSWORD}\n  \
             db:\n    image: postgres:16\n    environment:\n      POSTGRES_PASSWORD: ${DB_PASSWORD}\n",
        ),
        ("docker-compose.prod.yml", "services:\n  odoo:\n    restart: always\n"),
        ("addons/sale_x/__manifest__.py", "{}"),
        (
            "tools/board/compose.yaml",
            "services:\n  board:\n    image: example/board:2\n    ports: [\"${HOST:-127.0.0.1}:${PORT:-8069}:80\"]\n",
        ),
        ("fast/main.py", FASTAPI),
        ("fast/requirements.txt", "fastapi\nuvicorn\n"),
        ("fast/compose.yaml", "services:\n  cache:\n    image: redis:7\n"),
    ]);
    sample.branch(
        "service/search",
        &[
            (
                "search/Dockerfile",
                "FROM opensearch\nEXPOSE 9200\nHEALTHCHECK CMD curl -f http://localhost:9200/_cluster/health\n",
            ),
            (
                "search/compose.yaml",
                "services:\n  search:\n    build: .\n    ports: ['9201:9200']\n    depends_on: { store: { condition: service_healthy } }\n  store:\n    \
                 image: minio/minio\n    profiles: [store]\n",
            ),
        ],
    );
    insta::assert_snapshot!(proposed(&sample));
    let said = sample.pleach(&["init", "--force"]).stderr;
    assert_eq!(said.matches("  a Compose project").count(), 3, "{said}");
}

#[test]
fn what_a_compose_file_says_in_ways_that_no_config_takes_is_left_out() {
    let compose = "services:\n  a b:\n    build: { context: ./a, dockerfile: ../far.Dockerfile }\n    ports: ['0:0', '99999:1']\n  b:\n    build: \
         { context: b, target: '', args: ['1X=y', 'OK=a \"b\"'] }\n    command: ''\n    cpus: -1\n    mem_limit: 1m\n    volumes: ['x:/y', 'ab:/', \
         'ab:/y:maybe', '~/a:/b', '/a']\n  c:\n    image: ${X}\n  d:\n  e:\n    build: https://me:hunter2@example.com/x.git\n";
    let dockerfile = "FROM perl\nEXPOSE 0\nCMD [\"perl\", \"x.pl\"]\n";
    let sample = Sample::new(&[
        ("compose.yml", compose),
        ("far.Dockerfile", dockerfile),
        ("a/x.pl", ""),
        ("b/Dockerfile", dockerfile),
        ("Dockerfile", dockerfile),
    ]);
    let text = proposed(&sample);
    assert!(!text.contains("hunter2"), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn several_containers_of_one_directory_are_a_service_each() {
    let compose = "services:\n  web:\n    build: .\n    command: perl web.pl\n    ports: ['5000:5000']\n  worker:\n    build: .\n    \
         command: [perl, work.pl]\n";
    let sample =
        Sample::new(&[("compose.yml", compose), ("Dockerfile", "FROM perl\nEXPOSE 5000\nCMD [\"perl\", \"x.pl\"]\n")]);
    insta::assert_snapshot!(proposed(&sample));
}

#[test]
fn features_that_carry_a_service_are_told_from_those_that_change_one() {
    let sample = Sample::new(&[
        ("web/requirements.txt", "flask\n"),
        ("web/app.py", "app = Flask(__name__)\n@app.get('/health')\n"),
    ]);
    sample
        .branch("feature/billing", &[("billing/main.py", FASTAPI), ("billing/requirements.txt", "fastapi\nuvicorn\n")]);
    sample.branch("feature/dark-mode", &[("web/style.css", "body {}\n")]);
    sample.branch("dependabot/pip/flask-3", &[("web/requirements.txt", "flask==3\n")]);
    sample.branch("staging", &[]);
    sample.branch("production", &[]);
    insta::assert_snapshot!(proposed(&sample));
}

#[test]
fn a_procfile_tells_how_a_repository_with_one_service_is_run() {
    let sample = Sample::new(&[
        ("Procfile", "web: gunicorn --bind 0.0.0.0:$PORT shop.wsgi\n"),
        ("requirements.txt", "django\ngunicorn\n"),
        ("manage.py", "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n"),
        ("shop/wsgi.py", ""),
        ("shop/urls.py", "path('/healthz', ok)\n"),
        (".env.example", "PORT=8400\n"),
    ]);
    insta::assert_snapshot!(proposed(&sample));
}

#[test]
fn branches_that_are_only_on_the_remote_are_seen() {
    let sample = Sample::new(&[("README.md", "# x\n")]);
    sample.git(&["init", "-q", "--bare", "../origin.git"]);
    sample.git(&["remote", "add", "origin", "../origin.git"]);
    sample.branch("service/mail", &[("services/mail/Procfile", "web: ./mail --port $PORT\n")]);
    sample.git(&["push", "-q", "origin", "main", "service/mail"]);
    sample.git(&["branch", "-q", "-D", "service/mail"]);
    insta::assert_snapshot!(proposed(&sample));
}

#[test]
fn hundreds_of_branches_are_told_in_groups() {
    let sample = Sample::new(&[("README.md", "# x\n")]);
    let head = sample.git(&["rev-parse", "HEAD"]);
    let mut refs = String::new();
    for number in 0..200 {
        refs.push_str(&format!("{head} refs/heads/feature/ticket-{number:03}\n"));
        refs.push_str(&format!("{head} refs/heads/service/s{number:03}\n"));
    }
    // One file instead of four hundred calls.
    std::fs::write(sample.root().join(".git/packed-refs"), format!("# pack-refs with: sorted\n{refs}"))
        .expect("written");
    sample.branch("service/only-one", &[("services/only-one/Procfile", "web: ./run\n")]);
    let text = proposed(&sample);
    let services = text.matches("\n[services.").count();
    assert!(services <= 40, "{services} services are too many to read");
    insta::assert_snapshot!(text.split("# Seen and left out:").nth(1).expect("a list of the rest"));
}

#[test]
fn an_empty_project_is_one_service_of_files() {
    let sample = Sample::named("läden & co", &[("index.html", "<h1>hi</h1>\n")]);
    insta::assert_snapshot!(proposed(&sample));
}

#[test]
fn a_config_that_is_there_is_not_touched_without_force() {
    let sample = Sample::new(&[("README.md", "# x\n")]);
    sample.write("pleach.toml", "# mine\n");
    let refused = sample.pleach(&["init"]);
    assert_eq!(refused.code, 102, "{refused:#?}");
    assert!(refused.stderr.contains("--force"), "{}", refused.stderr);
    let read = |name: &str| std::fs::read_to_string(sample.root().join(name)).expect("there");
    assert_eq!(read("pleach.toml"), "# mine\n");
    sample.done(&["init", "--force", "--quiet"]);
    assert!(read("pleach.toml").contains("[project]"));
    assert_eq!(read("pleach.toml.bak"), "# mine\n");
}

#[test]
fn what_is_no_repository_or_has_no_commit_is_said() {
    let sample = Sample::new(&[]);
    let outside = sample.pleach_in(&sample.place(), &["init"]);
    assert_eq!(outside.code, 100, "{outside:#?}");
    let empty = sample.place().join("empty");
    std::fs::create_dir(&empty).expect("made");
    sample.git_in(&empty, &["init", "-q"]);
    let unborn = sample.pleach_in(&empty, &["init"]);
    assert_eq!(unborn.code, 100, "{unborn:#?}");
    assert!(unborn.stderr.contains("commit"), "{}", unborn.stderr);
    assert!(!empty.join("pleach.toml").exists());
}

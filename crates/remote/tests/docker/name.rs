//! Names lead where they are told to, and only what nothing needs loses its name.

use pleach_core::error::{Explain as _, Kind};
use pleach_core::port::{ChannelNames, ImageId, NameChange};
use pleach_core::word::ChannelName;

use crate::bed::{layered, shared, shell};

fn change(name: &str, to: Option<&ImageId>, only_from: Option<&ImageId>) -> NameChange {
    NameChange { name: name.into(), to: to.cloned(), only_from: only_from.cloned() }
}

#[tokio::test]
async fn a_name_goes_back_only_from_where_it_was_given_and_nowhere_where_its_image_is_gone() {
    let Some((_, engine)) = shared().await else { return };
    let image = async |text: &str| layered(&engine, &[text], &[&format!("own-{text}:1")]).await.id;
    let [old, new, other] = [image("old").await, image("new").await, image("other").await];
    let gone = ImageId::new(format!("sha256:{}", "0".repeat(64))).expect("an id");
    let names = ["names:one", "names:two", "names:three"].map(str::to_owned);
    assert!(engine.names(&names).await.expect("asked").is_empty());

    let given = names.each_ref().map(|name| change(name, Some(&new), None));
    for _ in 0..2 {
        let seen = engine.rename(&given).await.expect("named");
        assert!(seen.len() == 3 && seen.values().all(|image| *image == new), "{seen:#?}");
    }
    let lost = engine.rename(&[change(&names[0], Some(&gone), None)]).await.expect_err("it is not there");
    assert_eq!(lost.kind(), Kind::Rejected, "{lost}");

    engine.rename(&[change(&names[1], Some(&other), None)]).await.expect("moved by somebody");
    let back = [
        change(&names[0], Some(&old), Some(&new)),
        change(&names[1], Some(&old), Some(&new)),
        change(&names[2], Some(&gone), Some(&new)),
    ];
    for _ in 0..2 {
        let seen = engine.rename(&back).await.expect("back");
        assert_eq!(seen.get(&names[0]), Some(&old));
        assert_eq!(seen.get(&names[1]), Some(&other), "whoever moved it meant it");
        assert_eq!(seen.get(&names[2]), None);
    }
    let none = [change(&names[0], None, Some(&old)), change(&names[1], None, Some(&other))];
    assert!(engine.rename(&none).await.expect("removed").is_empty());
    assert!(engine.image(old.as_str()).await.expect("asked").is_some(), "only the name goes");
}

#[tokio::test]
async fn versions_beyond_the_newest_lose_their_names_unless_something_needs_them() {
    let Some((_, engine)) = shared().await else { return };
    let channel =
        |name: &str| ChannelNames { name: "team/surplus".into(), channel: ChannelName::new(name).expect("a name") };
    let (uat, prod) = (channel("uat"), channel("prod"));
    let mut images = Vec::new();
    for version in 1..=8 {
        let image = layered(&engine, &[&format!("surplus {version}")], &[&uat.version(&version.to_string())]).await;
        images.push(image.id);
    }
    engine.ensure_name(&images[0], &prod.version("1")).await.expect("named");
    engine.ensure_name(&images[1], &uat.latest()).await.expect("named");
    engine.ensure_name(&images[2], "pleach/surplus:0003-ab12cd34-0123abcd").await.expect("named");
    engine.ensure_container(&shell("surplus", &images[3], "true")).await.expect("made");
    // A name of what is built needs it no more than a person's own, which stays with its image.
    engine.ensure_name(&images[4], "pleach/surplus:ab12cd34").await.expect("named");
    let old = ["5", "6"].map(|version| uat.version(version));
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    assert_eq!(sorted(engine.surplus(&uat, 2).await.expect("asked")), old);
    assert_eq!(sorted(engine.forget_surplus(&uat, 2).await.expect("forgotten")), old);
    assert!(engine.forget_surplus(&uat, 2).await.expect("again").is_empty());
    assert!(engine.image(images[4].as_str()).await.expect("asked").is_some(), "it has another name");
    assert!(engine.image(images[5].as_str()).await.expect("asked").is_none(), "that was its last name");
    let left = engine.names(&["1", "2", "3", "4", "7", "8"].map(|version| uat.version(version))).await.expect("asked");
    assert_eq!(left.len(), 6, "{left:#?}");
    assert!(engine.surplus(&prod, 0).await.expect("asked").is_empty(), "`uat` needs it");
    engine.ensure_no_container("surplus").await.expect("removed");
}

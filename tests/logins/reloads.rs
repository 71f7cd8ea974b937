//! Files that change while the broker runs.
use crate::support::{Place, authenticator};
use bytes::Bytes;
use vowmq::clock::Clock;
use vowmq::config::{Config, Sources};
use vowmq::identity::{Authenticators, Judgement, Proof, Voucher};
use vowmq::types::Text;

fn load(place: &Place, settings: &str) -> Authenticators {
    let file = place.write("vowmq.toml", settings);
    let config = Config::load(&Sources { file: Some(file), ..Sources::default() }).expect("a legal configuration");
    Authenticators::load(&config, Clock::start()).expect("legal files")
}

async fn gets_in(authenticators: &Authenticators, user: &str, password: &str) -> bool {
    let password = Some(Bytes::copy_from_slice(password.as_bytes()));
    let proof = Proof { user: Text::try_from(user).ok(), password, ..Proof::default() };
    matches!(authenticators.chain(None).judge(&proof).await, Judgement::Proved(_))
}

#[tokio::test]
async fn a_changed_file_counts_from_its_reload_on_and_a_bad_one_never() {
    let place = Place::new();
    place.users(&[("ann", "old")]);
    let users = place.path("users");
    let authenticators = load(&place, &authenticator("staff", "password_file", &users));
    assert_eq!(authenticators.files(), std::slice::from_ref(&users));
    assert_eq!(authenticators.reload(), Ok(false), "nothing has changed");
    place.users(&[("ann", "new"), ("bob", "new")]);
    assert!(gets_in(&authenticators, "ann", "old").await);
    assert_eq!(authenticators.reload(), Ok(true));
    assert!(gets_in(&authenticators, "ann", "new").await && gets_in(&authenticators, "bob", "new").await);
    assert!(!gets_in(&authenticators, "ann", "old").await);
    let good = std::fs::read_to_string(&users).unwrap();
    place.write("users", format!("{good}eve\n"));
    let why = authenticators.reload().expect_err("a bad line");
    assert_eq!(why, format!("authenticator \"staff\": {}:3: there is no colon behind the user", users.display()));
    assert!(gets_in(&authenticators, "ann", "new").await);
    std::fs::remove_file(&users).unwrap();
    assert!(authenticators.reload().is_err());
    assert!(gets_in(&authenticators, "ann", "new").await);
    place.write("users", good);
    assert_eq!(authenticators.reload(), Ok(false));
}

#[tokio::test]
async fn all_files_are_taken_over_or_none() {
    let place = Place::new();
    place.users(&[("ann", "old")]);
    let scram = place.write("scram", "");
    let settings = authenticator("staff", "password_file", &place.path("users"));
    let authenticators = load(&place, &format!("{settings}{}", authenticator("strong", "scram", &scram)));
    assert_eq!(authenticators.files(), [place.path("users"), scram]);
    place.users(&[("ann", "new")]);
    place.write("scram", "bad");
    assert!(authenticators.reload().is_err());
    assert!(gets_in(&authenticators, "ann", "old").await && !gets_in(&authenticators, "ann", "new").await);
    place.write("scram", "");
    assert_eq!(authenticators.reload(), Ok(true));
    assert!(gets_in(&authenticators, "ann", "new").await);
}

#[tokio::test]
async fn nobody_vouches_any_more_for_who_was_removed() {
    let place = Place::new();
    place.users(&[("ann", "x"), ("bob", "x")]);
    assert!(place.passwd(&["scram", "add", "eve", "--scram"], "x\n").status.success());
    let settings = authenticator("staff", "password_file", &place.path("users"));
    let authenticators = load(&place, &format!("{settings}{}", authenticator("strong", "scram", &place.path("scram"))));
    let (chain, staff) = (authenticators.chain(None), Voucher::PasswordFile("staff".into()));
    assert!(chain.vouches(&staff, "ann") && chain.vouches(&staff, "bob") && chain.vouches(&Voucher::Exchange, "eve"));
    assert!(!chain.vouches(&Voucher::Exchange, "ann") && !chain.vouches(&staff, "eve"), "each for its own");
    assert!(!chain.vouches(&Voucher::PasswordFile("strong".into()), "ann"));
    assert!(place.passwd(&["users", "remove", "ann"], "").status.success());
    place.write("scram", "");
    assert!(chain.vouches(&staff, "ann"), "until the reload");
    assert_eq!(authenticators.reload(), Ok(true));
    assert!(!chain.vouches(&staff, "ann") && !chain.vouches(&Voucher::Exchange, "eve"));
    assert!(chain.vouches(&staff, "bob"));
}

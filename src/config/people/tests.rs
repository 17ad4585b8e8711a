//! Who is meant by a text, and who is let in.

use super::super::Config;
use super::super::tests::{error, load};
use super::*;

fn person<'a>(id: &'a str, phone: Option<&'a str>) -> Person<'a> {
    Person { id, phone }
}

#[test]
fn a_person_is_a_number_of_max_a_phone_or_a_group() {
    let max = |id: &str| Ok(Who::Max(id.to_owned()));
    let phone = |phone: &str| Ok(Who::Phone(phone.to_owned()));
    let group = |name: &str| Ok(Who::Group(name.to_owned()));
    let longest = "g".repeat(64);
    for (text, who) in [
        ("max:401041669", max("401041669")),
        ("max:1234567890123456789", max("1234567890123456789")),
        ("phone:+79990000000", phone("+79990000000")),
        ("phone:+123456789012345", phone("+123456789012345")),
        ("group:admins", group("admins")),
        ("group:A-b_c.9", group("A-b_c.9")),
        (&format!("group:{longest}"), group(&longest)),
    ] {
        assert_eq!(Who::parse(text), who);
    }
    for text in [
        "",
        "401041669",
        "max:",
        "max:0",
        "max:01",
        "max:1a",
        "max:12345678901234567890",
        "phone:79990000000",
        "phone:+",
        "phone:+7 999",
        "phone:+1234567890123456",
        "group:",
        "group:a b",
        &format!("group:{longest}g"),
        "mail:a@b",
    ] {
        let why = format!(
            "{text:?} is none of \"max:401041669\", \"bot:401041669\", \"mini_app:401041669\", \"phone:+79990000000\" and \"group:admins\""
        );
        assert_eq!(Who::parse(text), Err(why));
    }
}

#[test]
fn groups_have_names_and_people() {
    let groups = load("[groups]\nb = [\"max:7\", \"phone:+79990000000\"]\na = [\"max:7\"]\nnobody = []", &[]);
    let groups = groups.unwrap().groups;
    for (who, of) in [
        (person("7", None), &["a", "b"][..]),
        (person("8", Some("+79990000000")), &["b"]),
        (person("8", Some("+79990000001")), &[]),
        (person("+79990000000", Some("7")), &[]),
        (person("8", None), &[]),
    ] {
        assert_eq!(groups.of(&who), of);
    }
    assert!(groups.name_phones());
    assert!(!load("[groups]\na = [\"max:7\"]", &[]).unwrap().groups.name_phones());
    for (file, why) in [
        ("\"a b\" = []", "is not a name such as admins"),
        ("a = [\"group:b\"]", "a group has people as members, no groups"),
        ("a = [\"max:x\"]", "is none of"),
        ("a = 3", "is not a list"),
    ] {
        let error = error(&format!("[groups]\n{file}"), &[]);
        assert!(error.contains(why) && error.starts_with("site.toml, line 2: `groups."), "{error}");
    }
}

/// Each list, and of four people who may.
#[test]
fn whoever_is_named_may_and_everybody_where_nobody_is() {
    let people =
        [person("7", None), person("8", Some("+79990000000")), person("9", None), person("5", Some("+79990000005"))];
    for (allow, may) in [
        ("[]", [true, true, true, true]),
        ("[\"max:7\"]", [true, false, false, false]),
        ("[\"phone:+79990000000\"]", [false, true, false, false]),
        ("[\"max:7\", \"max:9\"]", [true, false, true, false]),
        ("[\"group:a\"]", [false, false, true, true]),
        ("[\"group:a\", \"max:7\"]", [true, false, true, true]),
        ("[\"group:nobody\"]", [false; 4]),
    ] {
        let file =
            format!("[groups]\na = [\"max:9\", \"phone:+79990000005\"]\nnobody = []\n[session]\nallow = {allow}");
        let Config { session, groups, .. } = load(&file, &[]).unwrap();
        assert_eq!(people.map(|person| session.allow.permits(&person, &groups)), may, "{allow}");
        assert_eq!(session.allow.is_everybody(), allow == "[]");
        assert_eq!(session.allow.names_phones(), allow.contains("phone:"), "{allow}");
    }
    for (allow, why) in [("[\"group:b\"]", "there is no group \"b\" in [groups]"), ("[\"x\"]", "is none of")] {
        let error = error(&format!("[groups]\na = []\n[session]\nallow = {allow}"), &[]);
        assert!(error.contains(why), "{error}");
    }
}

//! What the bot's token signs: initData, a contact's card, a phone number out of the mini-app.

use aws_lc_rs::hmac;

/// HMAC-SHA256.
fn mac(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// `hash` of initData: over the decoded fields in the order of their names, a line each.
pub(super) fn init_data(token: &str, fields: &[(String, String)]) -> String {
    let mut fields: Vec<&(String, String)> = fields.iter().collect();
    fields.sort_by_key(|(name, _)| name);
    let lines: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let secret = mac(b"WebAppData", token);
    hex(mac(secret.as_ref(), &lines.join("\n")).as_ref())
}

/// `hash` of a contact attachment: over the card as it is sent.
pub(super) fn card(token: &str, vcf_info: &str) -> String {
    hex(mac(token.as_bytes(), vcf_info).as_ref())
}

/// `hash` of what `WebApp.requestContact()` gives.
pub(super) fn phone(token: &str, auth_date: i64, phone: i64, user: i64) -> String {
    hex(mac(token.as_bytes(), &format!("auth_date={auth_date}\nphone={phone}\nuser_id={user}")).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "test-bot-token";

    /// Computed apart from this, by two HMACs in Python.
    #[test]
    fn signatures_are_those_of_the_vectors() {
        let user =
            r#"{"id":400,"first_name":"Вася","last_name":"","username":null,"language_code":"ru","photo_url":null}"#;
        let fields = [
            ("user", user),
            ("auth_date", "1790000000"),
            ("start_param", "abc_123-XYZ"),
            ("query_id", "158b120b-7aa3-4a0f-a198-52ace06d0658"),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(
            hex(mac(b"WebAppData", TOKEN).as_ref()),
            "7a69e9a9411a3dc1ade412bec400c377857ceb38c4c85d7d74385ac0fbc54f7f"
        );
        assert_eq!(init_data(TOKEN, &fields), "8439261e0227c84faa3846328ad808a2738da89016bded016e60933ae8e455fc");
        assert_eq!(
            phone(TOKEN, 1_790_000_000, 79_990_000_000, 400),
            "4c01f5a13c1b29f454eb9afe0e7a55fbb4ac8aa433555932c308ec08fc16785b"
        );
        // RFC 4231, test case 2: the key is the token there.
        assert_eq!(
            card("Jefe", "what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}

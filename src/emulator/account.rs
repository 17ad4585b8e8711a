//! The person whose phone it is, and what MAX tells about them.

use serde_json::{Value, json};

/// An account of the emulated MAX. No `Debug`: tests put canaries into the token and look for them in logs.
#[derive(Clone)]
pub struct Account {
    pub id: i64,
    /// International, without the plus.
    pub phone: i64,
    pub first_name: String,
    pub last_name: String,
    pub photo_url: Option<String>,
    /// Login tokens are this text and a running number, so that each login has its own.
    pub token: String,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            id: 401_041_669,
            phone: 79_991_234_567,
            first_name: "Иван".to_owned(),
            last_name: "Петров".to_owned(),
            photo_url: Some("https://i.oneme.ru/i?r=BTGBPUwtwgYUeoFhO7rESmr8AA".to_owned()),
            token: "An_FAKE_login_token_0123456789abcdef".to_owned(),
        }
    }
}

impl Account {
    /// `profile` as in the answers to 291, 115 and 19. `person`: 0 is the account itself, the others have numbers after its.
    pub(super) fn profile(&self, person: u32, has_password: bool) -> Value {
        let mut contact = json!({
            "id": self.id + i64::from(person),
            "phone": self.phone + i64::from(person),
            "country": "RU",
            "accountStatus": 0,
            "names": [{
                "name": self.first_name,
                "firstName": self.first_name,
                "lastName": self.last_name,
                "type": "ONEME",
            }],
            "options": ["TT", "ONEME"],
            "registrationTime": 1_748_000_000_000_i64,
            "updateTime": 1_758_000_000_000_i64,
        });
        if let (Some(photo), Some(contact)) = (&self.photo_url, contact.as_object_mut()) {
            contact.insert("baseUrl".to_owned(), photo.as_str().into());
            contact.insert("baseRawUrl".to_owned(), photo.as_str().into());
            contact.insert("photoId".to_owned(), 7_654_321_098_765_i64.into());
        }
        // 2: a cloud password is set.
        let options: &[u8] = if has_password { &[2] } else { &[] };
        json!({ "contact": contact, "profileOptions": options })
    }
}

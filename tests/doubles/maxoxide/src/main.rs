//! A bot on a real SDK, crate `maxoxide`: it greets who starts it, answers a press, and looks at a contact. With `INIT_DATA` it
//! says what the crate's own check makes of that, and ends.

use std::env;

use maxoxide::miniapp::{MiniAppContact, MiniAppValidator};
use maxoxide::types::{AnswerCallbackBody, Attachment, Button, KeyboardPayload, NewMessageBody, Update};
use maxoxide::{Bot, Context, Dispatcher, Result};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let token = env::var("TOKEN").expect("TOKEN");
    if let Ok(init_data) = env::var("INIT_DATA") {
        judge(&token, &init_data);
        return Ok(());
    }
    let bot = Bot::builder(token).base_url(env::var("API_URL").expect("API_URL")).no_proxy().build()?;
    let me = bot.get_me().await?;
    println!("ME {} {}", me.username.unwrap_or_default(), me.user_id);
    let mut dispatcher = Dispatcher::new(bot);
    dispatcher.on_bot_started(started).on_callback(pressed).on_message(heard).on_bot_stopped(|context: Context| async move {
        if let Update::BotStopped { user, .. } = &context.update {
            println!("STOPPED {}", user.user_id);
        }
        Ok(())
    });
    println!("READY");
    dispatcher.start_polling().await
}

async fn started(context: Context) -> Result<()> {
    let Update::BotStarted { user, payload, .. } = &context.update else { return Ok(()) };
    println!("STARTED {} {}", user.user_id, payload.as_deref().unwrap_or("-"));
    let yes = format!("yes:{}", payload.as_deref().unwrap_or_default());
    let keys = KeyboardPayload {
        buttons: vec![
            vec![Button::callback("42", yes), Button::callback("17", "no")],
            vec![Button::RequestContact { text: "My phone".into() }],
        ],
    };
    let message = NewMessageBody::text("Sign in?").with_keyboard(keys);
    context.bot.send_message_to_user(user.user_id, message).await?;
    println!("ASKED");
    Ok(())
}

async fn pressed(context: Context) -> Result<()> {
    let Update::MessageCallback { callback, .. } = &context.update else { return Ok(()) };
    println!("PRESSED {} {}", callback.user.user_id, callback.payload.as_deref().unwrap_or_default());
    let message = NewMessageBody { attachments: Some(Vec::new()), ..NewMessageBody::text("Done") };
    let answer = AnswerCallbackBody {
        callback_id: callback.callback_id.clone(),
        message: Some(message),
        notification: Some("Yes".into()),
    };
    context.bot.answer_callback(answer).await?;
    println!("ANSWERED");
    Ok(())
}

async fn heard(context: Context) -> Result<()> {
    let Update::MessageCreated { message, .. } = &context.update else { return Ok(()) };
    let contact = message.body.attachments.iter().flatten().find_map(|attachment| match attachment {
        Attachment::Contact { payload } => Some(payload),
        _ => None,
    });
    let Some(contact) = contact else {
        println!("HEARD {}", message.text().unwrap_or_default());
        return Ok(());
    };
    let sender = message.sender.as_ref().map(|sender| sender.user_id);
    let own = contact.max_info.as_ref().map(|owner| owner.user_id) == sender;
    let phones = contact.phones_from_vcf().join(" ");
    println!("CONTACT {phones} hash={} own={own}", contact.validate_hash(context.bot.token()));
    Ok(())
}

fn judge(token: &str, init_data: &str) {
    let validator = MiniAppValidator::new(token).expect("a token");
    match validator.validate(init_data) {
        Ok(data) => {
            let user = data.user.map(|user| user.id).unwrap_or_default();
            println!("GOOD {user} {}", data.start_param.unwrap_or_default());
            if let Ok(contact) = env::var("CONTACT") {
                let contact: Vec<&str> = contact.split(' ').collect();
                let [phone, auth_date, hash] = contact[..] else { panic!("CONTACT: three words") };
                let contact = MiniAppContact { phone: phone.into(), auth_date: auth_date.into(), hash: hash.into() };
                println!("PHONE {}", validator.validate_contact(&contact, user));
            }
        }
        Err(error) => println!("BAD {error:?}"),
    }
}

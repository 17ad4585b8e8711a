// @ts-check
/**
 * Every word that a visitor reads, Russian and English. The one place: the server reads this object, too, as JSON, lays
 * `[texts]` of the configuration over it, and puts into the other modules the sections that they use.
 * shared: the widget and the pages · widget: the widget alone · client: what only the browser can say, by code ·
 * events: what the server says over the stream · pages: what is served without JavaScript.
 */
export const TEXTS = {
  "ru": {
    "shared": {
      "button": "Войти через MAX",
      "title": "Вход через MAX",
      "forSite": "Вы входите на сайт",
      "connecting": "Подключение к серверу…",
      "code": "Получаем QR-код...",
      "finishing": "Завершаем вход…",
      "refreshing": "Обновляем код…",
      "left": "Код действует ещё",
      "step1": "Откройте MAX на телефоне",
      "step2": "Профиль → Устройства → Войти по QR",
      "step3": "Наведите камеру и подтвердите вход на новом устройстве",
      "warning": "Сканируйте, только если вы сами открыли эту страницу. Сотрудники сайта никогда не присылают QR-коды.",
      "open": "Открыть в MAX",
      "openHere": "MAX установлен на этом устройстве?",
      "passwordTitle": "Облачный пароль MAX",
      "passwordText": "Ваш аккаунт защищён паролем. Мы передадим его в MAX один раз и нигде не сохраним.",
      "passwordSend": "Продолжить",
      "passwordWrong": "Пароль не подошёл. Попробуйте ещё раз.",
      "retry": "Попробовать ещё раз",
      "errorTitle": "Не получилось войти"
    },
    "widget": {
      "forClient": "Вы входите в",
      "close": "Закрыть",
      "waiting": "Ждём подтверждения в MAX",
      "qrLabel": "QR-код для входа через MAX",
      "howto": "Как войти",
      "orScan": "или отсканируйте код другим телефоном",
      "approved": "Подтверждено",
      "approvedText": "Телефон подтвердил вход, осталось мгновение.",
      "finishingText": "Закрываем временный сеанс MAX.",
      "success": "Готово!",
      "successText": "Возвращаем вас на сайт…",
      "successStay": "Вы вошли.",
      "successNote": "Сайт получил только ваш профиль. Временный сеанс MAX завершён.",
      "retryIn": "Повторить через",
      "second": "с",
      "passwordLabel": "Пароль",
      "passwordHint": "Подсказка",
      "errors": {
        "network": ["Нет связи с сервером", "Проверьте интернет и попробуйте ещё раз."],
        "busy": ["Сейчас много входов", "Подождите немного и попробуйте ещё раз."],
        "rate-limited": ["Слишком много попыток", "Подождите немного, затем попробуйте снова."],
        "max-rate-limited": ["Слишком много попыток", "MAX просит подождать. Попробуйте чуть позже."],
        "cookies-blocked": ["Браузер не хранит cookie", "Разрешите cookie для этого сайта и попробуйте ещё раз."],
        "grant-invalid": ["Вход не завершён", "Он подтверждён слишком давно или в другом браузере. Начните ещё раз."],
        "login-expired": ["Время вышло", "Код никто не подтвердил. Получите новый и отсканируйте его."],
        "visitor-left": ["Вход остановлен", "Страница была закрыта слишком долго. Начните ещё раз."],
        "cancelled": ["Вход отменён", "Если это были не вы, ничего делать не нужно: вход не состоялся."],
        "upstream-unreachable": ["MAX сейчас недоступен", "Такое бывает. Попробуйте через минуту."],
        "max-trouble": ["MAX не отвечает как надо", "Это временно. Попробуйте ещё раз."],
        "qr-login-disabled": ["Вход недоступен", "MAX не выдаёт код этому сайту. Сообщите его администратору."],
        "password-not-supported": ["Нужен другой способ входа", ""],
        "password-wrong": ["Пароль не подошёл", "Попыток больше нет. Начните вход заново."],
        "two-factor-needed": ["Включите облачный пароль", ""],
        "account-blocked": ["MAX не пускает этот аккаунт", "Проверьте его в приложении MAX."],
        "origin-refused": [
          "Сайт не настроен",
          "Этому адресу не разрешён вход через MAX. Сообщите администратору сайта."
        ]
      }
    },
    "client": {
      "network": "Нет связи с сервером. Проверьте интернет и попробуйте ещё раз.",
      "busy": "Сейчас слишком много входов. Попробуйте чуть позже.",
      "rate-limited": "Слишком много попыток. Подождите немного.",
      "refused": "Сервер не принял запрос на вход.",
      "login-expired": "Время на вход вышло. Начните ещё раз.",
      "grant-invalid": "Вход подтверждён слишком давно или в другом браузере. Начните ещё раз.",
      "cookies-blocked": "Браузер не сохраняет cookie этого сайта, без них войти нельзя."
    },
    "events": {
      "waiting": "Отсканируйте код в MAX",
      "approved": "Вход подтверждён на телефоне",
      "errors": {
        "visitor-left": "Страница была закрыта, вход остановлен. Начните ещё раз.",
        "cancelled": "Вход отменён.",
        "upstream-unreachable": "MAX сейчас недоступен. Попробуйте через минуту.",
        "qr-login-disabled": "MAX не выдаёт код этому сайту. Сообщите администратору сайта.",
        "password-not-supported":
          "В вашем аккаунте MAX включён облачный пароль. Этот сайт намеренно не спрашивает его, поэтому войти через MAX здесь нельзя. Выберите другой способ входа.",
        "password-wrong": "Пароль неверный, попыток больше нет. Начните ещё раз.",
        "two-factor-needed": "MAX требует сначала включить облачный пароль в настройках аккаунта.",
        "account-blocked": "MAX не пускает этот аккаунт. Проверьте его в приложении MAX.",
        "max-rate-limited": "Слишком много попыток входа. Подождите немного и начните ещё раз.",
        "max-trouble": "У MAX временные неполадки. Попробуйте ещё раз.",
        "internal": "Что-то пошло не так. Попробуйте ещё раз."
      }
    },
    "pages": {
      "codeNext": "Код появится на следующей странице и будет обновляться сам.",
      "getCode": "Получить QR-код",
      "passwordTooLong": "Такой длинный пароль не подойдёт.",
      "gone": "Этого входа больше нет.",
      "returnToRefused": "Адрес возврата не относится к этому сайту.",
      "grantRefused": "Ссылка уже использована, устарела или открыта в другом браузере.",
      "signedOut": "Вы не вошли",
      "signedOutText": "Здесь показывают, кто вошёл на",
      "signedIn": "Вы вошли",
      "signedInTo": "Вход через MAX на",
      "goToSite": "Перейти на сайт",
      "signOut": "Выйти"
    }
  },
  "en": {
    "shared": {
      "button": "Sign in with MAX",
      "title": "Sign in with MAX",
      "forSite": "You are signing in to",
      "connecting": "Connecting to the server…",
      "code": "Getting the QR code...",
      "finishing": "Finishing…",
      "refreshing": "Getting a fresh code…",
      "left": "This code is valid for",
      "step1": "Open MAX on your phone",
      "step2": "Profile → Devices → Sign in with QR",
      "step3": "Point the camera here and confirm the sign-in on a new device",
      "warning": "Scan only if you opened this page yourself. Staff of this site never send QR codes.",
      "open": "Open in MAX",
      "openHere": "Is MAX on this device?",
      "passwordTitle": "MAX cloud password",
      "passwordText": "Your account is protected by a password. It is passed to MAX once and is not kept anywhere.",
      "passwordSend": "Continue",
      "passwordWrong": "That password did not work. Please try again.",
      "retry": "Try again",
      "errorTitle": "Could not sign in"
    },
    "widget": {
      "forClient": "You are signing in to",
      "close": "Close",
      "waiting": "Waiting for MAX",
      "qrLabel": "QR code to sign in with MAX",
      "howto": "How to sign in",
      "orScan": "or scan the code with another phone",
      "approved": "Approved",
      "approvedText": "Your phone has confirmed, just a moment.",
      "finishingText": "Closing the temporary MAX session.",
      "success": "Done!",
      "successText": "Taking you back to the site…",
      "successStay": "You are signed in.",
      "successNote": "The site received your profile only. The temporary MAX session has ended.",
      "retryIn": "Try again in",
      "second": "s",
      "passwordLabel": "Password",
      "passwordHint": "Hint",
      "errors": {
        "network": ["The server cannot be reached", "Check your connection and try again."],
        "busy": ["Many people are signing in", "Wait a little and try again."],
        "rate-limited": ["Too many attempts", "Wait a little, then try again."],
        "max-rate-limited": ["Too many attempts", "MAX asks to wait. Please try a little later."],
        "cookies-blocked": ["Cookies are blocked", "Allow cookies for this site and try again."],
        "grant-invalid": ["Not signed in", "It was confirmed too long ago or in another browser. Please start again."],
        "login-expired": ["Time is up", "Nobody confirmed the code. Get a new one and scan it."],
        "visitor-left": ["The sign-in stopped", "This page was closed for too long. Please start again."],
        "cancelled": ["The sign-in was cancelled", "If that was not you, nothing needs to be done: nobody signed in."],
        "upstream-unreachable": ["MAX cannot be reached", "This happens. Please try again in a minute."],
        "max-trouble": ["MAX is having trouble", "It will pass. Please try again."],
        "qr-login-disabled": ["Sign-in is unavailable", "MAX gives this site no code. Please tell its administrator."],
        "password-not-supported": ["Another way to sign in is needed", ""],
        "password-wrong": ["That password did not work", "No tries are left. Please start again."],
        "two-factor-needed": ["Set a cloud password", ""],
        "account-blocked": ["MAX refuses this account", "Please check it in the MAX app."],
        "origin-refused": [
          "The site is not set up",
          "This address may not sign in with MAX. Please tell the administrator."
        ]
      }
    },
    "client": {
      "network": "The server cannot be reached. Check your connection and try again.",
      "busy": "Too many people are signing in right now. Try again shortly.",
      "rate-limited": "Too many attempts. Please wait a little.",
      "refused": "The server did not accept the sign-in request.",
      "login-expired": "The time to sign in has run out. Please start again.",
      "grant-invalid": "The sign-in is too old or belongs to another browser. Please start again.",
      "cookies-blocked": "The browser does not keep cookies of this site; signing in needs them."
    },
    "events": {
      "waiting": "Scan the code in MAX",
      "approved": "Approved on the phone",
      "errors": {
        "visitor-left": "The page was closed and the sign-in stopped. Please start again.",
        "cancelled": "The sign-in was cancelled.",
        "upstream-unreachable": "MAX cannot be reached right now. Please try again in a minute.",
        "qr-login-disabled": "MAX gives this site no code. Please tell the site's administrator.",
        "password-not-supported":
          "Your MAX account has a cloud password. This site deliberately does not ask for it, so signing in with MAX is not possible here. Please use another way to sign in.",
        "password-wrong": "The password was wrong and no tries are left. Please start again.",
        "two-factor-needed": "MAX wants a cloud password to be set in the account's settings first.",
        "account-blocked": "MAX refuses this account. Please check it in the MAX app.",
        "max-rate-limited": "Too many sign-ins. Please wait a little and start again.",
        "max-trouble": "MAX has trouble at the moment. Please try again.",
        "internal": "Something went wrong. Please try again."
      }
    },
    "pages": {
      "codeNext": "The code comes on the next page, which refreshes itself.",
      "getCode": "Get the QR code",
      "passwordTooLong": "That password is too long.",
      "gone": "This sign-in is over.",
      "returnToRefused": "The address to return to is not one of this site.",
      "grantRefused": "This link was used, is too old, or belongs to another browser.",
      "signedOut": "You are not signed in",
      "signedOutText": "This page shows who is signed in to",
      "signedIn": "You are signed in",
      "signedInTo": "Signed in with MAX to",
      "goToSite": "Go to the site",
      "signOut": "Sign out"
    }
  }
};

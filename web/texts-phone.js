// @ts-check
/**
 * What a visitor reads on the phone, within MAX: the other part of texts.js, and read in the same way.
 * bot: what the site's bot says · app: the mini-app.
 */
export const TEXTS = {
  "ru": {
    "bot": {
      "question": "Вход на {site}",
      "browser": "Браузер: {browser}",
      "pick":
        "Выберите число, которое видите на странице входа. Если вы её не открывали или число вам кто-то назвал, нажмите «Это не я».",
      "justAsk": "Это вы открыли страницу входа?",
      "yes": "Да, войти",
      "notMe": "Это не я",
      "done": "Готово: вы входите на {site}. Вернитесь к браузеру.",
      "wrong": "Это не то число, вход остановлен. Обновите страницу входа и отсканируйте новый код.",
      "stopped": "Хорошо, вход остановлен. Никто не вошёл.",
      "expired": "Этот код больше не действует. Обновите страницу входа и отсканируйте новый.",
      "used": "Этот код уже открыл другой человек. Обновите страницу входа и отсканируйте новый.",
      "locked": "Слишком много неверных ответов. Попробуйте через {minutes} мин.",
      "contact": "Сайт {site} просит номер телефона. Отправьте его кнопкой ниже.",
      "sendContact": "Отправить номер",
      "withoutContact": "Без номера",
      "contactWrong": "Это не ваш номер. Нажмите «Отправить номер»: карточка другого человека не подойдёт.",
      "hello":
        "Здесь входят на сайт {site}. Откройте на нём вход через MAX и отсканируйте код, или пришлите сюда код из восьми знаков с той страницы."
    },
    "app": {
      "checking": "Проверяем…",
      "title": "Войти на {site}?",
      "browser": "Вход запрошен в браузере",
      "elsewhere":
        "Браузер, который просит войти, не в той сети, где этот телефон. Продолжайте, только если он перед вами.",
      "pick": "Выберите число, которое он показывает",
      "note":
        "Число должно быть на экране перед вами. Если его назвали по телефону или прислали, это обман: нажмите «Это не я».",
      "yes": "Да, войти",
      "noteYes": "Входите, только если вы сами открыли этот сайт в браузере. Если вас попросили, нажмите «Это не я».",
      "notMe": "Это не я",
      "contactTitle": "Номер телефона",
      "contactText": "{site} просит ваш номер из MAX. MAX спросит вас ещё раз.",
      "contactShare": "Передать номер",
      "contactWithout": "Без номера",
      "contactKept": "Номер не передан. Попробуйте ещё раз или продолжите без него.",
      "contactAway": "Сейчас номер передать нельзя. Продолжите без него.",
      "contactInvalid": "Этот номер не подтвердился. Попробуйте ещё раз или продолжите без него.",
      "done": "Готово",
      "doneText": "Вернитесь к браузеру.",
      "declined": "Никто не вошёл",
      "declinedText": "Вход отклонён. Если это были вы, начните на сайте ещё раз.",
      "mismatchText": "Число не то. Обновите страницу сайта и начните ещё раз.",
      "close": "Закрыть",
      "retry": "Попробовать ещё раз",
      "minutes": "Попробуйте через {n} мин.",
      "problems": {
        "init-data-invalid": [
          "Не получилось открыть",
          "Закройте это окно и откройте его снова: из чата с ботом или по коду на сайте."
        ],
        "init-data-used": ["Это окно уже было открыто", "Закройте его и отсканируйте код на сайте ещё раз."],
        "code-used": [
          "Этот код уже открыт",
          "Его открыл кто-то другой. Обновите страницу сайта и отсканируйте новый код."
        ],
        "code-expired": ["Код устарел", "Обновите страницу сайта и отсканируйте новый код."],
        "code-missing": ["Начните на сайте", "Откройте сайт, нажмите «Войти через MAX» и отсканируйте код."],
        "person-locked": ["Вход приостановлен", "Трижды выбрано не то число."],
        "other-network": [
          "Разные сети",
          "Этот сайт пускает, только когда телефон и браузер в одной сети. Подключите телефон к тому же Wi-Fi и отсканируйте код ещё раз."
        ],
        "busy": ["Сейчас много входов", "Подождите немного и попробуйте ещё раз."],
        "network": ["Нет связи с сайтом", "Проверьте интернет и попробуйте ещё раз."],
        "outside": ["Откройте в MAX", "Эта страница работает внутри MAX. Отсканируйте код на сайте."],
        "other": ["Не получилось войти", "Закройте это окно и начните на сайте ещё раз."]
      }
    }
  },
  "en": {
    "bot": {
      "question": "Sign in to {site}",
      "browser": "Browser: {browser}",
      "pick":
        "Pick the number that you see on the sign-in page. If you did not open it, or somebody told you the number, press “Not me”.",
      "justAsk": "Did you open the sign-in page?",
      "yes": "Yes, sign in",
      "notMe": "Not me",
      "done": "Done: you are signing in to {site}. Go back to the browser.",
      "wrong": "That is not the number; the sign-in is stopped. Refresh the sign-in page and scan the new code.",
      "stopped": "All right, the sign-in is stopped. Nobody was signed in.",
      "expired": "This code is over. Refresh the sign-in page and scan the new one.",
      "used": "Somebody else has opened this code. Refresh the sign-in page and scan the new one.",
      "locked": "Too many wrong answers. Try again in {minutes} min.",
      "contact": "{site} asks for your phone number. Send it by the button below.",
      "sendContact": "Send my number",
      "withoutContact": "Without a number",
      "contactWrong": "That is not your own number. Press “Send my number”: somebody else's card will not do.",
      "hello":
        "This is where you sign in to {site}. Open its sign-in with MAX and scan the code, or send me the code of eight characters from that page."
    },
    "app": {
      "checking": "Checking…",
      "title": "Sign in to {site}?",
      "browser": "Asked for by the browser",
      "elsewhere":
        "The browser that asks is not on the network that this phone is on. Go on only if it is in front of you.",
      "pick": "Pick the number that it shows",
      "note":
        "The number must be on the screen in front of you. If somebody told or sent it to you, it is a fraud: press “It is not me”.",
      "yes": "Yes, sign in",
      "noteYes":
        "Go on only if you opened this site in a browser yourself. If somebody asked you to, press “It is not me”.",
      "notMe": "It is not me",
      "contactTitle": "Phone number",
      "contactText": "{site} asks for your number in MAX. MAX will ask you once more.",
      "contactShare": "Share the number",
      "contactWithout": "Without a number",
      "contactKept": "No number was shared. Try again, or go on without one.",
      "contactAway": "A number cannot be shared right now. Go on without one.",
      "contactInvalid": "That number could not be confirmed. Try again, or go on without one.",
      "done": "Done",
      "doneText": "Go back to the browser.",
      "declined": "Nobody signed in",
      "declinedText": "The sign-in was declined. If it was you, start again on the site.",
      "mismatchText": "That was another number. Reload the site's page and start again.",
      "close": "Close",
      "retry": "Try again",
      "minutes": "Try again in {n} min.",
      "problems": {
        "init-data-invalid": [
          "This could not be opened",
          "Close this window and open it again: from the chat with the bot, or by the code on the site."
        ],
        "init-data-used": ["This window was opened before", "Close it and scan the code on the site once more."],
        "code-used": [
          "This code is open already",
          "Somebody else opened it. Reload the site's page and scan the fresh code."
        ],
        "code-expired": ["The code is too old", "Reload the site's page and scan the fresh code."],
        "code-missing": ["Start on the site", "Open the site, press “Sign in with MAX” and scan the code."],
        "person-locked": ["Paused for a while", "The wrong number was picked three times."],
        "other-network": [
          "Two networks",
          "This site lets you in only while phone and browser are on one network. Join the phone to the same Wi-Fi and scan the code again."
        ],
        "busy": ["Many people are signing in", "Wait a little and try again."],
        "network": ["The site cannot be reached", "Check your connection and try again."],
        "outside": ["Open this in MAX", "This page works inside MAX. Scan the code on the site."],
        "other": ["Could not sign in", "Close this window and start again on the site."]
      }
    }
  }
};

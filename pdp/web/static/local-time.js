// Shows instants in the reader's own time zone; without it they stay in UTC.
"use strict";

(() => {
  const language = document.documentElement.lang;
  const locale = navigator.languages.find((wanted) => wanted.startsWith(language)) || language;
  const form = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
  for (const time of document.querySelectorAll("time[datetime]")) {
    time.textContent = form.format(new Date(time.dateTime));
  }
})();

// Asks whether the person may go on, and goes on. Without it the page refreshes itself.
"use strict";

(() => {
  const box = document.querySelector("[data-status-url]");
  if (!box) return;

  const { statusUrl, resumeUrl, version } = box.dataset;
  const line = box.querySelector("[role=status]");
  const USUAL = 2000;
  const SLOWEST = 15000;
  const GONE = [401, 403, 404, 410];
  let delay = USUAL;
  let timer = 0;
  let asking = false;
  let finished = false;

  // Sentences are the template's. Written only when they change: readers announce each once.
  const say = (word) => {
    const sentence = box.dataset[word];
    if (sentence && line.textContent !== sentence) line.textContent = sentence;
  };

  const finish = (word) => {
    finished = true;
    say(word);
    line.classList.remove("pulse");
    for (const item of box.querySelectorAll("[data-when]")) item.hidden = item.dataset.when !== word;
  };

  const read = async () => {
    const response = await fetch(statusUrl, {
      cache: "no-store",
      credentials: "same-origin",
      headers: { Accept: "application/json" },
      redirect: "error",
      signal: AbortSignal.timeout(10000),
    });
    if (GONE.includes(response.status)) return { state: "expired" };
    if (!response.ok) throw new Error(String(response.status));
    return response.json();
  };

  const act = (answer) => {
    if (answer.state === "continue") {
      finish("continue");
      location.replace(resumeUrl);
    } else if (answer.state === "expired") {
      finish("expired");
    } else if (answer.state === "waiting" || answer.state === "changed") {
      delay = USUAL;
      say("waiting");
      // A page that already shows this version must not reload for ever.
      if (answer.version && answer.version !== version) {
        finished = true;
        location.reload();
      }
    } else {
      throw new Error("unknown state");
    }
  };

  const ask = async () => {
    clearTimeout(timer);
    if (asking || finished || document.hidden) return;
    asking = true;
    try {
      act(await read());
    } catch {
      delay = Math.min(delay * 2, SLOWEST);
      say("offline");
    }
    asking = false;
    if (!finished) timer = setTimeout(ask, delay);
  };

  document.addEventListener("visibilitychange", ask);
  window.addEventListener("pageshow", (event) => event.persisted && location.reload());
  timer = setTimeout(ask, delay);
})();

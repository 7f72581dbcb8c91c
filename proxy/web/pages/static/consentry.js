// Makes the pages smoother; everything works without it. A switch asks in a dialog instead of on a page of its own.
"use strict";

const part = (text, selector) => new DOMParser().parseFromString(text, "text/html").querySelector(selector);

async function ask(form) {
  const query = new URLSearchParams(new FormData(form));
  const answer = await fetch(`${form.action}?${query}`, { headers: { Accept: "text/html" } });
  const question = answer.ok && part(await answer.text(), "[data-question]");
  if (!question) {
    form.submit();
    return;
  }
  const dialog = document.createElement("dialog");
  dialog.append(question);
  dialog.setAttribute("aria-labelledby", question.querySelector("h1").id);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.querySelector("[data-cancel]").addEventListener("click", (event) => {
    event.preventDefault();
    dialog.close();
  });
  dialog.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    send(event.target, dialog);
  });
  document.body.append(dialog);
  dialog.showModal();
}

// Sends a form, and shows the page that answers in the place of this one.
async function send(form, dialog) {
  let answer;
  try {
    answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
  } catch {
    form.submit();
    return;
  }
  const main = part(await answer.text(), "main");
  dialog?.close();
  document.querySelector("main").replaceWith(main);
  if (answer.redirected) history.replaceState(null, "", answer.url);
  (main.querySelector("[data-focus]") || main).focus();
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches("[data-ask]")) {
    event.preventDefault();
    ask(form).catch(() => form.submit());
  } else if (form.matches("[data-send]")) {
    event.preventDefault();
    send(form, null);
  }
});

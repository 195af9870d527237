// Lets people see the new password that they type; without it the field stays masked.
"use strict";

for (const button of document.querySelectorAll("button[aria-controls][hidden]")) {
  const field = document.getElementById(button.getAttribute("aria-controls"));
  button.hidden = false;
  button.addEventListener("click", () => {
    const shown = field.type === "password";
    field.type = shown ? "text" : "password";
    button.setAttribute("aria-pressed", String(shown));
  });
  // Browsers and password managers take only a password field for a password.
  field.form.addEventListener("submit", () => { field.type = "password"; });
}

// Every page works without this script. It adds copy buttons, and updates the form without a reload.
"use strict";

// Copy buttons.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
  } catch {
    button.previousElementSibling?.select();
    document.execCommand("copy");
  }
  const label = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = label; }, 1500);
});

const reveal = (root) => root.querySelectorAll("button.copy[hidden]").forEach((button) => { button.hidden = false; });

// Updates the setup guide while the form is filled in, and shows the check report without a reload.
const live = (form) => {
  const guide = form.querySelector("#guide");
  const report = form.querySelector("#report");
  form.querySelectorAll(".noscript").forEach((button) => { button.hidden = true; });

  const post = (act, drop) => {
    const data = new URLSearchParams(new FormData(form));
    data.set("act", act);
    drop.forEach((name) => data.delete(name));
    return fetch(form.action, { method: "POST", body: data, headers: { "X-Fragment": "1" }, credentials: "same-origin" });
  };

  // Labels the credentials with the platform's own names.
  const name = () => {
    const names = guide.querySelector("#credential-names");
    if (!names) return;
    form.querySelector("label[for=client_id]").textContent = names.dataset.id;
    form.querySelector("label[for=client_secret]").textContent = names.dataset.secret;
  };

  let timer;
  let latest = 0;
  const refresh = async () => {
    const mine = ++latest;
    const response = await post("guide", ["client_secret"]);
    if (!response.ok || mine !== latest) return;
    guide.innerHTML = await response.text();
    reveal(guide);
    name();
  };
  const soon = () => { clearTimeout(timer); timer = setTimeout(refresh, 250); };

  const platform = form.querySelector("select[name=platform]");
  const url = form.querySelector("input[name=base_url]");
  const known = platform ? [...platform.options].map((option) => option.dataset.baseUrl).filter(Boolean) : [];
  const fill = () => {
    // Keep a URL that was typed.
    if (url.value === "" || known.includes(url.value)) url.value = platform.selectedOptions[0].dataset.baseUrl || "";
  };
  if (platform) {
    platform.addEventListener("change", () => { fill(); soon(); });
    fill();
  }
  form.addEventListener("input", (event) => {
    if (["name", "base_url", "owner", "access"].includes(event.target.name)) soon();
  });
  if (!guide.querySelector("dl")) soon();

  form.addEventListener("submit", async (event) => {
    const button = event.submitter;
    if (!button || button.value !== "check") return;
    event.preventDefault();
    button.disabled = true;
    report.innerHTML = "<p class=\"muted\">Checking…</p>";
    try {
      const response = await post("check", []);
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const fresh = page.querySelector("form.integration");
      if (!fresh) throw new Error("no form");
      // Replace everything but the typed values: the report, the complaints, the buttons.
      report.innerHTML = fresh.querySelector("#report").innerHTML;
      form.querySelectorAll(".field").forEach((field) => {
        const help = field.querySelector(".help");
        const other = help && fresh.querySelector("#" + help.id);
        // The typed secret is the stored one, so its help text is not needed.
        if (!other || (help.id === "client_secret-help" && !other.querySelector(".error"))) return;
        help.innerHTML = other.innerHTML;
        field.classList.toggle("invalid", other.closest(".field").classList.contains("invalid"));
      });
      form.querySelector(".actions").innerHTML = fresh.querySelector(".actions").innerHTML;
      form.querySelectorAll(".noscript").forEach((quiet) => { quiet.hidden = true; });
      (form.querySelector(".invalid input") || form.querySelector("button[value=check]")).focus();
    } catch {
      report.innerHTML = "<p class=\"error\">The check did not run. Try again. If it fails again, reload this page.</p>";
      button.disabled = false;
    }
  });
};

reveal(document);
document.querySelectorAll("form[data-live]").forEach(live);

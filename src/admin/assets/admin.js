// Every page works without this script. It copies, shows the setup link while the form is filled in, and locks the buttons while the
// app is busy. It never reads a secret.
"use strict";

(() => {
  const live = document.getElementById("ch-live");
  const say = (text) => {
    if (!live || !text) return;
    // The same text twice is read twice.
    live.textContent = "";
    setTimeout(() => { live.textContent = text; }, 50);
  };

  const show = (root) => {
    root.querySelectorAll("[data-ch-copy][hidden]").forEach((button) => { button.hidden = false; });
    root.querySelectorAll(".ch-noscript").forEach((element) => { element.hidden = true; });
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-ch-copy]");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(button.dataset.chCopy);
    } catch {
      // Without HTTPS there is no clipboard: the browser copies what is selected.
      const field = document.createElement("textarea");
      field.value = button.dataset.chCopy;
      button.after(field);
      field.select();
      document.execCommand("copy");
      field.remove();
      button.focus();
    }
    const copied = button.dataset.chCopied;
    const label = button.dataset.chLabel ??= button.textContent;
    button.textContent = copied;
    say(copied + ": " + (button.getAttribute("aria-label") || "").replace(/^[^:]*: /, ""));
    setTimeout(() => { button.textContent = label; }, 2000);
  });

  const busy = (form) => {
    let is = false;
    const pressed = (button) => {
      if (!button?.dataset.chBusy) return;
      const label = button.textContent;
      button.textContent = button.dataset.chBusy;
      say(button.dataset.chBusy);
      form.querySelectorAll("button[type=submit]").forEach((one) => one.setAttribute("aria-disabled", "true"));
      button.dataset.chLabel = label;
    };
    form.addEventListener("submit", (event) => {
      if (is) { event.preventDefault(); return; }
      is = true;
      // Not before the browser has read the form.
      setTimeout(() => pressed(event.submitter), 0);
    });
    // The back button may show the page as it was left.
    window.addEventListener("pageshow", (event) => {
      if (!event.persisted) return;
      is = false;
      form.querySelectorAll("button[aria-disabled]").forEach((button) => {
        button.removeAttribute("aria-disabled");
        if (button.dataset.chLabel) button.textContent = button.dataset.chLabel;
      });
    });
  };

  // Milliseconds after the last key: until the guide is asked for, and until an error is shown at a field that is not finished.
  const BRIEFLY = 300;
  const PATIENCE = 1500;

  const SECRETS = ["client_secret", "client_certificate", "headers", "csrf_token"];

  // What was typed, without secrets, for the back button.
  const remember = (form) => {
    const key = "ch-form:" + form.dataset.chForm;
    const values = () => [...new FormData(form)].filter(([name]) => ![...SECRETS, "id", "signature", "version"].includes(name));
    form.addEventListener("input", () => {
      try { sessionStorage.setItem(key, JSON.stringify(values())); } catch { /* The browser stores nothing. */ }
    });
    // The back button shows the response to a form only by sending the form again. It then shows the form itself.
    if (!("chFresh" in form.dataset)) {
      const { id, signature } = form.elements;
      const query = id ? "?" + new URLSearchParams({ id: id.value, signature: signature.value }) : "";
      history.replaceState(null, "", form.action + query);
    }
    const isBack = performance.getEntriesByType("navigation")[0]?.type === "back_forward";
    if (!("chFresh" in form.dataset) || !isBack) return;
    let kept;
    try { kept = JSON.parse(sessionStorage.getItem(key)); } catch { return; }
    if (!Array.isArray(kept)) return;
    const names = kept.map(([name]) => name);
    for (const field of form.elements) {
      if (!field.name || field.type === "hidden" || SECRETS.includes(field.name)) continue;
      const own = kept.filter(([name]) => name === field.name).map(([, value]) => value);
      if (field.type === "radio" || field.type === "checkbox") field.checked = own.includes(field.value);
      else if (names.includes(field.name)) field.value = own[0];
    }
  };

  const guide = (form) => {
    let timer;
    let latest = 0;
    let typedAt = 0;
    const changed = new Set();

    // Puts each error at its field, and takes away those that are corrected. `said`: the new ones. `isLater`: one is about the field that
    // is being typed into, where it would come too early.
    const showErrors = (page) => {
      const errors = new Map([...page.querySelectorAll("[data-ch-field]")].map((one) => [one.dataset.chField, one]));
      const result = { said: [], isCorrected: false, isLater: false };
      for (const name of new Set([...errors.keys(), ...changed])) {
        const controls = [...form.querySelectorAll(`[name=${name}]`)];
        const box = controls[0]?.closest(".ch-field");
        if (!box) continue;
        const id = name + "-error";
        const old = document.getElementById(id);
        const error = errors.get(name);
        if (error && !old && controls.includes(document.activeElement) && Date.now() - typedAt < PATIENCE) {
          result.isLater = true;
          continue;
        }
        const text = error?.querySelector(".ch-error");
        if (text && text.textContent !== old?.textContent) result.said.push(error.dataset.chSaid);
        if (old && !text) result.isCorrected = true;
        old?.remove();
        if (text) {
          box.insertBefore(document.adoptNode(text), box.querySelector(`#${name}-help`));
          const fold = box.closest("details");
          if (fold) fold.open = true;
        }
        box.classList.toggle("ch-invalid", Boolean(text));
        for (const control of controls) {
          const others = (control.getAttribute("aria-describedby") || "").split(" ").filter((one) => one && one !== id);
          const described = text ? [id, ...others] : others;
          if (described.length) control.setAttribute("aria-describedby", described.join(" "));
          else control.removeAttribute("aria-describedby");
          if (text) control.setAttribute("aria-invalid", "true");
          else control.removeAttribute("aria-invalid");
        }
      }
      return result;
    };

    const refresh = async () => {
      const mine = ++latest;
      const data = new URLSearchParams(new FormData(form));
      SECRETS.slice(0, 3).forEach((name) => data.delete(name));
      data.set("act", "guide");
      let response;
      try {
        response = await fetch(form.action, { method: "POST", body: data, headers: { "x-fragment": "1" }, credentials: "same-origin" });
      } catch {
        return fallBack();
      }
      if (mine !== latest) return;
      if (!response.ok) return fallBack();
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const fresh = page.getElementById("ch-guide");
      const old = document.getElementById("ch-guide");
      if (!fresh || mine !== latest) return;
      old.querySelectorAll("details").forEach((fold, at) => {
        const other = fresh.querySelectorAll("details")[at];
        if (other) other.open = fold.open;
      });
      old.replaceWith(document.adoptNode(fresh));
      show(fresh);
      const label = (id, text) => { if (text) form.querySelector(`label[for=${id}]`).textContent = text; };
      label("client_id", fresh.dataset.chId);
      label("client_secret", fresh.dataset.chSecret);
      form.elements.name.placeholder = fresh.dataset.chName || "";
      const { said, isCorrected, isLater } = showErrors(page);
      const [was, is] = [old.dataset.chSaid, fresh.dataset.chSaid];
      if (said.length) say(said.join(" "));
      else if (is && !was) say(is);
      else if (live && (isCorrected || (was && !is))) live.textContent = "";
      if (isLater) soon(PATIENCE);
    };
    // The button says what is wrong.
    const fallBack = () => form.querySelectorAll(".ch-noscript").forEach((element) => { element.hidden = false; });
    const soon = (delay) => { clearTimeout(timer); timer = setTimeout(refresh, delay); };
    // Neither the guide nor an error depends on the others.
    // An event of the form itself has no field: its `name` is the field of that name.
    const isRead = (name) => typeof name === "string" && name !== "" && ![...SECRETS, "client_id"].includes(name);
    form.addEventListener("submit", () => clearTimeout(timer));

    const tiles = [...form.querySelectorAll("button[name=service]")].map((tile) => [tile, ...tile.value.split(" ")]);
    const known = tiles.map(([, , url]) => url);
    const url = form.elements.base_url;
    form.addEventListener("click", (event) => {
      const tile = tiles.find(([button]) => button.contains(event.target));
      if (!tile) return;
      event.preventDefault();
      const [, platform, address] = tile;
      form.querySelectorAll("input[name=platform]").forEach((radio) => { radio.checked = radio.value === platform; });
      url.value = address;
      changed.add("platform").add("base_url");
      form.dispatchEvent(new Event("input"));
      refresh();
    });
    form.addEventListener("change", (event) => {
      // A URL that was typed stays.
      if (event.target.name === "platform" && (url.value === "" || known.includes(url.value))) {
        url.value = tiles.find(([, platform]) => platform === event.target.value)?.[2] || "";
        changed.add("base_url");
      }
      if (isRead(event.target.name)) soon(BRIEFLY);
    });
    form.addEventListener("input", (event) => {
      const name = event.target.name;
      if (!isRead(name)) return;
      changed.add(name);
      typedAt = Date.now();
      soon(BRIEFLY);
    });
    if (!document.getElementById("ch-guide").dataset.chSaid && url.value) soon(BRIEFLY);
  };

  show(document);
  document.querySelectorAll("form").forEach((form) => {
    if (form.querySelector("[data-ch-busy]")) busy(form);
    if (!("chForm" in form.dataset)) return;
    remember(form);
    guide(form);
  });
})();

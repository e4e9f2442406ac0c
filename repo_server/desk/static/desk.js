// Conveniences: everything works without them. Times in the reader's zone, questions in a dialog, copying.
"use strict";
(() => {
  const zoned = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });

  function units(seconds) {
    const all = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
    const place = all.findIndex(([, size]) => seconds >= size);
    if (place < 0) return "0 s";
    const [word, size] = all[place], below = all[place + 1];
    const part = below ? Math.floor((seconds % size) / below[1]) : 0;
    return `${Math.floor(seconds / size)} ${word}` + (part ? ` ${part} ${below[0]}` : "");
  }

  function tellTimes(root) {
    for (const one of root.querySelectorAll("time[data-when]")) {
      const at = new Date(one.dateTime);
      if (!one.title) one.title = one.textContent.trim();
      one.textContent = zoned.format(at);
    }
    for (const one of root.querySelectorAll("time[data-ago]")) {
      const seconds = (Date.now() - Date.parse(one.dateTime)) / 1000;
      one.textContent = seconds < 0 ? `in ${units(-seconds)}` : `${units(seconds)} ago`;
    }
  }

  function offerCopies(root) {
    if (!navigator.clipboard) return;
    for (const one of root.querySelectorAll("[data-copy]")) one.hidden = false;
  }

  async function copy(button) {
    await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
    const before = button.lastChild.textContent;
    button.lastChild.textContent = " Copied";
    setTimeout(() => { button.lastChild.textContent = before; }, 2000);
  }

  const dialog = document.getElementById("dialog");

  function show(html, address) {
    const form = new DOMParser().parseFromString(html, "text/html").querySelector("form[data-confirm]");
    if (!form) return false;
    form.action = address;
    dialog.replaceChildren(document.adoptNode(form));
    tellTimes(dialog);
    if (!dialog.open) dialog.showModal();
    (dialog.querySelector("input:not([type=hidden]), select, textarea, [data-cancel]"))?.focus();
    return true;
  }

  async function ask(link) {
    const answer = await fetch(link.href, { headers: { Accept: "text/html" } });
    if (answer.redirected || !answer.ok || !show(await answer.text(), link.href)) location.assign(link.href);
  }

  async function send(form) {
    const body = new URLSearchParams(new FormData(form));
    const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "text/html", "X-Dialog": "1" } });
    if (answer.status === 204) { location.assign(answer.headers.get("X-To")); return; }
    if (answer.redirected) { location.assign(answer.url); return; }
    const html = await answer.text();
    if (!show(html, form.action)) {
      // A page of its own: it is not allowed any more, or something new is shown this once, which cannot be asked for again.
      dialog.close();
      const next = new DOMParser().parseFromString(html, "text/html");
      document.title = next.title;
      document.getElementById("main").replaceWith(document.adoptNode(next.getElementById("main")));
      document.getElementById("main").focus();
      ready();
    }
  }

  function ready() { tellTimes(document); offerCopies(document); }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-dialog]");
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
      event.preventDefault();
      ask(link).catch(() => location.assign(link.href));
    } else if (event.target.closest("[data-cancel]") && dialog.open) {
      event.preventDefault();
      dialog.close();
    } else if (event.target.closest("[data-copy]")) {
      copy(event.target.closest("[data-copy]"));
    }
    for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of document.querySelectorAll("details.menu[open]")) { menu.open = false; menu.querySelector("summary").focus(); }
  });
  dialog.addEventListener("submit", (event) => {
    event.preventDefault();
    const button = event.submitter;
    if (button) button.disabled = true;
    send(event.target).catch(() => {
      if (button) button.disabled = false;
      const words = document.createElement("p");
      words.className = "notice bad";
      words.setAttribute("role", "alert");
      words.textContent = "The server was not reached, so nothing may have been done. Look at the page, and try again.";
      dialog.querySelector("form").prepend(words);
    });
  });
  // A new page, and parts that live.js has replaced.
  document.addEventListener("pi-ota:replaced", (event) => { tellTimes(event.target); offerCopies(event.target); });
  setInterval(() => tellTimes(document), 30000);
  ready();
})();

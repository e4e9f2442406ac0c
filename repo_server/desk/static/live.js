// Keeps the parts of an open page that say data-live="device update" as they are at the server: whenever something of
// such a kind happens, the page is fetched again and those parts are replaced. Says so when it cannot hear the server.
"use strict";
(() => {
  const address = document.body.dataset.events;
  const parts = () => [...document.querySelectorAll("[data-live][id]")];
  if (!address || parts().length === 0) return;

  const SOON = 3000, RETRY = 10000, GRACE = 2000;
  const sign = document.getElementById("lost"), words = document.getElementById("lost-words");
  let source = null, since = Date.now(), waiting = null, busy = false, again = false, telling = null, retrying = null;

  function lost() {
    telling ??= setTimeout(tell, GRACE);  // a restart of the server is over by then
  }

  function tell() {
    const minutes = Math.floor((Date.now() - since) / 60000);
    words.textContent = "This page is not live: the server is not heard. " +
      (minutes < 1 ? "It was up to date less than a minute ago." : `It was up to date ${minutes} min ago.`) + " Trying again…";
    sign.hidden = false;
    telling = setTimeout(tell, 20000);
  }

  function found() {
    clearTimeout(telling);
    telling = null;
    sign.hidden = true;
    since = Date.now();
  }

  async function refresh() {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html", "X-Live": "1" }, redirect: "manual" });
      if (answer.type === "opaqueredirect") { location.reload(); return; }  // the session has ended
      if (!answer.ok) { lost(); return; }
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of parts()) {
        const fresh = page.getElementById(part.id);
        if (!fresh || part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea")) continue;
        Idiomorph.morph(part, fresh, { callbacks: { beforeAttributeUpdated: (name, element) => !(name === "open" && element.matches("details")) } });
        part.dispatchEvent(new CustomEvent("pi-ota:replaced", { bubbles: true }));
      }
      found();
    } catch {
      lost();
    } finally {
      busy = false;
      if (again) { again = false; later(); }
    }
  }

  function later() {
    waiting ??= setTimeout(() => { waiting = null; refresh(); }, SOON);
  }

  function concerns(kind) {
    if (kind === "reset") return true;
    return parts().some((part) => part.dataset.live.split(" ").some((word) => kind.startsWith(word)));
  }

  function watch(afresh) {
    clearTimeout(retrying);
    source?.close();
    source = new EventSource(address);
    source.onopen = () => { found(); if (afresh) refresh(); afresh = true; };
    source.onmessage = (event) => { if (concerns(JSON.parse(event.data).kind)) later(); };
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) { lost(); return; }
      // Refused (as many watch as may, or the session is over): the browser does not try again by itself. Until there is
      // room the page is fetched now and then instead, which also tells whether the server is there.
      refresh();
      retrying = setTimeout(() => watch(true), RETRY);
    };
  }

  // A stream holds a thread of the server: a page that nobody sees lets it go.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { source?.close(); clearTimeout(retrying); clearTimeout(telling); telling = null; } else watch(true);
  });
  if (!document.hidden) watch(false);
})();

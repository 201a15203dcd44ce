// Puts the parts of a page that have changed in their places. Without it the page shows
// what was so when it was opened.
"use strict";
(() => {
  const root = document.querySelector("[data-live]");
  const sign = document.querySelector(".live");
  if (!root || !window.EventSource) return;
  const say = (on, text) => { if (sign) { sign.classList.toggle("on", on); sign.textContent = text; } };
  const put = (id, html) => {
    const place = document.getElementById(id);
    if (!place) return;
    if (place.hasAttribute("data-reload")) {
      if (place.innerHTML.trim() !== html.trim()) location.reload();
      return;
    }
    if (place.contains(document.activeElement) && document.activeElement.matches("input, select")) return; // somebody types there
    const at = place.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    const open = [...place.querySelectorAll("details[open]")].map(d => d.id);
    place.innerHTML = html;
    for (const key of open) { const d = document.getElementById(key); if (d) d.open = true; }
    if (at) { const link = [...place.querySelectorAll("a")].find(a => a.getAttribute("href") === at); if (link) link.focus(); }
  };
  // A link that is replaced between press and release would lose the click.
  const waiting = new Map();
  let pressed = false;
  const flush = () => { if (!pressed) { for (const [id, html] of waiting) put(id, html); waiting.clear(); } };
  addEventListener("pointerdown", () => { pressed = true; }, true);
  for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => { pressed = false; setTimeout(flush, 100); }, true);
  // A browser has six connections to a server for all its tabs: one that nobody sees gives its own back.
  let stream = null, again = 0;
  const connect = () => {
    clearTimeout(again);
    if (stream || document.hidden) return;
    const mine = stream = new EventSource("/live?path=" + encodeURIComponent(root.dataset.live));
    stream.onopen = () => say(true, "live");
    stream.onmessage = event => { for (const [id, html] of Object.entries(JSON.parse(event.data))) waiting.set(id, html); flush(); say(true, "live"); };
    stream.addEventListener("ended", () => { mine.close(); location.assign("/login"); });
    stream.onerror = () => {
      say(false, "not live");
      if (mine.readyState === EventSource.CLOSED && stream === mine) { stream = null; again = setTimeout(connect, 5000); }
    };
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && stream) { stream.close(); stream = null; say(false, "not live"); }
    connect();
  });
  connect();
})();

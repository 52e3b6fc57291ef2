// Keeps the page up to date, and changes what a machine starts through the API.
"use strict";

const API = "/api/v1";
const TOKEN = "bootyard-token";
const REFRESH_MS = 5000;
const GATHER_MS = 300;

const $ = (id) => document.getElementById(id);

// The admin token is kept for this tab only.
const token = () => sessionStorage.getItem(TOKEN) || "";

function say(text) {
  $("said").textContent = text;
  $("failed").textContent = "";
}

function fail(text) {
  $("said").textContent = "";
  $("failed").textContent = text;
}

function showWhoIsSignedIn() {
  $("sign-in").hidden = token() !== "";
  $("change").hidden = token() === "";
}

// Resolves when it is done; otherwise it says why not, with the cure, and rejects.
async function call(method, path, body) {
  const headers = { Authorization: `Bearer ${token()}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(API + path, { method, headers, body: JSON.stringify(body) });
  } catch {
    fail("The catalog does not answer: try again when it runs.");
    throw new Error("no answer");
  }
  if (answer.ok) return;
  const problem = await answer.json().catch(() => ({ detail: answer.statusText, cure: "" }));
  if (answer.status === 401) {
    sessionStorage.removeItem(TOKEN);
    showWhoIsSignedIn();
    $("token").focus();
    fail("This is not the admin token.");
  } else {
    fail([problem.detail, problem.cure].filter(Boolean).join(": "));
  }
  throw new Error(String(answer.status));
}

async function change(method, path, body, done) {
  const mac = $("mac");
  if (!mac.reportValidity()) return;
  const machine = mac.value.trim();
  try {
    await call(method, `/machines/${encodeURIComponent(machine)}${path}`, body);
  } catch {
    return;
  }
  say(`${machine}: ${done}`);
  await refresh();
}

function arm() {
  const target = $("target").value;
  const minutes = $("minutes");
  if (!minutes.reportValidity()) return undefined;
  const body = { target, expires_minutes: Number(minutes.value) };
  return change("PUT", "/boot-once", body, `boots ${target} once, when it is switched on.`);
}

function setTarget() {
  const target = $("target").value || null;
  return change("PATCH", "", { target }, `its target is ${target || "what the policy says"} now.`);
}

function offerWhatFits() {
  const chosen = $("target").selectedOptions[0];
  const kind = chosen ? chosen.dataset.kind : "standing";
  $("arm").disabled = kind === "standing";
  $("set").disabled = kind === "unattended";
  $("only-once").hidden = kind !== "unattended";
}

function showArmed() {
  const mac = $("mac").value.trim().toLowerCase();
  const row = [...document.querySelectorAll(".choose")].find((button) => button.dataset.mac === mac);
  $("armed").textContent = row && row.dataset.armed ? `boot-once: ${row.dataset.armed}` : "";
}

function choose(button) {
  $("mac").value = button.dataset.mac;
  showArmed();
  (token() ? $("target") : $("token")).focus();
}

// Takes over what changed on the page; the forms, and where the keyboard is, stay.
function takeOver(fresh) {
  for (const part of document.querySelectorAll("[data-live]")) {
    const now = fresh.getElementById(part.id);
    if (!now || now.innerHTML === part.innerHTML) continue;
    const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
    const value = part.value;
    part.innerHTML = now.innerHTML;
    if (part instanceof HTMLSelectElement) part.value = value;
    if (focused && $(focused)) $(focused).focus();
  }
  offerWhatFits();
  showArmed();
}

let refreshing = false;

async function refresh() {
  if (refreshing) return;
  refreshing = true;
  try {
    const answer = await fetch(location.href);
    if (answer.ok) takeOver(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    // The catalog is away; what was known stays on the page, and the next round asks again.
  } finally {
    refreshing = false;
  }
}

let soon = 0;

function refreshSoon() {
  if (!soon) soon = setTimeout(() => { soon = 0; refresh(); }, GATHER_MS);
}

$("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, $("token").value.trim());
  try {
    await call("PATCH", "/policy", {});
  } catch {
    sessionStorage.removeItem(TOKEN);
    return;
  }
  $("token").value = "";
  showWhoIsSignedIn();
  say("Signed in.");
  ($("mac").value ? $("target") : $("mac")).focus();
});
$("sign-out").addEventListener("click", () => {
  sessionStorage.removeItem(TOKEN);
  showWhoIsSignedIn();
  say("Signed out.");
  $("token").focus();
});
$("change").addEventListener("submit", (event) => event.preventDefault());
$("arm").addEventListener("click", arm);
$("disarm").addEventListener("click", () => change("DELETE", "/boot-once", undefined, "nothing is armed any more."));
$("set").addEventListener("click", setTarget);
$("target").addEventListener("change", offerWhatFits);
$("mac").addEventListener("input", showArmed);
document.addEventListener("click", (event) => {
  const button = event.target.closest(".choose");
  if (button) choose(button);
});

document.documentElement.classList.add("script");
showWhoIsSignedIn();
offerWhatFits();
new EventSource(`${API}/events`).addEventListener("boot", refreshSoon);
setInterval(refresh, REFRESH_MS);

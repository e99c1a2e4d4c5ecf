// The page: a question, its passages, the article around one. What comes from articles is only ever set as text.

const $ = (id) => document.getElementById(id);
const PAUSE = 120; // milliseconds without a key until it is asked
const STEP = 10;
const MOST = 100;
const NEIGHBOURS = 2;
const WINDOW = 400; // passages of an article that are shown at once
const LOOKED_AT = 3000; // milliseconds after which an answer is worth going back to

const nothing = () => Object.create(null); // has no key of its own, whatever an article's are called
const state = { q: "", mode: "hybrid", source: "", since: "", until: "", picked: nothing(), k: STEP, article: "", passage: "" };
let facets = null;
let hits = [];
let asking = null; // AbortController of the question under way
let waiting = 0; // timer of the pause
let shown = ""; // what the list shows now, as an address
let since = 0; // when it began to
let token = sessionStorage.getItem("token") || "";
let reading = null; // what of the open article is shown
let chosen = null; // the hit that was opened last

// ---- small helpers

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

const count = (number, one, many = `${one}s`) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

class Failure extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function get(path, parameters = [], signal = undefined) {
  const query = new URLSearchParams(parameters).toString();
  let response;
  try {
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    response = await fetch(query ? `${path}?${query}` : path, { headers, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure(0, "The service does not answer. Is semsearch serve still running?");
  }
  const body = await response.json().catch((error) => {
    if (error.name === "AbortError") throw error;
    return {};
  });
  if (!response.ok) throw new Failure(response.status, body.detail || `The service answered ${response.status}.`);
  return body;
}

// ---- the address

function address(of = state) {
  const parameters = new URLSearchParams();
  if (of.q) parameters.set("q", of.q);
  if (of.mode !== "hybrid") parameters.set("mode", of.mode);
  for (const key of ["source", "since", "until"]) if (of[key]) parameters.set(key, of[key]);
  for (const [key, values] of Object.entries(of.picked)) for (const value of values) parameters.append("is", `${key}=${value}`);
  if (of.k !== STEP) parameters.set("k", of.k);
  if (of.article) parameters.set("article", of.article);
  if (of.passage) parameters.set("passage", of.passage);
  const query = parameters.toString();
  return query ? `?${query}` : location.pathname;
}

function readAddress() {
  const parameters = new URLSearchParams(location.search);
  state.q = parameters.get("q") || "";
  state.mode = ["dense", "lexical"].includes(parameters.get("mode")) ? parameters.get("mode") : "hybrid";
  for (const key of ["source", "since", "until", "article", "passage"]) state[key] = parameters.get(key) || "";
  state.k = Math.min(MOST, Math.max(STEP, Number.parseInt(parameters.get("k") || "", 10) || STEP));
  state.picked = nothing();
  for (const item of parameters.getAll("is")) {
    const cut = item.indexOf("=");
    if (cut > 0) (state.picked[item.slice(0, cut)] ||= []).push(item.slice(cut + 1));
  }
  // A link may bring the token behind the #, which is not sent to any server.
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    token = given;
    sessionStorage.setItem("token", token);
    history.replaceState(null, "", location.pathname + location.search);
  }
}

const keep = () => history.replaceState(null, "", address());
const push = (note = null) => {
  if (address() !== (location.search || location.pathname)) history.pushState(note, "", address());
};

// ---- filters

const plain = (value) => !/[*?[|\]]|^[=<>\s]|\s$/.test(value);
const plainKey = (key) => !/[=<>!]|^\s|\s$/.test(key);

function conditions() {
  const found = [];
  if (state.source) found.push(`source=${state.source}`);
  if (state.since) found.push(`date>=${state.since}`);
  if (state.until) found.push(`date<=${state.until}`);
  for (const [key, values] of Object.entries(state.picked)) if (values.length) found.push(`metadata.${key}=${values.join("|")}`);
  return found;
}

function showFacets() {
  $("facts").textContent = `${count(facets.articles, "article")}`;
  $("sources").replaceChildren(...facets.sources.map((item) => make("option", { value: item.value }, count(item.articles, "article"))));
  $("dates").hidden = !facets.dates;
  if (facets.dates) {
    $("since").placeholder = facets.dates.first;
    $("until").placeholder = facets.dates.last;
  }
  const order = ["tags", "language", "author"];
  const usable = Object.entries(facets.values).map(([key, values]) => [key, values.filter((item) => plain(item.value))]).filter(
    ([key, values]) => !["date", "url", "source", "title"].includes(key) && plainKey(key) && values.length > 1 && (order.includes(key) || values.length <= 30),
  );
  usable.sort(([left], [right]) => (order.indexOf(left) + 99) % 99 - (order.indexOf(right) + 99) % 99 || (left < right ? -1 : 1));
  $("choices").replaceChildren(...usable.slice(0, 6).map(([key, values]) => choice(key, values)));
  showFilters();
}

function choice(key, values) {
  const chips = values.slice(0, 60).map((item) =>
    make("label", {},
      make("input", {
        type: "checkbox", value: item.value, "data-key": key,
        onchange: (event) => {
          const before = state.picked[key] || [];
          state.picked[key] = event.target.checked ? [...before, item.value] : before.filter((value) => value !== item.value);
          if (!state.picked[key].length) delete state.picked[key];
          filtersChanged();
        },
      }),
      make("span", {}, item.value, make("small", {}, String(item.articles)))));
  return make("fieldset", { class: "choice" }, make("legend", {}, key), make("div", { class: "chips" }, ...chips));
}

function showFilters() {
  for (const key of ["source", "since", "until"]) if ($(key) !== document.activeElement) $(key).value = state[key];
  for (const box of $("choices").querySelectorAll("input")) box.checked = (state.picked[box.dataset.key] || []).includes(box.value);
  const active = conditions().length;
  $("filtered").hidden = !active;
  $("filtered").textContent = active ? String(active) : "";
  $("filtering").setAttribute("aria-label", active ? `Filters, ${active} set` : "Filters");
  $("unfilter").disabled = !active;
}

const DATE = /^(\d{4}(-\d\d(-\d\d)?)?)?$/;

function filtersChanged() {
  state.k = STEP;
  showFilters();
  push();
  ask();
}

// ---- asking

function typed() {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    state.q = $("question").value.trim();
    state.k = STEP;
    if (shown && performance.now() - since > LOOKED_AT) push();
    else keep();
    ask();
  }, PAUSE);
}

async function ask() {
  asking?.abort();
  clearTimeout(waiting);
  const controller = (asking = new AbortController());
  if (!state.q) {
    shown = "";
    hits = [];
    busy(false);
    empty();
    return;
  }
  const wanted = address({ ...state, article: "", passage: "" });
  if (wanted === shown) return busy(false);
  busy(true);
  try {
    const parameters = [["q", state.q], ["k", state.k], ["mode", state.mode], ...conditions().map((condition) => ["where", condition])];
    const results = await get("search", parameters, controller.signal);
    if (controller.signal.aborted) return;
    shown = wanted;
    since = performance.now();
    answer(results);
  } catch (error) {
    if (controller.signal.aborted) return;
    shown = "";
    failed(error);
  }
  busy(false);
}

function busy(on) {
  $("search").classList.toggle("busy", on);
  $("search").classList.toggle("stale", on && hits.length > 0);
}

function title(text) {
  document.title = text ? `${text} – semsearch` : "semsearch";
}

function empty() {
  title("");
  $("hits").replaceChildren();
  $("more").hidden = true;
  $("said").textContent = "";
  tell("Ask in your own words", ["The passages that answer come back, the best first, each with its place. Words in “quotation marks” must stand in them."], {
    more: [$("keys").content.cloneNode(true)],
  });
}

function tell(heading, lines, { bad = false, more = [] } = {}) {
  $("state").className = bad ? "state bad" : "state";
  if (bad) $("state").setAttribute("role", "alert");
  else $("state").removeAttribute("role");
  $("state").replaceChildren(make("h2", {}, heading), ...lines.filter(Boolean).map((line) => make("p", {}, line)), ...more);
  $("state").hidden = false;
}

function failed(error) {
  hits = [];
  shown = "";
  state.article = state.passage = ""; // the address still has them: trying again goes by it
  show(false);
  $("hits").replaceChildren();
  $("more").hidden = true;
  $("said").textContent = "";
  if (error.status === 401) return askToken();
  const again = make("button", { type: "button", onclick: begin }, "Try again");
  const where = error.status === 400 ? "That cannot be asked" : "No answer";
  tell(where, [error.message], { bad: true, more: [again] });
}

function askToken() {
  const wrong = token !== "";
  const field = make("input", { type: "password", "aria-label": "Token", autocomplete: "current-password", required: true });
  const form = make("form", {}, field, make("button", { type: "submit" }, "Go on"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    token = field.value.trim().replace(/[^ -~]/g, "?"); // what is none of these cannot be sent
    sessionStorage.setItem("token", token);
    begin();
    $("question").focus();
  });
  const why = wrong ? "That token is not the right one." : "Whoever started the service has it.";
  tell("This index asks for a token", [why], { bad: wrong, more: [form] });
  field.focus();
}

function answer(results) {
  title(results.query);
  hits = results.hits;
  $("state").hidden = true;
  const filtered = conditions().length > 0;
  if (!hits.length) {
    $("said").textContent = "Nothing found.";
    tell("Nothing found", [
      filtered ? "No passage of the articles that the filters leave." : "No passage has these words; searching by meaning as well may find more.",
    ], filtered ? { more: [make("button", { type: "button", onclick: unfilter }, "Clear filters")] } : {});
  } else {
    const took = `${results.took_ms < 10 ? results.took_ms.toFixed(1) : Math.round(results.took_ms)} ms`;
    $("said").textContent = results.answerable
      ? `${count(hits.length, "passage")} in ${took}`
      : "Nothing here seems to answer that. The nearest passages:";
  }
  $("hits").replaceChildren(...hits.map(passage));
  $("more").hidden = hits.length < state.k || state.k >= MOST;
}

// ---- one hit

function marked(text, sentence) {
  const place = sentence && sentence.length < text.length ? text.indexOf(sentence) : -1;
  if (place < 0) return [text];
  return [text.slice(0, place), make("mark", {}, sentence), text.slice(place + sentence.length)];
}

const day = (metadata) => (typeof metadata.date === "string" ? metadata.date.slice(0, 10) : "");

const WITHOUT_LINES = /^https?:|\.(docx|epub|odt|rtf|eml)(\.gz)?$/i;

function cited(place) {
  if (place.page) return `${place.source}, page ${place.page}`;
  return place.source.includes("#") || WITHOUT_LINES.test(place.source) ? place.source : `${place.source}:${place.line}`;
}

function passage(hit) {
  const name = hit.title || hit.source;
  const link = make("a", { href: address({ ...state, article: hit.article_id, passage: hit.passage_id }), onclick: (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    open(hit);
  } }, name);
  const trail = [hit.heading, cited(hit), day(hit.metadata)].filter(Boolean);
  const text = make("p", { class: "passage" }, ...marked(hit.text, hit.highlight.text));
  const before = make("div");
  const after = make("div");
  const why = make("div", { class: "why", id: `why-${hit.rank}`, hidden: true });
  const percent = Math.round(hit.confidence * 100);
  const item = make("li", { class: "hit", "data-rank": hit.rank },
    make("h2", {}, link),
    make("p", { class: "trail" }, ...trail.map((part) => make("span", {}, part))),
    before, text, after, copies(hit),
    make("div", { class: "acts" },
      make("button", { type: "button", onclick: (event) => around(hit, before, after, event.currentTarget) }, "More context"),
      make("button", { type: "button", "aria-expanded": "false", "aria-controls": why.id, onclick: (event) => explain(hit, why, event.currentTarget) }, "Why this one"),
      make("span", { class: "sure", title: "How likely this answers the question" },
        make("meter", { min: 0, max: 1, low: 0.1, value: hit.confidence.toFixed(2), "aria-label": "Likely to answer" }), `${percent} %`, make("span", { class: "wide" }, "likely"))),
    why);
  return item;
}

function copies(hit) {
  if (!hit.duplicates.length) return null;
  const places = hit.duplicates.slice(0, 3).map(cited);
  const more = hit.duplicates.length - places.length;
  return make("p", { class: "copies" }, `Also in ${places.join(", ")}${more > 0 ? ` and ${more} more` : ""}`);
}

async function around(hit, before, after, button) {
  if (button.ariaDisabled === "true") return;
  const held = Number(button.dataset.held || 0) + NEIGHBOURS;
  button.ariaDisabled = "true"; // a disabled one would lose the focus
  try {
    const found = await get(`passages/${hit.passage_id}`, [["before", held], ["after", held]]);
    const middle = found.passages.findIndex((item) => item.passage_id === hit.passage_id);
    const neighbour = (item) => make("p", { class: "neighbour" }, item.text);
    before.replaceChildren(...found.passages.slice(0, middle).map(neighbour));
    after.replaceChildren(...found.passages.slice(middle + 1).map(neighbour));
    button.dataset.held = held;
    const all = found.passages.length >= found.n_passages || found.passages.length <= held;
    if (all || held >= 50) {
      if (document.activeElement === button) button.closest(".hit").querySelector("h2 a").focus();
      button.hidden = true;
    }
  } catch (error) {
    after.replaceChildren(make("p", { class: "neighbour" }, error.message));
  }
  button.ariaDisabled = "false";
}

const item = (rank) => $("hits").querySelector(`[data-rank="${rank}"]`);

const PARTS = {
  cosine: "the passage as a whole means what the question means",
  late: "each of the question's words has one like it",
  lexical: "the question's words stand in it, rare ones count more",
  feedback: "it is like the other best passages",
};

async function explain(hit, why, button) {
  const opened = button.getAttribute("aria-expanded") === "true";
  button.setAttribute("aria-expanded", String(!opened));
  why.hidden = opened;
  if (opened || why.childElementCount) return;
  const score = (value) => (value === null ? "–" : value.toFixed(3));
  const rows = [
    ["Score", hit.score.toFixed(3), "0 to 1"],
    ["By meaning", score(hit.scores.dense), "0 to 1"],
    ["By words", score(hit.scores.lexical), "BM25, without a limit"],
  ];
  const list = make("dl");
  const add = ([name, value, note]) => list.append(make("dt", {}, name), make("dd", {}, value), make("dd", { class: "note" }, note));
  rows.forEach(add);
  why.replaceChildren(list);
  try {
    const parameters = [["q", state.q], ["k", state.k], ["mode", state.mode], ["explain", "true"], ...conditions().map((condition) => ["where", condition])];
    const results = await get("search", parameters);
    const found = results.hits.find((other) => other.passage_id === hit.passage_id);
    for (const part of found?.explanation?.parts || []) add([`${part.weight} × ${part.name}`, part.value.toFixed(3), PARTS[part.name] || ""]);
    const words = Object.entries(found?.explanation?.words || {});
    if (words.length) list.append(make("dt", {}, "Words"), make("dd"), make("dd", { class: "note" }, words.map(([word, value]) => `${word} ${value.toFixed(1)}`).join(", ")));
  } catch {
    // The scores themselves are there.
  }
}

// ---- the article

function giveUp() {
  clearTimeout(waiting);
  asking?.abort();
  busy(false);
}

function open(hit) {
  giveUp();
  chosen = hit.rank;
  state.article = hit.article_id;
  state.passage = hit.passage_id;
  push("opened");
  read();
}

async function read() {
  const { article, passage: wanted } = state;
  try {
    let found = await get(`articles/${article}`, [["first", 0], ["limit", WINDOW]]);
    if (wanted && found.n_passages > WINDOW && !found.passages.some((item) => item.passage_id === wanted)) {
      const place = (await get(`passages/${wanted}`, [["before", 0], ["after", 0]])).first;
      found = await get(`articles/${article}`, [["first", Math.max(0, place - WINDOW / 4)], ["limit", WINDOW]]);
    }
    if (article !== state.article) return;
    showArticle(found, wanted);
  } catch (error) {
    if (article !== state.article) return;
    if (error.status !== 404 || !state.q) return failed(error);
    // The article has changed since: the question finds it as it is now.
    state.article = state.passage = shown = "";
    keep();
    show(false);
    ask();
  }
}

function showArticle(found, wanted) {
  reading = {
    article: found.article_id,
    first: found.first,
    last: found.first + found.passages.length,
    total: found.n_passages,
    firstHeading: found.passages[0]?.heading ?? "",
    lastHeading: found.passages.at(-1)?.heading ?? "",
    firstPage: found.passages[0]?.page ?? 0,
    lastPage: found.passages.at(-1)?.page ?? 0,
    extending: false,
  };
  $("unread").textContent = "";
  const name = found.title || found.source;
  title(name);
  $("title").textContent = name;
  const url = [found.metadata.url, found.metadata.source].find(
    (value) => typeof value === "string" && /^https?:\/\//.test(value) && URL.canParse(value),
  );
  const author = Array.isArray(found.metadata.author) ? found.metadata.author.join(", ") : found.metadata.author;
  $("about").replaceChildren(
    ...[day(found.metadata), typeof author === "string" ? author : "", found.source].filter(Boolean).map((part) => make("span", {}, part)),
    url ? make("span", {}, make("a", { href: url, rel: "noopener noreferrer external", target: "_blank" }, new URL(url).hostname)) : "",
  );
  $("text").replaceChildren(...paragraphs(found.passages, wanted, "", 0));
  edges();
  show(true);
  const target = $("text").querySelector(".found");
  if (target) {
    target.scrollIntoView({ block: "center" });
    target.focus({ preventScroll: true });
  } else {
    scrollTo(0, 0);
    $("reader").focus({ preventScroll: true });
  }
}

function paragraphs(passages, wanted, heading, leaf) {
  const elements = [];
  const best = hits.find((hit) => hit.passage_id === wanted);
  for (const item of passages) {
    if (item.page && item.page !== leaf) {
      leaf = item.page;
      elements.push(make("p", { class: "leaf" }, `page ${leaf}`));
    }
    if (item.heading !== heading) {
      heading = item.heading;
      if (item.heading) elements.push(make("h2", {}, item.heading));
    }
    const found = item.passage_id === wanted;
    const text = found && best ? marked(item.text, best.highlight.text) : [item.text];
    elements.push(make("p", found ? { class: "found", tabindex: "-1" } : {}, ...text));
  }
  return elements;
}

function edges() {
  $("earlier").hidden = reading.first === 0;
  $("later").hidden = reading.last >= reading.total;
}

async function extend(later) {
  const of = reading;
  if (of.extending) return;
  of.extending = true;
  const first = later ? of.last : Math.max(0, of.first - WINDOW);
  const limit = later ? WINDOW : of.first - first;
  try {
    const found = await get(`articles/${of.article}`, [["first", first], ["limit", limit]]);
    if (of !== reading) return; // another article is open
    if (later) {
      $("text").append(...paragraphs(found.passages, "", of.lastHeading, of.lastPage));
      of.last = first + found.passages.length;
      of.lastHeading = found.passages.at(-1)?.heading ?? of.lastHeading;
      of.lastPage = found.passages.at(-1)?.page ?? of.lastPage;
    } else {
      const height = document.documentElement.scrollHeight;
      const elements = paragraphs(found.passages, "", "", 0);
      if (found.passages.at(-1)?.heading === of.firstHeading && of.firstHeading) $("text").querySelector("h2")?.remove();
      if (found.passages.at(-1)?.page === of.firstPage) $("text").querySelector(".leaf")?.remove();
      $("text").prepend(...elements);
      of.first = first;
      of.firstHeading = found.passages[0]?.heading ?? "";
      of.firstPage = found.passages[0]?.page ?? 0;
      scrollBy(0, document.documentElement.scrollHeight - height);
    }
    $("unread").textContent = "";
    edges();
  } catch (error) {
    if (of === reading) $("unread").textContent = error.message;
  } finally {
    of.extending = false;
  }
}

let scrolled = 0;

function show(article) {
  if (article && $("reader").hidden) scrolled = scrollY;
  $("reader").hidden = !article;
  $("search").hidden = article;
  if (!article) scrollTo(0, scrolled);
}

function back() {
  if (history.state === "opened") history.back();
  else {
    state.article = state.passage = "";
    push();
    restore();
  }
}

// ---- going to and fro

function restore() {
  readAddress();
  showControls();
  if (state.article) {
    giveUp();
    return read();
  }
  const was = !$("reader").hidden;
  show(false);
  const answered = ask();
  title(state.q);
  if (was) (item(chosen)?.querySelector("h2 a") || $("question")).focus({ preventScroll: true });
  return answered;
}

function showControls() {
  if ($("question").value.trim() !== state.q) $("question").value = state.q;
  for (const radio of document.getElementsByName("mode")) radio.checked = radio.value === state.mode;
  showFilters();
}

function unfilter() {
  state.source = state.since = state.until = "";
  state.picked = nothing();
  for (const key of ["source", "since", "until"]) $(key).value = "";
  filtersChanged();
}

function step(by) {
  const links = [...$("hits").querySelectorAll("h2 a")];
  if (!links.length) return;
  const now = links.findIndex((link) => link.closest(".hit").contains(document.activeElement));
  const next = now + by;
  if (next < 0) {
    $("question").focus();
    scrollTo(0, 0);
    return;
  }
  const link = links[Math.min(next, links.length - 1)];
  link.focus({ preventScroll: true });
  link.closest(".hit").scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.isComposing) return;
  const field = event.target.closest?.("input, textarea, select");
  const typing = field && !["radio", "checkbox"].includes(field.type);
  if (event.key === "Escape") {
    if (!$("reader").hidden) back();
    else if (!$("filters").hidden && $("filters").contains(document.activeElement)) {
      toggleFilters(false);
      $("filtering").focus();
    } else if (field === $("question") && $("question").value) {
      $("question").value = state.q = "";
      push();
      ask();
    } else $("question").focus();
    event.preventDefault();
  } else if (event.key === "/" && !typing) {
    event.preventDefault();
    if (!$("reader").hidden) {
      state.article = state.passage = "";
      push();
      restore();
    }
    $("question").focus();
    $("question").select();
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    if ($("reader").hidden && (!typing || field === $("question")) && (!field || typing)) {
      event.preventDefault();
      step(event.key === "ArrowDown" ? 1 : -1);
    }
  }
});

function toggleFilters(on) {
  $("filters").hidden = !on;
  $("filtering").setAttribute("aria-expanded", String(on));
}

$("question").addEventListener("input", typed);
$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(waiting);
  state.q = $("question").value.trim();
  push();
  ask();
});
for (const radio of document.getElementsByName("mode")) {
  radio.addEventListener("change", () => {
    state.mode = radio.value;
    push();
    ask();
  });
}
$("filtering").addEventListener("click", () => toggleFilters($("filters").hidden));
$("unfilter").addEventListener("click", unfilter);
for (const key of ["source", "since", "until"]) {
  $(key).addEventListener("change", () => {
    const value = $(key).value.trim();
    const wrong = key !== "source" && !DATE.test(value);
    $(key).setAttribute("aria-invalid", String(wrong));
    if (wrong || value === state[key]) return;
    state[key] = value;
    filtersChanged();
  });
}
$("more").addEventListener("click", () => {
  const last = hits.length;
  state.k = Math.min(MOST, state.k + STEP);
  keep();
  ask().then(() => item(last + 1)?.querySelector("h2 a").focus({ preventScroll: true }));
});
$("back").addEventListener("click", back);
$("earlier").addEventListener("click", () => extend(false));
$("later").addEventListener("click", () => extend(true));
$("home").addEventListener("click", (event) => {
  if (event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  Object.assign(state, { q: "", mode: "hybrid", source: "", since: "", until: "", picked: nothing(), k: STEP, article: "", passage: "" });
  push();
  restore();
  $("question").focus();
});
addEventListener("popstate", restore);

// ---- dark and light

const dark = matchMedia("(prefers-color-scheme: dark)");

function theme() {
  const kept = localStorage.getItem("theme");
  document.documentElement.dataset.theme = kept || (dark.matches ? "dark" : "light");
}

dark.addEventListener("change", theme);
$("theme").addEventListener("click", () => {
  localStorage.setItem("theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  theme();
});

async function begin() {
  const asked = new URLSearchParams(location.search);
  const start = !asked.get("q") && !asked.get("article");
  await restore(); // what is asked for first, then what it can be narrowed by
  try {
    facets = await get("facets");
    showFacets();
  } catch (error) {
    if (start && !state.q && !state.article) failed(error); // else there is something to see all the same
  }
}

theme();
begin();

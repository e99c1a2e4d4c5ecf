(() => {
  "use strict";
  const NEAR = 16, MOST = 60, NARROW = 480;
  const SVG = "http://www.w3.org/2000/svg";

  function element(name, text, soft) {
    const made = document.createElement(name);
    made.textContent = text;
    if (soft) made.className = "soft";
    return made;
  }

  function live(root) {
    const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    const [svg, view, stage, card, zoom] = ["svg", ".view", ".stage", ".card", ".zoom"].map((name) => root.querySelector(name));
    const marks = [...svg.querySelectorAll(".hit")], star = svg.querySelector(".star");
    const hidden = new Set();
    const ring = svg.appendChild(document.createElementNS(SVG, "circle"));
    ring.setAttribute("class", "at");
    let scale = 1, left = 0, top = 0, shown = -1, kept = false;
    for (const mark of marks) mark.querySelector("title").remove();
    zoom.hidden = false;

    /* Pixels of the screen in the drawing's own measure. */
    const pixel = () => data.width / (svg.clientWidth || data.width);
    const placed = (x, y) => [x * scale + left, y * scale + top];

    function put(mark, x, y) {
      const [a, b] = placed(x, y);
      mark.setAttribute("transform", `translate(${a} ${b}) scale(${pixel()})`);
    }

    function draw() {
      /* All of it in sight, a finger scrolls the page; else it moves the map. */
      svg.style.touchAction = scale > 1 ? "none" : "";
      view.setAttribute("transform", `translate(${left} ${top}) scale(${scale})`);
      for (const mark of marks) put(mark, data.x[mark.dataset.at], data.y[mark.dataset.at]);
      put(star, ...data.star);
      ring.style.display = shown < 0 ? "none" : "";
      if (shown >= 0) {
        ring.setAttribute("r", shown in data.hits ? 13 : 6);
        put(ring, data.x[shown], data.y[shown]);
        if (!card.hidden) move();
      }
    }

    function zoomed(by, x, y) {
      const next = Math.min(MOST, Math.max(1, scale * by));
      left = x - ((x - left) * next) / scale;
      top = y - ((y - top) * next) / scale;
      scale = next;
      bound();
      draw();
    }

    /* Some of the drawing always stays in sight. */
    function bound() {
      left = Math.min(data.width * 0.5, Math.max(data.width * (0.5 - scale), left));
      top = Math.min(data.height * 0.5, Math.max(data.height * (0.5 - scale), top));
      if (scale === 1) left = top = 0;
    }

    function point(event) {
      const box = svg.getBoundingClientRect();
      return [(event.clientX - box.left) * pixel(), (event.clientY - box.top) * pixel()];
    }

    /* The passage at a place of the drawing, hits before others; -1 for none. */
    function nearest(x, y) {
      let best = -1, least = NEAR * pixel();
      for (let at = 0; at < data.x.length; at++) {
        if (hidden.has(data.group[at]) && !(at in data.hits)) continue;
        const [a, b] = placed(data.x[at], data.y[at]);
        let distance = Math.hypot(a - x, b - y);
        if (at in data.hits && distance < 10 * pixel()) distance *= 0.05 + data.hits[at][0] / 1e5;
        if (distance < least) [best, least] = [at, distance];
      }
      return best;
    }

    function show(at, keep) {
      shown = at;
      kept = at >= 0 && keep;
      card.hidden = at < 0;
      card.classList.toggle("kept", kept);
      if (at >= 0) {
        const [title, source] = data.articles[data.article[at]];
        const hit = data.hits[at];
        const near = `similarity ${data.near[at].toFixed(2)}`;
        card.replaceChildren(element("strong", title));
        if (data.heading[at]) card.append(element("p", data.heading[at], true));
        card.append(element("p", data.text[at]), element("p", source + data.place[at], true));
        card.append(element("p", hit ? `hit ${hit[0]}, score ${hit[1].toFixed(2)}; ${near}` : near, true));
      }
      draw();
    }

    /* Beside the passage, inside of the map as far as there is room; at the foot of a narrow screen, where it hides no map. */
    function move() {
      const under = stage.clientWidth < NARROW;
      card.classList.toggle("under", under);
      if (under) {
        card.style.left = card.style.top = "";
        return;
      }
      const [x, y] = placed(data.x[shown], data.y[shown]).map((value) => value / pixel());
      const beside = x + 18 + card.offsetWidth <= stage.clientWidth ? x + 18 : x - 18 - card.offsetWidth;
      card.style.left = `${Math.max(4, Math.min(beside, stage.clientWidth - card.offsetWidth - 4))}px`;
      card.style.top = `${Math.max(4, Math.min(y - 20, stage.clientHeight - card.offsetHeight - 4))}px`;
    }

    let drag = null;
    svg.addEventListener("pointerdown", (event) => {
      if (event.button === 0) drag = { at: point(event), left, top, moved: false };
    });
    svg.addEventListener("pointermove", (event) => {
      const [x, y] = point(event);
      if (drag && event.buttons) {
        if (Math.hypot(x - drag.at[0], y - drag.at[1]) > 4 * pixel()) drag.moved = true;
        if (drag.moved && scale > 1) {
          [left, top] = [drag.left + x - drag.at[0], drag.top + y - drag.at[1]];
          bound();
          draw();
        }
      } else if (!kept) {
        const at = nearest(x, y);
        if (at !== shown) show(at, false);
      }
    });
    svg.addEventListener("click", (event) => {
      if (!drag || !drag.moved) show(nearest(...point(event)), true);
      drag = null;
    });
    svg.addEventListener("pointerleave", () => { if (!kept) show(-1, false); });
    /* Turning the wheel scrolls the page, as everywhere; with Ctrl, and by two fingers, it zooms. */
    svg.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      zoomed(Math.exp(-event.deltaY / 200), ...point(event));
    }, { passive: false });
    svg.addEventListener("dblclick", (event) => zoomed(2, ...point(event)));
    zoom.addEventListener("click", (event) => {
      const by = [1.6, 1 / 1.6, 0][[...zoom.children].indexOf(event.target)];
      if (by !== undefined) zoomed(by, data.width / 2, data.height / 2);
    });
    root.addEventListener("keydown", (event) => { if (event.key === "Escape") show(-1, false); });

    for (const line of root.querySelectorAll(".hits button")) {
      const at = Number(line.dataset.at);
      for (const type of ["pointerenter", "focus"]) line.addEventListener(type, () => show(at, false));
      for (const type of ["pointerleave", "blur"]) line.addEventListener(type, () => { if (!kept) show(-1, false); });
      line.addEventListener("click", () => show(at, true));
    }
    for (const line of root.querySelectorAll(".legend button")) {
      line.addEventListener("click", () => {
        const group = Number(line.dataset.group), on = hidden.has(group);
        line.setAttribute("aria-pressed", String(on));
        on ? hidden.delete(group) : hidden.add(group);
        svg.querySelector(`.dots[data-group='${group}']`).style.display = on ? "" : "none";
        show(-1, false);
      });
    }
    new ResizeObserver(draw).observe(svg);
    draw();
  }

  for (const root of document.querySelectorAll(".semsearch-map:not([data-live])")) {
    root.dataset.live = "";
    live(root);
  }
})();

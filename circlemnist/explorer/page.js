// The page: what is shown of the images and when, the card beside the pointer, and what is selected.
window.explorer = (() => {
  const SIDE = 28, COLUMNS = 100, SHOWN = 200, STEP = 150;
  const facts = JSON.parse(element("facts").textContent);
  const { labels, predicted, names } = facts, count = labels.length, last = facts.captions.length - 1;
  const sprite = element("sprite"), all = Int32Array.from(labels.keys()), still = Int32Array.from(facts.moving);
  const hidden = new Set(), colors = new Map(), shown = new Uint8Array(count).fill(1);
  let step = last, chosen = null, pointed = null, selected = null, playing = false;
  let map = null, plane = null, titles = [];

  function element(id) {
    return document.getElementById(id);
  }

  function make(kind, ...children) {
    const made = document.createElement(kind);
    made.append(...children);
    if (kind === "button") made.type = "button";
    return made;
  }

  // A colour of the page's theme, which may change while it is open.
  function color(name) {
    if (!colors.has(name)) {
      const probe = document.body.appendChild(make("i"));
      probe.style.color = `var(--${name})`;
      colors.set(name, getComputedStyle(probe).color);
      probe.remove();
    }
    return colors.get(name);
  }

  function draw(context, index, x, y, size) {
    context.save();
    context.beginPath();
    context.rect(x, y, size, size);
    context.clip(); // what follows clears all beside the image
    context.imageSmoothingEnabled = false;
    context.drawImage(sprite, (index % COLUMNS) * SIDE, Math.floor(index / COLUMNS) * SIDE, SIDE, SIDE, x, y, size, size);
    context.globalCompositeOperation = "source-in"; // the sprite is black
    context.fillStyle = color("ink");
    context.fillRect(x, y, size, size);
    context.restore();
  }

  function name(index) {
    return names[labels[index]];
  }

  function mistaken(index) {
    return labels[index] !== predicted[index];
  }

  function described(index) {
    return `${name(index)}${mistaken(index) ? `, taken for ${names[predicted[index]]}` : ""} · image ${index}`;
  }

  // An image that is chosen by a click, with a caption under it.
  function imageButton(index, caption, size = SIDE) {
    const canvas = Object.assign(make("canvas"), { width: size, height: size }), button = make("button", canvas, caption);
    draw(canvas.getContext("2d"), index, 0, 0, size);
    button.ariaLabel = `${described(index)}${caption ? `, ${caption}` : ""}`;
    button.addEventListener("click", () => choose(index));
    for (const [kind, target] of [["pointerenter", index], ["focus", index], ["pointerleave", null], ["blur", null]])
      button.addEventListener(kind, () => point(target));
    return button;
  }

  // Shows the card of an image beside a place in the window, or none.
  function card(index, place) {
    const box = element("card");
    box.hidden = index === null;
    if (index === null) return;
    const [large, small] = box.querySelectorAll("canvas");
    for (const canvas of [large, small]) canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    draw(large.getContext("2d"), index, 0, 0, 84);
    box.querySelector("p").textContent = described(index);
    const near = facts.neighbors[index];
    near.forEach((other, i) => draw(small.getContext("2d"), other, 42 * i, 0, 42));
    box.querySelector(".near").replaceChildren(...near.map((other) => make("span", name(other))));
    // beside the pointer, not under it, and within the window
    const { offsetWidth: width, offsetHeight: height } = box, { clientX: x, clientY: y } = place;
    box.style.left = `${Math.max(4, x + width + 22 > innerWidth ? x - width - 10 : x + 18)}px`;
    box.style.top = `${Math.max(4, Math.min(y + 18, innerHeight - height - 4))}px`;
  }

  // Rings the point of an image in both plots; beside a place of a pointer, shows its card.
  function point(index, place) {
    card(place ? index : null, place);
    if (index === pointed) return;
    pointed = index;
    for (const plot of [map, plane]) plot.decorate();
  }

  function choose(index) {
    chosen = index;
    anchor.show(index);
    for (const plot of [map, plane]) plot.decorate();
  }

  // What a search asks for: beginnings of the names of classes, and images by their number.
  function wanted(text) {
    const words = text.toLowerCase().split(",").map((word) => word.trim()).filter(Boolean);
    const classes = words.map((word) => names.map((className) => className.toLowerCase().startsWith(word)));
    const images = words.filter((word, i) => /^#?\d+$/.test(word) && !classes[i].includes(true)).map((word) => Number(word.replace("#", "")));
    return (index) => !words.length || classes.some((those) => those[labels[index]]) || images.includes(index);
  }

  function filter() {
    const asked = wanted(element("search").value), only = element("mistakes").ariaPressed === "true";
    for (const index of all) shown[index] = asked(index) && !hidden.has(labels[index]) && (!only || mistaken(index)) ? 1 : 0;
    const named = new Set(labels.filter((_, index) => asked(index)));
    for (const [label, button] of [...element("legend").children].entries()) button.hidden = !named.has(label);
    const some = shown.reduce((sum, value) => sum + value), [lowest, highest] = [names[0], names.at(-1)];
    element("shown").value = some ? `${some.toLocaleString("en")} of ${count.toLocaleString("en")} images`
      : `Nothing matches: search for a class, ${lowest} to ${highest}, or for an image, #0 to #${count - 1}.`;
    element("select").disabled = !some;
    for (const plot of [map, plane]) plot.draw();
  }

  // Selects images: shows how many of each class, the mistakes and an even sample of the others.
  function select(indices) {
    selected = indices.length ? new Set(indices) : null;
    element("selection").hidden = !selected;
    const byClass = indices.toSorted((a, b) => labels[a] - labels[b] || a - b);
    const wrong = byClass.filter(mistaken).slice(0, SHOWN), others = byClass.filter((index) => !mistaken(index));
    const room = Math.min(SHOWN - wrong.length, others.length);
    const sample = Array.from({ length: room }, (_, i) => others[Math.floor(((i + 0.5) * others.length) / room)]);
    const more = indices.length > SHOWN ? `, ${SHOWN} of them shown` : "";
    element("count").textContent = `${indices.length.toLocaleString("en")} selected${more}`;
    const counts = new Map(); // by class, in their order
    for (const index of byClass) counts.set(name(index), (counts.get(name(index)) ?? 0) + 1);
    element("counts").textContent = [...counts, ["mistakes", byClass.filter(mistaken).length]]
      .map(([what, number]) => `${what}: ${number.toLocaleString("en")}`).join(" · ");
    element("sheet").replaceChildren(...wrong.map((index) => imageButton(index, `${name(index)} → ${names[predicted[index]]}`)),
      ...sample.map((index) => imageButton(index, "")));
    for (const plot of [map, plane]) plot.draw();
  }

  // Shows the images as they are after the training, or those of a snapshot as they were.
  function time(to) {
    step = to;
    const final = step === last, ids = final ? all : still;
    for (const [plot, { whole, moving, size }] of [[map, facts.places], [plane, facts.planes]])
      plot.show(ids, final ? whole : moving.subarray(size * ids.length * step, size * ids.length * (step + 1)));
    const { outside, sp, sn } = facts.means[step], { name: boundary } = facts.boundary;
    const share = boundary === "none" ? "" : `${(100 * outside).toFixed(1)} % of pairs outside the ${boundary}, `;
    element("means").textContent = `${share}mean s_p ${sp.toFixed(2)}, mean s_n ${sn.toFixed(2)}`.replaceAll("-", "−");
    if (!element("slider")) return;
    const caption = facts.captions[step], loss = final ? "" : `, loss ${facts.losses[step].toPrecision(3)}`;
    Object.assign(element("slider"), { value: step, ariaValueText: caption });
    element("caption").textContent = `${caption}${loss}`;
    const line = element("loss").querySelector("line");
    for (const [attribute, value] of Object.entries({ x1: step, x2: step, y1: 0, y2: 1 })) line.setAttribute(attribute, value);
  }

  function play(on) {
    clearTimeout(playing);
    element("play").textContent = on ? "Pause" : "Play";
    if (on && step === last) time(0);
    playing = on && setTimeout(() => {
      time(step + 1);
      play(step < last);
    }, STEP / Number(element("speed").value));
  }

  function legend() {
    for (const [label, button] of [...element("legend").children].entries())
      button.addEventListener("click", () => {
        if (!hidden.delete(label)) hidden.add(label);
        button.ariaPressed = String(!hidden.has(label));
        filter();
      });
  }

  // The names of the classes go where most of their points are, as far as they do not cover one another.
  function placeNames(plot) {
    const middle = (values) => values.sort((a, b) => a - b)[values.length >> 1];
    const xs = names.map(() => []), ys = names.map(() => []);
    plot.ids.forEach((id, i) => {
      if (!Number.isFinite(plot.xs[i])) return;
      xs[labels[id]].push(plot.xs[i]);
      ys[labels[id]].push(plot.ys[i]);
    });
    titles = [];
    names.forEach((text, label) => {
      const x = middle(xs[label]), y = middle(ys[label]) + 6, apart = (title) => 6 * (text.length + title.text.length) + 8;
      if (xs[label].length && !titles.some((title) => Math.abs(title.y - y) < 20 && Math.abs(title.x - x) < apart(title)))
        titles.push({ text, x, y });
    });
  }

  function ringPoints(plot) {
    for (const [index, radius] of [[pointed, 8], [chosen, 11]]) {
      const at = index !== null && plot.ids.indexOf(index) >= 0 ? plot.at(plot.place(index)) : null;
      if (at?.every(Number.isFinite) && at[2] >= 0) plot.add("circle", { cx: at[0], cy: at[1], r: radius, class: "here" });
    }
  }

  function decorateMap(plot) {
    if (facts.round) {
      const [x, y] = plot.dimensions === 3 ? [plot.width / 2 - plot.view.x * plot.scale, plot.height / 2 + plot.view.y * plot.scale] : plot.at([0, 0]);
      plot.add("circle", { cx: x, cy: y, r: plot.scale, class: "axis" });
    }
    if (!titles.length) plot.add("text", { x: plot.width / 2, y: plot.height / 2 }, "nothing to show");
    for (const { text, x, y } of titles) plot.add("text", { x, y, class: "class" }, text);
    ringPoints(plot);
    if (step === last && window.pad) pad.mark(plot);
  }

  function decoratePlane(plot) {
    const { width, height, scale } = plot, tick = [0.1, 0.2, 0.5, 1].find((size) => size * scale > 60) ?? 1;
    for (let i = Math.ceil(-1 / tick); i * tick < 1.01; i++) {
      const [x, y] = plot.at([i * tick, i * tick]), text = String(Number((i * tick).toFixed(1)));
      plot.add("path", { d: `M ${x} 0 V ${height} M 0 ${y} H ${width}`, class: "axis" });
      if (x > 12) plot.add("text", { x, y: height - 6 }, text); // else it is cut
      if (y < height - 24) plot.add("text", { x: 16, y: y + 4 }, text);
    }
    for (const line of facts.boundary.lines) plot.add("path", { d: `M ${line.map((place) => plot.at(place).slice(0, 2)).join(" L ")}`, class: "boundary" });
    const [x, y] = plot.at([0, 1]);
    plot.add("path", { d: `M ${x - 7} ${y} h 14 M ${x} ${y - 7} v 14 M ${x - 5} ${y - 5} l 10 10 M ${x - 5} ${y + 5} l 10 -10` });
    plot.add("text", { x: width / 2, y: height - 24 }, "s_n, to the next class →");
    ringPoints(plot);
    anchor.drawArrow(plot);
  }

  function limits(numbers, extra = []) {
    const sides = [0, 1].map((axis) => {
      const column = numbers.filter((value, i) => i % 2 === axis && Number.isFinite(value)).concat(extra[axis] ?? []);
      const low = column.reduce((a, b) => Math.min(a, b)), high = column.reduce((a, b) => Math.max(a, b)), border = 0.06 * (high - low) + 1e-6;
      return [low - border, high + border];
    });
    return [sides[0][0], sides[1][0], sides[0][1], sides[1][1]];
  }

  function start() {
    for (const [name, size, whole, moving] of [["places", facts.dimensions, facts.positions, facts.moving_positions], ["planes", 2, facts.pairs, facts.moving_pairs]])
      facts[name] = { size, whole: network.floats(whole), moving: network.floats(moving) };
    const { places, planes } = facts, both = ({ whole, moving }) => [...whole, ...moving];
    facts.round = facts.dimensions === 3 || all.every((index) => Math.abs(Math.hypot(places.whole[2 * index], places.whole[2 * index + 1]) - 1) < 1e-3);
    const on = { point, choose, lasso: select, escape: () => { choose(null); select([]); point(null); } };
    const look = { class: (index) => labels[index], color: (label) => color(`class-${label % 10}`), shown: (index) => shown[index], ink: () => color("ink"),
      ring: (index) => step === last && mistaken(index), faint: (index) => selected && !selected.has(index) };
    const whole = facts.round ? [-1.15, -1.15, 1.15, 1.15] : limits(both(places));
    map = new Plot(element("space"), { whole, dimensions: facts.dimensions, on: { ...on, decorate: decorateMap, drawn: placeNames }, look });
    const circle = facts.boundary.lines.flat().filter(([sn, sp]) => sn >= 0 && sp <= 1);
    const [left, bottom, right, top] = limits(both(planes), [[0, ...circle.map(([sn]) => sn)], [1, ...circle.map(([, sp]) => sp)]]);
    const side = 1.1 * Math.max(right - left, top - bottom), high = top + 0.08 * side; // room for an arrow
    const square = [right - side, high - side, right, high];
    plane = new Plot(element("plane"), { whole: square, on: { ...on, decorate: decoratePlane, drawn: () => {} }, look });
    Object.assign(api, { map, plane });
    legend();
    element("search").addEventListener("input", filter);
    element("mistakes").addEventListener("click", ({ currentTarget: button }) => {
      button.ariaPressed = String(button.ariaPressed !== "true");
      filter();
    });
    element("select").addEventListener("click", () => select([...map.ids].filter((_, i) => map.inView(i))));
    element("unselect").addEventListener("click", () => select([]));
    document.addEventListener("pointerdown", () => point(null), true);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      colors.clear();
      for (const plot of [map, plane]) plot.draw();
      if (selected) select([...selected]);
      if (chosen !== null) choose(chosen);
      if (window.pad) pad.land();
    });
    if (last) {
      element("slider").max = last;
      element("slider").addEventListener("input", ({ target }) => { play(false); time(Number(target.value)); });
      element("play").addEventListener("click", () => play(!playing));
      const most = Math.max(...facts.losses) || 1;
      element("loss").setAttribute("viewBox", `0 0 ${last} 1`);
      element("loss").querySelector("polyline").setAttribute("points", facts.losses.map((loss, i) => `${i},${1 - loss / most}`).join(" "));
    }
    filter();
    time(last);
    if (window.pad) pad.start();
    document.body.dataset.ready = "yes";
  }

  const api = { facts, start, name, color, imageButton, described, choose, point, select, time, play,
    get step() { return step; }, get last() { return last; } };
  return api;
})();

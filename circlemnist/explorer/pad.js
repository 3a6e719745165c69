// The pad: what is drawn on it is embedded while it is drawn, set beside its nearest images, and
// marked on the map; what was drawn is kept in a strip.
window.pad = (() => {
  const SIDE = 280, PEN = 18, VOTES = 20, SHOWN = 10, VIEW = 0.5, FLIGHT = 300, REST = 400;
  const facts = JSON.parse(document.getElementById("pad-facts").textContent);
  const { labels, names } = explorer.facts;
  const embedded = network.build(facts), subspaces = network.halves(facts.subspaces);
  const gallery = network.halves(facts.embeddings).map((number) => number * facts.scale);
  const ink = getComputedStyle(document.documentElement).getPropertyValue("--ink");
  const [section, paper, prepared, verdict, why, beside, strip, follow] =
    ["pad", "paper", "prepared", "verdict", "why", "beside", "strip", "follow"].map((id) => document.getElementById(id));
  let models = null, whole = null, current = null, pen = null, waiting = 0, flight = 0, rest = 0;

  // The embedding of an image of 784 bytes: the mean of its views, each shifted by a pixel or not;
  // and how typical it is of a class, by the first view, which is the image itself.
  function embed(image) {
    const sum = new Float32Array(gallery.length / facts.indices.length);
    let typicality = null;
    for (const [row, column] of facts.views) {
      const view = Float32Array.from(image, (_, place) => {
        const y = Math.floor(place / 28) + row - 1, x = (place % 28) + column - 1;
        return y < 0 || y > 27 || x < 0 || x > 27 ? 0 : image[28 * y + x] / 255;
      });
      const { embedding, features } = embedded(view);
      embedding.forEach((value, place) => { sum[place] += value / facts.views.length; });
      typicality ??= network.typicality(features, subspaces, facts.known.length);
    }
    const norm = facts.unit ? Math.max(Math.hypot(...sum), 1e-12) : 1;
    return { embedding: sum.map((value) => value / norm), typicality };
  }

  // How alike each image of the gallery is: a cosine, or minus a distance.
  function likeness(embedding) {
    const distance = facts.similarity === "distance";
    return Float32Array.from(facts.indices, (_, row) => {
      let sum = 0, at = row * embedding.length;
      for (const value of embedding) {
        const other = gallery[at++];
        sum += distance ? (value - other) ** 2 : value * other;
      }
      return distance ? -Math.sqrt(sum) : sum;
    });
  }

  // Images of the gallery, the most alike first; of classes that were trained on, or of all.
  function nearest(alike, ofAll) {
    const rows = [];
    alike.forEach((value, row) => {
      if (!ofAll && !facts.known[labels[facts.indices[row]]]) return;
      if (rows.length === VOTES && value <= alike[rows[VOTES - 1]]) return;
      let place = rows.length;
      while (place && alike[rows[place - 1]] < value) place -= 1;
      rows.splice(place, 0, row);
      rows.length = Math.min(rows.length, VOTES);
    });
    return rows.map((row) => facts.indices[row]);
  }

  function judge(image) {
    const { embedding, typicality } = embed(image), alike = likeness(embedding);
    const near = nearest(alike, true).slice(0, SHOWN), asked = nearest(alike, false);
    const votes = names.map((_, label) => asked.filter((index) => labels[index] === label).length);
    const label = votes.indexOf(Math.max(...votes)), known = typicality > facts.threshold;
    const classes = facts.known.every(Boolean) ? "" : " of known classes";
    const reason = `${votes[label]} of ${asked.length} nearest${classes} are ${names[label]}; typicality ${typicality.toFixed(3)}`;
    return {
      image,
      typicality,
      near,
      place: placeOf(embedding, near),
      kind: known ? "known" : "unknown",
      verdict: known ? `${names[label]}, known` : "unknown",
      reason: `${reason}, known above ${facts.threshold.toFixed(3)}`,
    };
  }

  // What is said of a drawing: of each of its digits, the last of which is shown and marked.
  function judgeAll(strokes) {
    const parts = prepare.digits(strokes, PEN);
    const all = parts.map((part) => judge(prepare.placed(prepare.ink(part, facts.box, facts.pen), facts.box)));
    const last = all[parts.findIndex((part) => part.includes(strokes.at(-1)))];
    if (all.length === 1) return last;
    const verdict = all.map((digit) => digit.verdict).join(" · ");
    return { ...last, verdict, kind: all.every((digit) => digit.kind === "known") ? "known" : "unknown" };
  }

  function placeOf(embedding, near) {
    if (facts.exact) return [embedding[0], embedding.length > 1 ? embedding[1] : 0];
    const { x, y } = models.points.data;
    return [x, y].map((column) => near.reduce((sum, index) => sum + column[index] / near.length, 0));
  }

  function paint(canvas, image) {
    const pixels = new ImageData(28, 28), [r, g, b] = [1, 3, 5].map((at) => parseInt(ink.trim().slice(at, at + 2), 16));
    image.forEach((value, place) => pixels.data.set([r, g, b, value], 4 * place));
    canvas.getContext("2d").putImageData(pixels, 0, 0);
  }

  function drawPaper() {
    const context = paper.getContext("2d", { willReadFrequently: true }); // not on a GPU that may lose it
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, paper.width, paper.height);
    context.scale(paper.width / SIDE, paper.height / SIDE);
    context.strokeStyle = ink;
    if (current) prepare.trace(context, current.strokes, PEN);
  }

  function thumbnail(index) {
    const element = document.createElement("span"), canvas = document.createElement("canvas");
    canvas.width = canvas.height = 42;
    explorer.draw(canvas.getContext("2d"), index, 0, 0, 42);
    element.append(canvas, names[labels[index]]);
    return element;
  }

  // Shows where the current drawing lies, or nothing where there is none.
  function land() {
    cancelAnimationFrame(waiting);
    waiting = 0;
    drawPaper();
    const judged = current && judgeAll(current.strokes);
    section.className = judged ? judged.kind : "";
    verdict.textContent = judged ? judged.verdict : "";
    why.textContent = judged ? judged.reason : "Nothing is drawn yet.";
    beside.replaceChildren(...(judged ? judged.near.map(thumbnail) : []));
    if (judged) paint(prepared, judged.image);
    else prepared.getContext("2d").clearRect(0, 0, 28, 28);
    if (current) current.judged = judged;
    if (current && models.slider) models.slider.value = models.slider.end;
    mark();
  }

  // Marks on the map where the current drawing lies, with lines to its nearest images. It is not
  // of the plot, which takes long to draw all its points again.
  function mark() {
    const svg = document.getElementById("mark"), { frame } = viewOf(models.plot), box = frame.bbox;
    for (const [name, value] of Object.entries({ left: box.left, top: box.top, width: box.width, height: box.height }))
      svg.style[name] = `${value}px`;
    svg.replaceChildren();
    const early = models.slider && models.slider.value !== models.slider.end; // when its nearest are elsewhere
    if (!current?.judged || early) return;
    const at = ([x, y]) => [frame.x_scale.compute(x) - box.left, frame.y_scale.compute(y) - box.top];
    const { kind, near, place } = current.judged, [x, y] = at(place), { data } = models.points;
    for (const index of near) {
      const [x2, y2] = at([data.x[index], data.y[index]]);
      svg.append(shape("line", { x1: x, y1: y, x2, y2 }));
    }
    for (const name of ["rim", kind]) {
      const cross = `M ${x - 13} ${y} h 26 M ${x} ${y - 13} v 26`;
      svg.append(shape("circle", { cx: x, cy: y, r: 13, class: name }), shape("path", { d: cross, class: name }));
    }
  }

  function shape(kind, attributes) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", kind);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  }

  function viewOf(model) {
    const { index } = Bokeh;
    return index.find_one ? index.find_one(model) : Object.values(index).find((view) => view.model === model);
  }

  function stay() {
    clearTimeout(rest);
    cancelAnimationFrame(flight);
  }

  // Moves the map to where the drawing lies, or back to all of it.
  function fly() {
    const place = current?.judged.place;
    const moves = [models.plot.x_range, models.plot.y_range].map((range, axis) => {
      const [start, end] = whole[axis], half = (VIEW * (end - start)) / 2;
      const to = place ? [place[axis] - half, place[axis] + half] : [start, end];
      return { range, from: [range.start, range.end], to };
    });
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    let begin = null;
    const step = (now) => {
      begin ??= now; // what has landed is on the screen before anything moves
      const share = still ? 1 : Math.min(Math.max((now - begin) / FLIGHT, 0), 1);
      for (const { range, from, to } of moves) {
        const [start, end] = from.map((value, i) => value + share * (to[i] - value));
        range.setv({ start, end });
      }
      if (share < 1) flight = requestAnimationFrame(step);
    };
    flight = requestAnimationFrame(step);
  }

  // Keeps the current drawing in the strip, the newest first.
  function keep() {
    if (!current.button) {
      const drawing = current, button = document.createElement("button");
      button.type = "button";
      button.append(document.createElement("canvas"), document.createElement("span"));
      Object.assign(button.firstChild, { width: 28, height: 28 });
      button.addEventListener("click", () => show(drawing));
      drawing.button = button;
      strip.prepend(button);
    }
    const { button, judged } = current;
    paint(button.firstChild, judged.image);
    button.lastChild.textContent = judged.verdict;
    button.lastChild.className = judged.kind;
    button.setAttribute("aria-pressed", "true");
  }

  // Makes a drawing, or none, the current one; the map moves after so many milliseconds.
  function show(drawing, delay = 0) {
    stay();
    current?.button?.setAttribute("aria-pressed", "false");
    current = drawing;
    land();
    if (current) keep();
    if (follow.checked) rest = setTimeout(fly, delay);
  }

  function undo() {
    if (!current || pen !== null) return;
    current.strokes.pop();
    if (current.strokes.length) return show(current);
    current.button.remove();
    current = null;
    show(null);
  }

  function point(event) {
    const box = paper.getBoundingClientRect();
    const places = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    return places.map((place) => Math.min(Math.max(place, 0), 1) * SIDE); // a stroke ends at the edge of the paper
  }

  function down(event) {
    if (pen !== null || event.button !== 0) return;
    event.preventDefault();
    stay();
    pen = event.pointerId;
    paper.setPointerCapture(pen);
    current ??= { strokes: [], button: null, judged: null };
    current.strokes.push([point(event)]);
    waiting ||= requestAnimationFrame(land);
  }

  function move(event) {
    if (event.pointerId !== pen) return;
    const events = event.getCoalescedEvents?.() ?? [];
    current.strokes.at(-1).push(...(events.length ? events : [event]).map(point));
    waiting ||= requestAnimationFrame(land);
  }

  function up(event) {
    if (event.pointerId !== pen) return;
    pen = null;
    show(current, REST); // a map that moves would hold up the next stroke
  }

  function start(bokehModels) {
    models = bokehModels;
    const { x_range: x, y_range: y } = models.plot;
    whole = [[x.start, x.end], [y.start, y.end]];
    // on a phone, the map and the pad are seen at once
    if (matchMedia("(max-width: 600px)").matches) models.plot.height = 320;
    for (const { start, end } of [x.properties, y.properties])
      for (const property of [start, end]) property.change.connect(mark);
    for (const name of ["inner_width", "inner_height"]) models.plot.properties[name].change.connect(mark);
    for (const [kind, listener] of Object.entries({ pointerdown: down, pointermove: move, pointerup: up, pointercancel: up }))
      paper.addEventListener(kind, listener);
    document.getElementById("undo").addEventListener("click", undo);
    document.getElementById("clear").addEventListener("click", () => { if (pen === null) show(null); });
    land();
  }

  return { start, embed, judge, mark };
})();

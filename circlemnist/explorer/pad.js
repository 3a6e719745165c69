// The pad: what is drawn on it is embedded while it is drawn, set beside its nearest images, and
// marked on the map.
window.pad = (() => {
  const SIDE = 280, PEN = 18, VOTES = 20, SHOWN = 10, CLOSE = 2, REST = 400;
  const facts = JSON.parse(document.getElementById("pad-facts").textContent);
  const { labels, names } = explorer.facts;
  let embedded = null, subspaces = null; // built for the first drawing
  const [section, paper, prepared, verdict, why, beside, follows] =
    ["pad", "paper", "prepared", "verdict", "why", "beside", "follow"].map((id) => document.getElementById(id));
  let strokes = [], judged = null, pen = null, waiting = 0, rest = 0;

  // The embedding of an image of 784 bytes: the mean of its views, each shifted by a pixel or not;
  // and how typical it is of a class, by the first view, which is the image itself.
  function embed(image) {
    embedded ??= network.build(facts);
    subspaces ??= network.halves(facts.subspaces);
    let sum = null, typicality = null;
    for (const [row, column] of facts.views) {
      const view = Float32Array.from(image, (_, place) => {
        const y = Math.floor(place / 28) + row - 1, x = (place % 28) + column - 1;
        return y < 0 || y > 27 || x < 0 || x > 27 ? 0 : image[28 * y + x] / 255;
      });
      const { embedding, features } = embedded(view);
      sum ??= new Float32Array(embedding.length);
      embedding.forEach((value, place) => { sum[place] += value / facts.views.length; });
      typicality ??= network.typicality(features, subspaces, facts.known.length);
    }
    const norm = facts.unit ? Math.max(Math.hypot(...sum), 1e-12) : 1;
    return { embedding: sum.map((value) => value / norm), typicality };
  }

  function judge(image) {
    const { embedding, typicality } = embed(image), images = anchor.nearest(embedding);
    const near = images.slice(0, SHOWN), asked = images.filter((index) => facts.known[labels[index]]).slice(0, VOTES);
    const votes = names.map((_, label) => asked.filter((index) => labels[index] === label).length);
    const label = votes.indexOf(Math.max(...votes)), known = typicality > facts.threshold;
    const classes = facts.known.every(Boolean) ? "" : " of known classes";
    const reason = `${votes[label]} of ${asked.length} nearest${classes} are ${names[label]}`;
    let digits = 3; // as many as show which is larger
    while (digits < 9 && typicality.toFixed(digits) === facts.threshold.toFixed(digits)) digits += 1;
    return { image, embedding, label, typicality, near, place: placeOf(embedding, near), kind: known ? "known" : "unknown",
      verdict: known ? `${names[label]}, known` : "unknown",
      reason: `${reason}; typicality ${typicality.toFixed(digits)}, known above ${facts.threshold.toFixed(digits)}` };
  }

  // What is said of a drawing: of each of its digits, the last of which is shown and marked.
  function judgeAll() {
    const parts = prepare.digits(strokes, PEN);
    const all = parts.map((part) => judge(prepare.placed(prepare.ink(part, facts.box, facts.pen), facts.box)));
    const last = all[parts.findIndex((part) => part.includes(strokes.at(-1)))];
    if (all.length === 1) return last;
    const verdict = all.map((digit) => digit.verdict).join(" · ");
    return { ...last, verdict, kind: all.every((digit) => digit.kind === "known") ? "known" : "unknown" };
  }

  function placeOf(embedding, near) {
    if (facts.exact) return [...embedding, 0].slice(0, Math.max(embedding.length, 2));
    const places = near.map((index) => explorer.facts.places.whole.subarray(2 * index, 2 * index + 2));
    return [0, 1].map((axis) => places.reduce((sum, place) => sum + place[axis] / near.length, 0));
  }

  function paint(image) {
    const pixels = new ImageData(28, 28), ink = explorer.color("ink").match(/\d+/g).map(Number);
    image.forEach((value, place) => pixels.data.set([...ink.slice(0, 3), value], 4 * place));
    prepared.getContext("2d").putImageData(pixels, 0, 0);
  }

  // Draws the current drawing, and shows where it lies; nothing where there is none.
  function land() {
    cancelAnimationFrame(waiting);
    waiting = 0;
    const context = paper.getContext("2d", { willReadFrequently: true }); // not on a GPU that may lose it
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, paper.width, paper.height);
    context.scale(paper.width / SIDE, paper.height / SIDE);
    context.strokeStyle = explorer.color("ink");
    prepare.trace(context, strokes, PEN);
    judged = strokes.length ? judgeAll() : null;
    section.className = judged ? judged.kind : "";
    verdict.textContent = judged ? judged.verdict : "";
    why.textContent = judged ? judged.reason : "Nothing is drawn yet.";
    beside.replaceChildren(...(judged ? judged.near.map((index) => explorer.imageButton(index, explorer.name(index), 42)) : []));
    paint(judged?.image ?? []);
    if (judged && explorer.step !== explorer.last) {
      explorer.play(false);
      explorer.time(explorer.last);
    }
    explorer.map.decorate();
  }

  // Marks on the map where the current drawing lies, with lines to its nearest images.
  function mark(plot) {
    if (!judged) return;
    const { kind, near, place } = judged, [x, y] = plot.at(place);
    for (const index of near) {
      const [x2, y2] = plot.at(plot.place(index));
      plot.add("line", { x1: x, y1: y, x2, y2, class: "lines" });
    }
    for (const name of ["rim", kind]) {
      plot.add("circle", { cx: x, cy: y, r: 13, class: `mark ${name}` });
      plot.add("path", { d: `M ${x - 13} ${y} h 26 M ${x} ${y - 13} v 26`, class: name });
    }
  }

  // Moves the map to where the drawing lies, or back to all of it.
  function follow() {
    const { map } = explorer;
    if (map.dimensions === 2) map.reset();
    if (!judged) return;
    const [x, y] = judged.place;
    if (map.dimensions === 3) map.face(judged.place);
    else map.lookAt({ x, y, zoom: CLOSE });
  }

  // Shows the drawing, and makes it the anchor; the map moves after so many milliseconds.
  function show(delay = 0) {
    clearTimeout(rest);
    land();
    explorer.choose(null);
    if (judged) anchor.showVector(judged.embedding, judged.label);
    if (follows.checked) rest = setTimeout(follow, delay);
  }

  // Removes the last of the strokes, or all.
  function erase(first) {
    if (pen !== null || !strokes.length) return;
    strokes.splice(first);
    show();
  }

  function point(event) {
    const box = paper.getBoundingClientRect();
    const places = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    return places.map((place) => Math.min(Math.max(place, 0), 1) * SIDE); // a stroke ends at the edge of the paper
  }

  function down(event) {
    if (pen !== null || event.button !== 0) return;
    event.preventDefault();
    clearTimeout(rest);
    pen = event.pointerId;
    paper.setPointerCapture(pen);
    strokes.push([point(event)]);
    waiting ||= requestAnimationFrame(land);
  }

  function move(event) {
    if (event.pointerId !== pen) return;
    const events = event.getCoalescedEvents?.() ?? [];
    strokes.at(-1).push(...(events.length ? events : [event]).map(point));
    waiting ||= requestAnimationFrame(land);
  }

  function up(event) {
    if (event.pointerId !== pen) return;
    pen = null;
    show(REST); // a map that moves would hold up the next stroke
  }

  function start() {
    for (const [kind, listener] of Object.entries({ pointerdown: down, pointermove: move, pointerup: up, pointercancel: up }))
      paper.addEventListener(kind, listener);
    document.getElementById("undo").addEventListener("click", () => erase(-1));
    document.getElementById("clear").addEventListener("click", () => erase(0));
    land();
  }

  return { start, land, embed, judge, mark };
})();

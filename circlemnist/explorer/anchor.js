// An anchor: the cosines of all its pairs, what each pulls or pushes by Eqs. 9 and 10, and its place in
// the pair plane. It is an image of the page, or a drawing.
window.anchor = (() => {
  const { facts } = explorer, { labels, names, gamma, scale } = facts, { m } = facts.boundary;
  const [details, ticks, hardest, near, text] =
    ["anchor-details", "ticks", "hardest", "near", "anchor-text"].map((id) => document.getElementById(id));
  let embeddings = null, dimensions = 0, lengths = null, current = null;

  // The embeddings are decoded when the first is needed.
  function stored() {
    if (embeddings) return embeddings;
    embeddings = network.halves(facts.embeddings).map((number) => number * scale);
    dimensions = embeddings.length / labels.length;
    lengths = labels.map((_, index) => Math.hypot(...embeddings.subarray(dimensions * index, dimensions * (index + 1))) || 1);
    return embeddings;
  }

  function vectorOf(index) {
    return stored().subarray(dimensions * index, dimensions * (index + 1));
  }

  function cosines(vector) {
    const numbers = stored(), length = Math.hypot(...vector) || 1;
    return Float32Array.from(labels, (_, index) => {
      let sum = 0;
      for (let i = 0, at = index * dimensions; i < dimensions; i++) sum += vector[i] * numbers[at++];
      return sum / length / lengths[index];
    });
  }

  // The images, the most alike to a vector first: by cosine, or by distance.
  function nearest(vector) {
    const cosine = cosines(vector), norm = Math.hypot(...vector);
    const alike = facts.similarity === "cosine" ? cosine : cosine.map((s, index) => lengths[index] * (2 * norm * s - lengths[index]));
    return [...alike.keys()].sort((a, b) => alike[b] - alike[a]);
  }

  // All pairs of an anchor, of which it is not one itself: same-class ones first.
  function pairsOf(vector, label, self = null) {
    const s = cosines(vector), sides = [[], []];
    labels.forEach((other, index) => {
      if (index !== self) sides[other === label ? 0 : 1].push({ index, s: s[index], weight: 0 });
    });
    if (gamma && sides[0].length && sides[1].length) {
      const { dsp, dsn } = losses.anchor("circle", gamma, m, ...sides.map((side) => side.map((pair) => pair.s)));
      [dsp, dsn].forEach((slopes, i) => slopes.forEach((slope, place) => { sides[i][place].weight = Math.abs(slope); }));
    }
    const hard = (pair, i) => (gamma ? pair.weight : i ? pair.s : -pair.s); // a high s_n, a low s_p
    const worst = sides.map((side, i) => side.reduce((a, b) => (!a || hard(b, i) > hard(a, i) ? b : a), null));
    return { sides, worst };
  }

  // Shows an image as the anchor, or none.
  function show(index) {
    if (index !== null) return showVector(vectorOf(index), labels[index], index);
    current = null;
    details.hidden = true;
    text.textContent = "Choose a dot, or draw one, to see which pairs pull and push it.";
  }

  // Shows an embedding as the anchor: of an image, or of a drawing with the class it is taken for.
  function showVector(vector, label, index = null) {
    const { sides, worst: [positive, negative] } = pairsOf(vector, label, index);
    current = { index, sides, label, place: index === null ? placeOf(sides) : null };
    details.hidden = false;
    drawTicks();
    const who = index === null ? `drawing, taken for ${names[label]}` : names[label], size = 42;
    const by = (pair, word) => (pair ? `${word} by this ${names[labels[pair.index]]} with ${Math.round(pair.weight)}` : `${word} by none`);
    const sentence = gamma ? `This ${who}${index === null ? "," : ""} is ${by(negative, "pushed")} and ${by(positive, "pulled")}.`
      : `This ${who}, and the pairs that are hardest for it.`;
    text.textContent = index === null ? sentence : `${sentence} (${explorer.described(index)})`;
    const caption = (pair, s) => `${s} ${pair.s.toFixed(2)}`;
    hardest.replaceChildren(...(index === null ? [] : [explorer.imageButton(index, "anchor", size)]),
      ...[[negative, "s_n"], [positive, "s_p"]].filter(([pair]) => pair).map(([pair, s]) => explorer.imageButton(pair.index, caption(pair, s), size)));
    const s = new Map(sides.flat().map((pair) => [pair.index, pair.s]));
    near.replaceChildren(...(index === null ? nearest(vector).slice(0, 5) : facts.neighbors[index])
      .map((other) => explorer.imageButton(other, s.get(other).toFixed(2))));
    explorer.plane.decorate();
  }

  // s_n and s_p of a drawing, as `pair_places` has those of images.
  function placeOf([same, different]) {
    const mean = (pairs) => pairs.reduce((sum, { s }) => sum + s, 0) / pairs.length;
    const others = names.map((_, label) => different.filter(({ index }) => labels[index] === label)).filter((pairs) => pairs.length);
    return [Math.max(...others.map(mean)), mean(same)];
  }

  // The cosines on a line from -1 to 1, s_p above it and s_n below, the heavier the darker.
  function drawTicks() {
    const width = ticks.clientWidth, height = ticks.clientHeight, ratio = devicePixelRatio, context = ticks.getContext("2d");
    Object.assign(ticks, { width: width * ratio, height: height * ratio });
    context.scale(ratio, ratio);
    const end = Math.max(1, 1 + (gamma ? m : 0)) + 0.08, x = (s) => (width * (s + 1.04)) / (end + 1.04), middle = height / 2;
    context.font = "12px system-ui, sans-serif";
    context.textAlign = "center";
    const ink = explorer.color("ink"), marks = gamma ? { O_p: [1 + m, 0], Δ_p: [1 - m, 0], O_n: [-m, 1], Δ_n: [m, 1] } : {};
    current.sides.forEach((side, below) => {
      const most = side.reduce((a, { weight }) => Math.max(a, weight), 0) || 1, top = below ? middle + 2 : middle - 26;
      context.strokeStyle = explorer.color(below ? "different" : "same");
      for (const { s, weight } of side.toSorted((a, b) => a.weight - b.weight)) {
        context.globalAlpha = gamma ? 0.02 + 0.98 * Math.sqrt(weight / most) : 0.2;
        context.lineWidth = gamma && weight > most / 10 ? 2 : 1;
        context.beginPath();
        context.moveTo(x(s), top);
        context.lineTo(x(s), top + 24);
        context.stroke();
      }
    });
    context.globalAlpha = context.lineWidth = 1;
    context.fillStyle = context.strokeStyle = ink;
    context.fillRect(x(-1), middle - 0.5, x(1) - x(-1), 1);
    for (const s of [-1, 0, 1]) context.fillRect(x(s) - 0.5, middle - 4, 1, 8);
    for (const [name, [s, below]] of Object.entries(marks)) {
      context.setLineDash(name.startsWith("O") ? [2, 2] : []);
      context.beginPath();
      context.moveTo(x(s), middle);
      context.lineTo(x(s), middle + (below ? 28 : -28));
      context.stroke();
      context.fillText(name, x(s), below ? height - 6 : 14);
    }
    context.textAlign = "left";
    context.fillText("s_p", 2, 14);
    context.fillText("s_n", 2, height - 6);
  }

  // The arrow of the gradient at the anchor's place, that of a single pair there.
  function drawArrow(plot) {
    const place = current && (current.place ?? plot.place(current.index));
    if (!place?.every(Number.isFinite)) return;
    const [sn, sp] = place, [x, y] = plot.at(place);
    if (current.place) plot.add("circle", { cx: x, cy: y, r: 11, class: "here" });
    if (!gamma) return;
    const { dsn, dsp } = losses.pair("circle", gamma, m, sn, sp), length = 0.3 * Math.min(plot.width, plot.height) / (gamma * (1 + Math.abs(m)));
    const [dx, dy] = [-dsn * length, dsp * length], far = Math.hypot(dx, dy);
    if (far < 2) return;
    const [tipX, tipY] = [x + dx, y + dy], [ux, uy] = [dx / far, dy / far], head = Math.min(9, far);
    const side = (turn) => `${tipX - head * (ux - turn * 0.5 * uy)} ${tipY - head * (uy + turn * 0.5 * ux)}`;
    plot.add("path", { d: `M ${x} ${y} L ${tipX} ${tipY} M ${side(1)} L ${tipX} ${tipY} L ${side(-1)}`, class: "arrow" });
  }

  new ResizeObserver(() => { if (current) drawTicks(); }).observe(ticks);
  return { show, showVector, drawArrow, vectorOf, pairsOf, nearest, stored };
})();

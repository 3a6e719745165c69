/* The page: the plane of one pair, the unit circle, and the tour. The mathematics is in losses.js. */
"use strict";
const explainer = (() => {
  const facts = JSON.parse(document.getElementById("facts").textContent);
  const { words, steps, run } = facts;
  const $ = (id) => document.getElementById(id);
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const { clamp } = losses;

  const LIMITS = { triplet: [0, 2], cosface: [0, 1.5], arcface: [0, 1.5], circle: [-0.5, 0.95] };
  const DEFAULTS = { triplet: { gamma: 1, m: 0.25 }, cosface: { gamma: 32, m: 0.25 },
    arcface: { gamma: 32, m: 0.5 }, circle: { gamma: 32, m: 0.25 } };
  const setting = (loss, m = DEFAULTS[loss].m) => ({ loss, gamma: DEFAULTS[loss].gamma, m });
  const STEPS = [ // what each step of the tour shows; its words are in words.*.json
    { sn: 0.5, sp: 0.2, classes: 3, a: setting("circle"), b: setting("triplet") },
    { sn: 0.6, sp: 0.3, classes: 3, a: setting("triplet"), b: setting("circle") },
    { sn: 0.5, sp: 0.2, classes: 3, a: setting("triplet"), b: setting("cosface") },
    { sn: 0.2, sp: 0.2, classes: 3, a: setting("cosface"), b: setting("circle") },
    { sn: 0.7, sp: 0.8, classes: 3, a: setting("cosface"), b: setting("circle") },
    { sn: 0.2, sp: 0.2, classes: 3, a: setting("circle"), b: setting("cosface") },
    { sn: 0.4, sp: 0.7, classes: 4, a: setting("circle"), b: setting("circle", 0.05) },
  ];
  const PAIRS = 200, LONGEST = 360, TRAIL = 48, PER_CLASS = 6, MOST_POINTS = 90, GRID = 81;
  const LOW = -0.5; // of both axes of the plane
  const STEP = 0.009, TRAIN_STEP = 0.02; // of the square a frame, at most; of a gradient, in radians

  const state = { step: 0, time: 0, ...structuredClone(STEPS[0]) };

  let seed = 1;
  function random() { // Park and Miller's
    seed = (48271 * seed) % 2147483647;
    return seed / 2147483647;
  }

  let colors;
  function readColors() {
    const style = getComputedStyle(document.documentElement);
    colors = Object.fromEntries(["paper", "ink", "faint", "line", "same", "different"].map(
      (name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    colors.classes = facts.classes[matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"];
  }
  const channels = (color) => [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16));

  /* A canvas that is drawn in units of CSS pixels, as sharp as the screen is. */
  function surface(canvas) {
    const size = Math.max(canvas.clientWidth, 50), ratio = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(size * ratio)) canvas.width = canvas.height = Math.round(size * ratio);
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, size, size);
    return { context, size };
  }
  /* From (s_n, s_p) in a square from `low` to 1 to pixels. */
  const placer = (size, low) => ([sn, sp]) => [((sn - low) / (1 - low)) * size, ((1 - sp) / (1 - low)) * size];

  const stroke = (context, points, color, width, dash) => strokes(context, [points], color, width, dash);
  function strokes(context, lines, color, width, dash = []) { // one path for all: much faster than one each
    context.beginPath();
    for (const points of lines) {
      points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    }
    Object.assign(context, { strokeStyle: color, lineWidth: width });
    context.setLineDash(dash);
    context.stroke();
    context.setLineDash([]);
  }

  function arrow(context, x, y, dx, dy, color) {
    const length = Math.hypot(dx, dy);
    if (length < 2) return;
    const [ux, uy] = [dx / length, dy / length], head = Math.min(9, length);
    stroke(context, [[x, y], [x + dx - ux * head * 0.7, y + dy - uy * head * 0.7]], color, 4);
    context.beginPath();
    context.moveTo(x + dx, y + dy);
    context.lineTo(x + dx - head * (ux + uy * 0.6), y + dy - head * (uy - ux * 0.6));
    context.lineTo(x + dx - head * (ux - uy * 0.6), y + dy - head * (uy + ux * 0.6));
    context.fillStyle = color;
    context.fill();
  }

  function dots(context, places, radius, color, edge) {
    context.beginPath();
    for (const [x, y] of places) {
      context.moveTo(x + radius, y);
      context.arc(x, y, radius, 0, 2 * Math.PI);
    }
    context.fillStyle = color;
    context.fill();
    if (edge) Object.assign(context, { strokeStyle: edge, lineWidth: 2 }).stroke();
  }

  function drawAxes(context, size, low) {
    const [x, y] = placer(size, low)([0, 0]), lowest = String(low).replace("-", "−");
    stroke(context, [[x, 0], [x, size]], colors.faint, 1);
    stroke(context, [[0, y], [size, y]], colors.faint, 1);
    context.fillStyle = colors.ink;
    context.font = "12px system-ui, sans-serif";
    for (const [text, right, down] of [[lowest, 3, y - 4], ["1", size - 11, y - 4], [lowest, x + 4, size - 5], ["0", x + 4, y - 4]]) {
      context.fillText(text, right, down);
    }
  }

  /* A slider with its output: `set` takes its numbers; returned is what shows a value and its text. */
  function slider(label, set) {
    const [input, output] = ["input", "output"].map((kind) => label.querySelector(kind));
    input.addEventListener("input", () => { set(Number(input.value)); changed(); });
    return (value, text, limits = {}) => {
      Object.assign(input, limits, { value });
      output.value = text;
    };
  }

  /* ---- the plane: a panel a side ---- */
  class Panel {
    constructor(name) {
      this.name = name;
      const find = (selector) => $(name).querySelector(selector);
      Object.assign(this, { canvas: find("canvas"), handle: find(".handle"), select: find(".loss"), numbers: find(".numbers"), spread: find(".spread") });
      this.gammaLabel = find(".gamma");
      this.gamma = slider(this.gammaLabel, (value) => { this.side.gamma = Number((10 ** value).toPrecision(3)); });
      this.m = slider(find(".m"), (value) => { this.side.m = value; });
      this.select.addEventListener("change", () => {
        state[name] = setting(this.select.value);
        resetCloud();
        changed();
      });
      const drag = (event) => {
        const box = this.canvas.getBoundingClientRect();
        const right = (event.clientX - box.x) / box.width, down = (event.clientY - box.y) / box.height;
        moveTo(LOW + (1 - LOW) * right, 1 - (1 - LOW) * down);
      };
      for (const element of [this.canvas, this.handle]) {
        element.addEventListener("pointerdown", (event) => {
          element.setPointerCapture(event.pointerId);
          if (element === this.canvas) drag(event);
          this.handle.focus({ preventScroll: true });
          event.preventDefault();
        });
        element.addEventListener("pointermove", (event) => {
          if (element.hasPointerCapture(event.pointerId)) drag(event);
        });
      }
      this.handle.addEventListener("keydown", (event) => {
        const by = event.shiftKey ? 0.1 : 0.01;
        const move = { ArrowLeft: [-by, 0], ArrowRight: [by, 0], ArrowUp: [0, by], ArrowDown: [0, -by] }[event.key];
        if (!move) return;
        moveTo(state.sn + move[0], state.sp + move[1]);
        event.preventDefault();
      });
    }

    get side() {
      return state[this.name];
    }

    pull(sn, sp) {
      const { loss, gamma, m } = this.side;
      return losses.pair(loss, gamma, m, sn, sp);
    }

    /* What does not depend on the point: the pull as shades, its largest value, the boundary. */
    prepare() {
      const { loss, gamma, m } = this.side, key = [loss, gamma, m, colors.paper].join();
      if (this.key === key) return;
      this.key = key;
      const image = new ImageData(GRID, GRID), pulls = new Float64Array(GRID * GRID);
      for (let y = 0; y < GRID; y++) for (let x = 0; x < GRID; x++) {
        const { dsn, dsp } = this.pull(LOW + (x * (1 - LOW)) / (GRID - 1), 1 - (y * (1 - LOW)) / (GRID - 1));
        pulls[y * GRID + x] = Math.hypot(dsn, dsp);
      }
      this.top = pulls.reduce((a, b) => Math.max(a, b), 1e-12);
      const paper = channels(colors.paper), full = channels(colors.different);
      pulls.forEach((pull, i) => {
        const share = 0.6 * (pull / this.top);
        for (let c = 0; c < 3; c++) image.data[4 * i + c] = paper[c] + share * (full[c] - paper[c]);
        image.data[4 * i + 3] = 255;
      });
      this.shades = this.shades || new OffscreenCanvas(GRID, GRID);
      this.shades.getContext("2d").putImageData(image, 0, 0);
      this.boundary = losses.boundary(loss, gamma, m);
    }

    show() {
      const { loss, gamma, m } = this.side, [min, max] = LIMITS[loss];
      this.select.value = loss;
      this.gammaLabel.classList.toggle("idle", loss === "triplet");
      this.gamma(Math.log10(gamma), gamma);
      this.m(m, m.toFixed(2), { min, max });
      const { L, Z, alphaP, alphaN, dsp, dsn } = this.pull(state.sn, state.sp);
      const values = [L, Z, alphaP, alphaN, dsp, dsn].map((x) => x?.toFixed(3) ?? "–");
      this.numbers.querySelectorAll("dd").forEach((cell, i) => { cell.textContent = values[i]; });
      this.handle.setAttribute("aria-label", fill(words.handle, { sn: state.sn.toFixed(2), sp: state.sp.toFixed(2) }));
      const [left, top] = placer(100, LOW)([state.sn, state.sp]);
      Object.assign(this.handle.style, { left: `${left}%`, top: `${top}%` });
    }

    draw() {
      this.prepare();
      const { context, size } = surface(this.canvas);
      context.drawImage(this.shades, 0, 0, size, size);
      drawAxes(context, size, LOW);
      const place = placer(size, LOW);
      stroke(context, this.boundary.map(place), colors.ink, 2);
      if (run) {
        dots(context, run.frames[state.time].pairs.map(place), 1.6, colors.ink);
        stroke(context, run.path.map(place), colors.same, 2, [5, 3]);
      }
      if (cloud.begun) {
        const pairs = cloud[this.name];
        strokes(context, pairs.map((pair) => pair.trail.map(place)), colors.line, 0.7);
        dots(context, pairs.map(({ sn, sp }) => place([sn, sp])), 2.2, colors.ink);
      }
      context.fillStyle = colors.ink;
      context.font = "20px system-ui, sans-serif";
      context.fillText("★", place([0, 1])[0] - 10, 16);
      const { dsn, dsp } = this.pull(state.sn, state.sp), [x, y] = place([state.sn, state.sp]);
      const scale = (0.25 * size) / this.top;
      arrow(context, x, y, 0, dsp * scale, colors.same);
      arrow(context, x, y, -dsn * scale, 0, colors.different);
    }
  }

  function moveTo(sn, sp) {
    state.sn = Number(clamp(sn, LOW, 1).toFixed(3));
    state.sp = Number(clamp(sp, LOW, 1).toFixed(3));
    changed();
  }

  /* ---- let go: pairs that follow the gradients ---- */
  const cloud = { begun: false, frame: 0, time: 0 };
  function resetCloud() {
    seed = 7;
    const places = Array.from({ length: PAIRS }, () => [random(), random()].map((x) => LOW + (1 - LOW) * x));
    for (const name of ["a", "b"]) {
      cloud[name] = places.map(([sn, sp]) => ({ sn, sp, trail: [[sn, sp]], moving: true }));
    }
    Object.assign(cloud, { begun: false, frame: 0, time: 0 });
  }
  function moveCloud(speed) {
    cloud.begun = true;
    cloud.frame++;
    cloud.time += speed;
    for (const panel of panels) {
      panel.prepare();
      const scale = (STEP * speed) / panel.top;
      for (const pair of cloud[panel.name]) {
        const { dsn, dsp } = panel.pull(pair.sn, pair.sp);
        pair.sn = clamp(pair.sn - dsn * scale, -1, 1);
        pair.sp = clamp(pair.sp - dsp * scale, -1, 1);
        pair.moving = Math.hypot(dsn, dsp) > 0.05 * panel.top;
        if (cloud.frame % 4 === 0 && pair.moving && pair.trail.length < TRAIL) pair.trail.push([pair.sn, pair.sp]);
      }
    }
  }
  function spread(pairs) {
    const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
    const [sn, sp] = [mean(pairs.map((p) => p.sn)), mean(pairs.map((p) => p.sp))];
    return Math.sqrt(mean(pairs.map((p) => (p.sn - sn) ** 2 + (p.sp - sp) ** 2)));
  }

  /* ---- the unit circle ---- */
  const points = { angles: [], labels: [], chosen: 0, steps: 0 };
  function shufflePoints() {
    seed = 11 + state.classes;
    const labels = Array.from({ length: state.classes * PER_CLASS }, (_, i) => i % state.classes);
    Object.assign(points, { labels, angles: labels.map(() => 2 * Math.PI * random()), chosen: 0, steps: 0 });
  }
  const onCircle = () => losses.onCircle(state.a.loss, state.a.gamma, state.a.m, points.angles, points.labels);
  function trainPoints(speed) {
    const { slopes } = onCircle();
    const scale = (TRAIN_STEP * speed * points.labels.length) / (state.a.loss === "triplet" ? 0.3 : state.a.gamma);
    points.angles = points.angles.map((angle, i) => angle - clamp(slopes[i] * scale, -0.2, 0.2));
    points.steps++;
  }
  function addPoint() {
    const label = points.labels[points.chosen];
    points.labels.push(label);
    points.angles.push(points.angles[points.chosen] + Math.PI);
    points.chosen = points.labels.length - 1;
    changed();
  }

  function drawCircle() {
    const { context, size } = surface($("circle")), radius = 0.42 * size;
    const place = (angle, r = 1) => [size / 2 + r * radius * Math.cos(angle), size / 2 - r * radius * Math.sin(angle)];
    context.beginPath();
    context.arc(size / 2, size / 2, radius, 0, 2 * Math.PI);
    Object.assign(context, { strokeStyle: colors.line, lineWidth: 1 });
    context.stroke();
    const { value, G, cosines } = onCircle(), { chosen, labels, angles } = points;
    const top = Math.max(...G[chosen].map(Math.abs), 1e-12);
    angles.forEach((angle, j) => {
      const share = Math.abs(G[chosen][j]) / top;
      if (share < 0.02) return;
      const same = labels[j] === labels[chosen];
      stroke(context, [place(angles[chosen]), place(angle)], same ? colors.same : colors.different, 0.5 + 3.5 * share, same ? [] : [6, 4]);
    });
    context.font = "bold 11px system-ui, sans-serif";
    Object.assign(context, { textAlign: "center", textBaseline: "middle" });
    angles.forEach((angle, i) => {
      const at = place(angle), color = colors.classes[labels[i]];
      dots(context, [at], i === chosen ? 11 : 8, color, i === chosen ? colors.ink : colors.paper);
      const [r, g, b] = channels(color);
      context.fillStyle = 0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#000000" : "#ffffff";
      context.fillText(labels[i], ...at);
    });
    context.textAlign = "start";
    context.textBaseline = "alphabetic";
    drawPairs(cosines);
    return { value, G, cosines };
  }

  /* Of each point its hardest pairs: the different class that is nearest, the own that is farthest. */
  function hardest(cosines, i) {
    let sn = -1, sp = 1;
    points.labels.forEach((label, j) => {
      if (label !== points.labels[i]) sn = Math.max(sn, cosines[i][j]);
      else if (j !== i) sp = Math.min(sp, cosines[i][j]);
    });
    return [sn, sp];
  }
  function drawPairs(cosines) {
    panels[0].prepare();
    const { context, size } = surface($("pairs"));
    drawAxes(context, size, -1);
    const place = placer(size, -1);
    stroke(context, panels[0].boundary.map(place), colors.ink, 2);
    points.labels.forEach((label, i) => {
      const chosen = i === points.chosen;
      dots(context, [place(hardest(cosines, i))], chosen ? 7 : 4.5, colors.classes[label], chosen ? colors.ink : colors.paper);
    });
  }

  function showCircle({ value, G, cosines }) {
    const { labels, chosen } = points;
    const means = labels.map((_, i) => hardest(cosines, i));
    const mean = (k) => means.reduce((sum, place) => sum + place[k], 0) / means.length;
    $("ring-numbers").textContent = fill(words.ring_numbers,
      { steps: points.steps, loss: facts.losses[state.a.loss], L: value.toFixed(3), sn: mean(0).toFixed(2), sp: mean(1).toFixed(2) });
    const neighbour = Math.cos((2 * Math.PI) / state.classes);
    const crowded = state.a.loss === "circle" && neighbour > state.a.m;
    $("crowded").textContent = crowded
      ? fill(words.crowded, { classes: state.classes, cosine: neighbour.toFixed(2), m: state.a.m.toFixed(2) }) : "";
    const strongest = (same) => labels.reduce((best, label, j) =>
      (j !== chosen && (label === labels[chosen]) === same && Math.abs(G[chosen][j]) > Math.abs(G[chosen][best] || 0) ? j : best), -1);
    const [p, n] = [strongest(true), strongest(false)];
    $("who").textContent = p < 0 && n < 0 ? words.nobody : fill(words.who, { point: chosen + 1, label: labels[chosen],
      p: p < 0 ? "–" : p + 1, pull: p < 0 ? "0" : Math.abs(G[chosen][p] * labels.length).toFixed(2),
      n: n < 0 ? "–" : `${n + 1} (${labels[n]})`, push: n < 0 ? "0" : Math.abs(G[chosen][n] * labels.length).toFixed(2) });
    const degrees = (((points.angles[chosen] * 180) / Math.PI) % 360 + 360) % 360;
    sliders.chosen(chosen + 1, chosen + 1, { max: labels.length });
    sliders.angle(degrees, `${Math.round(degrees)}°`);
    sliders.classes(state.classes, state.classes);
    $("add").disabled = labels.length >= MOST_POINTS;
  }

  /* ---- the tour ---- */
  function goTo(number) {
    state.step = clamp(number, 0, steps.length - 1);
    const { sn, sp, a, b, classes } = STEPS[state.step];
    Object.assign(state, { sn, sp, a: { ...a }, b: { ...b } });
    if (classes !== state.classes || !points.labels.length) { state.classes = classes; shufflePoints(); }
    stop();
    resetCloud();
    const { title, text, question, answer } = steps[state.step];
    $("step-title").textContent = `${state.step + 1}. ${title}`;
    $("step-text").replaceChildren(...text.map((line) => Object.assign(document.createElement("p"), { textContent: line })));
    $("question").textContent = question;
    $("answer").open = false;
    $("answer").querySelector("p").textContent = answer;
    $("back").disabled = state.step === 0;
    $("next").disabled = state.step === steps.length - 1;
    [...$("dots").children].forEach((button, i) => {
      if (i === state.step) button.setAttribute("aria-current", "step"); else button.removeAttribute("aria-current");
    });
    changed();
  }

  /* ---- the address holds the state ---- */
  function numbers() { // their names, what holds them under which key, and their limits
    const inPanels = ["a", "b"].flatMap((name) => [[`${name}_gamma`, state[name], "gamma", 1, 1000],
      [`${name}_m`, state[name], "m", ...LIMITS[state[name].loss]]]);
    const time = run ? [["time", state, "time", 0, run.frames.length - 1, true]] : [];
    return [["sn", state, "sn", LOW, 1], ["sp", state, "sp", LOW, 1], ["classes", state, "classes", 3, 10, true], ...time, ...inPanels];
  }
  function address() {
    const values = Object.fromEntries(numbers().map(([name, holder, key]) => [name, holder[key]]));
    return `#${new URLSearchParams({ step: state.step + 1, a: state.a.loss, b: state.b.loss, ...values })}`;
  }
  function readAddress() {
    const asked = new URLSearchParams(location.hash.slice(1)), ignored = new Set(asked.keys());
    const step = Number(asked.get("step")) - 1;
    if (steps[step]) {
      goTo(step);
      ignored.delete("step");
    }
    for (const name of ["a", "b"]) {
      const loss = asked.get(name);
      if (!Object.hasOwn(DEFAULTS, loss)) continue;
      if (loss !== state[name].loss) state[name] = setting(loss);
      ignored.delete(name);
    }
    for (const [name, holder, key, low, high, whole] of numbers()) {
      const text = asked.get(name), value = Number(text);
      if (!text?.trim() || !(value >= low && value <= high) || (whole && !Number.isInteger(value))) continue;
      holder[key] = value;
      ignored.delete(name);
    }
    shufflePoints();
    $("notice").textContent = ignored.size ? fill(words.ignored, { names: [...ignored].join(", ") }) : "";
  }

  /* ---- what is drawn when ---- */
  const sliders = {};
  let panels = [], due = 0, playing = false, training = false, written = 0;
  const changed = () => { due = due || requestAnimationFrame(frame); };
  function frame() {
    const speed = Number($("speed").value);
    due = 0;
    if (playing) moveCloud(speed);
    if (training) trainPoints(speed);
    for (const panel of panels) { panel.show(); panel.draw(); }
    showCircle(drawCircle());
    for (const panel of panels) {
      const pairs = cloud[panel.name];
      panel.spread.textContent = cloud.begun ? fill(words.spread,
        { rest: pairs.filter((pair) => !pair.moving).length, all: PAIRS, spread: spread(pairs).toFixed(2) }) : "";
    }
    if (run) sliders.time(state.time, run.frames[state.time].caption, { max: run.frames.length - 1 });
    clearTimeout(written);
    written = setTimeout(() => history.replaceState(null, "", address()), 200);
    if (playing && (cloud.time >= LONGEST || !panels.some(({ name }) => cloud[name].some((pair) => pair.moving)))) press("play", playing = false);
    if (playing || training) changed();
  }
  function press(id, on) {
    $(id).setAttribute("aria-pressed", on);
    $(id).textContent = on ? words.pause : words[id === "play" ? "let_go" : "train"];
  }
  function stop() { press("play", playing = false); press("train", training = false); }

  function start() {
    readColors();
    $("dots").replaceChildren(...steps.map((step, i) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: i + 1 });
      button.setAttribute("aria-label", `${i + 1}. ${step.title}`);
      button.addEventListener("click", () => goTo(i));
      return button;
    }));
    panels = ["a", "b"].map((name) => new Panel(name));
    sliders.classes = slider($("classes").parentElement, (value) => { state.classes = value; shufflePoints(); });
    sliders.chosen = slider($("chosen").parentElement, (value) => { points.chosen = value - 1; });
    sliders.angle = slider($("angle").parentElement, (value) => { points.angles[points.chosen] = (value * Math.PI) / 180; });
    if (run) sliders.time = slider($("time"), (value) => { state.time = value; });
    goTo(0);
    if (run) Object.assign(state, { time: run.frames.length - 1, a: { loss: run.loss, gamma: run.gamma, m: run.m } });
    readAddress();
    $("back").addEventListener("click", () => goTo(state.step - 1));
    $("next").addEventListener("click", () => goTo(state.step + 1));
    for (const button of $("points").children) {
      button.addEventListener("click", () => moveTo(Number(button.dataset.sn), Number(button.dataset.sp)));
    }
    $("play").addEventListener("click", () => { press("play", playing = !playing); changed(); });
    $("step").addEventListener("click", () => { moveCloud(Number($("speed").value)); changed(); });
    $("reset").addEventListener("click", () => { press("play", playing = false); resetCloud(); changed(); });
    $("train").addEventListener("click", () => { press("train", training = !training); changed(); });
    $("train-step").addEventListener("click", () => { trainPoints(1); changed(); });
    $("shuffle").addEventListener("click", () => { shufflePoints(); changed(); });
    $("add").addEventListener("click", addPoint);
    const circle = $("circle"), angleOf = (event) => {
      const box = circle.getBoundingClientRect();
      return Math.atan2(box.y + box.height / 2 - event.clientY, event.clientX - box.x - box.width / 2);
    };
    circle.addEventListener("pointerdown", (event) => {
      const angle = angleOf(event), far = (other) => 1 - Math.cos(other - angle);
      points.chosen = points.angles.reduce((best, other, i) => (far(other) < far(points.angles[best]) ? i : best), 0);
      circle.setPointerCapture(event.pointerId);
      changed();
    });
    circle.addEventListener("pointermove", (event) => {
      if (!circle.hasPointerCapture(event.pointerId)) return;
      points.angles[points.chosen] = angleOf(event);
      changed();
    });
    if (!window.PointerEvent) $("notice").textContent = words.no_pointer;
    addEventListener("hashchange", () => { readAddress(); changed(); });
    addEventListener("resize", changed);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColors(); changed(); });
    frame();
    document.body.dataset.ready = "yes";
  }

  start();
  return { state, cloud, points };
})();

// The page around the Bokeh plots: filters, the card beside the pointer, the sheet, the movie.
window.explorer = (() => {
  const SIDE = 28, COLUMNS = 100, SHOWN = 200, FINGER = 16;
  const facts = JSON.parse(document.getElementById("facts").textContent);
  const sprite = document.getElementById("sprite");
  const pointer = { x: 0, y: 0, kind: "mouse" };
  let models = null, playing = null;

  for (const kind of ["pointermove", "pointerdown"])
    document.addEventListener(kind, (event) => {
      Object.assign(pointer, { x: event.clientX, y: event.clientY, kind: event.pointerType });
      if (kind === "pointerdown") card(null);
    }, true);

  function draw(context, index, x, y, size) {
    const row = Math.floor(index / COLUMNS), column = index % COLUMNS;
    context.imageSmoothingEnabled = false;
    context.drawImage(sprite, column * SIDE, row * SIDE, SIDE, SIDE, x, y, size, size);
  }

  function name(index) {
    return facts.names[facts.labels[index]];
  }

  function card(index) {
    const element = document.getElementById("card");
    element.hidden = index === null;
    if (index === null) return;
    const [large, small] = element.querySelectorAll("canvas");
    draw(large.getContext("2d"), index, 0, 0, 84);
    const wrong = facts.labels[index] !== facts.predicted[index];
    const taken = wrong ? `, taken for ${facts.names[facts.predicted[index]]}` : "";
    element.querySelector("p").textContent = `${name(index)}${taken} · image ${index}`;
    const count = facts.neighbors.length / facts.labels.length;
    const near = facts.neighbors.slice(count * index, count * (index + 1));
    near.forEach((other, place) => draw(small.getContext("2d"), other, 42 * place, 0, 42));
    const captions = near.map((other) => {
      const caption = document.createElement("span");
      caption.textContent = name(other);
      return caption;
    });
    element.querySelector(".near").replaceChildren(...captions);
    // beside the pointer, not under it, and within the window
    const { offsetWidth: width, offsetHeight: height } = element;
    const right = pointer.x + width + 22 > window.innerWidth;
    element.style.left = `${Math.max(4, pointer.x + (right ? -width - 10 : 18))}px`;
    element.style.top = `${Math.max(4, Math.min(pointer.y + 18, window.innerHeight - height - 4))}px`;
  }

  // Shows the image of a point that is pointed at, or none; a finger that has tapped leaves at once.
  function point(index) {
    if (index !== undefined) card(index);
    else if (pointer.kind !== "touch") card(null);
  }

  // Shows the image whose point is nearest to a tap on a plot, a finger's width away at most.
  function tap(plot, xs, ys, place) {
    const { x_range: x, y_range: y, inner_width: width, inner_height: height } = plot;
    const across = width / (x.end - x.start), up = height / (y.end - y.start);
    const early = plot.name === "space" && !models.gate.indices.length;
    let best = FINGER ** 2, nearest = null;
    models.filters.forEach(({ indices }, label) => {
      if (early || !models.classes[label].visible) return;
      for (const index of indices) {
        const away = (across * (xs[index] - place.x)) ** 2 + (up * (ys[index] - place.y)) ** 2;
        if (away < best) [best, nearest] = [away, index];
      }
    });
    card(nearest);
  }

  function sheet(indices) {
    const canvas = document.getElementById("sheet"), shown = indices.slice(0, SHOWN);
    const columns = 14, rows = Math.ceil(shown.length / columns);
    canvas.width = columns * 32;
    canvas.height = Math.max(rows * 32, 1);
    shown.forEach((index, place) =>
      draw(canvas.getContext("2d"), index, (place % columns) * 32 + 2, Math.floor(place / columns) * 32 + 2, SIDE));
    const more = indices.length > SHOWN ? `, the first ${SHOWN} of them` : "";
    document.getElementById("count").textContent =
      indices.length ? `${indices.length.toLocaleString("en")} selected${more}` : "Nothing selected";
  }

  // Shows what is selected of all images: none where it is done among those of an earlier time.
  function selectImages(indices) {
    if (indices.length || models.gate.indices.length) sheet(indices);
  }

  function selectMoving(places) {
    if (!models.gate.indices.length) sheet(places.map((place) => facts.moving[place]));
  }

  function filter() {
    const text = models.search.value_input.trim().toLowerCase();
    const wanted = facts.names.map((className) => className.toLowerCase().startsWith(text));
    const only = models.mistakes.active;
    const passed = facts.names.map(() => []), wrong = [];
    facts.labels.forEach((label, index) => {
      const mistaken = label !== facts.predicted[index];
      if (!wanted[label] || (only && !mistaken)) return;
      passed[label].push(index);
      if (mistaken && models.classes[label].visible) wrong.push(index);
    });
    models.filters.forEach((filter, label) => { filter.indices = passed[label]; });
    models.wrong.indices = wrong;
    if (!models.moved) return;
    const shown = new Set(passed.filter((_, label) => models.classes[label].visible).flat());
    models.moved.indices = [...facts.moving.keys()].filter((place) => shown.has(facts.moving[place]));
  }

  function time(step) {
    const last = step === facts.captions.length;
    models.caption.text = last ? "all images" : facts.captions[step];
    models.moving.visible = !last;
    models.rings.visible = last;
    models.gate.indices = last ? [...facts.labels.keys()] : [];
    if (window.pad) pad.mark();
    if (last) models.source.selected.indices = [];
    if (last) return;
    const count = models.frames.length / facts.captions.length / 2;
    const at = models.frames.subarray(2 * count * step, 2 * count * (step + 1));
    models.source.data = {
      ...models.source.data,
      x: at.filter((_, place) => place % 2 === 0),
      y: at.filter((_, place) => place % 2 === 1),
    };
  }

  function play(active) {
    clearInterval(playing);
    if (!active) return;
    models.slider.value = 0;
    playing = setInterval(() => {
      if (models.slider.value === models.slider.end) models.play.active = false;
      else models.slider.value += 1;
    }, 150);
  }

  function start(bokehModels) {
    models = { ...bokehModels };
    models.classes.forEach((dots) => dots.properties.visible.change.connect(filter));
    if (facts.frames) models.frames = new Float32Array(network.bytes(facts.frames).buffer);
    if (window.pad) pad.start(models);
    document.body.dataset.ready = "yes";
  }

  return { facts, start, draw, card, point, tap, sheet, selectImages, selectMoving, filter, time, play };
})();

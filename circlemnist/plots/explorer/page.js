// The page around the Bokeh plots: filters, the card beside the pointer, the sheet, the movie.
window.explorer = (() => {
  const SIDE = 28, COLUMNS = 100, SHOWN = 200;
  const facts = JSON.parse(document.getElementById("facts").textContent);
  const sprite = document.getElementById("sprite");
  const pointer = { x: 0, y: 0 };
  let models = null, playing = null;

  document.addEventListener("pointermove", (event) => {
    pointer.x = event.clientX;
    pointer.y = event.clientY;
  });

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
    const near = facts.neighbors.slice(5 * index, 5 * index + 5);
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
    element.style.left = `${pointer.x + (right ? -width - 10 : 18)}px`;
    element.style.top = `${Math.max(4, Math.min(pointer.y + 18, window.innerHeight - height - 4))}px`;
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

  function filter() {
    const text = models.search.value_input.trim().toLowerCase();
    const wanted = facts.names.map((each) => each.toLowerCase().startsWith(text));
    const only = models.mistakes.active;
    const kept = facts.names.map(() => []), wrong = [];
    facts.labels.forEach((label, index) => {
      const mistaken = label !== facts.predicted[index];
      if (!wanted[label] || (only && !mistaken)) return;
      kept[label].push(index);
      if (mistaken && models.classes[label].visible) wrong.push(index);
    });
    models.filters.forEach((each, label) => { each.indices = kept[label]; });
    models.wrong.indices = wrong;
  }

  function time(step) {
    const last = step === facts.captions.length;
    models.caption.text = last ? "all images" : facts.captions[step];
    models.moving.visible = !last;
    models.rings.visible = last;
    models.gate.indices = last ? [...facts.labels.keys()] : [];
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

  function start(given) {
    models = { ...given };
    models.classes.forEach((each) => each.properties.visible.change.connect(filter));
    if (facts.frames) models.frames = new Float32Array(network.bytes(facts.frames).buffer);
    if (window.pad) pad.start(models);
    document.body.dataset.ready = "yes";
  }

  return { facts, start, draw, card, sheet, filter, time, play };
})();

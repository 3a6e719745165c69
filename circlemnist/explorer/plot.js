// A scatter plot: points on a canvas, and what is few in an SVG above it. A pointer, fingers and keys
// move it, point at a point, choose one, or draw a lasso. Points of three dimensions are on a sphere
// that turns.
window.Plot = class {
  static MOUSE = 9; // pixels to the point that is meant
  static FINGER = 20;
  static TURN = 0.008; // radians a pixel

  // Of every ten classes, which have ten colours: dots, squares, triangles or diamonds.
  static shape(label) {
    return Math.floor(label / 10) % 4;
  }

  // `whole` is [left, bottom, right, top]; `on` has point(id, at), choose(id), lasso(ids), escape(),
  // drawn(plot) and decorate(plot), which fills the SVG; `look` has class(id), color(label), ink(),
  // shown(id), ring(id) and faint(id).
  constructor(element, { whole, dimensions = 2, on, look }) {
    Object.assign(this, { element, whole, dimensions, on, look, ids: [], data: [] });
    [this.canvas, this.svg] = element.children;
    this.tools = element.previousElementSibling;
    this.context = this.canvas.getContext("2d", { willReadFrequently: true }); // quicker without a GPU
    Object.assign(this, { yaw: 0.6, pitch: 0.35, pointers: new Map(), path: null, here: null });
    this.reset();
    const listen = { pointerdown: "down", pointermove: "move", pointerup: "up", pointercancel: "cancel", keydown: "key", wheel: "wheel" };
    for (const [kind, method] of Object.entries(listen))
      (kind === "keydown" ? element : this.canvas).addEventListener(kind, (event) => this[method](event), { passive: false });
    this.canvas.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") on.point(null); });
    this.button("+", () => this.zoomBy(1.5)).ariaLabel = "zoom in";
    this.button("−", () => this.zoomBy(1 / 1.5)).ariaLabel = "zoom out";
    this.button("Whole", () => this.reset());
    this.lassoButton = this.button("Lasso", () => this.lasso(!this.lassoing));
    this.lasso(false);
    if (dimensions === 3) {
      this.turnButton = this.button("Turn", () => this.spin(this.turnButton.ariaPressed !== "true"));
      this.spin(false);
    }
    new ResizeObserver(() => this.resize()).observe(element);
    this.resize();
  }

  button(name, action) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
    button.addEventListener("click", action);
    this.tools.append(button);
    return button;
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (!width || (width === this.width && height === this.height)) return;
    Object.assign(this, { width, height, ratio: window.devicePixelRatio });
    Object.assign(this.canvas, { width: width * this.ratio, height: height * this.ratio });
    this.draw();
  }

  // The points: their ids, and their numbers in a row.
  show(ids, data) {
    Object.assign(this, { ids, data });
    this.draw();
  }

  reset() {
    const [left, bottom, right, top] = this.whole;
    this.lookAt({ x: (left + right) / 2, y: (bottom + top) / 2, zoom: 1 });
  }

  // Changes the view or the angles, and draws at the next frame.
  lookAt(view) {
    this.view = { ...this.view, ...view };
    this.waiting ||= requestAnimationFrame(() => this.draw());
  }

  get scale() {
    const [left, bottom, right, top] = this.whole;
    return this.view.zoom * Math.min(this.width / (right - left), this.height / (top - bottom));
  }

  // Where a place is on the plot, in pixels, and how near to the eye.
  at(place) {
    let [x, y, z] = place;
    if (this.dimensions === 3) {
      const [cos, sin, up, down] = [Math.cos(this.yaw), Math.sin(this.yaw), Math.cos(this.pitch), Math.sin(this.pitch)];
      [x, y, z] = [cos * y - sin * x, up * z - down * (cos * x + sin * y), up * (cos * x + sin * y) + down * z];
    }
    return [this.width / 2 + (x - this.view.x) * this.scale, this.height / 2 - (y - this.view.y) * this.scale, this.dimensions === 3 ? z : 0];
  }

  place(index) {
    const at = this.ids.indexOf(index), n = this.dimensions;
    return at < 0 ? null : this.data.subarray(n * at, n * at + n);
  }

  draw() {
    cancelAnimationFrame(this.waiting);
    this.waiting = 0;
    if (!this.width) return;
    const { context, ids, data, look, ratio, dimensions: n } = this, count = ids.length;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    const xs = (this.xs = new Float32Array(count)), ys = (this.ys = new Float32Array(count)), far = [], near = [];
    for (let i = 0; i < count; i++) {
      xs[i] = NaN; // not there to be pointed at
      if (!look.shown(ids[i])) continue;
      const [x, y, z] = this.at([data[n * i], data[n * i + 1], data[n * i + 2]]);
      if (z < 0) far.push(i, x, y);
      else near.push(i, (xs[i] = x), (ys[i] = y));
    }
    const radius = count > 2000 ? 2.5 : 4, side = 2 * radius + 2, half = side / 2;
    const dots = Array.from({ length: 40 }, (_, label) => { // from there on all come again
      const dot = Object.assign(document.createElement("canvas"), { width: side * ratio, height: side * ratio });
      const brush = dot.getContext("2d");
      brush.scale(ratio, ratio);
      brush.fillStyle = look.color(label);
      const shape = Plot.shape(label), far = 1.3 * radius;
      if (shape === 0) brush.arc(half, half, radius, 0, 2 * Math.PI);
      else if (shape === 1) brush.rect(half - radius, half - radius, 2 * radius, 2 * radius);
      else for (const turn of shape === 2 ? [-1, 1 / 3, 5 / 3] : [-1, 0, 1, 2]) {
        const angle = (turn * Math.PI) / 2;
        brush.lineTo(half + far * Math.cos(angle), half + far * Math.sin(angle));
      }
      brush.fill();
      return dot;
    });
    for (const [points, alpha] of [[far, 0.18], [near, 0.8]]) {
      for (let i = 0; i < points.length; i += 3) {
        const id = ids[points[i]];
        context.globalAlpha = look.faint(id) ? 0.1 : alpha;
        context.drawImage(dots[look.class(id) % 40], points[i + 1] - half, points[i + 2] - half, side, side);
      }
    }
    context.globalAlpha = 1;
    context.strokeStyle = look.ink();
    context.beginPath();
    for (let i = 0; i < near.length; i += 3) {
      if (!look.ring(ids[near[i]])) continue;
      context.moveTo(near[i + 1] + 6, near[i + 2]);
      context.arc(near[i + 1], near[i + 2], 6, 0, 2 * Math.PI);
    }
    context.stroke();
    this.on.drawn(this);
    this.decorate();
  }

  decorate() {
    this.svg.replaceChildren();
    this.on.decorate(this);
    if (this.path) this.add("polygon", { points: this.path.join(" "), class: "lasso" });
  }

  add(kind, attributes, text = "") {
    const element = document.createElementNS("http://www.w3.org/2000/svg", kind);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.textContent = text;
    this.svg.append(element);
    return element;
  }

  // The point that is nearest to a place on the plot, or null.
  nearest(x, y, reach) {
    let best = reach ** 2, nearest = null;
    for (let i = 0; i < this.ids.length; i++) {
      const away = (this.xs[i] - x) ** 2 + (this.ys[i] - y) ** 2;
      if (away < best) [best, nearest] = [away, this.ids[i]];
    }
    return nearest;
  }

  inside(path) {
    return Array.from(this.ids).filter((_, i) => {
      const x = this.xs[i], y = this.ys[i];
      let within = false;
      path.forEach(([x1, y1], place) => {
        const [x2, y2] = path.at(place - 1);
        if (y1 > y !== y2 > y && x < x1 + ((y - y1) * (x2 - x1)) / (y2 - y1)) within = !within;
      });
      return within;
    });
  }

  inView(i) {
    return this.xs[i] >= 0 && this.xs[i] <= this.width && this.ys[i] >= 0 && this.ys[i] <= this.height;
  }

  zoomBy(factor, x = this.width / 2, y = this.height / 2) {
    const zoom = Math.min(Math.max(this.view.zoom * factor, 0.5), 60), before = this.scale;
    const after = (before * zoom) / this.view.zoom, shift = 1 / before - 1 / after;
    this.lookAt({ zoom, x: this.view.x + (x - this.width / 2) * shift, y: this.view.y - (y - this.height / 2) * shift });
  }

  moveBy(dx, dy) {
    if (this.dimensions === 3) {
      this.yaw -= dx * Plot.TURN;
      this.pitch = Math.min(Math.max(this.pitch + dy * Plot.TURN, -1.5), 1.5);
      this.lookAt({});
    } else this.lookAt({ x: this.view.x - dx / this.scale, y: this.view.y + dy / this.scale });
  }

  // Turns the sphere so that a place faces the eye.
  face([x, y, z]) {
    Object.assign(this, { yaw: Math.atan2(y, x), pitch: Math.asin(Math.min(Math.max(z, -1), 1)) });
    this.lookAt({});
  }

  lasso(on) {
    this.lassoing = on;
    this.lassoButton.ariaPressed = String(on);
    this.element.classList.toggle("lassoing", on);
  }

  spin(on) {
    this.turnButton.ariaPressed = String(on);
    cancelAnimationFrame(this.spinning);
    const turn = () => {
      this.yaw += Plot.TURN;
      this.draw();
      this.spinning = requestAnimationFrame(turn);
    };
    if (on) turn();
  }

  placeOf(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  down(event) {
    if (event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    const at = this.placeOf(event);
    this.pointers.set(event.pointerId, at);
    this.start = this.pointers.size === 1 ? at : null; // two fingers are no tap
    this.path = this.start && (event.shiftKey || this.lassoing) ? [at] : null;
  }

  move(event) {
    const at = this.placeOf(event), before = this.pointers.get(event.pointerId), touch = event.pointerType === "touch";
    if (!before) {
      if (!touch) this.on.point(this.nearest(...at, Plot.MOUSE), event);
      return;
    }
    const others = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    const [dx, dy] = [at[0] - before[0], at[1] - before[1]];
    this.pointers.set(event.pointerId, at);
    if (this.start && Math.hypot(at[0] - this.start[0], at[1] - this.start[1]) > 4) this.start = null;
    if (this.path) {
      this.path.push(at);
      this.decorate();
    } else if (others.length) {
      const apart = ([x, y]) => Math.hypot(x - others[0][0], y - others[0][1]);
      this.zoomBy(apart(at) / Math.max(apart(before), 1), ...others[0]);
      this.moveBy(dx / 2, dy / 2);
    } else if (!this.start && (!touch || this.dimensions === 3)) this.moveBy(dx, dy);
  }

  up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    const path = this.path, touch = event.pointerType === "touch";
    this.path = null;
    if (path?.length > 2) {
      this.on.lasso(this.inside(path));
      if (this.lassoing) this.lasso(false);
    } else if (this.start) {
      const id = this.nearest(...this.placeOf(event), touch ? Plot.FINGER : Plot.MOUSE);
      this.on.choose(id);
      this.on.point(id, event);
    }
    this.decorate();
  }

  cancel(event) {
    this.start = this.path = null;
    this.up(event);
  }

  wheel(event) {
    event.preventDefault();
    this.zoomBy(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)), ...this.placeOf(event));
  }

  key(event) {
    if (event.target !== this.element || event.ctrlKey || event.metaKey || event.altKey) return;
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (way && event.shiftKey) this.moveBy(-40 * way[0], -40 * way[1]);
    else if (way) this.step(way);
    else if (event.key === "Enter" || event.key === " ") this.on.choose(this.here);
    else if (event.key === "+" || event.key === "-") this.zoomBy(event.key === "+" ? 1.5 : 1 / 1.5);
    else if (event.key === "0" || event.key === "Home") this.reset();
    else if (event.key === "Escape") this.on.escape();
    else return;
    event.preventDefault();
  }

  // Points at the next point that way, or at the one in the middle.
  step([right, down]) {
    const from = this.ids.indexOf(this.here), there = from >= 0 && !Number.isNaN(this.xs[from]);
    const [x, y] = there ? [this.xs[from], this.ys[from]] : [this.width / 2, this.height / 2];
    let best = Infinity, next = there ? this.here : this.nearest(x, y, Infinity);
    for (let i = 0; there && i < this.ids.length; i++) {
      const [dx, dy] = [this.xs[i] - x, this.ys[i] - y], along = dx * right + dy * down, across = Math.abs(dx * down) + Math.abs(dy * right);
      if (this.inView(i) && along > 0.5 && across <= along && along + 2 * across < best) [best, next] = [along + 2 * across, this.ids[i]];
    }
    if (next !== null) this.pointAt(next);
  }

  pointAt(id) {
    this.here = id;
    const box = this.canvas.getBoundingClientRect(), [x, y] = this.at(this.place(id));
    this.on.point(id, { clientX: box.left + x, clientY: box.top + y });
  }
};

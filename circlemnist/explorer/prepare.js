// A drawing made into an image as those of the run were made.
window.prepare = (() => {
  const SIDE = 28, CENTER = 14, FINE = 200, MARGIN = 4, STRONG = 0.95, SMALLEST = 20;

  // Strokes, of points [x, y], as ink in 0-1: the longer side of all is FINE pixels, and the pen
  // is as wide as it is to be once that side is `box` pixels, whatever the size of the drawing.
  function ink(strokes, box, pen) {
    const [xs, ys] = [0, 1].map((axis) => strokes.flat().map((point) => point[axis]));
    const [left, top, right, bottom] = [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
    const width = (FINE * pen) / box, side = FINE + 2 * MARGIN;
    const scale = (FINE - width) / Math.max(right - left, bottom - top, SMALLEST);
    const canvas = new OffscreenCanvas(side, side);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.translate(side / 2, side / 2);
    context.scale(scale, scale);
    context.translate(-(left + right) / 2, -(top + bottom) / 2);
    trace(context, strokes, width / scale);
    const pixels = context.getImageData(0, 0, side, side).data;
    return { values: Float32Array.from({ length: side * side }, (_, i) => pixels[4 * i + 3] / 255), width: side };
  }

  function trace(context, strokes, width) {
    context.lineWidth = width;
    context.lineCap = context.lineJoin = "round";
    context.fillStyle = context.strokeStyle;
    for (const stroke of strokes) {
      context.beginPath();
      context.arc(...stroke[0], width / 2, 0, 2 * Math.PI);
      context.fill(); // a line of one point is not drawn
      context.beginPath();
      for (const point of stroke) context.lineTo(...point);
      context.stroke();
    }
  }

  // Strokes as those of each digit, from the left: those of a digit overlap or touch from left to right.
  function digits(strokes, pen) {
    const left = (stroke) => Math.min(...stroke.map(([x]) => x)), parts = [];
    let end = -Infinity;
    for (const stroke of strokes.toSorted((a, b) => left(a) - left(b))) {
      if (left(stroke) <= end + pen) parts.at(-1).push(stroke);
      else parts.push([stroke]);
      end = Math.max(end, ...stroke.map(([x]) => x));
    }
    return parts;
  }

  // Weights that resize a line of pixels: a triangle about each new one's centre, that reaches one
  // pixel of the coarser of both grids to either side.
  function resizing(before, after) {
    const scale = before / after, reach = Math.max(scale, 1);
    return Array.from({ length: after }, (_, place) => {
      const center = (place + 0.5) * scale - 0.5;
      const weights = Array.from({ length: before }, (_, i) => Math.max(0, 1 - Math.abs(i - center) / reach));
      const sum = weights.reduce((total, weight) => total + weight);
      return weights.map((weight) => weight / sum);
    });
  }

  // Rows of numbers, each resized by such weights, turned: what was a row is a column.
  function resized(rows, weights) {
    return weights.map((line) => {
      const first = line.findIndex((weight) => weight > 0), some = line.slice(first).filter((weight) => weight > 0);
      return rows.map((row) => some.reduce((sum, weight, i) => sum + weight * row[first + i], 0));
    });
  }

  function quantile(values, share) {
    const sorted = Float64Array.from(values).sort(), place = share * (sorted.length - 1);
    const low = Math.floor(place), high = Math.ceil(place);
    return sorted[low] + (place - low) * (sorted[high] - sorted[low]);
  }

  // As Python rounds: a half to the even number.
  function round(number) {
    const low = Math.floor(number);
    return number - low === 0.5 ? low + (low & 1) : Math.round(number);
  }

  // The box about the ink is fitted into `box` pixels, and its centre of mass rounded to the middle.
  function placed({ values, width }, box) {
    let [top, left, bottom, right] = [width, width, 0, 0];
    values.forEach((value, place) => {
      if (!value) return;
      const y = Math.floor(place / width), x = place % width;
      [top, left, bottom, right] = [Math.min(top, y), Math.min(left, x), Math.max(bottom, y + 1), Math.max(right, x + 1)];
    });
    const longest = Math.max(bottom - top, right - left);
    const [tall, wide] = [bottom - top, right - left].map((side) => Math.max(1, round((box * side) / longest)));
    const within = [];
    for (let y = top; y < bottom; y++) within.push(values.subarray(y * width + left, y * width + right));
    const small = resized(resized(within, resizing(right - left, wide)), resizing(bottom - top, tall));
    const full = quantile(small.flat().filter((value) => value > 0), STRONG);
    let total = 0, down = 0, across = 0;
    small.forEach((row, y) => row.forEach((value, x) => {
      row[x] = Math.min(value / full, 1);
      total += row[x];
      down += y * row[x];
      across += x * row[x];
    }));
    const image = new Uint8Array(SIDE * SIDE);
    const inside = (center, size) => Math.min(Math.max(round(CENTER - center), 0), SIDE - size);
    const [y0, x0] = [inside(down / total, tall), inside(across / total, wide)];
    small.forEach((row, y) => row.forEach((value, x) => {
      image[(y0 + y) * SIDE + x0 + x] = round(255 * value);
    }));
    return image;
  }

  return { digits, ink, trace, placed };
})();

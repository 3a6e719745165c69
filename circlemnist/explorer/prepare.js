// A drawing made into an image as those of the run were made.
window.prepare = (() => {
  const SIDE = 28, CENTER = 14, FINE = 200, MARGIN = 4, STRONG = 0.95, SMALLEST = 20;

  // Left, top, right and bottom of strokes, with a border.
  function boxOf(strokes, border = 0) {
    const xs = strokes.flat().map(([x]) => x), ys = strokes.flat().map(([, y]) => y);
    return [Math.min(...xs) - border, Math.min(...ys) - border, Math.max(...xs) + border, Math.max(...ys) + border];
  }

  // Strokes, of points [x, y], as ink in 0-1: the longer side of all is FINE pixels, and the pen
  // is as wide as it is to be once that side is `box` pixels, whatever the size of the drawing.
  function ink(strokes, box, pen) {
    const [left, top, right, bottom] = boxOf(strokes);
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

  // Strokes as those of each digit, from the left. Those that touch, or that are above one another, are
  // of one digit, and so are those that all but touch; a short one is of the digit that it is near.
  // These are the rules of pieces.py.
  function digits(strokes, pen) {
    const join = (parts, together) => {
      const boxes = parts.map((part) => boxOf(part, pen / 2)), tall = Math.max(...boxes.map(([, top, , bottom]) => bottom - top));
      const groups = parts.map((part, place) => [place]);
      const merge = (i, j) => {
        const [a, b] = [i, j].map((place) => groups.findIndex((group) => group.includes(place)));
        if (a !== b) groups[Math.min(a, b)].push(...groups.splice(Math.max(a, b), 1)[0]);
      };
      for (let i = 0; i < parts.length; i++)
        for (let j = 0; j < parts.length; j++)
          if (i !== j && together(i, j, boxes, tall, gap(boxes[i], boxes[j]))) merge(i, j);
      return groups.map((group) => group.flatMap((place) => parts[place]));
    };
    const pieces = join(strokes.map((stroke) => [stroke]), (i, j, boxes, tall, { across, down }) =>
      i < j && Math.max(across, down) <= 0 && touch(strokes[i], strokes[j], pen));
    const stacked = join(pieces, (i, j, boxes, tall, { across, down, high }) => {
      const narrow = Math.min(...[i, j].map((place) => boxes[place][2] - boxes[place][0]));
      return -across >= narrow / 2 && (down <= 0.1 * tall || (down <= 0.25 * tall && high <= 1.1 * tall));
    });
    const isBody = ([, top, , bottom], tall) => bottom - top >= 0.5 * tall;
    const whole = join(stacked, (i, j, boxes, tall, { across, down, wide }) => {
      if (!isBody(boxes[j], tall)) return false;
      if (isBody(boxes[i], tall)) return across <= 0.1 * tall && down < 0 && wide <= tall;
      const apart = (place) => Math.hypot(...[gap(boxes[i], boxes[place])].flatMap((space) => [Math.max(space.across, 0), Math.max(space.down, 0)]));
      return boxes.every((box, place) => !isBody(box, tall) || apart(j) <= apart(place));
    });
    return whole.sort((a, b) => boxOf(a)[0] - boxOf(b)[0]);
  }

  // How far boxes are apart, below 0 where they overlap, and how far both reach.
  function gap([left, top, right, bottom], [left2, top2, right2, bottom2]) {
    return { across: Math.max(left, left2) - Math.min(right, right2), down: Math.max(top, top2) - Math.min(bottom, bottom2),
      wide: Math.max(right, right2) - Math.min(left, left2), high: Math.max(bottom, bottom2) - Math.min(top, top2) };
  }

  // Whether the ink of two strokes meets: points of one beside lines of the other.
  function touch(one, other, pen) {
    const near = ([x, y], [x1, y1], [x2, y2]) => {
      const [dx, dy] = [x2 - x1, y2 - y1], length = dx * dx + dy * dy || 1;
      const share = Math.min(Math.max(((x - x1) * dx + (y - y1) * dy) / length, 0), 1);
      return Math.hypot(x - x1 - share * dx, y - y1 - share * dy) <= pen;
    };
    const crosses = ([a, b], [c, d]) => {
      const side = ([x1, y1], [x2, y2], [x, y]) => Math.sign((x2 - x1) * (y - y1) - (y2 - y1) * (x - x1));
      return side(a, b, c) !== side(a, b, d) && side(c, d, a) !== side(c, d, b);
    };
    const lines = (stroke) => stroke.map((point, place) => [point, stroke[place + 1] ?? point]);
    return lines(one).some((a) => lines(other).some((b) =>
      crosses(a, b) || near(a[0], ...b) || near(a[1], ...b) || near(b[0], ...a) || near(b[1], ...a)));
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

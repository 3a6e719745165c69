/* The losses of the pages: their values and gradients, by the similarities s_n and s_p. No DOM.

   A log-sum loss of an anchor is log(1 + sum_j exp(n(s_n^j)) * sum_i exp(p(s_p^i))), Eqs. 1 and 6
   of arXiv 2002.10857. `positive` and `negative` return an exponent and its slope; the weights alpha
   of Circle Loss are constants in the slope. */
"use strict";
const losses = (() => {
  const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
  const sigmoid = (x) => 1 / (1 + Math.exp(-x));
  const clamp = (x, low, high) => Math.min(Math.max(x, low), high);

  function arc(s, m) { // cos(theta + m) of ArcFace, continued so that it falls over all angles
    const theta = Math.acos(clamp(s, 1e-6 - 1, 1 - 1e-6));
    if (theta > Math.PI - m) return [s - m * Math.sin(m), 1];
    return [Math.cos(theta + m), Math.sin(theta + m) / Math.sin(theta)];
  }

  const linear = (s, gamma) => [gamma * s, gamma];
  const LOG_SUM = {
    cosface: { positive: (s, gamma, m) => [-gamma * (s - m), -gamma], negative: linear },
    arcface: {
      positive: (s, gamma, m) => arc(s, m).map((x) => -gamma * x),
      negative: linear,
    },
    circle: {
      positive: (s, gamma, m) => {
        const alpha = Math.max(1 + m - s, 0);
        return [-gamma * alpha * (s - (1 - m)), -gamma * alpha];
      },
      negative: (s, gamma, m) => {
        const alpha = Math.max(s + m, 0);
        return [gamma * alpha * (s - m), gamma * alpha];
      },
    },
  };

  /* One pair of similarities: the loss L, Z (how much of the full pull is left, 0 to 1), the two
     gradients, and the weights alpha, which Circle Loss alone has. */
  function pair(loss, gamma, m, sn, sp) {
    if (loss === "triplet") {
      const L = Math.max(sn - sp + m, 0), Z = L > 0 ? 1 : 0;
      return { L, Z, dsn: Z, dsp: L > 0 ? -1 : 0 };
    }
    const [p, slopeP] = LOG_SUM[loss].positive(sp, gamma, m);
    const [n, slopeN] = LOG_SUM[loss].negative(sn, gamma, m);
    const Z = sigmoid(p + n), result = { L: softplus(p + n), Z, dsn: Z * slopeN, dsp: Z * slopeP };
    if (loss === "circle") Object.assign(result, { alphaN: slopeN / gamma, alphaP: -slopeP / gamma });
    return result;
  }

  /* The points (s_n, s_p) where Z is a half, from left to right. Z falls as s_p rises. */
  function boundary(loss, gamma, m, columns = 1201) {
    const line = [];
    for (let i = 0; i < columns; i++) {
      const sn = -1 + (2 * i) / (columns - 1);
      const more = (sp) => pair(loss, gamma, m, sn, sp).Z >= 0.5;
      let low = -1, high = 1;
      if (!more(low) || more(high)) continue;
      for (let k = 0; k < 30; k++) {
        const middle = (low + high) / 2;
        if (more(middle)) low = middle; else high = middle;
      }
      line.push([sn, low]);
    }
    return line;
  }

  /* The pairs of one anchor: the loss L, and its slopes by each s_p and by each s_n. */
  function anchor(loss, gamma, m, sp, sn) {
    const { positive, negative } = LOG_SUM[loss];
    const [p, n] = [[positive, sp], [negative, sn]].map(([exponent, similarities]) => {
      const values = similarities.map((s) => exponent(s, gamma, m));
      const top = values.reduce((most, [x]) => Math.max(most, x), -Infinity);
      const weights = values.map(([x]) => Math.exp(x - top)), sum = weights.reduce((a, b) => a + b, 0);
      return { logSum: top + Math.log(sum), slopes: values.map(([, slope], k) => (slope * weights[k]) / sum) };
    });
    const x = p.logSum + n.logSum, Z = sigmoid(x);
    return { L: softplus(x), dsp: p.slopes.map((slope) => Z * slope), dsn: n.slopes.map((slope) => Z * slope) };
  }

  /* All pairs of N points by their cosines: the loss (), and G, the gradient by each cosine (N, N),
     row by anchor. The mean over the anchors that have both kinds of pairs; of the triplet loss the
     mean over the triplets that are not 0. */
  function batch(loss, gamma, m, cosines, labels) {
    const N = labels.length, all = [...labels.keys()];
    const G = all.map(() => new Float64Array(N));
    let value = 0, count = 0;
    for (const i of all) {
      const row = cosines[i];
      const positives = all.filter((j) => j !== i && labels[j] === labels[i]);
      const negatives = all.filter((j) => labels[j] !== labels[i]);
      if (!positives.length || !negatives.length) continue;
      if (loss === "triplet") {
        for (const a of positives) for (const b of negatives) {
          const L = row[b] - row[a] + m;
          if (L > 0) { value += L; count++; G[i][a] -= 1; G[i][b] += 1; }
        }
        continue;
      }
      const { L, dsp, dsn } = anchor(loss, gamma, m, positives.map((j) => row[j]), negatives.map((j) => row[j]));
      value += L;
      count++;
      positives.forEach((j, k) => { G[i][j] = dsp[k]; });
      negatives.forEach((j, k) => { G[i][j] = dsn[k]; });
    }
    for (const row of G) for (const j of all) row[j] /= Math.max(count, 1);
    return { value: value / Math.max(count, 1), G };
  }

  /* Points on the unit circle by their angles: the loss, its gradient by each angle, G and cosines. */
  function onCircle(loss, gamma, m, angles, labels) {
    const cosines = angles.map((a) => angles.map((b) => Math.cos(a - b)));
    const { value, G } = batch(loss, gamma, m, cosines, labels);
    const slopes = angles.map((a, i) => angles.reduce(
      (sum, b, j) => sum - (G[i][j] + G[j][i]) * Math.sin(a - b), 0));
    return { value, slopes, G, cosines };
  }

  return { pair, anchor, boundary, onCircle, clamp };
})();

// The network in the page: the layers that pad.py writes, on one image. Channels of rows of
// numbers, as in torch.
window.network = (() => {
  function bytes(base64) {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  }

  function floats(base64) {
    return new Float32Array(bytes(base64).buffer);
  }

  // Numbers of 16 bits, as numpy's float16, in 32: the same bits but for the offset of the exponent.
  function halves(base64) {
    const codes = new Uint16Array(bytes(base64).buffer);
    const bits = new Uint32Array(codes.length), numbers = new Float32Array(bits.buffer);
    for (let i = 0; i < codes.length; i++) {
      bits[i] = ((codes[i] & 0x8000) << 16) | ((codes[i] & 0x7fff) << 13);
      numbers[i] *= 2 ** 112;
    }
    return numbers;
  }

  // With a border of zeros, and two of them behind the end.
  function padded({ data, channels, side }, padding) {
    const wide = side + 2 * padding, result = new Float32Array(channels * wide * wide + 2);
    for (let row = 0; row < channels * side; row++) {
      const line = Math.floor(row / side) * wide + (row % side) + padding;
      result.set(data.subarray(row * side, (row + 1) * side), line * wide + padding);
    }
    return result;
  }

  function convolution(input, { channels, kernel, stride, padding }, take) {
    const wide = input.side + 2 * padding, data = padded(input, padding);
    const side = Math.floor((wide - kernel) / stride) + 1;
    const bias = take(channels), weight = take(channels * input.channels * kernel * kernel);
    const result = new Float32Array(channels * side * side);
    for (let channel = 0, at = 0; channel < channels; channel++) {
      const out = result.subarray(channel * side * side, (channel + 1) * side * side);
      out.fill(bias[channel]);
      for (let line = 0; line < input.channels * kernel; line++, at += kernel) {
        const start = Math.floor(line / kernel) * wide * wide + (line % kernel) * wide;
        // three weights at once take half the time of one; those beyond the kernel are 0
        for (let kx = 0; kx < kernel; kx += 3) {
          const [w0, w1, w2] = [0, 1, 2].map((i) => (kx + i < kernel ? weight[at + kx + i] : 0));
          for (let y = 0, place = 0; y < side; y++) {
            let from = start + kx + y * stride * wide;
            for (let x = 0; x < side; x++, from += stride)
              out[place++] += w0 * data[from] + w1 * data[from + 1] + w2 * data[from + 2];
          }
        }
      }
    }
    return { data: result, channels, side };
  }

  // The largest of each 2 × 2; a last row or column that is left over is dropped.
  function pool({ data, channels, side }) {
    const half = side >> 1, result = new Float32Array(channels * half * half);
    for (let place = 0; place < result.length; place++) {
      const channel = Math.floor(place / half ** 2), y = Math.floor(place / half) % half, x = place % half;
      const i = channel * side * side + 2 * y * side + 2 * x, j = i + side;
      result[place] = Math.max(data[i], data[i + 1], data[j], data[j + 1]);
    }
    return { data: result, channels, side: half };
  }

  function linear({ data }, { size }, take) {
    const bias = take(size), weight = take(size * data.length), result = new Float32Array(size);
    for (let row = 0, at = 0; row < size; row++) {
      let sum = bias[row];
      for (let i = 0; i < data.length; i++) sum += weight[at++] * data[i];
      result[row] = sum;
    }
    return { data: result, channels: size, side: 1 };
  }

  function affine(input, { channels }, take) {
    const scale = take(channels), shift = take(channels), area = input.data.length / channels;
    return { ...input, data: input.data.map((value, place) => scale[Math.floor(place / area)] * value + shift[Math.floor(place / area)]) };
  }

  function relu(input) {
    return { ...input, data: input.data.map((value) => Math.max(value, 0)) };
  }

  function normalise(input, { length }) {
    const norm = Math.max(Math.hypot(...input.data), 1e-12);
    return { ...input, data: input.data.map((value) => (length * value) / norm) };
  }

  const KINDS = { convolution, pool, linear, affine, relu, normalise };

  // How typical features are: the cosine to the nearest of the subspaces of so many classes, each of
  // as many directions, one after the other.
  function typicality(features, subspaces, classes) {
    const size = subspaces.length / classes;
    let best = 0;
    for (let label = 0, at = 0; label < classes; label++) {
      let along = 0;
      for (const end = at + size; at < end; ) {
        let sum = 0;
        for (let i = 0; i < features.length; i++) sum += features[i] * subspaces[at++];
        along += sum * sum;
      }
      best = Math.max(best, along);
    }
    return Math.min(Math.sqrt(best), 1);
  }

  // Returns what embeds an image: 28 × 28 numbers in 0-1 in a row to an embedding of D numbers, and
  // features of unit length: what the first layers, `featuring` of them, give.
  function build({ layers, numbers: base64, featuring }) {
    const numbers = floats(base64);
    return (pixels) => {
      let at = 0, state = { data: pixels, channels: 1, side: Math.sqrt(pixels.length) };
      const take = (count) => numbers.subarray(at, (at += count));
      let features = null;
      layers.forEach((layer, place) => {
        state = KINDS[layer.kind](state, layer, take);
        if (place === featuring - 1) features = normalise(state, { length: 1 }).data;
      });
      return { embedding: state.data, features };
    };
  }

  return { floats, halves, typicality, build };
})();

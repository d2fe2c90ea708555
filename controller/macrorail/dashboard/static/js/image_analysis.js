// Focus peaking and the histogram of a picture.

// Second differences above this, in 8-bit steps, are highlighted as sharp.
const SHARP = 22;
const PEAK = [255, 40, 200];

export function peaking(pixels) {
  const { data, width, height } = pixels;
  const grey = new Uint8ClampedArray(width * height);
  for (let n = 0; n < grey.length; n++) grey[n] = (data[4 * n] * 2 + data[4 * n + 1] * 5 + data[4 * n + 2]) >> 3;
  const painted = new ImageData(new Uint8ClampedArray(data), width, height);
  for (let y = 1; y < height - 1; y++) {
    for (let x = 1; x < width - 1; x++) {
      const n = y * width + x;
      // The second difference detects sharp edges: a soft edge has a slope but little curvature.
      const bend = Math.abs(4 * grey[n] - grey[n - 1] - grey[n + 1] - grey[n - width] - grey[n + width]);
      if (bend > SHARP) painted.data.set(PEAK, 4 * n);
    }
  }
  return painted;
}

export function histogram(canvas, pixels) {
  const counts = [new Float64Array(256), new Float64Array(256), new Float64Array(256)];
  const { data } = pixels;
  let dark = 0, bright = 0;
  for (let n = 0; n < data.length; n += 4) {
    for (let channel = 0; channel < 3; channel++) counts[channel][data[n + channel]]++;
    if (data[n] >= 254 || data[n + 1] >= 254 || data[n + 2] >= 254) bright++;
    else if (data[n] <= 1 && data[n + 1] <= 1 && data[n + 2] <= 1) dark++;
  }
  const paper = canvas.getContext("2d");
  const { width, height } = canvas;
  paper.clearRect(0, 0, width, height);
  paper.globalCompositeOperation = "lighter";
  // The first and last bin count the clipped pixels; they must not set the scale of the others.
  const most = Math.max(...counts.map((channel) => Math.max(...channel.subarray(2, 254))), 1);
  ["#7a2c22", "#1f5c36", "#28477f"].forEach((colour, channel) => {
    paper.fillStyle = colour;
    for (let value = 0; value < 256; value++) {
      const tall = Math.min(1, Math.sqrt(counts[channel][value] / most)) * height;
      paper.fillRect((value * width) / 256, height - tall, width / 256 + 0.5, tall);
    }
  });
  paper.globalCompositeOperation = "source-over";
  return { dark: (dark * 4) / data.length, bright: (bright * 4) / data.length };
}

// What the page's data are packed in: base64 of bytes, and of 16-bit integers that stand for numbers.

const NOTHING = -32768; // stands for NaN
export const UNKNOWN = 255; // a count or a code that no table has

export function bytes(text) {
  const letters = atob(text);
  const found = new Uint8Array(letters.length);
  for (let k = 0; k < letters.length; k++) found[k] = letters.charCodeAt(k);
  return found;
}

// {data, offset, scale} -> Float64Array
export function numbers(packed) {
  const integers = new Int16Array(bytes(packed.data).buffer);
  return Float64Array.from(integers, (k) => (k === NOTHING ? NaN : packed.offset + packed.scale * k));
}

// Number triples -> their three coordinates, each an array of its own.
export function columns(triples) {
  const count = triples.length / 3;
  return [0, 1, 2].map((axis) => Array.from({ length: count }, (_, k) => triples[3 * k + axis]));
}

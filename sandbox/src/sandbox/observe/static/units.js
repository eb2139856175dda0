// Numbers as Grafana writes them: three digits that matter, and a unit.

const TIME = [
  [86400, "d"], [3600, "h"], [60, "min"], [1, "s"], [1e-3, "ms"], [1e-6, "µs"], [1e-9, "ns"],
];
const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const DECIMAL = ["B", "kB", "MB", "GB", "TB", "PB"];
const SHORT = ["", " K", " Mil", " Bil", " Tri"];

function digits(value, decimals) {
  if (decimals !== undefined && decimals !== null) return value.toFixed(decimals);
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 100) return value.toFixed(0);
  const places = size >= 10 ? 1 : size >= 1 ? 2 : Math.min(10, 2 - Math.floor(Math.log10(size)));
  return String(Number(value.toFixed(places)));
}

function scaled(value, base, names, decimals, glue = " ") {
  let step = 0;
  while (Math.abs(value) >= base && step < names.length - 1) {
    value /= base;
    step += 1;
  }
  return `${digits(value, decimals)}${names[step] ? glue + names[step] : ""}`;
}

function seconds(value, decimals) {
  if (value === 0) return "0 s";
  const [size, name] = TIME.find(([size]) => Math.abs(value) >= size) ?? TIME[TIME.length - 1];
  return `${digits(value / size, decimals)} ${name}`;
}

/** Two decimals also near a hundred: 99.99 % is not 100 %. */
function percent(value, decimals) {
  const share = Math.abs(value) >= 1 && decimals === undefined ? Number(value.toFixed(2)) : digits(value, decimals);
  return `${share} %`;
}

function per(word) {
  return (value, decimals) => `${scaled(value, 1000, SHORT, decimals, "")} ${word}/s`;
}

/** Grafana's unit ids. A test holds that every unit of the committed dashboards is here. */
export const UNITS = {
  none: (value, decimals) => digits(value, decimals),
  short: (value, decimals) => scaled(value, 1000, SHORT, decimals, ""),
  percent,
  percentunit: (value, decimals) => percent(value * 100, decimals),
  s: seconds,
  ms: (value, decimals) => seconds(value / 1e3, decimals),
  µs: (value, decimals) => seconds(value / 1e6, decimals),
  ns: (value, decimals) => seconds(value / 1e9, decimals),
  bytes: (value, decimals) => scaled(value, 1024, BINARY, decimals),
  decbytes: (value, decimals) => scaled(value, 1000, DECIMAL, decimals),
  Bps: (value, decimals) => `${scaled(value, 1000, DECIMAL, decimals)}/s`,
  binBps: (value, decimals) => `${scaled(value, 1024, BINARY, decimals)}/s`,
  ops: per("op"),
  reqps: per("req"),
  eps: per("event"),
  rps: per("read"),
  wps: per("write"),
  iops: per("io"),
  cps: per("count"),
  bool: (value) => (value ? "true" : "false"),
  bool_yes_no: (value) => (value ? "yes" : "no"),
  dateTimeAsIso: (value) => new Date(value).toISOString().replace("T", " ").slice(0, 19),
};

/** A number from the server: null is no value, "inf" and "-inf" are infinite. */
export function number(value) {
  if (value === "inf") return Infinity;
  if (value === "-inf") return -Infinity;
  return value;
}

export function format(value, unit = "none", decimals) {
  if (value === null || value === undefined || Number.isNaN(value)) return "no value";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const write = UNITS[unit] ?? ((shown) => `${digits(shown, decimals)} ${unit}`);
  return write(value, decimals).trim().replace("-", "−");
}

/** Round steps for an axis of that unit, at most `count` of them. */
export function ticks(low, high, count, unit) {
  if (!(high > low)) return [low];
  const base = unit === "bytes" || unit === "binBps" ? 2 : 10;
  const rough = (high - low) / count;
  if (unit === "s" && rough > 10) return multiples(low, high, TIME_STEPS.find((step) => step >= rough) ?? 2592000);
  const power = base === 2 ? 2 ** Math.floor(Math.log2(rough)) : 10 ** Math.floor(Math.log10(rough));
  const step = (base === 2 ? [1, 2] : [1, 2, 2.5, 5, 10]).map((each) => each * power).find((each) => each >= rough * 0.999);
  return multiples(low, high, step);
}

function multiples(low, high, step) {
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-6; at += step) found.push(Number(at.toPrecision(12)));
  return found;
}

const TIME_STEPS = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 432000, 604800];

/** Moments on the clock between two unix seconds, at most `count` of them. */
export function timeTicks(start, end, count) {
  const step = TIME_STEPS.find((each) => (end - start) / each <= count) ?? 2592000;
  const shift = new Date(start * 1000).getTimezoneOffset() * 60;
  const found = [];
  for (let at = Math.ceil((start - shift) / step) * step + shift; at <= end; at += step) found.push(at);
  return found;
}

const two = (value) => String(value).padStart(2, "0");

/** The time of day, with seconds or the date where the period needs them. */
export function clock(at, span) {
  const when = new Date(at * 1000);
  const time = `${two(when.getHours())}:${two(when.getMinutes())}`;
  if (span <= 900) return `${time}:${two(when.getSeconds())}`;
  return span > 86400 * 1.5 ? `${two(when.getMonth() + 1)}-${two(when.getDate())} ${time}` : time;
}

export function moment(at) {
  const when = new Date(at * 1000);
  const day = `${when.getFullYear()}-${two(when.getMonth() + 1)}-${two(when.getDate())}`;
  return `${day} ${two(when.getHours())}:${two(when.getMinutes())}:${two(when.getSeconds())}`;
}

// What a value means: thresholds and mappings as Grafana has them, in the page's colours.

const TONES = { green: "good", red: "bad", orange: "warn", yellow: "warn", blue: "info" };

export function tone(name) {
  const word = Object.keys(TONES).find((each) => (name ?? "").includes(each));
  return word ? TONES[word] : "";
}

export function toneColour(name) {
  const found = tone(name);
  return found ? `var(--${found})` : "var(--quiet)";
}

/** The colour name of the highest threshold that the value reaches. */
export function threshold(value, steps = []) {
  const reached = steps.filter((step) => step.value === null || step.value === undefined || value >= step.value);
  return reached.at(-1)?.color ?? "";
}

/** {text, color} for a value that has a mapping, else null. */
export function mapped(value, mappings = []) {
  for (const mapping of mappings) {
    const options = mapping.options ?? {};
    if (mapping.type === "value" && options[String(value)]) return options[String(value)];
    if (mapping.type === "range" && value >= (options.from ?? -Infinity) && value <= (options.to ?? Infinity)) return options.result;
    if (mapping.type === "special" && (value === null || Number.isNaN(value)) && /null|nan|empty/.test(options.match)) return options.result;
  }
  return null;
}

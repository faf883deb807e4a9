/** One measured number with the goal it is held against, if it has one. Ratios compare two measurements of the same run. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  /** Behind the number; "x" for ratios. */
  readonly unit: string;
  readonly goal: { readonly kind: "at-least" | "at-most"; readonly bound: number } | undefined;
}

function reached(figure: Figure): boolean | undefined {
  if (figure.goal === undefined) return undefined;
  return figure.goal.kind === "at-least" ? figure.value >= figure.goal.bound : figure.value <= figure.goal.bound;
}

/** One line: name, value, goal, verdict. */
export function figureLine(figure: Figure): string {
  const value = `${figure.value.toFixed(figure.value < 10 ? 3 : 1)}${figure.unit === "" ? "" : ` ${figure.unit}`}`;
  const goal = figure.goal === undefined ? "" : `goal ${figure.goal.kind === "at-least" ? ">=" : "<="} ${figure.goal.bound}`;
  const verdict = { true: "reached", false: "NOT reached", undefined: "" }[String(reached(figure)) as "true" | "false" | "undefined"];
  return `${figure.name.padEnd(76)} ${value.padStart(14)}   ${goal.padEnd(14)} ${verdict}`.trimEnd();
}

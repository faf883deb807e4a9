/** One measured number with its goal, if any. Ratios compare two measurements of the same run. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  /** After the number; "x" for ratios. */
  readonly unit: string;
  readonly goal: Goal | undefined;
}

type Goal = { readonly kind: "at-least" | "at-most"; readonly bound: number };

export const atMost = (bound: number | undefined): Goal | undefined =>
  bound === undefined ? undefined : { kind: "at-most", bound };

export const atLeast = (bound: number): Goal => ({ kind: "at-least", bound });

/** Undefined without a goal. */
export function isReached({ value, goal }: Figure): boolean | undefined {
  if (goal === undefined) return undefined;
  return goal.kind === "at-least" ? value >= goal.bound : value <= goal.bound;
}

/** One line: name, value, goal, verdict. */
export function figureLine(figure: Figure): string {
  const { goal } = figure;
  const value = `${figure.value.toFixed(figure.value < 10 ? 3 : 1)}${figure.unit === "" ? "" : ` ${figure.unit}`}`;
  const reached = isReached(figure);
  const verdict = reached === undefined ? "" : reached ? "reached" : "NOT reached";
  const bound = goal === undefined ? "" : `goal ${goal.kind === "at-least" ? ">=" : "<="} ${goal.bound}`;
  return `${figure.name.padEnd(78)} ${value.padStart(13)}   ${bound.padEnd(12)} ${verdict}`.trimEnd();
}

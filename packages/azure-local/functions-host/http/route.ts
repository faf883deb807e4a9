import { LocalError } from "../../errors.ts";

/** A parsed route template: all that matching needs. */
export interface Route {
  readonly template: string;
  readonly segments: readonly Segment[];
  /** Equal for templates that answer the same paths. */
  readonly shape: string;
}

type Segment =
  | { readonly kind: "literal"; readonly text: string }
  | {
      readonly kind: "parameter";
      readonly name: string;
      readonly optional: boolean;
      readonly constraints: readonly Constraint[];
    }
  | { readonly kind: "rest"; readonly name: string };

interface Constraint {
  readonly text: string;
  readonly accepts: (value: string) => boolean;
}

/**
 * Parses an HTTP trigger's template: literals, `{x}`, `{x?}`, `{x:constraint}`, `{*rest}`. Other ASP.NET routing
 * (defaults, text beside a parameter in one segment, regular expressions) is `not-supported`.
 */
export function parseRoute(template: string, functionName: string): Route {
  const refuse = (part: string): LocalError =>
    new LocalError(
      "not-supported",
      `Function ${functionName}: the local Functions host does not offer the route part ${part}.`,
      {
        function: functionName,
        route: template,
      },
    );
  const segments = template
    .replaceAll(/^\/+|\/+$/g, "")
    .split("/")
    .filter((part) => part !== "")
    .map((part) => parseSegment(part, refuse));
  segments.forEach((segment, index) => {
    const followed = index < segments.length - 1;
    if (segment.kind === "rest" && followed) throw refuse(`{*${segment.name}} before the end`);
    const next = segments[index + 1];
    if (
      segment.kind === "parameter" &&
      segment.optional &&
      followed &&
      !(next?.kind === "parameter" && next.optional)
    ) {
      throw refuse(`{${segment.name}?} before the end`);
    }
  });
  return { template, segments, shape: segments.map(shapeOf).join("/") };
}

function parseSegment(part: string, refuse: (part: string) => LocalError): Segment {
  if (!/[{}]/.test(part)) return { kind: "literal", text: part };
  const match = /^\{(\*{0,2})([A-Za-z_]\w*)((?::[a-z]+(?:\([^(){}:]*\))?)*)(\??)\}$/i.exec(part);
  const [, stars = "", name = "", constraintText = "", question = ""] = match ?? [];
  if (name === "") throw refuse(part);
  const constraints = constraintText
    .split(":")
    .filter((text) => text !== "")
    .map((text) => parseConstraint(text, () => refuse(part)));
  if (stars === "") return { kind: "parameter", name, optional: question === "?", constraints };
  if (constraints.length > 0 || question !== "") throw refuse(part);
  return { kind: "rest", name };
}

function parseConstraint(text: string, refuse: () => LocalError): Constraint {
  const [, name = "", argumentText] = /^([a-z]+)(?:\((.*)\))?$/i.exec(text) ?? [];
  const numbers = argumentText === undefined ? [] : argumentText.split(",").map(Number);
  const [first = Number.NaN, second = first] = numbers;
  const accepts = CONSTRAINTS[name.toLowerCase()]?.(first, second);
  if (accepts === undefined || numbers.some(Number.isNaN)) throw refuse();
  if (numbers.length !== (ARGUMENT_COUNTS[name.toLowerCase()] ?? numbers.length)) throw refuse();
  return { text, accepts };
}

const INTEGER = /^[+-]?\d+$/;
const whole = (value: string, lowest: bigint, highest: bigint): boolean =>
  INTEGER.test(value) && BigInt(value.replace("+", "")) >= lowest && BigInt(value.replace("+", "")) <= highest;

const CONSTRAINTS: Readonly<Record<string, (first: number, second: number) => (value: string) => boolean>> = {
  int: () => (value) => whole(value, -(2n ** 31n), 2n ** 31n - 1n),
  long: () => (value) => whole(value, -(2n ** 63n), 2n ** 63n - 1n),
  bool: () => (value) => /^(true|false)$/i.test(value),
  alpha: () => (value) => /^[a-z]*$/i.test(value),
  guid: () => (value) => /^\{?[\da-f]{8}-?([\da-f]{4}-?){3}[\da-f]{12}\}?$/i.test(value),
  length: (least, most) => (value) => value.length >= least && value.length <= most,
  minlength: (least) => (value) => value.length >= least,
  maxlength: (most) => (value) => value.length <= most,
  min: (least) => (value) => INTEGER.test(value) && Number(value) >= least,
  max: (most) => (value) => INTEGER.test(value) && Number(value) <= most,
  range: (least, most) => (value) => INTEGER.test(value) && Number(value) >= least && Number(value) <= most,
};

/** `length` takes one number or two, so it is not in the table. */
const ARGUMENT_COUNTS: Readonly<Record<string, number>> = {
  int: 0,
  long: 0,
  bool: 0,
  alpha: 0,
  guid: 0,
  minlength: 1,
  maxlength: 1,
  min: 1,
  max: 1,
  range: 2,
};

function shapeOf(segment: Segment): string {
  switch (segment.kind) {
    case "literal":
      return segment.text.toLowerCase();
    case "parameter":
      return `{${segment.constraints.map((constraint) => constraint.text).join(":")}${segment.optional ? "?" : ""}}`;
    case "rest":
      return "{*}";
  }
}

/**
 * Sorts the more exact route first: fewer parameters, then more literal text, then more constraints; wildcards last.
 * Equal routes keep the order of registration.
 */
export function compareRoutes(left: Route, right: Route): number {
  const [first, second] = [rank(left), rank(right)];
  for (const [index, value] of first.entries()) {
    const difference = value - (second[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function rank(route: Route): readonly number[] {
  const parameters = route.segments.filter((segment) => segment.kind !== "literal");
  const literalLength = route.segments.reduce(
    (sum, segment) => sum + (segment.kind === "literal" ? segment.text.length : 0),
    0,
  );
  const constraints = route.segments.reduce(
    (sum, segment) => sum + (segment.kind === "parameter" ? segment.constraints.length : 0),
    0,
  );
  const wildcards = route.segments.filter((segment) => segment.kind === "rest").length;
  return [wildcards, parameters.length, -literalLength, -constraints];
}

/**
 * The parameters of a path (segments still percent-encoded) under a route, decoded; undefined if the route does not
 * answer it.
 */
export function matchRoute(route: Route, path: readonly string[]): Readonly<Record<string, string>> | undefined {
  const parameters: Record<string, string> = {};
  for (const [index, segment] of route.segments.entries()) {
    const text = decode(path[index]);
    switch (segment.kind) {
      case "literal":
        if (text === undefined || text.toLowerCase() !== segment.text.toLowerCase()) return undefined;
        break;
      case "parameter":
        if (text === undefined) {
          if (segment.optional && index >= path.length) break;
          return undefined;
        }
        if (!segment.constraints.every((constraint) => constraint.accepts(text))) return undefined;
        parameters[segment.name] = text;
        break;
      case "rest": {
        const rest = path.slice(index).map(decode);
        if (rest.includes(undefined)) return undefined;
        parameters[segment.name] = rest.join("/");
        return parameters;
      }
    }
  }
  return path.length <= route.segments.length ? parameters : undefined;
}

function decode(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

import * as fc from "fast-check";

/** A place in a JSON value: keys and indexes from the outside in. */
export type Path = readonly (string | number)[];

/** Raw JSON text in place of a value: text, because some of it no serialiser writes. */
export interface Mutation {
  readonly path: Path;
  readonly raw: string;
}

const MARK = "@@mark@@";
const deep = (open: string, close: string, levels: number): string => open.repeat(levels) + close.repeat(levels);

const ODD_NUMBERS: readonly string[] = [
  "0",
  "-0",
  "-1",
  "0.5",
  "1e-7",
  "1e12",
  "1e21",
  "1e308",
  "1e400",
  "-1e400",
  "9007199254740991",
  "9007199254740993",
  "4294967296",
];

/**
 * What programs get wrong, as raw JSON: huge, negative and odd numbers, names that a prototype has, control characters,
 * half a surrogate, depth, length.
 */
const ODD_VALUES: readonly string[] = [
  "null",
  "true",
  "false",
  "{}",
  "[]",
  "[null]",
  '[""]',
  "[[]]",
  '{"":null}',
  ...ODD_NUMBERS,
  '""',
  '" "',
  '"NaN"',
  '"Infinity"',
  '"0"',
  '"__proto__"',
  '"constructor"',
  '"toString"',
  '"null"',
  '"undefined"',
  '"\\u0000"',
  '"a\\u0000b"',
  '"\\ud800"',
  '"\\r\\nx: y"',
  '"\\u202eabc"',
  '"\\ufeff"',
  '"é"',
  '"e\\u0301"',
  '"😀"',
  '"İ"',
  '"ß"',
  '".."',
  '"../../x"',
  '"%2f"',
  '"a/b"',
  '"a\\\\b"',
  '"\'; --"',
  '"${7*7}"',
  '"<script>"',
  '"9999-12-31T23:59:59+24:00"',
  '"0000-01-01T00:00:00Z"',
  `"${"x".repeat(129)}"`,
  `"${"x".repeat(5000)}"`,
  `"${"é".repeat(20_000)}"`,
  `"${"0".repeat(64)}"`,
  `"${"A".repeat(64)}"`,
  deep("[", "]", 5000),
  `${'{"a":'.repeat(3000)}null${"}".repeat(3000)}`,
  '{"__proto__":{"admin":true}}',
  '{"constructor":{"prototype":{"admin":true}}}',
  '{"toString":null,"valueOf":1}',
  `[${"0,".repeat(9_999)}0]`,
  `[${'"x",'.repeat(999)}"x"]`,
  `[${"{},".repeat(499)}{}]`,
];

/** Names of fields that nobody asked for. */
const EXTRA_FIELDS: readonly string[] = [
  "extra",
  "__proto__",
  "constructor",
  "toString",
  "",
  "é",
  "a.b",
  "x".repeat(3000),
  "\u0000",
  "Disks",
];

/** What stands in a route in place of a name: already decoded, as handlers get it. */
export const ODD_NAMES: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    "",
    " ",
    ".",
    "..",
    "../x",
    "a/b",
    "%2f",
    "%00",
    "\u0000",
    "a\r\nb",
    "__proto__",
    "constructor",
    "toString",
  ),
  fc.constantFrom(
    "UPPER",
    "a--b",
    "-a",
    "a-",
    "x".repeat(37),
    "x".repeat(300),
    "x".repeat(8000),
    "é",
    "😀",
    "\ud800",
    "\u202e",
    "a.b.c",
    "a.b",
  ),
  fc.constantFrom(
    "0".repeat(32),
    `web-1.${"0".repeat(32)}`,
    "web-1.__proto__",
    `${"9".repeat(15)}-00000000`,
    "item.json",
    "leeward-control",
  ),
  fc.string({ unit: "binary", maxLength: 60 }),
);

const oddRaw: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...ODD_VALUES) },
  { weight: 1, arbitrary: fc.json() },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 200 }).map((text) => JSON.stringify(text)) },
  { weight: 1, arbitrary: fc.double({ noNaN: true, noDefaultInfinity: true }).map(String) },
);

/** Something else at one place of the body. */
export const replacements = (body: object): fc.Arbitrary<Mutation> =>
  fc.record({ path: fc.constantFrom(...pathsOf(body)), raw: oddRaw });

/** Every odd number in place of every number: few enough to try them all each time. */
export const numberReplacements = (body: object): readonly Mutation[] =>
  pathsOf(body)
    .filter((path) => typeof valueAt(body, path) === "number")
    .flatMap((path) => ODD_NUMBERS.map((raw) => ({ path, raw })));

/** A field too many in one of its objects. */
export const additions = (body: object): fc.Arbitrary<Mutation> =>
  fc.record({
    path: fc
      .tuple(
        fc.constantFrom(...pathsOf(body).filter((path) => isObject(valueAt(body, path)))),
        fc.constantFrom(...EXTRA_FIELDS),
      )
      .filter(([path, field]) => !Object.hasOwn(toObject(valueAt(body, path)), field))
      .map(([path, field]) => [...path, field]),
    raw: oddRaw,
  });

/** One of its fields, or elements, away. */
export const removals = (body: object): fc.Arbitrary<Path> =>
  fc.constantFrom(...pathsOf(body).filter((path) => path.length > 0));

/** Text that is no JSON, or is cut off or spoilt somewhere. */
export const brokenTexts = (body: object): fc.Arbitrary<string> => {
  const text = JSON.stringify(body);
  return fc
    .oneof(
      fc.constantFrom(
        "",
        " ",
        "{",
        "}",
        "[",
        "nul",
        "NaN",
        "undefined",
        "{]",
        "'{}'",
        "{a:1}",
        '{"a":01}',
        '{"a":1,}',
        "//",
        "\u0000",
      ),
      fc.constantFrom(
        deep("[", "", 20_000),
        "[".repeat(60_000),
        `{"a":"${"x".repeat(300_000)}"}x`,
        "<xml/>",
        "a=b&c=d",
      ),
      fc.nat(text.length - 1).map((at) => text.slice(0, at)),
      fc
        .tuple(fc.nat(text.length), fc.constantFrom("\u0000", "}", ",", '"', "\\", "{"))
        .map(([at, junk]) => text.slice(0, at) + junk + text.slice(at)),
      fc.string({ unit: "binary", maxLength: 200 }),
    )
    .filter((broken) => !isJson(broken));
};

/** The body with bytes in it that no UTF-8 has. */
export const spoiltBytes = (body: object): fc.Arbitrary<Uint8Array> => {
  const right = Buffer.from(JSON.stringify(body));
  const junk = fc.constantFrom([0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xe2, 0x82]);
  return fc
    .record({ at: fc.nat(right.length), junk })
    .map(({ at, junk }) => Buffer.concat([right.subarray(0, at), Buffer.from(junk), right.subarray(at)]));
};

/** Whole bodies of any kind. */
export const anyText: fc.Arbitrary<string> = fc.oneof(oddRaw, fc.json(), fc.string({ unit: "binary" }));

/** Header values as HTTP can carry them: Latin-1 without line ends. */
export const anyHeader: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    "",
    "x",
    "x".repeat(128),
    "x".repeat(129),
    "x".repeat(8000),
    "../..",
    "ÿþ",
    "\t",
    "a,b",
    "null",
    "__proto__",
    "00000000-0000-0000-0000-000000000000",
  ),
  fc
    .array(fc.integer({ min: 0x20, max: 0xff }), { maxLength: 200 })
    .map((codes) => String.fromCharCode(...codes.filter((code) => code !== 0x7f))),
);

/** The body as text with this at the place. */
export function textWith(body: object, { path, raw }: Mutation): string {
  // As a key of its own, so that `__proto__` is one too.
  return JSON.stringify(withValue(body, path, MARK)).replace(JSON.stringify(MARK), () => raw);
}

export function textWithout(body: object, path: Path): string {
  const parent = valueAt(body, path.slice(0, -1));
  const key = path.at(-1);
  const rest = Array.isArray(parent)
    ? parent.filter((_each, at) => at !== key)
    : Object.fromEntries(Object.entries(toObject(parent)).filter(([name]) => name !== key));
  return JSON.stringify(withValue(body, path.slice(0, -1), rest));
}

export function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (found, key) => Object.entries(toObject(found)).find(([name]) => name === String(key))?.[1],
    value,
  );
}

/** What the type of a JSON value is called; numbers that no number can hold have a type of their own. */
export function typeOf(raw: string): string {
  const value: unknown = JSON.parse(raw);
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return typeof value === "number" && !Number.isFinite(value) ? "infinity" : typeof value;
}

function pathsOf(value: unknown): readonly Path[] {
  return [[], ...(isObject(value) || Array.isArray(value) ? below(value) : [])];
}

function below(value: unknown): readonly Path[] {
  const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(toObject(value));
  return entries.flatMap(([key, inner]) => pathsOf(inner).map((path) => [key, ...path]));
}

function withValue(value: unknown, path: Path, given: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return given;
  if (Array.isArray(value)) return value.map((each: unknown, at) => (at === key ? withValue(each, rest, given) : each));
  const entries = Object.entries(toObject(value));
  const known = entries.some(([name]) => name === key);
  const next = entries.map(([name, each]) => [name, name === key ? withValue(each, rest, given) : each]);
  return Object.fromEntries(known ? next : [...next, [String(key), given]]);
}

const isObject = (value: unknown): boolean => typeof value === "object" && value !== null && !Array.isArray(value);
const toObject = (value: unknown): object => (typeof value === "object" && value !== null ? value : {});

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/**
 * Reads the JSON of resources. A part that is missing, or not of the expected kind, reads as undefined or empty: Azure
 * omits what has no value.
 */
export function partOf(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((inner, name) => (isObject(inner) ? inner[name] : undefined), value);
}

export function textOf(value: unknown, ...path: readonly string[]): string | undefined {
  const part = partOf(value, ...path);
  return typeof part === "string" && part !== "" ? part : undefined;
}

export function numberOf(value: unknown, ...path: readonly string[]): number | undefined {
  const part = partOf(value, ...path);
  return typeof part === "number" ? part : undefined;
}

/** Azure omits flags that are false. */
export function flagOf(value: unknown, ...path: readonly string[]): boolean {
  return partOf(value, ...path) === true;
}

export function listOf(value: unknown, ...path: readonly string[]): readonly unknown[] {
  const part = partOf(value, ...path);
  return Array.isArray(part) ? part : [];
}

export function textsOf(value: unknown, ...path: readonly string[]): readonly string[] {
  return listOf(value, ...path).filter((part) => typeof part === "string");
}

export function tagsOf(resource: unknown): Readonly<Record<string, string>> {
  const tags = partOf(resource, "tags");
  const texts = isObject(tags) ? Object.entries(tags) : [];
  return Object.fromEntries(texts.filter((tag): tag is [string, string] => typeof tag[1] === "string"));
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

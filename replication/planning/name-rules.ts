import { createHash } from "node:crypto";

/** The characters that most names in a resource group allow. */
const IN_GROUP = {
  characters: /^[A-Za-z0-9_.-]$/,
  first: /^[A-Za-z0-9]$/,
  last: /^[A-Za-z0-9_]$/,
  scope: "resource-group",
} as const;

/**
 * Azure's naming rules (Microsoft Learn, "Naming rules and restrictions for Azure resources"), as far as plans make
 * names. All are compared without regard to case. Disks: the page lists letters, digits, underscores and hyphens; the
 * service takes periods too, and so do source names. Virtual machines: 15 characters and the ban on underscores bind
 * host names only; a machine made from attached disks keeps the host name that is on its disk, and the name of the
 * resource may have 64.
 */
export const NAME_RULES = {
  "resource-group": {
    min: 1,
    max: 90,
    characters: /^[A-Za-z0-9_.()-]$/,
    first: /^[A-Za-z0-9_.()-]$/,
    last: /^[A-Za-z0-9_()-]$/,
    scope: "subscription",
  },
  "virtual-network": { ...IN_GROUP, min: 2, max: 64 },
  "network-interface": { ...IN_GROUP, min: 1, max: 80 },
  "availability-set": { ...IN_GROUP, min: 1, max: 80 },
  disk: { ...IN_GROUP, min: 1, max: 80 },
  "virtual-machine": { ...IN_GROUP, min: 1, max: 64 },
  "storage-account": {
    min: 3,
    max: 24,
    characters: /^[a-z0-9]$/,
    first: /^[a-z0-9]$/,
    last: /^[a-z0-9]$/,
    scope: "world",
  },
} as const;

export type NameKind = keyof typeof NAME_RULES;

/** Hex digits of the hash in a shortened name. */
const HASH_DIGITS = 8;

/** What is wrong with a name; undefined when Azure accepts it. */
export function nameFault(kind: NameKind, name: string): string | undefined {
  const rule = NAME_RULES[kind];
  const letters = name.split("");
  if (letters.length < rule.min || letters.length > rule.max)
    return `a ${kind} name has ${rule.min} to ${rule.max} characters`;
  const wrong = letters.find((letter) => !rule.characters.test(letter));
  if (wrong !== undefined) return `"${wrong}" is not allowed in a ${kind} name`;
  if (!rule.first.test(letters[0] ?? "")) return `a ${kind} name cannot begin with "${letters[0] ?? ""}"`;
  if (!rule.last.test(letters.at(-1) ?? "")) return `a ${kind} name cannot end with "${letters.at(-1) ?? ""}"`;
  return undefined;
}

/**
 * `base` followed by `suffix` where that is a legal name. Otherwise the base is cut and cleaned, and a hash of `key`
 * goes between: the same key always gives the same name, and two keys differ but for a chance of one in 4 billion.
 * `key` names the source resource in full.
 */
export function fittedName(kind: NameKind, base: string, suffix: string, key: string): string {
  const plain = `${base}${suffix}`;
  return nameFault(kind, plain) === undefined ? plain : hashedName(kind, base, suffix, key);
}

/**
 * Like `fittedName`, always with the hash: for names that must be globally unique, and for those whose plain form is
 * taken.
 */
export function hashedName(kind: NameKind, base: string, suffix: string, key: string): string {
  const rule = NAME_RULES[kind];
  const clean = (kind === "storage-account" ? base.toLowerCase() : base)
    .split("")
    .filter((letter) => rule.characters.test(letter))
    .join("");
  const separator = rule.characters.test("-") ? "-" : "";
  const hash = createHash("sha256")
    .update(`leeward-name-1\n${kind}\n${suffix}\n${key.toLowerCase()}`, "utf8")
    .digest("hex")
    .slice(0, HASH_DIGITS);
  const room = rule.max - suffix.length - HASH_DIGITS - separator.length;
  const cut = clean
    .slice(0, Math.max(0, room))
    .replace(/^[^A-Za-z0-9]+/, "")
    .replace(/[^A-Za-z0-9]+$/, "");
  return `${cut === "" ? "" : `${cut}${separator}`}${hash}${suffix}`;
}

/** Azure compares names, ids and regions without regard to case. */
export function sameName(left: string, right: string): boolean {
  return left.toLowerCase() === right.toLowerCase();
}

/** Regions by their short name: "West Europe" is westeurope. */
export function regionName(region: string): string {
  return region.toLowerCase().replaceAll(" ", "");
}

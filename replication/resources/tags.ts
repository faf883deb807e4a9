import { AZURE_TAGS_MAX_COUNT } from "../limits.ts";
import { tagsOf } from "./json.ts";
import type { ResourceJson } from "./resource-manager.ts";

/** The item that something is made for. */
export interface Owner {
  readonly itemId: string;
  readonly jobId: string;
}

/** The tags of what Leeward made. They distinguish "found, and ours" from "existed before". */
const ITEM_TAG = "leeward-item";
const JOB_TAG = "leeward-job";
export const PURPOSE_TAG = "leeward-purpose";

/** Tag names with these prefixes belong to Azure ("Use tags to organize your Azure resources"). */
const RESERVED = /^(microsoft|azure|windows)/i;

/** The source's tags with ours. If the source has as many as Azure allows, its last ones by name are dropped. */
export function tagsFor(
  { itemId, jobId }: Owner,
  source: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const own = { [ITEM_TAG]: itemId, [JOB_TAG]: jobId };
  const kept = Object.entries(source)
    .filter(([name]) => !RESERVED.test(name) && !(name.toLowerCase() in own))
    .toSorted(([left], [right]) => (left < right ? -1 : 1))
    .slice(0, AZURE_TAGS_MAX_COUNT - Object.keys(own).length);
  return { ...Object.fromEntries(kept), ...own };
}

/**
 * The item for which Leeward made the resource; undefined for what is not Leeward's. Azure compares tag names
 * case-insensitively.
 */
export function itemOf(resource: ResourceJson): string | undefined {
  return tagOf(resource, ITEM_TAG);
}

export function tagOf(resource: ResourceJson, wanted: string): string | undefined {
  return Object.entries(tagsOf(resource)).find(([name]) => name.toLowerCase() === wanted)?.[1];
}

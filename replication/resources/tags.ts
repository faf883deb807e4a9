import { AZURE_TAGS_MAX_COUNT } from "../limits.ts";
import type { ResourceJson } from "./resource-manager.ts";
import { tagsOf } from "./json.ts";

/** For whom something is made. */
export interface Owner {
  readonly itemId: string;
  readonly jobId: string;
}

/** The marks of what Leeward made. They tell "found, and ours" from "was there before". */
const ITEM_TAG = "leeward-item";
const JOB_TAG = "leeward-job";
export const PURPOSE_TAG = "leeward-purpose";

/** Tag names that begin so belong to Azure ("Use tags to organize your Azure resources"). */
const RESERVED = /^(microsoft|azure|windows)/i;

/** The source's tags with ours. Of a source that has as many as Azure takes, the last ones by name give way. */
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
 * The item for which Leeward made the resource; undefined for what is not Leeward's. Azure compares names of tags
 * without regard to case.
 */
export function itemOf(resource: ResourceJson): string | undefined {
  return tagOf(resource, ITEM_TAG);
}

export function tagOf(resource: ResourceJson, wanted: string): string | undefined {
  return Object.entries(tagsOf(resource)).find(([name]) => name.toLowerCase() === wanted)?.[1];
}

import type { ArmRequest, Answer } from "./answer.ts";
import { invalidParameter, notSupported } from "./arm-error.ts";
import type { JsonObject } from "./json.ts";
import type { ResourceRecord } from "./resource-type.ts";

/**
 * One page of a listing ordered by key, with `nextLink` when there are more. `read` returns at most `limit` after a
 * key.
 */
export function pageOf(
  read: (afterKey: string, limit: number) => readonly ResourceRecord[],
  request: ArmRequest,
  options: { readonly url: string; readonly pageCount: number },
  show: (record: ResourceRecord) => JsonObject,
): Answer {
  for (const name of ["$filter", "statusOnly"]) {
    if (request.query.has(name)) throw notSupported(`${name} in listings of resources`);
  }
  const top = request.query.get("$top");
  const wanted = top === null ? options.pageCount : Number(top);
  if (!Number.isInteger(wanted) || wanted < 1) throw invalidParameter(`The value '${top}' of $top is not valid.`);
  const count = Math.min(wanted, options.pageCount);
  const found = read(request.query.get("$skiptoken") ?? "", count + 1);
  const page = found.slice(0, count);
  const last = page.at(-1);
  const value = page.map(show);
  if (last === undefined || found.length === page.length) return { status: 200, headers: {}, body: { value } };
  const query = new URLSearchParams(request.query);
  query.set("$skiptoken", last.key);
  return {
    status: 200,
    headers: {},
    body: { value, nextLink: `${options.url}${encodeURI(request.path)}?${query.toString()}` },
  };
}

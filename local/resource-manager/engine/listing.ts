import { invalidParameter, notSupported } from "./arm-error.ts";
import type { ArmRequest, Answer } from "./answer.ts";
import type { JsonObject } from "./json.ts";
import type { ResourceRecord } from "./resource-type.ts";

/** One page of the records, which come in the order of their keys, with `nextLink` when there are more. */
export function pageOf(
  records: readonly ResourceRecord[],
  request: ArmRequest,
  options: { readonly url: string; readonly pageCount: number },
  show: (record: ResourceRecord) => JsonObject,
): Answer {
  if (request.query.has("$filter")) throw notSupported("$filter in listings of resources");
  const after = request.query.get("$skiptoken") ?? "";
  const top = request.query.get("$top");
  const wanted = top === null ? options.pageCount : Number(top);
  if (!Number.isInteger(wanted) || wanted < 1) throw invalidParameter(`The value '${top}' of $top is not valid.`);
  const rest = records.filter((record) => record.key > after);
  const page = rest.slice(0, Math.min(wanted, options.pageCount));
  const last = page.at(-1);
  const value = page.map(show);
  if (last === undefined || rest.length === page.length) return { status: 200, headers: {}, body: { value } };
  const query = new URLSearchParams(request.query);
  query.set("$skiptoken", last.key);
  return { status: 200, headers: {}, body: { value, nextLink: `${options.url}${encodeURI(request.path)}?${query.toString()}` } };
}

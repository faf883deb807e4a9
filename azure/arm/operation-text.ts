import { LeewardError } from "../../replication/errors.ts";
import { isObject, textOf } from "../../replication/resources/json.ts";
import type { ResourceAction } from "../../replication/resources/resource-manager.ts";

/** A change that Azure has accepted, and where to poll it. */
export interface Operation {
  readonly change: "put" | "patch" | "remove" | ResourceAction;
  /** Id of the resource. */
  readonly id: string;
  /** `Azure-AsyncOperation`: answers 200 with a state. Polled first. */
  readonly statusUrl: string | undefined;
  /** `Location`: 202 while it runs, then the result. */
  readonly resultUrl: string | undefined;
}

const VERSION = 1;

/** Real addresses have 3.3 to 3.5 kB each, so the text has up to 8. */
export function formatOperation({ change, id, statusUrl, resultUrl }: Operation): string {
  return JSON.stringify({ version: VERSION, change, id, statusUrl, resultUrl });
}

/** Errors: `internal` for a text that `formatOperation` did not make. */
export function parseOperation(text: string): Operation {
  const value = parsedJson(text);
  const [change, id] = [changeOf(textOf(value, "change")), textOf(value, "id")];
  if (!isObject(value) || value["version"] !== VERSION || change === undefined || id === undefined) {
    throw new LeewardError("internal", "This is no operation of Resource Manager.");
  }
  return { change, id, statusUrl: textOf(value, "statusUrl"), resultUrl: textOf(value, "resultUrl") };
}

/** Whether a change ends with its own answer, or with a state of the resource. */
export const ENDS: Readonly<Record<Operation["change"], "resource" | "gone" | "answer">> = {
  put: "resource",
  patch: "resource",
  remove: "gone",
  start: "resource",
  powerOff: "resource",
  deallocate: "resource",
  endGetAccess: "resource",
  beginGetAccess: "answer",
  listKeys: "answer",
};

function changeOf(text: string | undefined): Operation["change"] | undefined {
  return (Object.keys(ENDS) as Operation["change"][]).find((change) => change === text);
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

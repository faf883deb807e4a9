import type { InstanceRow, Payload } from "../stores/store.ts";

/** The description of one instance. Times have no milliseconds, as on Azure. */
export function describeStatus(row: InstanceRow, payload: Payload, showInput: boolean): Record<string, unknown> {
  return {
    name: row.name,
    instanceId: row.id,
    runtimeStatus: row.status,
    input: showInput ? parseOrText(payload.input) : null,
    customStatus: parseOrText(row.customStatus),
    output: parseOrText(payload.output),
    createdTime: wholeSeconds(row.createdMs),
    lastUpdatedTime: wholeSeconds(row.updatedMs),
  };
}

/** The parsed JSON; the text itself if it is none. */
export function parseOrText(text: string | null): unknown {
  if (text === null) return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const wholeSeconds = (timeMs: number): string => new Date(timeMs).toISOString().replace(/\.\d+Z$/, "Z");

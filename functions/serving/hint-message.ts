import * as z from "zod";
import { LeewardError } from "../../replication/errors.ts";
import { HINTS_PER_MESSAGE_MAX_COUNT } from "../../replication/limits.ts";
import { isItemId, itemOfCacheContainer } from "../../replication/names.ts";

/** What a message says about one item. */
export interface Hint {
  readonly itemId: string;
  /** The hint was put off once already. */
  readonly again: boolean;
}

/**
 * The items that a message of the hints queue names, each once. The form depends on the sender and on the host: Event
 * Grid's events or our own follow-up, one or an array, an object or its text, plain or base64. Events of other kinds,
 * and of containers that are no item's cache, name none. Errors: `invalid-request` for anything else, so that the host
 * moves the message to the poison queue for inspection.
 */
export function hintsOf(entry: unknown): readonly Hint[] {
  const value = typeof entry === "string" ? parseText(entry) : entry;
  const parts: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (parts.length > HINTS_PER_MESSAGE_MAX_COUNT) throw unreadable(`it has ${parts.length} parts`);
  const hints = new Map<string, Hint>();
  for (const hint of parts.flatMap(hintsOfPart)) {
    const known = hints.get(hint.itemId);
    hints.set(hint.itemId, { ...hint, again: hint.again && known?.again !== false });
  }
  return [...hints.values()];
}

/** The restore that a message of the restores queue names. Errors: `invalid-request`. */
export function restoreOfMessage(entry: unknown): { readonly itemId: string; readonly restoreId: string } {
  return parseMessage(entry, restoreSchema, "it names no restore");
}

/** A message parsed by the schema, whatever form the host gives it. Errors: `invalid-request` with `fault`. */
export function parseMessage<Message>(entry: unknown, schema: z.ZodType<Message>, fault: string): Message {
  const parsed = schema.safeParse(typeof entry === "string" ? parseText(entry) : entry);
  if (!parsed.success) throw unreadable(fault);
  return parsed.data;
}

const itemId = z.string().refine(isItemId);
const hintSchema = z.object({ kind: z.literal("hint"), itemId, again: z.literal(true).optional() });
const restoreSchema = z.object({ kind: z.literal("restore"), itemId, restoreId: z.string().min(1) });

/** Event Grid's own schema says `eventType`, the CloudEvents schema `type`. */
const eventSchema = z.union([
  z
    .object({ eventType: z.string(), subject: z.string() })
    .transform(({ eventType, subject }) => ({ type: eventType, subject })),
  z.object({ type: z.string(), subject: z.string() }),
]);

function hintsOfPart(part: unknown): readonly Hint[] {
  const hint = hintSchema.safeParse(part);
  if (hint.success) return [{ itemId: hint.data.itemId, again: hint.data.again === true }];
  const event = eventSchema.safeParse(part);
  if (!event.success) throw unreadable("it is neither an event nor a hint");
  if (event.data.type !== "Microsoft.Storage.BlobCreated") return [];
  const container = /^\/blobServices\/default\/containers\/([^/]+)\/blobs\//.exec(event.data.subject)?.[1];
  if (container === undefined) throw unreadable("its subject names no blob");
  const item = itemOfCacheContainer(container);
  return item === undefined ? [] : [{ itemId: item, again: false }];
}

function parseText(text: string): unknown {
  for (const candidate of [text, Buffer.from(text, "base64").toString("utf8")]) {
    try {
      return JSON.parse(candidate);
    } catch {
      // Not JSON in this encoding; the next one is tried.
    }
  }
  throw unreadable("it is not JSON, plain or in base64");
}

function unreadable(reason: string): LeewardError {
  return new LeewardError(
    "invalid-request",
    `The queue message cannot be read: ${reason}.`,
    {},
    {
      hint: "It goes to the poison queue. See which sender wrote it there; the sweep finds every delta without it.",
    },
  );
}

import { createHmac } from "node:crypto";
import { TICKET_DIGITS } from "../limits.ts";
import { isItemId, SERVICE_KEY_RECORD } from "../names.ts";
import type { Ids, RecordStore } from "../ports.ts";
import { recordAt } from "../records/record.ts";
import { sameDigits } from "./tokens.ts";

/**
 * The part before the dot of every token that the routes of mobility services accept: derived from the item's name with
 * a key of this installation. It proves only that the caller was once given a token of this item, so that strangers are
 * refused before anything is read from storage, and no answer reveals whether an item of that name exists.
 */
export interface Tickets {
  /** `{ticket}.{secret}`. */
  issue(itemId: string, secret: string): Promise<string>;
  of(itemId: string): Promise<string>;
  /** The part after the dot; undefined when this is no token of the item, or no item can have this name. */
  secretOf(itemId: string, token: string): Promise<string | undefined>;
}

/** `service-key.json` in the control container: made once, never changed. */
interface ServiceKey {
  readonly version: 1;
  /** Hex digits. */
  readonly key: string;
}

/** Reads the key once, at its first use. Errors of each method: `record-corrupt`, and those of the port. */
export function openTickets(control: RecordStore, ids: Ids): Tickets {
  let reading: Promise<string> | undefined;
  const key = (): Promise<string> => {
    reading ??= readOrMake(control, ids).catch((error: unknown) => {
      reading = undefined;
      throw error;
    });
    return reading;
  };
  const ticketOf = async (itemId: string): Promise<string> =>
    createHmac("sha256", await key())
      .update(`leeward-ticket-1\n${itemId}`, "utf8")
      .digest("hex")
      .slice(0, TICKET_DIGITS);
  return {
    of: ticketOf,
    issue: async (itemId, secret) => `${await ticketOf(itemId)}.${secret}`,
    secretOf: async (itemId, token) => {
      if (!isItemId(itemId) || token[TICKET_DIGITS] !== ".") return undefined;
      return sameDigits(token.slice(0, TICKET_DIGITS), await ticketOf(itemId))
        ? token.slice(TICKET_DIGITS + 1)
        : undefined;
    },
  };
}

async function readOrMake(control: RecordStore, ids: Ids): Promise<string> {
  const record = recordAt<ServiceKey>(control, { name: SERVICE_KEY_RECORD, version: 1 });
  const { key } = await record.upsert((found) => found ?? { version: 1, key: `${ids.next()}${ids.next()}` });
  return key;
}

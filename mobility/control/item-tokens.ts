import { createHash } from "node:crypto";
import { dirname } from "node:path";
import { TICKET_DIGITS } from "../../replication/limits.ts";
import { replaceFileDurably, syncFolder } from "../system/durable-file.ts";
import { isMissing, type Files } from "../system/files.ts";

/**
 * The token with which this service speaks for its item and, during an exchange, its successor. Both are files that
 * only their owner can read; neither is ever logged. Whenever the service is killed, one of the two files holds the
 * token that the control plane accepts.
 */
export interface ItemTokens {
  /** The one to use now. */
  readonly current: () => string;
  /** What goes into the header: the token, preceded by the ticket from the registration if there was one. */
  readonly credential: () => string;
  /** Keeps the ticket, durably. */
  keepTicket(ticket: string): void;
  /** SHA-256 of the successor that is not used yet. */
  nextHash(): string | undefined;
  /** Makes the successor, durably; false when there is one already. */
  propose(): boolean;
  /** The control plane knows the successor: it is used from now on. False when it is already in use. */
  accepted(): boolean;
  /** The token in use was accepted: the previous one, if any, is dropped. True when there was one. */
  taken(): boolean;
  /** The token in use was refused. True when there is another one to try. */
  refused(): boolean;
}

const TOKEN_DIGITS = 64;

/** `random` returns that many unguessable bytes. */
export function openItemTokens(files: Files, random: (count: number) => Buffer, path: string): ItemTokens {
  const nextPath = `${path}-next`;
  const ticketPath = `${path}-ticket`;
  let kept = readDigits(files, path, TOKEN_DIGITS) ?? newToken(files, random, path);
  let next = readDigits(files, nextPath, TOKEN_DIGITS);
  let ticket = readDigits(files, ticketPath, TICKET_DIGITS);
  let usesNext = false;
  const current = (): string => (usesNext && next !== undefined ? next : kept);
  return {
    current,
    credential: () => (ticket === undefined ? current() : `${ticket}.${current()}`),
    keepTicket: (given) => {
      if (given === ticket) return;
      replaceFileDurably(files, ticketPath, Buffer.from(given), 0o600);
      ticket = given;
    },
    nextHash: () => (usesNext || next === undefined ? undefined : hash(next)),
    propose: () => {
      if (next !== undefined) return false;
      next = newToken(files, random, nextPath);
      return true;
    },
    accepted: () => {
      if (usesNext || next === undefined) return false;
      usesNext = true;
      return true;
    },
    taken: () => {
      if (!usesNext || next === undefined) return false;
      files.rename(nextPath, path);
      syncFolder(files, dirname(path));
      kept = next;
      next = undefined;
      usesNext = false;
      return true;
    },
    refused: () => {
      // After a kill in the middle of an exchange it is unknown which of the two counts: try the other one once.
      usesNext = !usesNext && next !== undefined;
      return usesNext;
    },
  };
}

function newToken(files: Files, random: (count: number) => Buffer, path: string): string {
  const token = random(TOKEN_DIGITS / 2).toString("hex");
  replaceFileDurably(files, path, Buffer.from(token), 0o600);
  return token;
}

/** Hex digits; anything else in the file counts as none. */
function readDigits(files: Files, path: string, digits: number): string | undefined {
  try {
    const text = files.readFile(path).toString("utf8").trim();
    return text.length === digits && /^[0-9a-f]*$/.test(text) ? text : undefined;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function hash(token: string): string {
  return createHash("sha256").update(token, "utf8").digest("hex");
}

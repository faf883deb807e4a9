import { createHash } from "node:crypto";
import { dirname } from "node:path";
import { replaceFileDurably, syncFolder } from "../durable-file.ts";
import { isMissing } from "../files.ts";
import type { Files } from "../files.ts";

/**
 * The token with which this service speaks for its item, and during an exchange the one that follows it. Both are files that only their owner can read;
 * neither is ever logged. Whatever moment the service is killed at, one of the two files holds the token that the control plane takes.
 */
export interface ItemTokens {
  /** The one to use now. */
  readonly current: () => string;
  /** SHA-256 of the token that is to follow and is not used yet. */
  nextHash(): string | undefined;
  /** Makes the token that is to follow, durably; false when there is one already. */
  propose(): boolean;
  /** The control plane knows the token that is to follow: it is used from now on. False when it is in use already. */
  accepted(): boolean;
  /** The token in use was taken: the one before it, if any, is over. True when there was one. */
  taken(): boolean;
  /** The token in use was refused. True when there is another one to try. */
  refused(): boolean;
}

/** `random` gives that many bytes that nobody can guess. */
export function openItemTokens(files: Files, random: (count: number) => Buffer, path: string): ItemTokens {
  const nextPath = `${path}-next`;
  let kept = readToken(files, path) ?? newToken(files, random, path);
  let next = readToken(files, nextPath);
  let usesNext = false;
  return {
    current: () => (usesNext && next !== undefined ? next : kept),
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
      // Which of the two counts is not known after a kill in the middle of an exchange: the other one is tried once.
      usesNext = !usesNext && next !== undefined;
      return usesNext;
    },
  };
}

function newToken(files: Files, random: (count: number) => Buffer, path: string): string {
  const token = random(32).toString("hex");
  replaceFileDurably(files, path, Buffer.from(token), 0o600);
  return token;
}

function readToken(files: Files, path: string): string | undefined {
  try {
    const text = files.readFile(path).toString("utf8").trim();
    return /^[0-9a-f]{64}$/.test(text) ? text : undefined;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function hash(token: string): string {
  return createHash("sha256").update(token, "utf8").digest("hex");
}

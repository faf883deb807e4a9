import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";

/** A message a function is working on, with what it takes to give it back. */
interface MessageInWork {
  /** The queue's address. */
  readonly queue: string;
  readonly messageId: string;
  readonly popReceipt: string;
}

/**
 * The messages in work. On Azure the host outlives a dead worker, fails its invocations and makes their messages
 * visible again. Here both are one process: a file lists its messages, and the process that replaces it gives them
 * back.
 */
export interface InWork {
  /** Begun, or kept invisible under a new receipt. */
  put(message: MessageInWork): void;
  remove(messageId: string): void;
  /** What the previous process had in work when its worker died. */
  left(queue: string): readonly MessageInWork[];
}

/** Without a folder for the host's state no process replaces one that died. */
export const NOT_KEPT: InWork = { put: () => {}, remove: () => {}, left: () => [] };

/**
 * `afterDeath` false: the previous process was killed as a whole instance is, and its messages stay invisible, as on
 * Azure.
 */
export function openInWork(file: string, afterDeath: boolean): InWork {
  const messages = new Map<string, MessageInWork>();
  let found: readonly MessageInWork[] | undefined;
  const write = (): void => {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(`${file}.new`, JSON.stringify([...messages.values()]), { mode: 0o600 });
    renameSync(`${file}.new`, file);
  };
  return {
    put(message) {
      messages.set(message.messageId, message);
      write();
    },
    remove(messageId) {
      if (messages.delete(messageId)) write();
    },
    left(queue) {
      // When the first listener starts: an app without queues keeps no file.
      if (found === undefined) {
        found = afterDeath ? readLeft(file) : [];
        write();
      }
      return found.filter((message) => message.queue === queue);
    },
  };
}

const FILE = z.array(z.object({ queue: z.string(), messageId: z.string(), popReceipt: z.string() }));

/** A missing or unreadable file gives nothing back: its messages return when their time is over. */
function readLeft(file: string): readonly MessageInWork[] {
  try {
    return FILE.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch {
    return [];
  }
}

import { randomUUID } from "node:crypto";
import { readFileSync, rmSync, statSync } from "node:fs";
import { replaceFileDurably } from "../durable-file.ts";

/**
 * The id of this service's session. A service that follows a killed one in the same boot of the machine and the same state folder takes its session over at
 * once: the folder's lock proves that the other is dead. That the folder is the same one, and no copy, is told by its device and inode. Call this with the
 * lock held. A file that cannot be read counts as none: the service waits then until the session of the one before it is over.
 */
export function openSession(path: string, folder: string, bootId: string): { readonly id: string; over(): void } {
  const { dev, ino } = statSync(folder, { bigint: true });
  const place = `${bootId} ${dev} ${ino}`;
  const [id = "", ...kept] = readText(path).split(" ");
  const sessionId = id !== "" && kept.join(" ") === place ? id : randomUUID();
  replaceFileDurably(path, Buffer.from(`${sessionId} ${place}`));
  return { id: sessionId, over: () => rmSync(path, { force: true }) };
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

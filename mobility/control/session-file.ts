import { replaceFileDurably } from "../system/durable-file.ts";
import type { Files } from "../system/files.ts";

export interface SessionOptions {
  readonly files: Files;
  readonly random: (count: number) => Buffer;
  readonly bootId: string;
}

/**
 * The id of this service's session. A service that follows a killed one in the same boot and state folder takes over
 * its session at once: the folder's lock proves that the other is dead, and device and inode prove that the folder is
 * not a copy. Call this with the lock held. `random` gives bytes for a new id. An unreadable file counts as none: the
 * service then waits until the previous session has ended.
 */
export function openSession(
  { files, random, bootId }: SessionOptions,
  path: string,
  folder: string,
): { readonly id: string; over(): void } {
  const place = `${bootId} ${files.status(folder).identity}`;
  const [id = "", ...kept] = readText(files, path).split(" ");
  const sessionId = id !== "" && kept.join(" ") === place ? id : random(16).toString("hex");
  replaceFileDurably(files, path, Buffer.from(`${sessionId} ${place}`));
  return { id: sessionId, over: () => files.remove(path) };
}

function readText(files: Files, path: string): string {
  try {
    return files.readFile(path).toString("utf8");
  } catch {
    return "";
  }
}

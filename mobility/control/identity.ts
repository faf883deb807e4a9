import { randomBytes, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { replaceFileDurably } from "../durable-file.ts";

/** The token with which this service speaks for its item: made once, readable by its owner only, and never logged. */
export function itemToken(path: string): string {
  const kept = readText(path);
  if (kept !== undefined && /^[0-9a-f]{64}$/.test(kept)) return kept;
  const token = randomBytes(32).toString("hex");
  replaceFileDurably(path, Buffer.from(token), 0o600);
  return token;
}

/** Changes with every start of the machine. Where the system does not say, every start of the service counts as one: safe, and slower after a kill. */
export function bootId(): string {
  return readText("/proc/sys/kernel/random/boot_id") ?? randomUUID();
}

export function machineId(): string {
  return readText("/etc/machine-id") ?? hostname();
}

function readText(path: string): string | undefined {
  try {
    const text = readFileSync(path, "utf8").trim();
    return text === "" ? undefined : text;
  } catch {
    return undefined;
  }
}

import { LeewardError } from "../../replication/errors.ts";
import { replaceFileDurably } from "../system/durable-file.ts";
import { isMissing } from "../system/files.ts";
import type { Files } from "../system/files.ts";
import { isGuarded } from "../system/guarded-url.ts";

/**
 * The one storage account that the service sends the guest's data to: the one that its last registration named, or, in
 * a state folder of before, the first that a grant named. It is kept durably, so that nobody who can answer heartbeats
 * can lead the data elsewhere.
 */
export interface CacheAccount {
  /** A registration names it. Throws `store-refused` when it is neither https nor on this machine. */
  keep(endpoint: string): void;
  /** Undefined when deltas may go to this container; else why not. */
  obstacle(containerUrl: string): LeewardError | undefined;
}

export function openCacheAccount(files: Files, path: string): CacheAccount {
  let kept = readAddress(files, path);
  const remember = (endpoint: string): void => {
    const address = addressOf(new URL(endpoint));
    if (address === kept) return;
    replaceFileDurably(files, path, Buffer.from(address));
    kept = address;
  };
  return {
    keep: (endpoint) => {
      if (!isGuarded(new URL(endpoint)))
        throw refused("The registration named a cache account that is not https.", new URL(endpoint).host);
      remember(endpoint);
    },
    obstacle: (containerUrl) => {
      const container = new URL(containerUrl);
      if (!isGuarded(container)) return refused("The place to upload to is not https.", container.host);
      const account = new URL(".", withoutSlash(container));
      if (kept === undefined) remember(account.href);
      if (addressOf(account) === kept) return undefined;
      return refused(
        "The place to upload to is in another storage account than the registration named. Nothing is sent there.",
        container.host,
      );
    },
  };
}

/** Without credentials, and without a slash at its end. */
const addressOf = ({ origin, pathname }: URL): string => `${origin}${pathname.replace(/\/+$/, "")}`;

function withoutSlash(url: URL): URL {
  const shorter = new URL(url);
  shorter.pathname = shorter.pathname.replace(/\/+$/, "");
  return shorter;
}

function refused(problem: string, host: string): LeewardError {
  const hint =
    "If the cache account was changed on purpose, issue a new registration token and start the service with it.";
  return new LeewardError("store-refused", problem, { host }, { hint });
}

/** A file that was damaged counts as one that names no account that there is: a new registration names it again. */
function readAddress(files: Files, path: string): string | undefined {
  try {
    return files.readFile(path).toString("utf8").trim();
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

import { LeewardError } from "../../replication/errors.ts";
import { replaceFileDurably } from "../system/durable-file.ts";
import { isMissing, type Files } from "../system/files.ts";
import { isGuarded } from "../system/guarded-url.ts";

/**
 * The one storage account that receives the guest's data: the one named by the last registration or, in an older state
 * folder, by the first grant. Kept durably, so that an attacker who can answer heartbeats cannot redirect the data.
 */
export interface CacheAccount {
  /** Sets the account from a registration. Throws `store-refused` when it is neither https nor on this machine. */
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

/** Without credentials or trailing slash. */
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

/** A damaged file counts as one that names no existing account: a new registration names it again. */
function readAddress(files: Files, path: string): string | undefined {
  try {
    return files.readFile(path).toString("utf8").trim();
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

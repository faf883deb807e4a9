import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { LocalError } from "../errors.ts";
import { LOCAL_MEMORY_ACCOUNT_MAX_BYTES } from "../limits.ts";
import { admit, type AccountAccess, type RoleCheck } from "./admission.ts";
import type { Azurite, AzuriteServer, LokiStore, StorageService } from "./azurite-modules.ts";
import { answerDelegationKey } from "./delegation-key.ts";
import { placeGate, type Gate, type GateListeners } from "./gate.ts";
import { markAdmitted } from "./mends/bearer.ts";
import { describeOperation, type StorageOperation } from "./operation.ts";
import { portTaken } from "./ports.ts";
import { keepRedoLog, type RedoLog } from "./redo/redo-log.ts";
import { refuse } from "./refusal.ts";
import { BUSY, createBuckets, isThrottled, type Buckets, type PageBlobThrottle } from "./throttle.ts";

/** What the two servers of an account share, and what may change while they run. */
export interface AccountState {
  keys: readonly [string, string | undefined];
  access: AccountAccess;
}

export interface ServerOptions {
  readonly service: StorageService;
  readonly account: string;
  readonly state: AccountState;
  /** Of bearer tokens. */
  readonly secret: string;
  readonly checkRole: () => RoleCheck | undefined;
  /** 0 takes a free port. */
  readonly port: number;
  readonly folder: string;
  readonly persistence: "disk" | "memory";
  /** False: Azurite saves its metadata every five seconds; a kill loses later changes. */
  readonly durable: boolean;
  /** The minimum growth of a redo log before its database is rewritten. */
  readonly redoLogMinBytes?: number | undefined;
}

export interface RunningServer {
  readonly url: string;
  readonly gate: Gate;
  /** Page blobs answer 503 beyond it; undefined: no limit, the default. */
  throttle(wanted: PageBlobThrottle | undefined): void;
  /** After the keys in the state have changed. */
  refreshKeys(): void;
  /** Throws `internal` with the cause when answers were withheld. */
  close(): Promise<void>;
}

/** How many 64 MiB extents one server writes at once, Azurite's default. */
const EXTENTS_WRITTEN_AT_ONCE = 50;

/**
 * Starts one account's blob or queue server on the loopback address. `report` runs before the redo log is written: a
 * listener's own durable state is then never behind what a client can see. Throws `port-in-use`.
 */
export async function startServer(
  azurite: Azurite,
  options: ServerOptions,
  report: (operation: StorageOperation) => void,
): Promise<RunningServer> {
  await mkdir(options.folder, { recursive: true });
  const server = buildServer(azurite, options);
  serveOnly(server, options.account, options.state);
  const redo =
    options.persistence === "disk" && options.durable ? keepRedo(server, options.redoLogMinBytes) : undefined;
  const store = server.metadataStore;
  const door = openDoor(azurite, options, store);
  const gate = placeGate(server.httpServer, {
    beforeAnswer: (request, response) => {
      const ownAnswer = door.ownAnswer(response);
      report(describeOperation(azurite, { ...options, store, ownAnswer }, request, response));
      redo?.flush();
    },
    answersItself: (request, response) => door.answersItself(request, response),
  });
  try {
    await server.start();
  } catch (error) {
    await server.afterClose();
    throw portTaken(options, error);
  }
  const close = async (): Promise<void> => {
    await gate.drain();
    await redo?.close();
    const closed = once(server.httpServer, "close");
    await server.close();
    await closed;
    const cause = gate.failure();
    if (cause === undefined) return;
    const facts = { account: options.account, service: options.service };
    throw new LocalError(
      "internal",
      "Requests were cut off instead of answered, because a listener or the disk failed.",
      facts,
      {
        cause,
      },
    );
  };
  return {
    url: `${server.getHttpServerAddress()}/${options.account}`,
    gate,
    throttle: (wanted) => door.throttle(wanted),
    refreshKeys: () => server.accountDataStore.refresh(),
    close,
  };
}

/** What happens to a request before Azurite sees it. */
interface Door extends Pick<GateListeners, "answersItself"> {
  throttle(wanted: PageBlobThrottle | undefined): void;
  /** The operation of an answer that Azurite has not given. */
  ownAnswer(response: ServerResponse): string | undefined;
}

function openDoor(azurite: Azurite, options: ServerOptions, store: LokiStore): Door {
  const ownAnswers = new WeakMap<ServerResponse, string>();
  let buckets: Buckets | undefined;
  return {
    throttle: (wanted) => void (buckets = wanted === undefined ? undefined : createBuckets(wanted)),
    ownAnswer: (response) => ownAnswers.get(response),
    answersItself: (request, response) => {
      const admission = admitRequest(request, options);
      const isBusy = buckets !== undefined && isThrottled(request, options.account, store, buckets);
      if (admission.kind === "refused") {
        ownAnswers.set(response, "Refused");
        refuse(request, response, admission, randomUUID());
      } else if (admission.kind === "delegates") {
        ownAnswers.set(response, "Service_GetUserDelegationKey");
        const asked = { principalId: admission.principalId, requestId: randomUUID() };
        answerDelegationKey(azurite, request, response, asked).catch(() => response.destroy());
      } else if (isBusy) {
        ownAnswers.set(response, "Throttled");
        refuse(request, response, BUSY, randomUUID());
      } else if (admission.kind === "admitted") markAdmitted(request);
      return ownAnswers.has(response);
    },
  };
}

function admitRequest(request: IncomingMessage, { account, service, state, secret, checkRole }: ServerOptions) {
  const { method = "GET", url = "/", headers } = request;
  return admit({ method, url, headers }, { account, service, access: state.access, secret, checkRole: checkRole() });
}

function buildServer(azurite: Azurite, options: ServerOptions): AzuriteServer {
  const memory = options.persistence === "memory";
  const extents = {
    locationId: "default",
    locationPath: join(options.folder, "extents"),
    maxConcurrency: EXTENTS_WRITTEN_AT_ONCE,
  };
  const [configuration, serverClass] =
    options.service === "blob"
      ? [azurite.blobConfiguration, azurite.blobServer]
      : [azurite.queueConfiguration, azurite.queueServer];
  return new serverClass(
    new configuration(
      "127.0.0.1",
      options.port,
      5, // keep-alive in seconds
      join(options.folder, "metadata.json"),
      join(options.folder, "extents.json"),
      [extents],
      false, // access log
      undefined, // access log stream
      false, // debug log
      undefined, // debug log file
      false, // loose
      false, // skip the check of the API version
      "", // certificate
      "", // its key
      "", // its password
      undefined, // OAuth needs HTTPS
      true, // accounts are in the path, never in the host name
      memory,
      memory ? new azurite.memoryChunkStore(LOCAL_MEMORY_ACCOUNT_MAX_BYTES) : undefined,
    ),
  );
}

/** Azurite takes its accounts from one process-wide variable; here each server accepts only its own account. */
function serveOnly(server: AzuriteServer, account: string, state: AccountState): void {
  server.accountDataStore.refresh = () => {
    const [key1, key2] = state.keys;
    server.accountDataStore.accounts = {
      [account]: {
        name: account,
        key1: Buffer.from(key1, "base64"),
        key2: key2 === undefined ? undefined : Buffer.from(key2, "base64"),
      },
    };
  };
}

/**
 * Both databases of a server, the extents first: a page may point only to a known extent. Azurite removes extents
 * without references, so the lack of references must be durable before a file goes.
 */
function keepRedo(server: AzuriteServer, redoLogMinBytes: number | undefined): RedoLog {
  const extents = keepRedoLog(server.extentMetadataStore, redoLogMinBytes);
  const metadata = keepRedoLog(server.metadataStore, redoLogMinBytes);
  const flush = (): void => {
    extents.flush();
    metadata.flush();
  };
  const { extentStore } = server;
  const deleteExtents = extentStore.deleteExtents.bind(extentStore);
  extentStore.deleteExtents = (unused) => {
    flush();
    return deleteExtents(unused);
  };
  const close = async (): Promise<void> => {
    await extents.close();
    await metadata.close();
  };
  return { flush, close };
}
